"""The door to what a notebook shows."""

from __future__ import annotations

import subprocess
import sys

import pytest

from firsthandapi._core.rows.manifest import COLUMNS, Record
from firsthandapi.types import File, Job

LOADED = """
import sys
known = "html" in sys.modules  # as where coverage is measured
import firsthandapi.datasets, firsthandapi.types.file, firsthandapi.types.job
from firsthandapi import AsyncPage, Page
assert "firsthandapi._notebook" not in sys.modules
assert ("html" in sys.modules) == known
firsthandapi.types.job.Job(id="job_1", status="open")._repr_html_()
assert "firsthandapi._notebook" in sys.modules
"""


def test_nothing_of_it_is_loaded_before_a_notebook_asks() -> None:
    """Models, rows, datasets and pages know the door alone."""
    subprocess.run([sys.executable, "-c", LOADED], check=True, timeout=60)


@pytest.mark.parametrize(
    "thing",
    [
        Job.model_validate({"id": "job_1", "status": "open"}),
        File.model_validate({"id": "file_1"}),
        Record(**{**dict.fromkeys(COLUMNS), "file_id": "file_1", "size_bytes": 1}),
    ],
    ids=lambda thing: type(thing).__name__,
)
def test_each_thing_is_shown(thing: Job | File | Record) -> None:
    """As HTML that says which it is."""
    assert "_1" in (thing._repr_html_() or "")


def test_what_cannot_be_shown_raises_nothing() -> None:
    """A notebook shows the plain `repr` instead."""
    odd = Job.model_construct(id=object(), status=object())
    assert odd._repr_html_() is None


def test_amounts_of_any_length_are_shown() -> None:
    """A service may send a number of 400 digits."""
    rich = Job.model_validate({"id": "job_1", "status": "open", "total_cost_cents": 10**400})
    assert "$100,000,000,000" in (rich._repr_html_() or "")
