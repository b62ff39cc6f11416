"""What needs time: the rate limit, whose window has to end, and what expires. Time only moves forward here."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager, nullcontext

from firsthandapi.conformance._checks import (
    LEFT,
    LIMIT,
    RATE_HEADERS,
    has_headers,
    listed,
    refused,
    same_as,
    shaped,
    status,
    succeeded,
    xml_error,
)
from firsthandapi.conformance._exchange import Credential, Exchange, NotTriedError
from firsthandapi.conformance._promises import EVERY, promise
from firsthandapi.conformance._run import JOB, NO_LIMIT, Run
from firsthandapi.conformance._shapes import DOWNLOAD, FILE

_LIMITS = '§1 "Rate limits"'
_MOST = 200


@contextmanager
def _limited(run: Run) -> Generator[None]:
    """Let each key make three requests per minute, on a server that can be driven."""
    run.control("PATCH", "/settings", {"rate_limit": 3})
    try:
        yield
    finally:
        run.control("PATCH", "/settings", {"rate_limit": NO_LIMIT})


@promise("limits", EVERY, _LIMITS)
def _limits(run: Run) -> None:
    """A request beyond the limit of a key is 429, with Retry-After; other keys still work."""
    key, _ = run.new_key("usage:read", name="SPENT_KEY")
    with _limited(run) if run.has_control else nullcontext():
        _spend(run, key)
    run.get("/v1/me").must(has_headers(*RATE_HEADERS))


def _spend(run: Run, key: Credential) -> Exchange:
    it = run("GET", "/v1/me", key=key).must(has_headers(*RATE_HEADERS))
    limit = int(it.headers[LIMIT])
    if limit > _MOST:
        raise NotTriedError(f"the limit is {limit:,} requests, and a check spends at most {_MOST}")
    for _ in range(limit + 1):
        it = run("GET", "/v1/me", key=key)
        if it.status == 429:
            break
    it.hold(it.status == 429, f"more requests passed than x-ratelimit-limit says: {limit + 2} of {limit}")
    it.must(refused(429), has_headers("retry-after", *RATE_HEADERS))
    it.hold(
        0 <= int(it.headers["retry-after"]) <= 3600, f"no sensible Retry-After: {it.headers['retry-after']}"
    )
    it.hold(int(it.headers[LEFT]) == 0, f"requests are left in a 429: {it.headers[LEFT]}")
    return it


@promise("limits.reset", EVERY, _LIMITS)
def _reset(run: Run) -> None:
    """When the window has ended, requests pass again, as many as the limit says."""
    run.needs_control("a new window")
    key, _ = run.new_key("usage:read", name="SPENT_KEY")
    with _limited(run):
        spent = _spend(run, key)
        run.advance(seconds=int(spent.headers["retry-after"]) + 1)
        it = run("GET", "/v1/me", key=key).must(status(200))
        it.hold(int(it.headers[LEFT]) == 2, f"a new window does not begin with the limit: {it.headers[LEFT]}")


# --- what expires ---------------------------------------------------------------------------------------


@promise("idempotency.day", "POST /v1/jobs", '§1 "Idempotency"')
def _day(run: Run) -> None:
    """After 23 hours, a key still brings the first response."""
    run.needs_control("23 hours")
    asked = run.ask("POST", "/v1/jobs", JOB)
    first = run.send(asked).must(succeeded)
    run.advance(hours=23)
    run.send(asked).must(same_as(first))


@promise("downloads.expired", "download URL", '§2 "Files"')
def _expired(run: Run) -> None:
    """After 7 days a URL is 403, with an XML error; the list and refresh_url give fresh ones."""
    run.needs_control("7 days")
    path = f"/v1/jobs/{run.completed_job['id']}/files"
    file = run.get(path, limit=1).must(listed(FILE)).items[0]
    run.advance(days=7, seconds=1)
    run.download(file["download_url"]).must(status(403), xml_error)
    it = run.post(f"/v1/files/{file['id']}/refresh_url").must(status(200), shaped(DOWNLOAD))
    run.download(it.object["download_url"]).must(status(200))
    fresh = run.get(path, limit=1).must(listed(FILE)).items[0]
    run.download(fresh["download_url"]).must(status(200))
