"""Submissions, and their summary."""

from __future__ import annotations

import pytest

from .checks import listed, same, shaped, status
from .exchange import Key
from .server import Json, Server
from .shapes import SUBMISSION, SUMMARY


@pytest.fixture
def rejected_job(server: Server, request: pytest.FixtureRequest) -> str:
    """A job with a rejected submission."""
    if server.has_control:
        id = str(server.new_job()["id"])
        server.work(id, 1)
        return id
    # The sandbox gives 4 stars, and the job that stays open asks for 5: when another one is completed, it has one.
    if server.is_sandbox:
        request.getfixturevalue("completed_job")
    for submission in server.get("/v1/submissions", status="rejected").items:
        if isinstance(submission.get("job_id"), str):
            return str(submission["job_id"])
    pytest.skip("this account has no rejected submission")


def test_submissions_scored(server: Server, completed_job: Json) -> None:
    """An approved submission has its stars and the time of its score. (§3)"""
    response = server.get(f"/v1/jobs/{completed_job['id']}/submissions").must(listed(SUBMISSION))
    approved = [item for item in response.items if item["status"] == "approved"]
    assert approved, "a completed job has no approved submission"
    for item in approved:
        for name in ("ai_star_rating", "scored_at"):
            assert item.get(name) is not None, f"an approved submission without `{name}`"


def test_submissions_every_status(server: Server, rejected_job: str) -> None:
    """The submissions of a job include rejected ones; its files do not. (§2 "Submissions")"""
    response = server.get(f"/v1/jobs/{rejected_job}/submissions", limit=100).must(listed(SUBMISSION))
    rejected = {item["id"] for item in response.items if item["status"] == "rejected"}
    assert rejected, f"a rejected submission of {rejected_job} is not listed"
    files = server.get(f"/v1/jobs/{rejected_job}/files", limit=100, min_score=1).must(status(200))
    for file in files.items:
        assert file.get("submission_id") not in rejected, "a file of a rejected submission is listed"


def test_submissions_retry(server: Server, strangers: tuple[Key, Key]) -> None:
    """A first attempt with 2 stars may be tried again: it is retry_pending. (§4 "Status of a submission")"""
    key = strangers[1]  # a live key: in the sandbox, every file has 4 stars
    id = server.new_job(key=key, min_star_rating=3)["id"]
    server.work(id, 2)
    response = server("GET", f"/v1/jobs/{id}/submissions", key=key).must(listed(SUBMISSION))
    state = response.items[0]["status"] if response.items else "missing"
    assert state == "retry_pending", f"a first attempt with 2 stars is {state}"


def test_submissions_get(server: Server, submission: Json) -> None:
    """A submission is read as it is listed. (§2 "Submissions")"""
    response = server.get(f"/v1/submissions/{submission['id']}").must(status(200), shaped(SUBMISSION))
    response.must(same(submission, "id", "status", "job_id", "ai_star_rating"))


def test_submissions_summary(server: Server, completed_job: Json) -> None:
    """The summary counts what the list shows, by status. (§2 "Submissions" ‡)"""
    id = completed_job["id"]
    response = server.get("/v1/submissions/summary", job_id=id).must(status(200), shaped(SUMMARY))
    total = response.object["total"]
    counted = sum(value for value in response.object["by_status"].values() if isinstance(value, int))
    assert counted == total, f"`by_status` adds up to {counted}, and `total` is {total}"
    page = server.get(f"/v1/jobs/{id}/submissions", limit=100).must(listed(SUBMISSION))
    if page.object["has_more"]:
        pytest.skip("the job has more than 100 submissions")
    assert total == len(page.items), f"`total` is {total}, and the list has {len(page.items)}"
