"""Submissions, and their summary."""

from __future__ import annotations

from firsthandapi.conformance._checks import listed, shaped, status
from firsthandapi.conformance._exchange import DiffersError, NotTriedError
from firsthandapi.conformance._promises import promise
from firsthandapi.conformance._run import Run
from firsthandapi.conformance._shapes import SUBMISSION, SUMMARY

from .lists import only

_OF_JOB, _LIST, _GET, _SUMMARY = (
    "GET /v1/jobs/:id/submissions",
    "GET /v1/submissions",
    "GET /v1/submissions/:id",
    "GET /v1/submissions/summary",
)
_SUBMISSIONS = '§2 "Submissions"'


@promise(
    "submissions.scored",
    _OF_JOB,
    "§3",
    "An approved submission has its stars, its reasoning, and the time of its score.",
)
def _scored(run: Run) -> None:
    it = run("GET", f"/v1/jobs/{run.completed_job['id']}/submissions").must(status(200), listed(SUBMISSION))
    approved = [item for item in it.items if item["status"] == "approved"]
    if not approved:
        raise DiffersError("a completed job without an approved submission", it)
    for item in approved:
        for name in ("ai_star_rating", "ai_reasoning", "scored_at"):
            if item.get(name) is None:
                raise DiffersError(f"`{name}` of {item['id']} is missing", it)


@promise(
    "submissions.every_status",
    _OF_JOB,
    _SUBMISSIONS,
    "The submissions of a job include rejected ones; its files do not.",
)
def _every_status(run: Run) -> None:
    job = run.rejected_job["id"]
    it = run("GET", f"/v1/jobs/{job}/submissions", query={"limit": 100}).must(status(200), listed(SUBMISSION))
    rejected = {item["id"] for item in it.items if item["status"] == "rejected"}
    if not rejected:
        raise DiffersError(f"no rejected submission of {job}", it)
    files = run("GET", f"/v1/jobs/{job}/files", query={"limit": 100, "min_score": 1}).must(status(200))
    for file in files.items:
        if file.get("submission_id") in rejected:
            raise DiffersError(f"{file.get('id')} is listed, and its submission is rejected", files)


@promise(
    "submissions.of_job.status",
    _OF_JOB,
    _SUBMISSIONS,
    "status lists submissions of the job with this status only.",
    ours=True,
)
def _of_job(run: Run) -> None:
    path = f"/v1/jobs/{run.completed_job['id']}/submissions"
    only(run, path, {"status": "approved"}, lambda item: item.get("status") == "approved")
    only(
        run, path, {"status": "pending_score"}, lambda item: item.get("status") == "pending_score", some=False
    )


@promise("submissions.list.job_id", _LIST, _SUBMISSIONS, "job_id lists submissions of this job only.")
def _job_id(run: Run) -> None:
    id = run.completed_job["id"]
    only(run, "/v1/submissions", {"job_id": id, **_ALWAYS}, lambda item: item.get("job_id", id) == id)


@promise("submissions.list.status", _LIST, _SUBMISSIONS, "status lists submissions with this status only.")
def _status(run: Run) -> None:
    _ = run.completed_job
    only(
        run,
        "/v1/submissions",
        {"status": "approved", **_ALWAYS},
        lambda item: item.get("status") == "approved",
    )


@promise(
    "submissions.list.min_score",
    _LIST,
    _SUBMISSIONS,
    "min_score lists submissions with at least that many stars.",
)
def _min_score(run: Run) -> None:
    _ = run.completed_job
    only(run, "/v1/submissions", {"min_score": 1, **_ALWAYS}, lambda item: bool(item.get("ai_star_rating")))
    query = {"min_score": 5, **_ALWAYS}
    only(run, "/v1/submissions", query, lambda item: item.get("ai_star_rating") == 5, some=False)


@promise(
    "submissions.list.dates",
    _LIST,
    _SUBMISSIONS,
    "start_date and end_date list submissions between them only.",
)
def _dates(run: Run) -> None:
    _ = run.completed_job
    only(run, "/v1/submissions", _ALWAYS, lambda _: True)
    early = {"start_date": "2000-01-01T00:00:00Z", "end_date": "2001-01-01T00:00:00Z"}
    only(run, "/v1/submissions", early, lambda _: False, some=False)
    only(run, "/v1/submissions", {"start_date": "9000-01-01T00:00:00Z"}, lambda _: False, some=False)


# A completed job may be older than the list goes back by default.
_ALWAYS = {"start_date": "2000-01-01T00:00:00Z"}


@promise("submissions.get", _GET, _SUBMISSIONS, "A submission is read as it is listed.")
def _get(run: Run) -> None:
    listed_as = run.submission
    it = run("GET", f"/v1/submissions/{listed_as['id']}").must(status(200), shaped(SUBMISSION))
    for name in ("id", "status", "job_id", "ai_star_rating"):
        if it.object.get(name) != listed_as.get(name):
            raise DiffersError(
                f"`{name}` is {it.object.get(name)!r}, and {listed_as.get(name)!r} in the list", it
            )


@promise(
    "submissions.summary",
    _SUMMARY,
    _SUBMISSIONS,
    "The summary counts what the list shows, by status.",
    ours=True,
)
def _summary(run: Run) -> None:
    id = run.completed_job["id"]
    it = run("GET", "/v1/submissions/summary", query={"job_id": id}).must(status(200), shaped(SUMMARY))
    counts = it.object["by_status"]
    if sum(value for value in counts.values() if isinstance(value, int)) != it.object["total"]:
        raise DiffersError("`by_status` does not add up to `total`", it)
    page = run("GET", f"/v1/jobs/{id}/submissions", query={"limit": 100}).must(
        status(200), listed(SUBMISSION)
    )
    if page.object["has_more"]:
        raise NotTriedError("the job has more than 100 submissions")
    if it.object["total"] != len(page.items):
        raise DiffersError(f"`total` is {it.object['total']}, and the list has {len(page.items)}", it)
