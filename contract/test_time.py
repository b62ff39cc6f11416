"""What needs time: the rate limit, whose window has to end, and what expires. Time only moves forward here."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from datetime import datetime, timedelta

import pytest

from .checks import (
    LEFT,
    LIMIT,
    RATE_HEADERS,
    has_headers,
    listed,
    refused,
    same_as,
    shaped,
    shows,
    status,
    succeeded,
    xml_error,
)
from .exchange import Key
from .server import NEW_JOB, NO_LIMIT, Json, Server
from .shapes import DOWNLOAD, FILE, SUBMISSION

# The most requests that a run spends on a limit.
_MOST = 200


@contextmanager
def _limited(server: Server) -> Generator[None]:
    """Let each key make three requests per minute, on a server that can be driven."""
    if server.has_control:
        server.set(rate_limit=3)
    try:
        yield
    finally:
        last = server.last  # what a failure shows
        if server.has_control:
            server.set(rate_limit=NO_LIMIT)
        server.last = last


def _spend(server: Server, key: Key) -> None:
    response = server("GET", "/v1/me", key=key).must(has_headers(*RATE_HEADERS))
    limit = int(response.headers[LIMIT])
    if limit > _MOST:
        pytest.skip(f"the limit is {limit:,} requests, and a run spends at most {_MOST}")
    for _ in range(limit + 1):
        response = server("GET", "/v1/me", key=key)
        if response.status == 429:
            break
    assert response.status == 429, f"{limit + 2} requests passed, and {LIMIT} is {limit}"
    response.must(refused(429), has_headers("retry-after", *RATE_HEADERS))
    pause, rest = int(response.headers["retry-after"]), int(response.headers[LEFT])
    assert 0 <= pause <= 3600, f"no sensible Retry-After: {pause}"
    assert rest == 0, f"a 429 says that {rest} requests are left"


def test_limits(server: Server) -> None:
    """A request beyond the limit of a key is 429, with Retry-After; other keys still work. (§1 "Rate limits")"""
    key = server.new_key("usage:read", name="SPENT_KEY")[0]
    with _limited(server):
        _spend(server, key)
    server.get("/v1/me").must(has_headers(*RATE_HEADERS))


def test_limits_reset(server: Server) -> None:
    """When the window has ended, requests pass again, as many as the limit says. (§1 "Rate limits")"""
    server.needs_control("a new window")
    key = server.new_key("usage:read", name="SPENT_KEY")[0]
    with _limited(server):
        _spend(server, key)
        server.advance(
            seconds=61
        )  # a whole window of the server's own time: Retry-After is in seconds of ours
        response = server("GET", "/v1/me", key=key).must(status(200))
    rest = int(response.headers[LEFT])
    assert rest == 2, f"a new window of 3 requests has {rest} left after the first"


# --- what expires ---------------------------------------------------------------------------------------


def test_idempotency_day(server: Server) -> None:
    """After 23 hours, a key still brings the first response. (§1 "Idempotency")"""
    server.needs_control("23 hours")
    order = server.request("POST", "/v1/jobs", NEW_JOB)
    first = server.send(order).must(succeeded)
    server.advance(hours=23)
    server.send(order).must(same_as(first))


def test_jobs_deadline(server: Server) -> None:
    """A job past its deadline is cancelled. (§4 "Status of a job" ‡)"""
    server.needs_control("a deadline")
    # Before a simulated worker comes.
    ends = datetime.fromisoformat(server.new_job()["created_at"]) + timedelta(seconds=10)
    job = server.new_job(deadline=ends.isoformat())
    server.advance(seconds=11)
    server.get(f"/v1/jobs/{job['id']}").must(status(200), shows(status="cancelled"))


def test_api_keys_rotate_day(server: Server) -> None:
    """The old secret of a rotated key works for 24 hours, and then no more. (§2 "API keys")"""
    server.needs_control("24 hours")
    old, record = server.new_key("usage:read", name="OLD_KEY")
    server.post(f"/v1/api_keys/{record['id']}/rotate").must(succeeded)
    server.advance(hours=23)
    server("GET", "/v1/me", key=old).must(status(200))
    server.advance(hours=1, seconds=1)
    server("GET", "/v1/me", key=old).must(refused(401))


def test_downloads_expired(server: Server, completed_job: Json) -> None:
    """A URL works for 7 days, then it is 403, with an XML error; the list and refresh_url give fresh ones.
    (§2 "Files")"""
    server.needs_control("7 days")
    path = f"/v1/jobs/{completed_job['id']}/files"
    file = server.get(path, limit=1).must(listed(FILE)).items[0]
    server.advance(days=6, hours=23)
    server.download(file["download_url"]).must(status(200))
    server.advance(hours=1, seconds=1)
    server.download(file["download_url"]).must(status(403), xml_error)
    response = server.post(f"/v1/files/{file['id']}/refresh_url").must(status(200), shaped(DOWNLOAD))
    server.download(response.object["download_url"]).must(status(200))
    fresh = server.get(path, limit=1).must(listed(FILE)).items[0]
    server.download(fresh["download_url"]).must(status(200))


def test_submissions_month(server: Server) -> None:
    """Without start_date, the list of all submissions goes back 30 days. (§2 "Submissions")"""
    server.needs_control("31 days")
    job = server.complete_job()["id"]
    server.advance(days=31)
    old = server.get("/v1/submissions", job_id=job, start_date="2000-01-01T00:00:00Z").must(
        listed(SUBMISSION)
    )
    assert old.items, "with an early start_date, submissions of 31 days ago are not listed"
    response = server.get("/v1/submissions", job_id=job).must(listed(SUBMISSION))
    assert not response.items, "without start_date, submissions of 31 days ago are listed"
