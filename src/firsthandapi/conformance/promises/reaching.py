"""What holds of every endpoint: reaching it, keys, and errors."""

from __future__ import annotations

import time

from firsthandapi.conformance._checks import (
    CREDITS_HEADER,
    RATE_HEADERS,
    has_headers,
    is_json,
    refused,
    shaped,
    status,
    succeeded,
)
from firsthandapi.conformance._exchange import Credential, DiffersError, NotTriedError
from firsthandapi.conformance._promises import EVERY, promise
from firsthandapi.conformance._run import JOB, NO_KEY, Run
from firsthandapi.conformance._shapes import IDENTITY, SIGNUP

ERRORS = "§1"
_ME = "GET /v1/me"


@promise("me", _ME, "§3", "GET /v1/me returns the organization, environment, and scopes of the key.")
def _me(run: Run) -> None:
    it = run("GET", "/v1/me").must(status(200), shaped(IDENTITY))
    environment = "test" if run.is_sandbox else "live"
    if it.object["environment"] != environment:
        raise DiffersError(f"`environment` is {it.object['environment']} for a {environment} key", it)


@promise("key.missing", EVERY, "§5", "Without a key, the response is 401 authentication_error.")
def _no_key(run: Run) -> None:
    run("GET", "/v1/me", key=NO_KEY).must(refused(401))


@promise("key.unknown", EVERY, "§5", "With an unknown key, the response is 401 authentication_error.")
def _unknown_key(run: Run) -> None:
    prefix = "fh_test_" if run.is_sandbox else "fh_live_"
    run("GET", "/v1/me", key=Credential(f"{prefix}{'0' * 32}", "UNKNOWN_KEY")).must(refused(401))


@promise("key.scheme", EVERY, ERRORS, "A key counts only after the word Bearer.")
def _scheme(run: Run) -> None:
    # Not the real key: a server that takes the wrong scheme could log it.
    run("GET", "/v1/me", key=NO_KEY, headers={"Authorization": "Basic dXNlcjpwYXNz"}).must(refused(401))


@promise(
    "headers.rate",
    EVERY,
    ERRORS,
    "Every authenticated response says how many requests are left, and until when.",
)
def _rate(run: Run) -> None:
    first = run("GET", "/v1/me").must(succeeded, has_headers(*RATE_HEADERS))
    second = run("GET", "/v1/jobs", query={"limit": 1}).must(succeeded, has_headers(*RATE_HEADERS))
    limit, left = (int(second.headers[name]) for name in RATE_HEADERS[:2])
    if not 0 <= left <= limit or limit < 1:
        raise DiffersError(f"{left} of {limit} requests are left", second)
    before, same = int(first.headers[RATE_HEADERS[1]]), first.headers[RATE_HEADERS[2]]
    if same == second.headers[RATE_HEADERS[2]] and left >= before:
        raise DiffersError(f"{left} requests are left after a request, {before} before it", second)


@promise("headers.rate_reset", EVERY, ERRORS, "x-ratelimit-reset is in Unix seconds.")
def _reset(run: Run) -> None:
    it = run("GET", "/v1/me").must(has_headers(RATE_HEADERS[2]))
    away = int(it.headers[RATE_HEADERS[2]]) - time.time()
    # Clocks differ a little; a number of seconds, or of milliseconds, is decades away.
    if abs(away) > 86400:
        raise DiffersError(f"x-ratelimit-reset is {abs(away):,.0f} s away", it)


@promise(
    "headers.credits", EVERY, ERRORS, "Every authenticated response says how much credit is left, in cents."
)
def _credits(run: Run) -> None:
    it = run("GET", "/v1/billing/credits").must(succeeded, has_headers(CREDITS_HEADER))
    if int(it.headers[CREDITS_HEADER]) != it.object.get("balance_cents"):
        raise DiffersError(
            f"the header says {it.headers[CREDITS_HEADER]}, the body {it.object.get('balance_cents')}", it
        )


@promise("errors.request_id", EVERY, ERRORS, "A request id in a header is that of the error body.", ours=True)
def _request_id(run: Run) -> None:
    it = run("GET", "/v1/me", key=NO_KEY).must(refused(401))
    header, body = it.headers.get("x-request-id"), it.object["error"]["request_id"]
    if header is not None and header != body:
        raise DiffersError(f"the header x-request-id is {header[:40]}, the body says {body}", it)


@promise("errors.request_ids", EVERY, ERRORS, "Each error has its own request id.")
def _request_ids(run: Run) -> None:
    first, second = (run("GET", "/v1/me", key=NO_KEY).must(refused(401)) for _ in range(2))
    if first.object["error"]["request_id"] == second.object["error"]["request_id"]:
        raise DiffersError("two errors have the same request id", second)


@promise(
    "paths.unknown", EVERY, '§2 "Jobs"', "An unknown path is 404 not_found, in the error envelope.", ours=True
)
def _no_path(run: Run) -> None:
    run("GET", "/v1/conformance").must(refused(404))


@promise(
    "paths.method",
    EVERY,
    '§2 "Jobs"',
    "An unknown method is 405, in the error envelope.",
    ours=True,
    writes=True,
)
def _no_method(run: Run) -> None:
    run("DELETE", "/v1/me").must(refused(405))


@promise("bodies.json", EVERY, "§1", "A body that is not JSON is 400 validation_error.", writes=True)
def _no_json(run: Run) -> None:
    run("POST", "/v1/jobs", b'{"type": "data_collection",').must(refused(400, "validation_error"))


@promise(
    "bodies.object",
    EVERY,
    "§1",
    "A body that is no JSON object is 400 validation_error.",
    writes=True,
)
def _no_object(run: Run) -> None:
    run("POST", "/v1/jobs", [JOB]).must(refused(400, "validation_error"))


@promise(
    "bodies.large",
    EVERY,
    '§2 "Jobs"',
    "A body far beyond every bound is refused, in the error envelope.",
    writes=True,
)
def _large(run: Run) -> None:
    body = {**JOB, "description": "x" * (2 << 20)}
    run("POST", "/v1/jobs", body).must(refused((400, 413, 422)))


@promise(
    "strangers",
    EVERY,
    '§2 "Jobs"',
    "A key sees its own organization only: anything else is 404.",
    ours=True,
    writes=True,
)
def _strangers(run: Run) -> None:
    other = run.stranger
    run("GET", f"/v1/jobs/{run.job['id']}", key=other).must(refused(404))
    run("GET", f"/v1/webhook_endpoints/{run.endpoint['id']}", key=other).must(refused(404))
    it = run("GET", "/v1/jobs", key=other).must(succeeded, is_json)
    if it.items:
        raise DiffersError("another organization lists jobs that are not its own", it)


@promise(
    "signup.fields",
    "POST /v1/auth/signup",
    '§2 "Account"',
    "A signup without an email is 400, and `details` names the field.",
    writes=True,
)
def _signup_fields(run: Run) -> None:
    run("POST", "/v1/auth/signup", {"name": "Conformance check"}, key=NO_KEY).must(
        refused(400, field="email")
    )


@promise(
    "signup",
    "POST /v1/auth/signup",
    '§2 "Account"',
    "A signup needs no key, and returns a live key, once.",
    writes=True,
)
def _signup(run: Run) -> None:
    if not run.has_control:
        raise NotTriedError("nothing could remove the organization again")
    body = {"name": "Conformance check", "email": "conformance@example.com"}
    it = run("POST", "/v1/auth/signup", body, key=NO_KEY).must(succeeded, shaped(SIGNUP))
    run("GET", "/v1/me", key=Credential(it.object["api_key"], "NEW_KEY")).must(status(200))
