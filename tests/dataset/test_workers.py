"""The workers of the files of a job with a label."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from client.support import Connect
from firsthandapi.testing import MockServer

from .support import api, completed_job, downloads


def test_workers_that_cannot_be_read_cost_no_file(
    connect: Connect, server: MockServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Their rows are null, a log line says why, and the same call fills them in, downloading nothing."""
    job_id = completed_job(server, 2)
    server.faults.add(path=f"/v1/jobs/{job_id}/submissions", status=403, times=1)
    client = connect(server)
    with caplog.at_level(logging.WARNING, "firsthandapi.download"):
        dataset = client.files.download_all(job_id, tmp_path, label="stop")
        assert {record.worker_id for record in dataset} == {None}
        assert f"the workers of {job_id} are unknown so far" in caplog.text
        since = len(server.requests)
        again = client.files.download_all(job_id, tmp_path, label="stop")
    assert downloads(server, since) == []
    assert None not in {record.worker_id for record in again}


def test_workers_of_many_files_are_read_page_by_page(
    connect: Connect, server: MockServer, tmp_path: Path
) -> None:
    """One request per 100 submissions, and none once all are known, nor without a label."""
    job_id = completed_job(server, 101)
    since = len(server.requests)
    client = connect(server)
    dataset = client.files.download_all(job_id, tmp_path, label="stop")
    assert len([line for line in api(server, since) if line.endswith("/submissions")]) == 2
    assert None not in {record.worker_id for record in dataset}
    since = len(server.requests)
    client.files.download_all(job_id, tmp_path, label="stop")
    assert client.files.download_all(job_id, tmp_path / "plain").records[0].worker_id is None
    assert not [line for line in api(server, since) if line.endswith("/submissions")]
