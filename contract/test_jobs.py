"""Posting, reading, cancelling, and rating jobs, and waiting for them by long-poll."""

from __future__ import annotations

import time
from datetime import datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from typing import Any

import pytest

from .checks import has_header, refused, same, shaped, shows, status, succeeded, within
from .exchange import Check, Key, NoResponseError, Response
from .server import NEW_JOB, Json, Server
from .shapes import JOB

# A field, a value outside its bounds, and words that complete "A job with …".
_BAD: tuple[tuple[str, str, Any], ...] = (
    ("type", "another type", "survey"),
    ("description", "a description of 9 characters", "x" * 9),
    ("description", "a description of 5,001 characters", "x" * 5001),
    ("files_needed", "0 files", 0),
    ("files_needed", "10,001 files", 10_001),
    ("files_needed", "2.5 files", 2.5),
    ("price_per_file_cents", "a price of 10.5 cents", 10.5),
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
_FASTER = "a worker was faster: the job changed meanwhile"


def test_jobs_create(server: Server) -> None:
    """Posting a job is 201, with the job, open. (§2 "Jobs")"""
    response = server.post("/v1/jobs", NEW_JOB).must(status(201), shaped(JOB))
    response.must(shows(NEW_JOB, status="open", files_approved=0))


def test_jobs_create_cost(server: Server) -> None:
    """total_cost_cents is files_needed × price_per_file_cents. (§2 "Jobs")"""
    response = server.post("/v1/jobs", {**NEW_JOB, "files_needed": 3, "price_per_file_cents": 13})
    response.must(succeeded, shaped(JOB), shows(total_cost_cents=39))


@pytest.mark.parametrize("letter", ["x", "は"], ids=["latin", "japanese"])
def test_jobs_create_bounds(server: Server, letter: str) -> None:
    """A job at the bounds of its texts, in characters, is accepted, and shows them whole. (§2 "Jobs")"""
    texts = {"description": letter * 5000, "title": letter * 100, "scoring_criteria": letter * 1000}
    metadata: Json = {f"key{number}": number for number in range(20)}
    body = {**NEW_JOB, **texts, "files_per_submission": 5, "metadata": metadata}
    response = server.post("/v1/jobs", body).must(status(201), shows(texts))
    server.get(f"/v1/jobs/{response.object['id']}").must(shows(texts))
    server.post("/v1/jobs", {**NEW_JOB, "description": letter * 10, "files_needed": 1}).must(status(201))


def test_jobs_create_defaults(server: Server) -> None:
    """min_star_rating is 3 and files_per_submission 1 by default. (§2 "Jobs")"""
    body = {name: value for name, value in NEW_JOB.items() if name != "min_star_rating"}
    server.post("/v1/jobs", body).must(status(201), shows(min_star_rating=3, files_per_submission=1))


def test_jobs_create_fields(server: Server) -> None:
    """What a job was posted with, it shows again, metadata and location untouched. (§2 "Jobs")"""
    fields = {
        "description": 'Photos of "street signs" & <b> in São Paulo, \N{PANDA FACE} included; no faces.',
        "location": {"city": "Kyoto", "state": "Kyoto"},
        "worker_guidelines": "Hold the phone level.",
        "scoring_criteria": "Sharp and well lit.",
        "accepted_formats": ["image/png", "image/jpeg"],
        "min_width": 640,
    }
    server.post("/v1/jobs", {**NEW_JOB, **fields}).must(status(201), shows(fields))


def test_jobs_create_time(server: Server) -> None:
    """created_at is the time, in UTC. (§1)"""
    response = server.post("/v1/jobs", NEW_JOB).must(succeeded, shaped(JOB))
    if server.has_control:  # whose time may be a virtual one
        now = datetime.fromisoformat(server.control("POST", "/advance", {})["now"]).timestamp()
    else:
        header = response.headers.get("date")
        now = parsedate_to_datetime(header).timestamp() if header else time.time()
    away = datetime.fromisoformat(response.object["created_at"]).timestamp() - now
    assert abs(away) <= 600, f"`created_at` is {away:+,.0f} s from now"


def test_jobs_metadata(server: Server) -> None:
    """A job shows its metadata as they were posted: when it is posted, when it is read, and in the list. (§2 "Jobs")"""
    sent = {"metadata": _METADATA}
    posted = server.post("/v1/jobs", {**NEW_JOB, **sent}).must(status(201), same(sent, "metadata"))
    server.get(f"/v1/jobs/{posted.object['id']}").must(status(200), same(sent, "metadata"))
    response = server.get("/v1/jobs", limit=100).must(status(200))
    listed = [job.get("metadata") for job in response.items if job.get("id") == posted.object["id"]]
    assert listed == [_METADATA], "`metadata` is another one in the list"


def test_jobs_create_deadline_offset(server: Server) -> None:
    """A deadline may have any offset from UTC, and is the same moment in the response. (§2 "Jobs")"""
    hour = timedelta(hours=1)
    now = datetime.fromisoformat(
        server.new_job()["created_at"]
    )  # the server's time, which may be a virtual one
    # In each of these offsets, the clock shows a time on the other side of now.
    later = (now + hour).astimezone(timezone(-5 * hour)).isoformat()
    response = server.post("/v1/jobs", {**NEW_JOB, "deadline": later}).must(status(201))
    if (deadline := response.object.get("deadline")) is not None:
        is_same = datetime.fromisoformat(deadline) == datetime.fromisoformat(later)
        assert is_same, f"`deadline` is another moment: {deadline}, not {later}"
    earlier = (now - hour).astimezone(timezone(5 * hour)).isoformat()
    server.post("/v1/jobs", {**NEW_JOB, "deadline": earlier}).must(refused(400, field="deadline"))


@pytest.mark.parametrize(("field", "words", "value"), _BAD, ids=[words for _, words, _ in _BAD])
def test_jobs_create_bad(server: Server, field: str, words: str, value: Any) -> None:
    """A job with {words} is 400 validation_error, and `details` names {field}. (§2 "Jobs")"""
    server.post("/v1/jobs", {**NEW_JOB, field: value}).must(refused(400, "validation_error", field=field))


def test_jobs_create_required(server: Server) -> None:
    """A job without a required field is 400, and `details` names the field. (§2 "Jobs")"""
    for field in ("type", "description", "files_needed", "accepted_formats", "price_per_file_cents"):
        body = {name: value for name, value in NEW_JOB.items() if name != field}
        server.post("/v1/jobs", body).must(refused(400, field=field))


_LOW_OR_HIGH, _IN_BOUNDS = refused(400, "pricing_violation"), status(201, 402)


@pytest.mark.parametrize(
    ("cents", "check"), [(9, _LOW_OR_HIGH), (10, _IN_BOUNDS), (50_000, _IN_BOUNDS), (50_001, _LOW_OR_HIGH)],
    ids=["low", "least", "most", "high"],
)  # fmt: skip
def test_jobs_create_price(server: Server, cents: int, check: Check) -> None:
    """A price below 10 or above 50,000 cents is 400 pricing_violation, and no other; here it is {cents}. (§2 "Jobs")"""
    server.post("/v1/jobs", {**NEW_JOB, "files_needed": 1, "price_per_file_cents": cents}).must(check)


def test_jobs_create_free_tier(server: Server) -> None:
    """On the free tier, a second open job is 403 free_tier_job_limit. (§5 ‡)"""
    server.needs_control("an organization on the free tier")
    key = Key(server.control("POST", "/organizations", {"free_tier": True})["api_key"], "FREE_TIER_KEY")
    server.post("/v1/jobs", {**NEW_JOB, "files_needed": 1}, key=key).must(status(201))
    second = server.post("/v1/jobs", {**NEW_JOB, "files_needed": 1}, key=key)
    second.must(refused(403, "free_tier_job_limit"))


def test_jobs_get(server: Server, job: Json) -> None:
    """A job is read as it was posted. (§3)"""
    names = ("id", "total_cost_cents", "files_needed", "price_per_file_cents", "created_at")
    server.get(f"/v1/jobs/{job['id']}").must(status(200), shaped(JOB), same(job, *names))


def test_jobs_progress(server: Server) -> None:
    """From its first approved file, a job is in_progress, and files_approved counts. (§4 "Status of a job")"""
    server.needs_control("a worker")
    job = server.new_job(min_star_rating=3, files_needed=3)["id"]
    server.work(job, 5)
    server.get(f"/v1/jobs/{job}").must(status(200), shows(status="in_progress", files_approved=1))
    server.work(job, 5, 5)
    server.get(f"/v1/jobs/{job}").must(status(200), shows(status="completed", files_approved=3))


def test_jobs_cancel(server: Server) -> None:
    """Cancelling an open job is 200, with the job, cancelled; an empty body will do. (§2 "Jobs")"""
    job = server.new_job()["id"]
    server.cancel(job).must(status(200), shaped(JOB), shows(status="cancelled", id=job))
    server.get(f"/v1/jobs/{job}").must(shows(status="cancelled"))


def test_jobs_cancel_braces(server: Server) -> None:
    """A POST without fields also takes an empty object. (§2 "Jobs")"""
    server.post(f"/v1/jobs/{server.new_job()['id']}/cancel", {}).must(status(200))


def test_jobs_cancel_twice(server: Server, cancelled_job: Json) -> None:
    """Cancelling a finished job is 409 conflict. (§2 "Jobs")"""
    server.cancel(cancelled_job["id"]).must(refused(409, "conflict"))


def test_jobs_rate(server: Server, own_completed_job: Json) -> None:
    """Rating a completed job is 200, with the rating. (§2 "Jobs")"""
    body = {"rating": 4, "feedback": "Well lit."}
    response = server.post(f"/v1/jobs/{own_completed_job['id']}/rate", body)
    response.must(status(200), shaped(JOB), shows(buyer_rating=4, buyer_feedback="Well lit."))


def test_jobs_rate_stars(server: Server, own_completed_job: Json) -> None:
    """A rating outside 1 to 5 is 400, and `details` names it. (§2 "Jobs")"""
    for rating in (0, 6):
        response = server.post(f"/v1/jobs/{own_completed_job['id']}/rate", {"rating": rating})
        response.must(refused(400, field="rating"))


def test_jobs_rate_early(server: Server, cancelled_job: Json) -> None:
    """Rating a job that is not completed is 409 conflict. (§2 "Jobs")"""
    server.post(f"/v1/jobs/{cancelled_job['id']}/rate", {"rating": 4}).must(refused(409, "conflict"))


# --- long-poll ------------------------------------------------------------------------------------------


def _held(server: Server, job: str, wait: str) -> Response:
    request = server.request("GET", f"/v1/jobs/{job}", headers={"Prefer": f"wait={wait}"})
    return server.send(request, float(wait) if wait.isdecimal() else 0.0).must(status(200), shaped(JOB))


def test_jobs_wait_timeout(server: Server, job: Json) -> None:
    """With Prefer: wait=N, an unchanged job is returned after N seconds. (§1 "Long-poll" ‡)"""
    job = job if server.read_only else server.new_job()
    if job.get("status") in ("completed", "cancelled"):
        pytest.skip("this account has no unfinished job")
    response = _held(server, job["id"], "1")
    if (
        response.object.get("updated_at") != job.get("updated_at")
        or response.object["status"] != job["status"]
    ):
        pytest.skip(_FASTER)
    response.must(within(0.8, 1 + server.patience))


def test_jobs_wait_change(server: Server) -> None:
    """The held request is answered as soon as the status changes. (§1 "Long-poll")"""
    job = server.new_job()["id"]
    request = server.request("GET", f"/v1/jobs/{job}", headers={"Prefer": "wait=20"})
    held = server.begin(request, 20.0)
    time.sleep(0.4)
    if held.done():
        if held.result().object.get("status") != "open":
            pytest.skip(_FASTER)
        raise AssertionError("the request was not held")
    server.cancel(job).must(status(200))
    try:
        response = held.result(server.patience)
    except TimeoutError:
        words = f"no response within {server.patience:g} s after the status had changed"
        raise NoResponseError(words, request) from None
    response.must(status(200), shows(status="cancelled"))


def test_jobs_wait_finished(server: Server, cancelled_job: Json) -> None:
    """A finished job is returned immediately. (§1 "Long-poll" ‡)"""
    _held(server, cancelled_job["id"], "20").must(within(0, server.patience))


def test_jobs_wait_most(server: Server, cancelled_job: Json) -> None:
    """A wait of more than 60 seconds counts as 60; it is no error. (§1 "Long-poll" ‡)"""
    _held(server, cancelled_job["id"], "600").must(has_header("preference-applied", None, "wait=60"))


def test_jobs_wait_malformed(server: Server, job: Json) -> None:
    """A wait that is no number is ignored. (§1 "Long-poll" ‡)"""
    _held(server, job["id"], "soon").must(within(0, server.patience))
