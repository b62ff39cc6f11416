"""A collected job on disk: files, a manifest, and the record of the job.

from firsthandapi import Dataset

dataset = Dataset.open("signs/")
for record in dataset:
    print(dataset.path_of(record), record.ai_star_rating, record.annotations)
"""

from __future__ import annotations

from firsthandapi._core.orders.reports import Progress, Verification
from firsthandapi._core.rows.decisions import Decision
from firsthandapi._core.rows.manifest import Record
from firsthandapi._core.rows.opinions import AnnotationReport
from firsthandapi._core.rows.publication import Publication
from firsthandapi._core.rows.versions import Change, Diff, Version
from firsthandapi._core.rows.withdrawal import Copy, Reconciliation

from ._dataset import Dataset, DatasetView
from ._papers import Card
from ._splitting import Splits

__all__ = [
    "AnnotationReport",
    "Card",
    "Change",
    "Copy",
    "Dataset",
    "DatasetView",
    "Decision",
    "Diff",
    "Progress",
    "Publication",
    "Reconciliation",
    "Record",
    "Splits",
    "Verification",
    "Version",
]
