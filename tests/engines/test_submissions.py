"""A row of a file is the same whoever reads its job: `download_all`, `firsthand://`, or Ray."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dataset.support import api, completed_job
from firsthandapi._base.masking import Secret
from firsthandapi._core.rows.manifest import SUBMISSION_COLUMNS, columns_of_submission, manifest_line
from firsthandapi.engines.filesystem import FirstHandFileSystem
from firsthandapi.engines.ray._urls import Urls
from firsthandapi.testing import MockServer
from firsthandapi.types import Submission

Rows = dict[str, dict[str, Any]]


@pytest.fixture
def server() -> Iterator[MockServer]:
    with MockServer(speed=0, workers=False) as server:
        server.rate_limit = server.organization_rate_limit = None
        yield server


@pytest.fixture
def urls(server: MockServer) -> Iterator[Urls]:
    """Ray's actor, in this process."""
    urls = Urls(Secret(server.api_key), server.url)
    yield urls
    urls._client.close()


def by_id(lines: list[Any]) -> Rows:
    """Rows by their files, without their paths."""
    return {row["file_id"]: {**row, "file_name": None} for row in lines}


def through_filesystem(server: MockServer, job_id: str) -> Rows:
    files = FirstHandFileSystem(server.api_key, server.url, skip_instance_cache=True)
    return by_id([json.loads(line) for line in files.cat_file(f"{job_id}/metadata.jsonl").splitlines()])


def through_ray(urls: Urls, job_id: str) -> Rows:
    rows = urls.completed(urls.files([job_id], 1))
    return by_id([json.loads(line) for line in map(manifest_line, rows)])


def test_every_reader_gives_the_same_rows(server: MockServer, urls: Urls, tmp_path: Path) -> None:
    """Of the same file the same columns with the same values, the worker's included; only paths differ."""
    job_id = completed_job(server, 3)
    with server.client() as client:
        folder = client.files.download_all(job_id, tmp_path)
    manifest = (folder.path / "metadata.jsonl").read_text(encoding="utf-8")
    expected = by_id([json.loads(line) for line in manifest.splitlines()])
    assert all(row["worker_id"] and row["ai_reasoning"] and row["dimensions"] for row in expected.values())
    assert through_filesystem(server, job_id) == expected
    assert through_ray(urls, job_id) == expected
    assert columns_of_submission(Submission(id="sub_1", status="approved")).keys() == SUBMISSION_COLUMNS


def test_whoever_asks_for_files_alone_pays_for_no_submission(server: MockServer, urls: Urls) -> None:
    """The list of files costs what it did; the columns of submissions cost a request per hundred, once."""
    job_id = completed_job(server, 2)
    files = FirstHandFileSystem(server.api_key, server.url, skip_instance_cache=True)
    start = len(server.requests)
    paths = files.glob(f"{job_id}/*.jpg")
    assert files.cat(paths).keys() == {*files.ls(job_id, detail=False)}
    records = urls.files([job_id], 1)
    assert not any("submissions" in call for call in api(server, start))
    assert [*files.glob(f"{job_id}/*")] == [*paths, f"{job_id}/metadata.jsonl"]
    assert files.cat_file(f"{job_id}/metadata.jsonl")
    urls.completed(records[:1])
    urls.completed(records)
    assert [call for call in api(server, start) if "submissions" in call] == [
        f"GET /v1/jobs/{job_id}/submissions"
    ] * 2


def test_an_actor_that_was_started_again_completes_rows(server: MockServer, urls: Urls) -> None:
    """It knows nothing of what the one before it has listed."""
    job_id = completed_job(server, 2)
    records = urls.files([job_id], 1)
    restarted = Urls(Secret(server.api_key), server.url)
    assert restarted.completed(records) == urls.completed(records) != records
    restarted._client.close()


def test_submissions_that_cannot_be_read_leave_their_columns_empty(
    server: MockServer, urls: Urls, caplog: pytest.LogCaptureFixture
) -> None:
    """As in a folder: with a warning, and the files are readable."""
    job_id = completed_job(server, 2)
    server.faults.add(path="*/submissions", status=403, times=None)
    for rows in (through_filesystem(server, job_id), through_ray(urls, job_id)):
        assert len(rows) == 2
        assert {row["worker_id"] for row in rows.values()} == {None}
    assert caplog.text.count(f"the workers and ratings of {job_id} are unknown so far") == 2
