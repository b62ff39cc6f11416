"""What only the submissions of a job's files say."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from client.support import Connect
from firsthandapi.testing import MockServer

from .support import api, completed_job, downloads


@pytest.mark.parametrize("label", ["stop", None])
def test_workers_that_cannot_be_read_cost_no_file(
    connect: Connect, server: MockServer, tmp_path: Path, caplog: pytest.LogCaptureFixture, label: str | None
) -> None:
    """Their columns are null, one log line says why, and the same call fills them in, downloading nothing. With a label
    and without."""
    job_id = completed_job(server, 2)
    server.faults.add(path=f"/v1/jobs/{job_id}/submissions", status=403, times=1)
    client = connect(server)
    with caplog.at_level(logging.WARNING, "firsthandapi.download"):
        dataset = client.files.download_all(job_id, tmp_path, label=label)
        assert {(row.worker_id, row.ai_reasoning, row.dimensions) for row in dataset} == {(None, None, None)}
        assert caplog.text.count(f"the workers and ratings of {job_id} are unknown so far") == 1
        assert len(caplog.records) == 1
        since = len(server.requests)
        rerun = client.files.download_all(job_id, tmp_path, label=label)
    assert downloads(server, since) == []
    for row in rerun:
        submission = client.submissions.get(str(row.submission_id))
        assert row.worker_id == submission.worker_id
        assert row.ai_reasoning == submission.ai_reasoning is not None
        assert row.location_verified == submission.location_verified
        assert submission.dimensions is not None
        assert row.dimensions == submission.dimensions.model_dump()
        assert set(row.device_info or ()) == {"device_model", "device_os", "app_version"}


def test_workers_of_many_files_are_read_page_by_page(
    connect: Connect, server: MockServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One request per page of submissions, and none once all are known."""
    monkeypatch.setattr(f"firsthandapi._{connect.kind}.workers.LARGEST_PAGE", 10)
    job_id = completed_job(server, 11)
    since = len(server.requests)
    client = connect(server)
    dataset = client.files.download_all(job_id, tmp_path, label="stop")
    assert len([line for line in api(server, since) if line.endswith("/submissions")]) == 2
    assert None not in {record.worker_id for record in dataset}
    since = len(server.requests)
    client.files.download_all(job_id, tmp_path, label="stop")
    assert not [line for line in api(server, since) if line.endswith("/submissions")]
