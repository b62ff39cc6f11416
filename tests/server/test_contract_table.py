"""Every endpoint against every way of getting it wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from firsthandapi.testing import MockServer
from firsthandapi_server.contract.operations import NO_KEY, OPERATIONS, Operation

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
    "consents": "consent",
    "api_keys": "key",
    "webhook_endpoints": "webhook",
    "webhook_events": "event",
}


def id_for(operation: Operation, ids: dict[str, str]) -> str:
    """The id that its path takes."""
    return ids["done" if operation.job == "completed" else _OF[operation.path.split("/")[2]]]


def target(operation: Operation, ids: dict[str, str]) -> str:
    """Its path with an id of its kind."""
    return operation.path.replace("{id}", id_for(operation, ids) if "{id}" in operation.path else "")


def right(operation: Operation) -> dict[str, Any] | None:
    """A body that it takes."""
    empty = {} if operation.method in ("POST", "PATCH") else None
    return empty if operation.body is None else operation.body.example()


def each(holds: Callable[[Operation], bool] = lambda _: True) -> pytest.MarkDecorator:
    """A case for each operation that fits."""
    operations = [operation for operation in OPERATIONS if holds(operation)]
    return pytest.mark.parametrize("operation", operations, ids=lambda operation: operation.name)


@pytest.mark.parametrize("body", {operation.body: None for operation in OPERATIONS if operation.body})
def test_each_body_has_an_example(body: Any) -> None:
    """That the server takes: tests, `contract/`, and readers of the document begin with it."""
    required = {name for name, field in body.model_fields.items() if field.is_required()}
    lacking = required - {*body.example()}
    assert not lacking, f"{body.__name__} in server/contract/bodies.py needs examples of {lacking}"
    for number in range(2):
        body.model_validate(body.example(number))
    assert body.example(), f"{body.__name__} in server/contract/bodies.py needs an example of a field"


@pytest.fixture
def ids(server: MockServer) -> dict[str, str]:
    """One of everything, by its kind."""
    return one_of_each(server)


def one_of_each(server: MockServer) -> dict[str, str]:
    """The ids of new things, by their kind."""
    api = Caller(server, server.api_key)
    done = api.create_job()["id"]
    server.clock.advance(hours=1)
    return {
        "done": done,
        "job": api.create_job()["id"],
        "file": api.files(done)[0]["id"],
        "submission": api.get(f"/v1/jobs/{done}/submissions")["data"][0]["id"],
        "key": api("POST", "/v1/api_keys", {"name": "spare"}).json["id"],
        "webhook": api("POST", "/v1/webhook_endpoints", {"url": "https://example.com/hook"}).json["id"],
        "consent": "cns_nobody",
        "event": api.get("/v1/webhook_events")["data"][0]["id"],
    }


@each(lambda operation: "{id}" in operation.path)
def test_strangers(server: MockServer, ids: dict[str, str], operation: Operation) -> None:
    """Another organization, the own sandbox, and an id that nobody has: all the same 404."""
    method, body = operation.method, right(operation)
    stranger = server.create_organization()
    for key in (stranger.api_key, server.test_api_key):
        reply = Caller(server, key)(method, target(operation, ids), body)
        assert (reply.status, reply.error["type"]) == (404, "not_found")
    unknown = target(operation, dict.fromkeys(ids, "nobody_01"))
    assert Caller(server, server.api_key)(method, unknown, body).status == 404


@each()
def test_wrong_fields(api: Caller, ids: dict[str, str], operation: Operation) -> None:
    """A required field that is missing or wrong, and one that nobody knows, is a 400 that names it."""
    method, path, body = operation.method, target(operation, ids), right(operation)
    for name, value in WRONG.get(operation.name, {}).items():
        without = {key: value for key, value in (body or {}).items() if key != name}
        for sent in (without, {**without, name: value}, {**without, name: {"a": []}}):
            reply = api(method, path, sent)
            assert (reply.status, reply.error["type"]) == (400, "validation_error"), (name, sent)
            assert reply.error["details"][0]["field"].split(".")[0] == name
    if method in ("POST", "PATCH"):
        assert api(method, path, {**(body or {}), "surprise": 1}).error["details"][0]["field"] == "surprise"
    assert api(method, path + "?surprise=1", body).error["details"][0]["field"] == "surprise"


@each(lambda operation: operation.method == "POST" and not operation.needs_idempotency_key)
def test_idempotent_replay(server: MockServer, ids: dict[str, str], operation: Operation) -> None:
    """Where no key is required, one counts as well: it gives the first answer again, and another body is a 409."""
    api = Caller(server, None if operation.scope == NO_KEY else server.api_key)
    path, body = target(operation, ids), right(operation)
    first, repeat = (api("POST", path, body, Idempotency_Key="same") for _ in range(2))
    assert (repeat.status, repeat.body) == (first.status, first.body)
    assert "idempotent-replayed" not in first.headers
    assert repeat.headers["idempotent-replayed"] == "true"
    if operation.body is not None:
        reply = api("POST", path, operation.body.example(1), Idempotency_Key="same")
        assert (reply.status, reply.error["type"]) == (409, "idempotency_error")


def test_head(api: Caller) -> None:
    """HEAD answers like GET, without a body."""
    reply = api("HEAD", "/v1/me")
    assert (reply.status, reply.body) == (200, b"")
