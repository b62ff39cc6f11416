"""What holds of every endpoint: reaching it, keys, and errors."""

from __future__ import annotations

import time

from .checks import (
    CREDITS_HEADER,
    LEFT,
    LIMIT,
    NOWHERE,
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
from .exchange import NO_KEY, Key, Response
from .server import NEW_JOB, Json, Server
from .shapes import IDENTITY, SIGNUP


def test_me(server: Server) -> None:
    """GET /v1/me returns the organization, environment, and scopes of the key. (§3)"""
    environment = "test" if server.is_sandbox else "live"
    server.get("/v1/me").must(status(200), shaped(IDENTITY), shows(environment=environment))


def test_key_missing(server: Server) -> None:
    """Without a key, the response is 401 authentication_error. (§5)"""
    server("GET", "/v1/me", key=NO_KEY).must(refused(401))


def test_key_unknown(server: Server) -> None:
    """With an unknown key, the response is 401 authentication_error. (§5)"""
    secret = f"fh_{'test' if server.is_sandbox else 'live'}_{'0' * 32}"
    server("GET", "/v1/me", key=Key(secret, "UNKNOWN_KEY")).must(refused(401))


def test_key_scheme(server: Server) -> None:
    """A key counts only after the word Bearer. (§1)"""
    # Not the real key: a server that takes the wrong scheme could log it.
    server("GET", "/v1/me", key=NO_KEY, headers={"Authorization": "Basic dXNlcjpwYXNz"}).must(refused(401))


def _two(server: Server) -> tuple[Response, Response]:
    first = server.get("/v1/me").must(succeeded, has_headers(*RATE_HEADERS))
    return first, server.get("/v1/jobs", limit=1).must(succeeded, has_headers(*RATE_HEADERS))


def test_headers_rate(server: Server) -> None:
    """Every authenticated response says how many requests are left, and until when. (§1)"""
    first, second = _two(server)
    if first.headers[RESET] != second.headers[RESET]:  # a window ended between them
        first, second = _two(server)
    limit, rest, start = int(second.headers[LIMIT]), int(second.headers[LEFT]), int(first.headers[LEFT])
    assert 0 <= rest <= limit, f"{rest} of {limit} requests are left"
    if first.headers[RESET] == second.headers[RESET]:
        assert rest < start, f"requests are not counted: {start} were left before one, and {rest} after it"


def test_headers_rate_reset(server: Server) -> None:
    """x-ratelimit-reset is in Unix seconds. (§1)"""
    response = server.get("/v1/me").must(has_headers(RESET))
    away = int(response.headers[RESET]) - time.time()
    # Clocks differ a little; a number of seconds, or of milliseconds, is decades away.
    assert abs(away) <= 86400, f"{RESET} is {away:,.0f} s from now"


def test_headers_credits(server: Server) -> None:
    """Every authenticated response says how much credit is left, in cents. (§1)"""
    response = server.get("/v1/billing/credits").must(succeeded, has_headers(CREDITS_HEADER))
    header, balance = response.headers[CREDITS_HEADER], response.object.get("balance_cents")
    assert int(header) == balance, f"the balance is {header} in the header, and {balance} in the body"


def test_paths_unknown(server: Server) -> None:
    """An unknown path is 404 not_found, in the error envelope. (§2 "Jobs" ‡)"""
    server.get(NOWHERE).must(refused(404))


def test_paths_method(server: Server) -> None:
    """An unknown method is 405, in the error envelope. (§2 "Jobs" ‡)"""
    server("DELETE", "/v1/me").must(refused(405))


def test_bodies_json(server: Server) -> None:
    """A body that is not JSON is 400 validation_error. (§1)"""
    server.post("/v1/jobs", b'{"type": "data_collection",').must(refused(400, "validation_error"))


def test_bodies_object(server: Server) -> None:
    """A body that is no JSON object is 400 validation_error. (§1)"""
    server.post("/v1/jobs", [NEW_JOB]).must(refused(400, "validation_error"))


def test_bodies_large(server: Server) -> None:
    """A body far beyond every bound is refused, in the error envelope. (§2 "Jobs")"""
    server.post("/v1/jobs", {**NEW_JOB, "description": "x" * (2 << 20)}).must(refused((400, 413, 422)))


def test_strangers(server: Server, strangers: tuple[Key, Key], job: Json, endpoint: Json) -> None:
    """A key sees its own organization only: anything else is 404. (§2 "Jobs" ‡)"""
    server("GET", f"/v1/jobs/{job['id']}", key=strangers[0]).must(refused(404))
    server("GET", f"/v1/webhook_endpoints/{endpoint['id']}", key=strangers[0]).must(refused(404))
    response = server("GET", "/v1/jobs", key=strangers[0]).must(succeeded, is_json)
    assert job["id"] not in response.ids, "another organization lists jobs that are not its own"


def test_signup_fields(server: Server) -> None:
    """A signup without an email is 400, and `details` names the field. (§2 "Account")"""
    server.post("/v1/auth/signup", {"name": "Contract check"}, key=NO_KEY).must(refused(400, field="email"))


def test_signup(server: Server) -> None:
    """A signup needs no key, and returns a live key, once. (§2 "Account")"""
    server.needs_control("an organization that nobody misses")
    body = {"name": "Contract check", "email": "contract@example.com"}
    response = server.post("/v1/auth/signup", body, key=NO_KEY).must(succeeded, shaped(SIGNUP))
    server("GET", "/v1/me", key=Key(response.object["api_key"], "NEW_KEY")).must(status(200))
