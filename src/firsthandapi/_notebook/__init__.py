"""Jobs, files, lists, datasets, and plans as notebooks show them. The package hands it to `_base.display`."""

from __future__ import annotations

from typing import Any

from firsthandapi._core.campaigns.plan import CampaignPlan
from firsthandapi._core.rows.manifest import Record
from firsthandapi.datasets import Dataset, DatasetView
from firsthandapi.types._base import fitting
from firsthandapi.types.file import File
from firsthandapi.types.job import Job

from .cards import file_cell, job_cell, page_cell, plan_cell
from .gallery import dataset_cell


def html_of(thing: Any) -> str | None:
    """The HTML of a `Displayed` object. None after any failure: the notebook then shows the plain `repr`, which is
    better than a traceback in place of the cell's result."""
    try:
        match thing:
            case Job():
                return job_cell(fitting(thing))
            case File():
                return file_cell(fitting(thing), "files.download(file, path) downloads it")
            case Record():
                return file_cell(thing, "dataset.path_of(record) is where it is")
            case Dataset() | DatasetView():
                return dataset_cell(thing)
            case CampaignPlan():
                return plan_cell(thing)
            case _:
                return page_cell(thing.data, has_more=thing.has_more)
    except Exception:
        return None
