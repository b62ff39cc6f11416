"""The SDK itself, once: whatever else it relies on, it has to end with a folder that is complete, and paid once."""

from __future__ import annotations

from pathlib import Path

import pytest

from firsthandapi import FirstHandClient
from firsthandapi._base.loose_json import members
from firsthandapi.errors import FirstHandError, WaitTimeoutError
from firsthandapi.types import Job

from .conftest import SANDBOX_SECONDS
from .server import NEW_JOB, Json, Server


def _posted(server: Server, client: FirstHandClient, folder: Path, order: Json) -> Job | None:
    """The job that `collect` posts when it has no time to wait; None if it did not need any."""
    for seconds in (0.0, 2.0, server.patience):
        try:
            client.jobs.collect(folder, timeout=seconds, **order)
            return None
        except WaitTimeoutError as error:
            if error.job is not None:
                server.will_remove("jobs", error.job.id)
                return error.job
    return None


def test_sdk_collect(server: Server, tmp_path: Path) -> None:
    """`collect` of the SDK posts a job, continues it, and downloads its files into a folder, each verified.
    (§2 "Jobs")"""
    if server.read_only:
        pytest.skip("--read-only")
    if not server.is_sandbox and not server.has_control:
        pytest.skip("no worker would do the job")
    order: Json = {**NEW_JOB, "min_star_rating": 3}
    with FirstHandClient(server.key.secret, server.url, max_retries=0) as client:
        try:
            job = _posted(server, client, tmp_path / "folder", order)
            if job is not None and server.has_control:
                server.work(job.id, 5, 5)
            dataset = client.jobs.collect(tmp_path / "folder", timeout=SANDBOX_SECONDS, **order)
        except WaitTimeoutError:
            pytest.skip(f"no job completes here within {SANDBOX_SECONDS:g} s")
        except (FirstHandError, OSError) as error:
            raise AssertionError(f"the SDK raises {type(error).__name__}: {error}") from None
        assert dataset.verify().ok, "the folder of `collect` is not complete"
    key = (job.metadata or {}).get("firsthandapi_key") if job else None
    response = server.get("/v1/jobs", limit=100)
    paid = [item for item in response.items if key in members(item.get("metadata")).values()]
    assert job is None or len(paid) == 1, f"the list shows {len(paid)} jobs for one call of `collect`"
