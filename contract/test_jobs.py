"""Posting, reading, cancelling, and rating jobs, and waiting for them by long-poll."""

from __future__ import annotations

import time
from datetime import datetime, timedelta, timezone
from typing import Any

from firsthandapi.conformance._checks import (
    has_header,
    refused,
    same,
    shaped,
    shows,
    status,
    succeeded,
    within,
)
from firsthandapi.conformance._exchange import (
    Check,
    Credential,
    DiffersError,
    Exchange,
    NoResponseError,
    NotTriedError,
)
from firsthandapi.conformance._promises import PROMISES, add, promise
from firsthandapi.conformance._run import JOB, Json, Run
from firsthandapi.conformance._shapes import JOB as JOB_SHAPE

_JOBS = '§2 "Jobs"'

# A field, and a value outside its bounds; the words complete "A job with …".
_BAD: tuple[tuple[str, str, Any], ...] = (
    ("type", "another type", "survey"),
    ("description", "a description of 9 characters", "x" * 9),
    ("description", "a description of 5,001 characters", "x" * 5001),
    ("files_needed", "0 files", 0),
    ("files_needed", "10,001 files", 10_001),
    ("accepted_formats", "no format", []),
    ("accepted_formats", "the format jpg", ["jpg"]),
    ("title", "a title of 101 characters", "x" * 101),
    ("min_star_rating", "a min_star_rating of 0", 0),
    ("min_star_rating", "a min_star_rating of 6", 6),
    ("files_per_submission", "6 files per submission", 6),
    ("scoring_criteria", "scoring criteria of 1,001 characters", "x" * 1001),
    ("deadline", "a deadline in the past", "2020-01-01T00:00:00Z"),
    ("deadline", "a deadline that is no time", "tomorrow"),
    ("metadata", "21 keys of metadata", dict.fromkeys(map(str, range(21)))),
)
# What `collect` and campaigns recognize a job by.
_METADATA: Json = {
    "set": "signs",
    "firsthandapi_key": "fh-" + "0" * 64,
    "nested": {"deep": [1, 2.5, None, "é ☃"]},
}


@promise("jobs.create", "POST /v1/jobs", _JOBS)
def _create(run: Run) -> None:
    """Posting a job is 201, with the job, open."""
    it = run.post("/v1/jobs", JOB).must(status(201), shaped(JOB_SHAPE))
    it.must(shows(JOB, status="open", files_approved=0))


@promise("jobs.create.cost", "POST /v1/jobs", _JOBS)
def _cost(run: Run) -> None:
    """total_cost_cents is files_needed × price_per_file_cents."""
    it = run.post("/v1/jobs", {**JOB, "files_needed": 3, "price_per_file_cents": 13})
    it.must(succeeded, shaped(JOB_SHAPE), shows(total_cost_cents=39))


@promise("jobs.create.bounds", "POST /v1/jobs", _JOBS)
def _bounds(run: Run) -> None:
    """A job at the bounds of its texts is accepted."""
    texts = {"description": "x" * 5000, "title": "x" * 100, "scoring_criteria": "x" * 1000}
    metadata: Json = {f"key{number}": number for number in range(20)}
    run.post("/v1/jobs", {**JOB, **texts, "files_per_submission": 5, "metadata": metadata}).must(status(201))
    run.post("/v1/jobs", {**JOB, "description": "x" * 10, "files_needed": 1}).must(status(201))


@promise("jobs.create.defaults", "POST /v1/jobs", _JOBS)
def _defaults(run: Run) -> None:
    """min_star_rating is 3 and files_per_submission 1 by default."""
    body = {name: value for name, value in JOB.items() if name != "min_star_rating"}
    run.post("/v1/jobs", body).must(status(201), shows(min_star_rating=3, files_per_submission=1))


@promise("jobs.create.fields", "POST /v1/jobs", _JOBS)
def _fields(run: Run) -> None:
    """What a job was posted with, it shows again, metadata and location untouched."""
    sent = {
        "description": "Photos of street signs in São Paulo, \N{PANDA FACE} included; no faces.",
        "location": {"city": "Kyoto", "state": "Kyoto"},
        "worker_guidelines": "Hold the phone level.",
        "scoring_criteria": "Sharp and well lit.",
        "accepted_formats": ["image/png", "image/jpeg"],
        "min_width": 640,
    }
    run.post("/v1/jobs", {**JOB, **sent}).must(status(201), shows(sent))


@promise("jobs.metadata", "POST /v1/jobs", _JOBS)
def _metadata(run: Run) -> None:
    """A job shows its metadata as they were posted: when it is posted, when it is read, and in the list."""
    posted = run.post("/v1/jobs", {**JOB, "metadata": _METADATA}).must(status(201))
    sent = {"metadata": _METADATA}
    posted.must(same(sent, "metadata"))
    run.get(f"/v1/jobs/{posted.object['id']}").must(status(200), same(sent, "metadata"))
    it = run.get("/v1/jobs", limit=100).must(status(200))
    found = [job.get("metadata") for job in it.items if job.get("id") == posted.object["id"]]
    it.hold(found == [_METADATA], "`metadata` is another one in the list")


@promise("jobs.create.deadline.offset", "POST /v1/jobs", _JOBS)
def _deadline(run: Run) -> None:
    """A deadline may have any offset from UTC, and is the same moment in the response."""
    hour = timedelta(hours=1)
    now = datetime.fromisoformat(run.new_job()["created_at"])  # the server's time, which may be a virtual one
    # In each of these offsets, the clock shows a time on the other side of now.
    later = (now + hour).astimezone(timezone(-5 * hour)).isoformat()
    it = run.post("/v1/jobs", {**JOB, "deadline": later}).must(status(201))
    if (shown := it.object.get("deadline")) is not None:
        is_same = datetime.fromisoformat(shown) == datetime.fromisoformat(later)
        it.hold(is_same, f"`deadline` is another moment: {shown}, not {later}")
    earlier = (now - hour).astimezone(timezone(5 * hour)).isoformat()
    run.post("/v1/jobs", {**JOB, "deadline": earlier}).must(refused(400, field="deadline"))


def _hold_bad(field: str, value: Any, run: Run) -> None:
    run.post("/v1/jobs", {**JOB, field: value}).must(refused(400, "validation_error", field=field))


for _field, _words, _value in _BAD:
    _id = f"jobs.create.{_field}"
    _says = f"A job with {_words} is 400 validation_error, and `details` names {_field}."
    add(f"{_id}.2" if _id in PROMISES else _id, "POST /v1/jobs", _JOBS, _says, _hold_bad, _field, _value)


@promise("jobs.create.required", "POST /v1/jobs", _JOBS)
def _required(run: Run) -> None:
    """A job without a required field is 400, and `details` names the field."""
    for field in ("type", "description", "files_needed", "accepted_formats", "price_per_file_cents"):
        body = {name: value for name, value in JOB.items() if name != field}
        run.post("/v1/jobs", body).must(refused(400, field=field))


def _hold_price(cents: int, wanted: Check, run: Run) -> None:
    run.post("/v1/jobs", {**JOB, "files_needed": 1, "price_per_file_cents": cents}).must(wanted)


for _id, _cents, _wanted, _words in (
    ("low", 9, refused(400, "pricing_violation"), "400 pricing_violation"),
    ("high", 50_001, refused(400, "pricing_violation"), "400 pricing_violation"),
    ("least", 10, status(201, 402), "not refused as such"),
    ("most", 50_000, status(201, 402), "not refused as such"),
):
    _says = f"A price of {_cents:,} cents is {_words}."
    add(f"jobs.create.price.{_id}", "POST /v1/jobs", _JOBS, _says, _hold_price, _cents, _wanted)


@promise("jobs.create.free_tier", "POST /v1/jobs", "§5", ours=True)
def _free_tier(run: Run) -> None:
    """On the free tier, a second open job is 403 free_tier_job_limit."""
    run.needs_control("an organization on the free tier")
    made = run.control("POST", "/organizations", {"free_tier": True}).object
    key = Credential(str(made.get("api_key")), "FREE_TIER_KEY")
    run.post("/v1/jobs", {**JOB, "files_needed": 1}, key=key).must(status(201))
    second = run.post("/v1/jobs", {**JOB, "files_needed": 1}, key=key)
    second.must(refused(403, "free_tier_job_limit"))


@promise("jobs.get", "GET /v1/jobs/:id", "§3")
def _get(run: Run) -> None:
    """A job is read as it was posted."""
    names = ("id", "total_cost_cents", "files_needed", "price_per_file_cents", "created_at")
    run.get(f"/v1/jobs/{run.job['id']}").must(status(200), shaped(JOB_SHAPE), same(run.job, *names))


@promise("jobs.progress", "GET /v1/jobs/:id", '§4 "Status of a job"')
def _progress(run: Run) -> None:
    """From its first approved file, a job is in_progress, and files_approved counts."""
    run.needs_control("a worker")
    job = run.new_job(min_star_rating=3)["id"]
    run.work(job, 5)
    run.get(f"/v1/jobs/{job}").must(status(200), shows(status="in_progress", files_approved=1))
    run.work(job, 5)
    run.get(f"/v1/jobs/{job}").must(status(200), shows(status="completed", files_approved=2))


@promise("jobs.cancel", "POST /v1/jobs/:id/cancel", _JOBS)
def _cancel(run: Run) -> None:
    """Cancelling an open job is 200, with the job, cancelled; an empty body will do."""
    job = run.new_job()["id"]
    run.cancel(job).must(status(200), shaped(JOB_SHAPE), shows(status="cancelled", id=job))
    run.get(f"/v1/jobs/{job}").must(shows(status="cancelled"))


@promise("jobs.cancel.braces", "POST /v1/jobs/:id/cancel", _JOBS)
def _braces(run: Run) -> None:
    """A POST without fields also takes {}."""
    run.post(f"/v1/jobs/{run.new_job()['id']}/cancel", {}).must(status(200))


@promise("jobs.cancel.twice", "POST /v1/jobs/:id/cancel", _JOBS)
def _twice(run: Run) -> None:
    """Cancelling a finished job is 409 conflict."""
    run.cancel(run.cancelled_job["id"]).must(refused(409, "conflict"))


@promise("jobs.rate", "POST /v1/jobs/:id/rate", _JOBS)
def _rate(run: Run) -> None:
    """Rating a completed job is 200, with the rating."""
    it = run.post(f"/v1/jobs/{run.own_completed_job['id']}/rate", {"rating": 4, "feedback": "Well lit."})
    it.must(status(200), shaped(JOB_SHAPE), shows(buyer_rating=4, buyer_feedback="Well lit."))


@promise("jobs.rate.stars", "POST /v1/jobs/:id/rate", _JOBS)
def _stars(run: Run) -> None:
    """A rating outside 1 to 5 is 400, and `details` names it."""
    for rating in (0, 6):
        it = run.post(f"/v1/jobs/{run.own_completed_job['id']}/rate", {"rating": rating})
        it.must(refused(400, field="rating"))


@promise("jobs.rate.early", "POST /v1/jobs/:id/rate", _JOBS)
def _early(run: Run) -> None:
    """Rating a job that is not completed is 409 conflict."""
    run.post(f"/v1/jobs/{run.cancelled_job['id']}/rate", {"rating": 4}).must(refused(409, "conflict"))


# --- long-poll ------------------------------------------------------------------------------------------

_GET = "GET /v1/jobs/:id"
_WAITING = '§1 "Long-poll"'
# A response that was not held comes within so many seconds.
_SOON = 3.0
_FASTER = "a worker was faster: the job changed meanwhile"


def _held(run: Run, job: str, wait: str) -> Exchange:
    asked = run.ask("GET", f"/v1/jobs/{job}", headers={"Prefer": f"wait={wait}"})
    return run.send(asked, float(wait) if wait.isdecimal() else 0.0).must(status(200), shaped(JOB_SHAPE))


@promise("jobs.wait.timeout", _GET, _WAITING, ours=True)
def _timeout(run: Run) -> None:
    """With Prefer: wait=N, an unchanged job is returned after N seconds."""
    job = run.new_job() if run.writes else run.job
    if job.get("status") in ("completed", "cancelled"):
        raise NotTriedError("this account has no unfinished job")
    it = _held(run, job["id"], "1")
    if it.object.get("updated_at") != job.get("updated_at") or it.object["status"] != job.get("status"):
        raise NotTriedError(_FASTER)
    it.must(within(0.8, 1 + _SOON))


@promise("jobs.wait.change", _GET, _WAITING)
def _change(run: Run) -> None:
    """The held request is answered as soon as the status changes."""
    job = run.new_job()["id"]
    asked = run.ask("GET", f"/v1/jobs/{job}", headers={"Prefer": "wait=20"})
    held = run.begin(asked, 20.0)
    time.sleep(0.4)
    if held.done():
        early = held.result()
        if early.object.get("status") != "open":
            raise NotTriedError(_FASTER)
        raise DiffersError("the request was not held", early)
    run.cancel(job).must(status(200))
    try:
        it = held.result(_SOON)
    except TimeoutError:
        held.cancel()
        raise NoResponseError(f"no response {_SOON:g} s after the status had changed", asked) from None
    it.must(status(200), shows(status="cancelled"))


@promise("jobs.wait.finished", _GET, _WAITING, ours=True)
def _finished(run: Run) -> None:
    """A finished job is returned immediately."""
    _held(run, run.cancelled_job["id"], "5").must(within(0, _SOON))


@promise("jobs.wait.most", _GET, _WAITING, ours=True)
def _most(run: Run) -> None:
    """A wait of more than 60 seconds counts as 60; it is no error."""
    _held(run, run.cancelled_job["id"], "600").must(has_header("preference-applied", None, "wait=60"))


@promise("jobs.wait.malformed", _GET, _WAITING, ours=True)
def _malformed(run: Run) -> None:
    """A wait that is no number is ignored."""
    _held(run, run.job["id"], "soon").must(within(0, _SOON))
