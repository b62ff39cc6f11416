"""Submissions, and their summary."""

from __future__ import annotations

from firsthandapi.conformance._checks import listed, same, shaped, status
from firsthandapi.conformance._exchange import NotTriedError
from firsthandapi.conformance._promises import promise
from firsthandapi.conformance._run import Json, Run, Shared
from firsthandapi.conformance._shapes import SUBMISSION, SUMMARY

_SUBMISSIONS = '§2 "Submissions"'


@Shared
def _rejected_job(run: Run) -> Json:
    """getting a submission rejected"""
    if run.has_control:
        job = run.new_job()["id"]
        run.work(job, 1)
        return run.read_job(job)
    # The sandbox gives 4 stars, and the job that stays open asks for 5: when another one is completed, it has one.
    _ = run.is_sandbox and run.completed_job
    for submission in run.get("/v1/submissions", status="rejected").items:
        if isinstance(submission.get("job_id"), str):
            return run.read_job(submission["job_id"])
    raise NotTriedError("this account has no rejected submission")


@promise("submissions.scored", "GET /v1/jobs/:id/submissions", "§3")
def _scored(run: Run) -> None:
    """An approved submission has its stars and the time of its score."""
    it = run.get(f"/v1/jobs/{run.completed_job['id']}/submissions").must(listed(SUBMISSION))
    approved = [item for item in it.items if item["status"] == "approved"]
    it.hold(approved, "a completed job without an approved submission")
    for item in approved:
        for name in ("ai_star_rating", "scored_at"):
            it.hold(item.get(name) is not None, f"an approved submission without `{name}`")


@promise("submissions.every_status", "GET /v1/jobs/:id/submissions", _SUBMISSIONS)
def _every_status(run: Run) -> None:
    """The submissions of a job include rejected ones; its files do not."""
    job = _rejected_job(run)["id"]
    it = run.get(f"/v1/jobs/{job}/submissions", limit=100).must(listed(SUBMISSION))
    rejected = {item["id"] for item in it.items if item["status"] == "rejected"}
    it.hold(rejected, f"a rejected submission is not listed: of {job}")
    files = run.get(f"/v1/jobs/{job}/files", limit=100, min_score=1).must(status(200))
    for file in files.items:
        files.hold(file.get("submission_id") not in rejected, "a file of a rejected submission is listed")


@promise("submissions.get", "GET /v1/submissions/:id", _SUBMISSIONS)
def _get(run: Run) -> None:
    """A submission is read as it is listed."""
    listed_as = run.submission
    it = run.get(f"/v1/submissions/{listed_as['id']}").must(status(200), shaped(SUBMISSION))
    it.must(same(listed_as, "id", "status", "job_id", "ai_star_rating"))


@promise("submissions.summary", "GET /v1/submissions/summary", _SUBMISSIONS, ours=True)
def _summary(run: Run) -> None:
    """The summary counts what the list shows, by status."""
    id = run.completed_job["id"]
    it = run.get("/v1/submissions/summary", job_id=id).must(status(200), shaped(SUMMARY))
    total = it.object["total"]
    counted = sum(value for value in it.object["by_status"].values() if isinstance(value, int))
    it.hold(counted == total, f"`by_status` does not add up to `total`: {counted} and {total}")
    page = run.get(f"/v1/jobs/{id}/submissions", limit=100).must(listed(SUBMISSION))
    if page.object["has_more"]:
        raise NotTriedError("the job has more than 100 submissions")
    it.hold(total == len(page.items), f"`total` is not the length of the list: {total}, {len(page.items)}")
