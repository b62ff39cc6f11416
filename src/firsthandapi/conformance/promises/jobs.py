"""Posting, reading, cancelling, and rating jobs."""

from __future__ import annotations

import functools
from typing import Any

from firsthandapi.conformance._checks import body_is, refused, shaped, status, succeeded
from firsthandapi.conformance._exchange import Credential, DiffersError, NotTriedError
from firsthandapi.conformance._promises import Promise, add, promise
from firsthandapi.conformance._run import JOB, Run
from firsthandapi.conformance._shapes import JOB as JOB_SHAPE

CREATE, GET, CANCEL, RATE = (
    "POST /v1/jobs",
    "GET /v1/jobs/:id",
    "POST /v1/jobs/:id/cancel",
    "POST /v1/jobs/:id/rate",
)
_JOBS = '§2 "Jobs"'

# Each field, and a value outside its bounds; the words complete "A job with …".
BAD: list[tuple[str, str, Any]] = [
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
    ("metadata", "21 keys of metadata", {f"key{number}": number for number in range(21)}),
]
REQUIRED = ("type", "description", "files_needed", "accepted_formats", "price_per_file_cents")


@promise("jobs.create", CREATE, _JOBS, "Posting a job is 201, with the job, open.", writes=True)
def _create(run: Run) -> None:
    it = run("POST", "/v1/jobs", JOB).must(status(201), shaped(JOB_SHAPE))
    for name, value in {**JOB, "status": "open", "files_approved": 0}.items():
        # A field that the response leaves out may be optional there.
        if it.object.get(name, value) != value:
            raise DiffersError(f"`{name}` is {it.object[name]!r}, not {value!r}", it)


@promise(
    "jobs.create.cost", CREATE, _JOBS, "total_cost_cents is files_needed × price_per_file_cents.", writes=True
)
def _cost(run: Run) -> None:
    job = run("POST", "/v1/jobs", {**JOB, "files_needed": 3, "price_per_file_cents": 13})
    job.must(
        succeeded, shaped(JOB_SHAPE), body_is("another cost", lambda found: found["total_cost_cents"] == 39)
    )


@promise("jobs.create.bounds", CREATE, _JOBS, "A job at the bounds of its texts is accepted.", writes=True)
def _bounds(run: Run) -> None:
    body = {
        **JOB,
        "description": "x" * 5000,
        "title": "x" * 100,
        "scoring_criteria": "x" * 1000,
        "files_per_submission": 5,
        "metadata": {f"key{number}": number for number in range(20)},
    }
    run("POST", "/v1/jobs", body).must(status(201))
    run("POST", "/v1/jobs", {**JOB, "description": "x" * 10, "files_needed": 1}).must(status(201))


@promise(
    "jobs.create.defaults",
    CREATE,
    _JOBS,
    "min_star_rating is 3 and files_per_submission 1 by default.",
    writes=True,
)
def _defaults(run: Run) -> None:
    body = {name: value for name, value in JOB.items() if name != "min_star_rating"}
    it = run("POST", "/v1/jobs", body).must(status(201))
    for name, value in {"min_star_rating": 3, "files_per_submission": 1}.items():
        if it.object.get(name, value) != value:
            raise DiffersError(f"`{name}` is {it.object[name]!r}, not {value}", it)


@promise(
    "jobs.create.fields",
    CREATE,
    _JOBS,
    "What a job was posted with, it shows again, metadata and location untouched.",
    writes=True,
)
def _fields(run: Run) -> None:
    sent = {
        "metadata": {"set": "signs", "nested": {"deep": [1, 2.5, None, "é"]}},
        "location": {"city": "Kyoto", "state": "Kyoto"},
        "worker_guidelines": "Hold the phone level.",
        "scoring_criteria": "Sharp and well lit.",
    }
    it = run("POST", "/v1/jobs", {**JOB, **sent}).must(status(201))
    for name, value in sent.items():
        if it.object.get(name, value) != value:
            raise DiffersError(f"`{name}` is {it.object[name]!r}, not {value!r}", it)


def _hold_bad(run: Run, field: str, value: Any) -> None:
    run("POST", "/v1/jobs", {**JOB, field: value}).must(refused(400, "validation_error", field=field))


for _number, (_field, _words, _value) in enumerate(BAD):
    _same = [row[0] for row in BAD[:_number]].count(_field)
    add(
        Promise(
            f"jobs.create.{_field}{f'.{_same + 1}' if _same else ''}",
            CREATE,
            _JOBS,
            f"A job with {_words} is 400 validation_error, and `details` names {_field}.",
            functools.partial(_hold_bad, field=_field, value=_value),
            writes=True,
        )
    )


@promise(
    "jobs.create.required",
    CREATE,
    _JOBS,
    "A job without a required field is 400, and `details` names the field.",
    writes=True,
)
def _required(run: Run) -> None:
    for field in REQUIRED:
        body = {name: value for name, value in JOB.items() if name != field}
        run("POST", "/v1/jobs", body).must(refused(400, field=field))


def _hold_price(run: Run, cents: int) -> None:
    body = {**JOB, "files_needed": 1, "price_per_file_cents": cents}
    run("POST", "/v1/jobs", body).must(refused(400, "pricing_violation"))


def _hold_price_bound(run: Run, cents: int) -> None:
    body = {**JOB, "files_needed": 1, "price_per_file_cents": cents}
    run("POST", "/v1/jobs", body).must(status(201, 402))


for _id, _cents, _says, _hold in (
    ("price.low", 9, "A price of 9 cents is 400 pricing_violation.", _hold_price),
    ("price.high", 50_001, "A price of 50,001 cents is 400 pricing_violation.", _hold_price),
    ("price.least", 10, "A price of 10 cents is not refused as such.", _hold_price_bound),
    ("price.most", 50_000, "A price of 50,000 cents is not refused as such.", _hold_price_bound),
):
    add(
        Promise(
            f"jobs.create.{_id}", CREATE, _JOBS, _says, functools.partial(_hold, cents=_cents), writes=True
        )
    )


@promise("jobs.get", GET, "§3", "A job is read as it was posted.")
def _get(run: Run) -> None:
    job = run.job
    it = run("GET", f"/v1/jobs/{job['id']}").must(status(200), shaped(JOB_SHAPE))
    for name in ("id", "total_cost_cents", "files_needed", "price_per_file_cents", "created_at"):
        if it.object.get(name) != job.get(name):
            raise DiffersError(f"`{name}` is {it.object.get(name)!r}, and was {job.get(name)!r}", it)


@promise(
    "jobs.cancel",
    CANCEL,
    _JOBS,
    "Cancelling an open job is 200, with the job, cancelled; an empty body will do.",
    writes=True,
)
def _cancel(run: Run) -> None:
    job = run.new_job()["id"]
    it = run.cancel(job).must(status(200), shaped(JOB_SHAPE))
    if (it.object["status"], it.object["id"]) != ("cancelled", job):
        raise DiffersError(f"{it.object['id']} is {it.object['status']}", it)
    now = run("GET", f"/v1/jobs/{job}")
    now.must(body_is("after the cancellation", lambda found: found.get("status") == "cancelled"))


@promise("jobs.cancel.braces", CANCEL, _JOBS, "A POST without fields also takes {}.", writes=True)
def _braces(run: Run) -> None:
    run("POST", f"/v1/jobs/{run.new_job()['id']}/cancel", {}).must(status(200))


@promise("jobs.cancel.twice", CANCEL, _JOBS, "Cancelling a finished job is 409 conflict.", writes=True)
def _twice(run: Run) -> None:
    run.cancel(run.cancelled_job["id"]).must(refused(409, "conflict"))


@promise("jobs.rate", RATE, _JOBS, "Rating a completed job is 200, with the rating.", writes=True)
def _rate(run: Run) -> None:
    body = {"rating": 4, "feedback": "Sharp and well lit."}
    it = run("POST", f"/v1/jobs/{run.own_completed_job['id']}/rate", body).must(
        status(200), shaped(JOB_SHAPE)
    )
    for name, value in (("buyer_rating", 4), ("buyer_feedback", body["feedback"])):
        if it.object.get(name, value) != value:
            raise DiffersError(f"`{name}` is {it.object[name]!r}, not {value!r}", it)


@promise(
    "jobs.rate.stars", RATE, _JOBS, "A rating outside 1 to 5 is 400, and `details` names it.", writes=True
)
def _stars(run: Run) -> None:
    for rating in (0, 6):
        it = run("POST", f"/v1/jobs/{run.own_completed_job['id']}/rate", {"rating": rating})
        it.must(refused(400, field="rating"))


@promise("jobs.rate.early", RATE, _JOBS, "Rating a job that is not completed is 409 conflict.", writes=True)
def _early(run: Run) -> None:
    run("POST", f"/v1/jobs/{run.cancelled_job['id']}/rate", {"rating": 4}).must(refused(409, "conflict"))


@promise(
    "jobs.create.free_tier",
    CREATE,
    "§5",
    "On the free tier, a second open job is 403 free_tier_job_limit.",
    writes=True,
    ours=True,
)
def _free_tier(run: Run) -> None:
    if not run.has_control:
        raise NotTriedError(
            "it takes an organization on the free tier, which this server's /_control would make"
        )
    made = run.control("POST", "/organizations", {"free_tier": True}).object
    key = Credential(str(made.get("api_key")), "FREE_TIER_KEY")
    first = run("POST", "/v1/jobs", {**JOB, "files_needed": 1}, key=key).must(status(201))
    second = run("POST", "/v1/jobs", {**JOB, "files_needed": 1}, key=key)
    run("POST", f"/v1/jobs/{first.object['id']}/cancel", key=key)
    second.must(refused(403, "free_tier_job_limit"))
