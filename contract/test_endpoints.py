"""What holds of each endpoint by itself: its key, its scope, unknown ids, and its idempotency keys."""

from __future__ import annotations

import uuid
from typing import Any, get_args

import pytest

from firsthandapi.types.enums import Scope
from firsthandapi_server.contract.operations import ANY_SCOPE, OPERATIONS, Operation

from .checks import refused, same_as, succeeded
from .exchange import NO_KEY, Key
from .server import NEW_JOB, Server

# By the start of a path, what the ids in it start with, and the fixture of one that a test may spoil.
_IDS = {
    "jobs": ("job_", "spare_job"),
    "files": ("file_", "file"),
    "submissions": ("sub_", "submission"),
    "api_keys": ("key_", "spare_key"),
    "webhook_endpoints": ("we_", "spare_endpoint"),
    "webhook_events": ("evt_", "event"),
}
# Whose id is another one: the call has to succeed.
_FIT = {"cancel_job": "new_job", "rate_job": "own_completed_job"}
# A signup needs no key, so it has promises of its own; consents are those of servers of one's own with a study.
_OPERATIONS = [operation for operation in OPERATIONS if operation.name not in ("signup", "get_consent")]


def _of(operations: list[Operation]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(
        "operation", operations, ids=lambda call: f"{call.method} {call.path.replace('{id}', ':id')}"
    )


def _path(operation: Operation, id: str = "") -> str:
    prefix = _IDS.get(operation.path.split("/")[2], ("",))[0]
    return operation.path.replace("{id}", id or prefix + "0" * 26)


def _bodies(server: Server, operation: Operation) -> tuple[Any, Any]:
    """A valid body and another one; None where there is none."""
    if operation.name == "create_job":
        return NEW_JOB, {**NEW_JOB, "files_needed": 1}
    if operation.name == "create_key":
        return server.key_body(), server.key_body(name="Another")
    return (operation.body.example(), operation.body.example(1)) if operation.body else (None, None)


@pytest.fixture
def new_job(server: Server) -> Any:
    return server.new_job()


@pytest.fixture
def id(operation: Operation, request: pytest.FixtureRequest) -> str:
    """An id with which the call would succeed, but for what is tried."""
    if "{id}" not in operation.path:
        return ""
    fit = _FIT.get(operation.name) if "idempotency" in request.node.name else None
    return str(request.getfixturevalue(fit or _IDS[operation.path.split("/")[2]][1])["id"])


@pytest.fixture(scope="session")
def keys_without(server: Server) -> dict[str, Key]:
    """By scope, a key with all scopes but this one."""
    scopes = {*get_args(Scope)}
    return {scope: server.new_key(*sorted(scopes - {scope}))[0] for scope in sorted(scopes)}


@_of(_OPERATIONS)
def test_key(server: Server, operation: Operation) -> None:
    """Without a key, it is 401. (§5)"""
    body = _bodies(server, operation)[0]
    server(operation.method, _path(operation), body, key=NO_KEY).must(refused(401))


@_of([operation for operation in _OPERATIONS if operation.scope != ANY_SCOPE])
def test_scope(server: Server, operation: Operation, id: str, keys_without: dict[str, Key]) -> None:
    """A key without the scope {operation.scope} is 403. (§2)"""
    body, key = _bodies(server, operation)[0], keys_without[operation.scope]
    response = server(operation.method, _path(operation, id), body, key=key)
    response.must(refused(403, "authorization_error", "forbidden"))


@_of([operation for operation in _OPERATIONS if "{id}" in operation.path])
def test_unknown(server: Server, operation: Operation) -> None:
    """An id that nobody has is 404 not_found. (§5)"""
    server(operation.method, _path(operation), _bodies(server, operation)[0]).must(refused(404))


_ONCE = _of([operation for operation in _OPERATIONS if operation.needs_idempotency_key])


@_ONCE
def test_idempotency_required(server: Server, operation: Operation, id: str) -> None:
    """Without an Idempotency-Key, it is 400 validation_error. (§1 "Idempotency" ‡)"""
    body = _bodies(server, operation)[0]
    server.post(_path(operation, id), body, once=None).must(refused(400, "validation_error"))


@_ONCE
def test_idempotency(server: Server, operation: Operation, id: str) -> None:
    """The same Idempotency-Key and body: the first response again. Another body: 409. (§1 "Idempotency")"""
    path, once, (body, other_body) = _path(operation, id), str(uuid.uuid4()), _bodies(server, operation)
    first = server.post(path, body, once=once).must(succeeded)
    server.post(path, body, once=once).must(same_as(first))
    if other_body != body:
        response = server.post(path, other_body, once=once)
        response.must(refused(409, "idempotency_error", "idempotency_conflict", "conflict"))
