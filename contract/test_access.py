"""What holds of every endpoint: reaching it, keys, and errors."""

from __future__ import annotations

import time

from firsthandapi.conformance._checks import (
    CREDITS_HEADER,
    LEFT,
    LIMIT,
    RATE_HEADERS,
    RESET,
    has_headers,
    is_json,
    refused,
    shaped,
    shows,
    status,
    succeeded,
)
from firsthandapi.conformance._exchange import Credential, Exchange
from firsthandapi.conformance._promises import EVERY, promise
from firsthandapi.conformance._requests import NO_KEY
from firsthandapi.conformance._run import JOB, Run
from firsthandapi.conformance._shapes import IDENTITY, SIGNUP
from firsthandapi.conformance._witness import NOWHERE

_ACCOUNT, _JOBS = '§2 "Account"', '§2 "Jobs"'


@promise("me", "GET /v1/me", "§3")
def _me(run: Run) -> None:
    """GET /v1/me returns the organization, environment, and scopes of the key."""
    it = run.get("/v1/me").must(status(200), shaped(IDENTITY))
    it.must(shows(environment="test" if run.is_sandbox else "live"))


@promise("key.missing", EVERY, "§5")
def _no_key(run: Run) -> None:
    """Without a key, the response is 401 authentication_error."""
    run("GET", "/v1/me", key=NO_KEY).must(refused(401))


@promise("key.unknown", EVERY, "§5")
def _unknown_key(run: Run) -> None:
    """With an unknown key, the response is 401 authentication_error."""
    prefix = "fh_test_" if run.is_sandbox else "fh_live_"
    run("GET", "/v1/me", key=Credential(f"{prefix}{'0' * 32}", "UNKNOWN_KEY")).must(refused(401))


@promise("key.scheme", EVERY, "§1")
def _scheme(run: Run) -> None:
    """A key counts only after the word Bearer."""
    # Not the real key: a server that takes the wrong scheme could log it.
    run("GET", "/v1/me", key=NO_KEY, headers={"Authorization": "Basic dXNlcjpwYXNz"}).must(refused(401))


def _two(run: Run) -> tuple[Exchange, Exchange]:
    first = run.get("/v1/me").must(succeeded, has_headers(*RATE_HEADERS))
    return first, run.get("/v1/jobs", limit=1).must(succeeded, has_headers(*RATE_HEADERS))


@promise("headers.rate", EVERY, "§1")
def _rate(run: Run) -> None:
    """Every authenticated response says how many requests are left, and until when."""
    first, second = _two(run)
    if first.headers[RESET] != second.headers[RESET]:  # a window ended between them
        first, second = _two(run)
    limit, left, before = int(second.headers[LIMIT]), int(second.headers[LEFT]), int(first.headers[LEFT])
    second.hold(0 <= left <= limit and limit >= 1, f"no sensible count: {left} of {limit} requests are left")
    if first.headers[RESET] == second.headers[RESET]:
        second.hold(left < before, f"requests are not counted: {left} are left after one, {before} before it")


@promise("headers.rate_reset", EVERY, "§1")
def _reset(run: Run) -> None:
    """x-ratelimit-reset is in Unix seconds."""
    it = run.get("/v1/me").must(has_headers(RESET))
    away = int(it.headers[RESET]) - time.time()
    # Clocks differ a little; a number of seconds, or of milliseconds, is decades away.
    it.hold(abs(away) <= 86400, f"x-ratelimit-reset is no time of now: {away:,.0f} s away")


@promise("headers.credits", EVERY, "§1")
def _credits(run: Run) -> None:
    """Every authenticated response says how much credit is left, in cents."""
    it = run.get("/v1/billing/credits").must(succeeded, has_headers(CREDITS_HEADER))
    said, balance = it.headers[CREDITS_HEADER], it.object.get("balance_cents")
    it.hold(int(said) == balance, f"the header has another balance than the body: {said} and {balance}")


@promise("paths.unknown", EVERY, _JOBS, ours=True)
def _no_path(run: Run) -> None:
    """An unknown path is 404 not_found, in the error envelope."""
    run.get(NOWHERE).must(refused(404))


@promise("paths.method", EVERY, _JOBS, ours=True)
def _no_method(run: Run) -> None:
    """An unknown method is 405, in the error envelope."""
    run("DELETE", "/v1/me").must(refused(405))


@promise("bodies.json", EVERY, "§1")
def _no_json(run: Run) -> None:
    """A body that is not JSON is 400 validation_error."""
    run.post("/v1/jobs", b'{"type": "data_collection",').must(refused(400, "validation_error"))


@promise("bodies.object", EVERY, "§1")
def _no_object(run: Run) -> None:
    """A body that is no JSON object is 400 validation_error."""
    run.post("/v1/jobs", [JOB]).must(refused(400, "validation_error"))


@promise("bodies.large", EVERY, _JOBS)
def _large(run: Run) -> None:
    """A body far beyond every bound is refused, in the error envelope."""
    run.post("/v1/jobs", {**JOB, "description": "x" * (2 << 20)}).must(refused((400, 413, 422)))


@promise("strangers", EVERY, _JOBS, ours=True)
def _strangers(run: Run) -> None:
    """A key sees its own organization only: anything else is 404."""
    other = run.strangers[0]
    run("GET", f"/v1/jobs/{run.job['id']}", key=other).must(refused(404))
    run("GET", f"/v1/webhook_endpoints/{run.endpoint['id']}", key=other).must(refused(404))
    it = run("GET", "/v1/jobs", key=other).must(succeeded, is_json)
    it.hold(run.job["id"] not in it.ids, "another organization lists jobs that are not its own")


@promise("signup.fields", "POST /v1/auth/signup", _ACCOUNT)
def _signup_fields(run: Run) -> None:
    """A signup without an email is 400, and `details` names the field."""
    run.post("/v1/auth/signup", {"name": "Conformance check"}, key=NO_KEY).must(refused(400, field="email"))


@promise("signup", "POST /v1/auth/signup", _ACCOUNT)
def _signup(run: Run) -> None:
    """A signup needs no key, and returns a live key, once."""
    run.needs_control("an organization that nobody misses")
    body = {"name": "Conformance check", "email": "conformance@example.com"}
    it = run.post("/v1/auth/signup", body, key=NO_KEY).must(succeeded, shaped(SIGNUP))
    run("GET", "/v1/me", key=Credential(it.object["api_key"], "NEW_KEY")).must(status(200))
