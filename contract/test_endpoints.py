"""What holds of each endpoint by itself: its key, its scope, and unknown ids."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_args

from firsthandapi._core.calls.attempt import call_name
from firsthandapi.conformance._checks import refused
from firsthandapi.conformance._exchange import Credential, Exchange
from firsthandapi.conformance._promises import add
from firsthandapi.conformance._requests import NO_KEY
from firsthandapi.conformance._run import JOB, Run, Shared
from firsthandapi.types.enums import Scope
from firsthandapi_server.contract.operations import ANY_SCOPE, OPERATIONS, Operation

_NOBODY = "0" * 26
_spare_job = Shared(lambda run: run.new_job(), "posting a job to spoil")
# By the start of a path, what the ids in it start with, and one that a promise may spoil.
_IDS: dict[str, tuple[str, Callable[[Run], Any]]] = {
    "jobs": ("job_", lambda run: _spare_job(run)["id"]),
    "files": ("file_", lambda run: run.files.ids[0]),
    "submissions": ("sub_", lambda run: run.submission["id"]),
    "api_keys": ("key_", lambda run: run.spare_key["id"]),
    "webhook_endpoints": ("we_", lambda run: run.spare_endpoint["id"]),
    "webhook_events": ("evt_", lambda run: run.event["id"]),
}
# The start of the ids of promises, where it is not the client's method.
_NAMES = {
    "refresh_url": "files.refresh",
    "list_job_submissions": "submissions.of_job",
    "list_events": "events.list",
    "replay_event": "events.replay",
    "get_credits": "credits",
    "list_transactions": "transactions.list",
    "purchase": "purchase",
    "get_settings": "settings",
    "update_settings": "settings.update",
    "list_audit_events": "audit.list",
}
# Whose scope is this project's reading.
_OURS = {"refresh_url", "list_submissions", "summarize_submissions", "get_submission", "update_settings"}


class Endpoint:
    """How to try an operation of the contract. The ids of its promises start with `name`."""

    def __init__(self, operation: Operation) -> None:
        self.operation = operation
        self.line = f"{operation.method} {operation.path.replace('{id}', ':id')}"
        self.name = _NAMES.get(operation.name) or call_name(self.line)

    def path(self, run: Run, id: object = None) -> str:
        """Its path with this id, or with one that a promise may spoil."""
        if id is None and "{id}" in self.operation.path:
            id = _IDS[self.operation.path.split("/")[2]][1](run)
        return self.operation.path.replace("{id}", str(id))

    def bodies(self, run: Run) -> tuple[Any, Any]:
        """A valid body and another one; None where there is none."""
        if self.operation.name == "create_job":
            return JOB, {**JOB, "files_needed": 1}
        if self.operation.name == "create_key":
            return run.key_body(), run.key_body(name="Another")
        body = self.operation.body
        return (None, None) if body is None else (body.example(), body.example(1))

    def ask(self, run: Run, id: object = None, **options: Any) -> Exchange:
        """Call it with a valid body."""
        return run(self.operation.method, self.path(run, id), self.bodies(run)[0], **options)

    def ask_for_nobody(self, run: Run, **options: Any) -> Exchange:
        """Call it with an id that nobody has."""
        prefix, _ = _IDS.get(self.operation.path.split("/")[2], ("", None))
        return self.ask(run, prefix + _NOBODY, **options)


# A signup needs no key, so it has promises of its own.
ENDPOINTS = tuple(Endpoint(each) for each in OPERATIONS if each.name != "signup")


@Shared
def _keys_without(run: Run) -> dict[str, Credential]:
    """creating API keys with all scopes but one"""
    scopes = {*get_args(Scope)}
    return {scope: run.new_key(*sorted(scopes - {scope}))[0] for scope in sorted(scopes)}


def _hold_key(endpoint: Endpoint, run: Run) -> None:
    endpoint.ask_for_nobody(run, key=NO_KEY).must(refused(401))


def _hold_scope(endpoint: Endpoint, run: Run) -> None:
    key = _keys_without(run)[endpoint.operation.scope]
    endpoint.ask(run, key=key).must(refused(403, "authorization_error", "forbidden"))


def _hold_unknown(endpoint: Endpoint, run: Run) -> None:
    endpoint.ask_for_nobody(run).must(refused(404))


for _each in ENDPOINTS:
    add(f"{_each.name}.key", _each.line, "§5", "Without a key, it is 401.", _hold_key, _each)
    if (_scope := _each.operation.scope) != ANY_SCOPE:
        _says, _ours = f"A key without the scope {_scope} is 403.", _each.operation.name in _OURS
        add(f"{_each.name}.scope", _each.line, "§2", _says, _hold_scope, _each, ours=_ours)
    if ":id" in _each.line:
        _says = "An id that nobody has is 404 not_found."
        add(f"{_each.name}.unknown", _each.line, "§5", _says, _hold_unknown, _each)
