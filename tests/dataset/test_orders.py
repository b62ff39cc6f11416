"""The records of the orders of a folder, a file each."""

from __future__ import annotations

from pathlib import Path

import pytest

from firsthandapi import Dataset
from firsthandapi._core.orders.record import ORDERS
from firsthandapi.errors import ConfigurationError
from firsthandapi.testing import MockServer

from .support import JOB, ORDER, jobs_bought


def test_a_lost_record_is_restored_from_the_rows(quick_server: MockServer, tmp_path: Path) -> None:
    """Of this label alone: the jobs of others, and those that `download_all` brought, are not taken for it."""
    with quick_server.client() as client:
        client.jobs.collect(tmp_path, **JOB, files_needed=2, label="stop")
        job = client.jobs.create_and_wait(**JOB, files_needed=1)
        client.files.download_all(job.id, tmp_path, label="stop")
        (tmp_path / ORDERS / "label-stop.json").unlink()
        rerun = client.jobs.collect(tmp_path, **JOB, files_needed=2, label="stop")
    assert len(rerun) == 3
    assert jobs_bought(quick_server) == 2


def test_junk_beside_other_records_is_refused(signs: Dataset) -> None:
    """As junk in the one of a folder of one job is."""
    (signs.path / ORDERS / "other.json").write_bytes(b"{")
    with pytest.raises(ConfigurationError, match=r"other\.json is empty or damaged"):
        Dataset.open(signs.path)


def test_more_records_than_we_write_are_refused(signs: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stranger's folder must not fill the memory."""
    monkeypatch.setattr("firsthandapi.datasets._orders.MOST_RECORDS", 1)
    with pytest.raises(ConfigurationError, match="more than 1 files"):
        Dataset.open(signs.path)
    monkeypatch.undo()
    monkeypatch.setattr("firsthandapi.datasets._orders.LARGEST_RECORDS", 100)
    with pytest.raises(ConfigurationError, match="larger than"):
        Dataset.open(signs.path)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"{",
        b"\xff",
        b'{"version": 2}',
        b"[" * 100_000,
        b'{"version":1,"kind":"job","job":{"id":"job_1"}}',
    ],
)
def test_junk_in_a_record_is_refused(dataset: Dataset, content: bytes) -> None:
    """Also a job that is none of the service's."""
    (dataset.path / ORDER).write_bytes(content)
    with pytest.raises(ConfigurationError, match=r"order\.json|the record of job_1"):
        Dataset.open(dataset.path)
