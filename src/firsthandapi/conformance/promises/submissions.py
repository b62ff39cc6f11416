"""Submissions, and their summary."""

from __future__ import annotations

from firsthandapi.conformance._checks import listed, same, shaped, status
from firsthandapi.conformance._exchange import NotTriedError
from firsthandapi.conformance._promises import promise
from firsthandapi.conformance._run import Json, Run
from firsthandapi.conformance._shapes import SUBMISSION, SUMMARY

from .lists import ALWAYS, around

_SUBMISSIONS = '§2 "Submissions"'


@promise("submissions.scored", "GET /v1/jobs/:id/submissions", "§3")
def _scored(run: Run) -> None:
    """An approved submission has its stars, its reasoning, and the time of its score."""
    it = run.get(f"/v1/jobs/{run.completed_job['id']}/submissions").must(listed(SUBMISSION))
    approved = [item for item in it.items if item["status"] == "approved"]
    it.hold(approved, "a completed job without an approved submission")
    for item in approved:
        for name in ("ai_star_rating", "ai_reasoning", "scored_at"):
            it.hold(item.get(name) is not None, f"an approved submission without `{name}`")


@promise("submissions.every_status", "GET /v1/jobs/:id/submissions", _SUBMISSIONS)
def _every_status(run: Run) -> None:
    """The submissions of a job include rejected ones; its files do not."""
    job = run.rejected_job["id"]
    it = run.get(f"/v1/jobs/{job}/submissions", limit=100).must(listed(SUBMISSION))
    rejected = {item["id"] for item in it.items if item["status"] == "rejected"}
    it.hold(rejected, f"a rejected submission is not listed: of {job}")
    files = run.get(f"/v1/jobs/{job}/files", limit=100, min_score=1).must(status(200))
    for file in files.items:
        files.hold(file.get("submission_id") not in rejected, "a file of a rejected submission is listed")


@promise("submissions.of_job.status", "GET /v1/jobs/:id/submissions", _SUBMISSIONS, ours=True)
def _of_job(run: Run) -> None:
    """status lists submissions of the job with this status only."""
    path = f"/v1/jobs/{run.completed_job['id']}/submissions"
    run.filtered(path, lambda item: item.get("status") == "approved", status="approved")
    run.filtered(path, lambda item: item.get("status") == "rejected", some=False, status="rejected")


@promise("submissions.list.job_id", "GET /v1/submissions", _SUBMISSIONS)
def _job_id(run: Run) -> None:
    """job_id lists submissions of this job only."""
    _ = run.mixed
    id = run.completed_job["id"]
    run.filtered("/v1/submissions", lambda item: item.get("job_id", id) == id, job_id=id, **ALWAYS)


@promise("submissions.list.status", "GET /v1/submissions", _SUBMISSIONS)
def _status(run: Run) -> None:
    """status lists submissions with this status only."""
    _ = run.completed_job
    only: Json = {"status": "approved", **ALWAYS}
    run.filtered("/v1/submissions", lambda item: item.get("status") == "approved", **only)


@promise("submissions.list.min_score", "GET /v1/submissions", _SUBMISSIONS)
def _min_score(run: Run) -> None:
    """min_score lists submissions with at least that many stars."""
    _ = run.completed_job

    def stars(item: Json) -> int:
        return item.get("ai_star_rating") or 0

    run.filtered("/v1/submissions", lambda item: stars(item) >= 1, min_score=1, **ALWAYS)
    run.filtered("/v1/submissions", lambda item: stars(item) == 5, some=False, min_score=5, **ALWAYS)


@promise("submissions.list.dates", "GET /v1/submissions", _SUBMISSIONS)
def _dates(run: Run) -> None:
    """start_date and end_date list submissions between them only."""
    _ = run.completed_job
    run.filtered("/v1/submissions", lambda _: True, **ALWAYS)
    early: Json = {"start_date": "2000-01-01T00:00:00Z", "end_date": "2001-01-01T00:00:00Z"}
    for none in (early, {"start_date": "9000-01-01T00:00:00Z"}):
        run.filtered("/v1/submissions", lambda _: False, some=False, **none)


@promise("submissions.list.offsets", "GET /v1/submissions", _SUBMISSIONS)
def _offsets(run: Run) -> None:
    """start_date and end_date may have any offset from UTC."""
    made = run.submission
    moment = made.get("submitted_at") or made.get("created_at")
    if not isinstance(moment, str):
        raise NotTriedError("a submission has no time here")
    before, after = around(moment)
    it = run.filtered("/v1/submissions", lambda _: True, start_date=before, end_date=after)
    it.hold(made["id"] in it.ids, f"a submission between {before} and {after} is not listed")
    for query in ({"start_date": after}, {**ALWAYS, "end_date": before}):
        it = run.filtered("/v1/submissions", lambda _: True, some=False, **query)
        it.hold(made["id"] not in it.ids, f"a submission outside the dates is listed: {query}")


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
