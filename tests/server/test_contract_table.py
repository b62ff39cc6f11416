"""Every endpoint against every way of getting it wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from firsthandapi.server.contract.operations import NO_KEY, OPERATIONS, Operation
from firsthandapi.testing import MockServer

from .conftest import Caller

# For fields of a body, a value that is wrong in its own way; one of another type is tried for each of these.
WRONG: dict[str, dict[str, Any]] = {
    "signup": {"name": 1, "email": "no"},
    "create_job": {
        "type": "survey",
        "description": "too short",
        "files_needed": "2",
        "accepted_formats": ["jpg"],
        "price_per_file_cents": 50.5,
    },
    "rate_job": {"rating": 6},
    "create_key": {"name": None},
    "create_webhook": {"url": 5},
    "purchase": {"amount_cents": 999},
}
# What an id in a path is of: `ids` below has one of each.
_OF = {
    "jobs": "job",
    "files": "file",
    "submissions": "submission",
    "api_keys": "key",
    "webhook_endpoints": "webhook",
    "webhook_events": "event",
}


def _row(operation: Operation) -> tuple[str, str, str | None, dict[str, Any] | None, dict[str, Any]]:
    """Method, path with the name of an id, scope, a right body, and wrong values."""
    what = "done" if operation.name == "rate_job" else _OF.get(operation.path.split("/")[2], "")
    empty = {} if operation.method in ("POST", "PATCH") else None
    right = empty if operation.body is None else operation.body.example()
    scope = None if operation.scope == NO_KEY else operation.scope
    return (
        operation.method,
        operation.path.replace("{id}", f"{{{what}}}"),
        scope,
        right,
        WRONG.get(operation.name, {}),
    )


@pytest.mark.parametrize("body", {each.body: None for each in OPERATIONS if each.body})
def test_each_body_has_an_example(body: Any) -> None:
    """That the server takes: tests, `conformance`, and readers of the document begin with it."""
    required = {name for name, field in body.model_fields.items() if field.is_required()}
    lacking = required - {*body.example()}
    assert not lacking, f"{body.__name__} in server/contract/bodies.py needs examples of {lacking}"
    for number in range(2):
        body.model_validate(body.example(number))
    assert body.example(), f"{body.__name__} in server/contract/bodies.py needs an example of a field"


TABLE = [_row(operation) for operation in OPERATIONS]
NEED_KEY = {_row(operation)[1] for operation in OPERATIONS if operation.needs_idempotency_key}


def rows(holds: Callable[[str, str, str | None], bool] = lambda *_: True) -> pytest.MarkDecorator:
    """A case for each row of the table whose method, path, and scope fit."""
    found = [row for row in TABLE if holds(*row[:3])]
    ids = [f"{row[0]} {row[1]}" for row in found]
    return pytest.mark.parametrize(("method", "path", "scope", "body", "wrong"), found, ids=ids)


@pytest.fixture
def ids(server: MockServer, api: Caller) -> dict[str, str]:
    """One of everything, by the name that the table uses."""
    done = api.create_job()["id"]
    server.clock.advance(hours=1)
    return {
        "done": done,
        "job": api.create_job()["id"],
        "file": api.files(done)[0]["id"],
        "submission": api("GET", f"/v1/jobs/{done}/submissions").json["data"][0]["id"],
        "key": api("POST", "/v1/api_keys", {"name": "spare"}).json["id"],
        "webhook": api("POST", "/v1/webhook_endpoints", {"url": "https://example.com/hook"}).json["id"],
        "event": api("GET", "/v1/webhook_events").json["data"][0]["id"],
    }


@rows()
def test_right(
    api: Caller, ids: dict[str, str], method: str, path: str, scope: str | None, body: Any, wrong: Any
) -> None:
    """What is right succeeds, and each answer to a key tells its rate limit and the credits left."""
    api.server.rate_limit = 100
    reply = api(method, path.format(**ids), body)
    assert 200 <= reply.status < 300, reply.body
    assert reply.headers["x-request-id"].startswith("req_")
    if scope is not None:
        assert {"x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"} <= set(reply.headers)
        assert int(reply.headers["x-firsthandapi-credits-remaining"]) > 0
    if reply.status == 204:
        assert not reply.body
        assert "content-type" not in reply.headers


@rows(lambda _method, path, _scope: "{" in path)
def test_strangers(
    server: MockServer, ids: dict[str, str], method: str, path: str, scope: str | None, body: Any, wrong: Any
) -> None:
    """Another organization, the own sandbox, and an id that nobody has: all the same 404."""
    other = server.create_organization()
    for key in (other.api_key, server.test_api_key):
        reply = Caller(server, key)(method, path.format(**ids), body)
        assert (reply.status, reply.error["type"]) == (404, "not_found")
    unknown = path.format(**dict.fromkeys(ids, "nobody_01"))
    assert Caller(server, server.api_key)(method, unknown, body).status == 404


@rows()
def test_wrong_fields(
    api: Caller, ids: dict[str, str], method: str, path: str, scope: str | None, body: Any, wrong: Any
) -> None:
    """A required field that is missing or wrong, and one that nobody knows, is a 400 that names it."""
    target = path.format(**ids)
    for name, value in wrong.items():
        without = {key: kept for key, kept in body.items() if key != name}
        for sent in (without, {**body, name: value}, {**body, name: {"a": []}}):
            reply = api(method, target, sent)
            assert (reply.status, reply.error["type"]) == (400, "validation_error"), (name, sent)
            assert reply.error["details"][0]["field"].split(".")[0] == name
    if method in ("POST", "PATCH"):
        assert api(method, target, {**(body or {}), "surprise": 1}).error["details"][0]["field"] == "surprise"
    assert api(method, target + "?surprise=1", body).error["details"][0]["field"] == "surprise"


@rows(lambda method, path, _scope: method == "POST" and path not in NEED_KEY)
def test_idempotent_replay(
    server: MockServer, ids: dict[str, str], method: str, path: str, scope: str | None, body: Any, wrong: Any
) -> None:
    """Where no key is required, one counts as well: it gives the first answer again, and another body is a 409."""
    api = Caller(server, server.api_key if scope else None)
    target = path.format(**ids)
    first = api(method, target, body, Idempotency_Key="same")
    again = api(method, target, body, Idempotency_Key="same")
    assert (again.status, again.body) == (first.status, first.body)
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    if body:
        name = next(iter(body))
        other = {"rating": 4, "amount_cents": 2500, "url": "https://example.com/y", "type": "feedback"}
        reply = api(method, target, {**body, name: other.get(name, "Another")}, Idempotency_Key="same")
        assert (reply.status, reply.error["type"]) == (409, "idempotency_error")


def test_head(api: Caller) -> None:
    """HEAD answers like GET, without a body."""
    reply = api("HEAD", "/v1/me")
    assert (reply.status, reply.body) == (200, b"")
