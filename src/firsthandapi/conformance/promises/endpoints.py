"""What holds of each endpoint by itself: its key, its scope, and unknown ids."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from firsthandapi.conformance._checks import refused
from firsthandapi.conformance._exchange import Exchange
from firsthandapi.conformance._promises import add
from firsthandapi.conformance._run import JOB, NO_KEY, Run
from firsthandapi.server.contract.operations import ANY_SCOPE, BY_NAME, Operation

from .keys import body_of

_NOBODY = "0" * 26
# By the start of a path, what the ids in it start with, and one that a promise may spoil.
_IDS: dict[str, tuple[str, Callable[[Run], Any]]] = {
    "jobs": ("job_", lambda run: run.spare_job["id"]),
    "files": ("file_", lambda run: run.files.ids[0]),
    "submissions": ("sub_", lambda run: run.submission["id"]),
    "api_keys": ("key_", lambda run: run.spare_key["id"]),
    "webhook_endpoints": ("we_", lambda run: run.spare_endpoint["id"]),
    "webhook_events": ("evt_", lambda run: run.event["id"]),
}
# Whose scope is this project's reading.
_OURS = {"refresh_url", "list_submissions", "summarize_submissions", "get_submission", "update_settings"}


@dataclass(frozen=True)
class Endpoint:
    """How to try an operation of the contract.

    Attributes:
        name: the start of the ids of its promises.
        operation: its name in the contract.
        body: a valid body.
    """

    name: str
    operation: str
    body: Callable[[Run], Any] = lambda _: None

    @property
    def contract(self) -> Operation:
        """What the contract says of it."""
        return BY_NAME[self.operation]

    @property
    def line(self) -> str:
        """Its method, and its path with `:id`."""
        return f"{self.contract.method} {self.contract.path.replace('{id}', ':id')}"

    def ask(self, run: Run, *, known: bool, **options: Any) -> Exchange:
        """Call it: with a known id, or with one that nobody has."""
        path = self.contract.path
        if "{id}" in path:
            prefix, known_id = _IDS[path.split("/")[2]]
            path = path.replace("{id}", str(known_id(run)) if known else prefix + _NOBODY)
        return run(self.contract.method, path, self.body(run), **options)


ENDPOINTS = (
    Endpoint("me", "me"),
    Endpoint("jobs.create", "create_job", lambda _: JOB),
    Endpoint("jobs.list", "list_jobs"),
    Endpoint("jobs.get", "get_job"),
    Endpoint("jobs.cancel", "cancel_job"),
    Endpoint("jobs.rate", "rate_job", lambda _: {"rating": 4}),
    Endpoint("files.list", "list_files"),
    Endpoint("files.refresh", "refresh_url"),
    Endpoint("submissions.of_job", "list_job_submissions"),
    Endpoint("submissions.list", "list_submissions"),
    Endpoint("submissions.summary", "summarize_submissions"),
    Endpoint("submissions.get", "get_submission"),
    Endpoint("api_keys.create", "create_key", body_of),
    Endpoint("api_keys.list", "list_keys"),
    Endpoint("api_keys.rotate", "rotate_key"),
    Endpoint("api_keys.revoke", "revoke_key"),
    Endpoint("webhooks.create", "create_webhook", lambda _: {"url": "https://conformance.invalid/hook"}),
    Endpoint("webhooks.list", "list_webhooks"),
    Endpoint("webhooks.get", "get_webhook"),
    Endpoint("webhooks.update", "update_webhook", lambda _: {"description": "x"}),
    Endpoint("webhooks.delete", "delete_webhook"),
    Endpoint("webhooks.rotate_secret", "rotate_webhook_secret"),
    Endpoint("events.list", "list_events"),
    Endpoint("events.replay", "replay_event"),
    Endpoint("credits", "get_credits"),
    Endpoint("transactions.list", "list_transactions"),
    Endpoint("purchase", "purchase", lambda _: {"amount_cents": 1000}),
    Endpoint("settings", "get_settings"),
    Endpoint("settings.update", "update_settings", lambda _: {"default_price_per_file_cents": 50}),
    Endpoint("audit.list", "list_audit_events"),
)


def _hold_key(endpoint: Endpoint, run: Run) -> None:
    endpoint.ask(run, known=False, key=NO_KEY).must(refused(401))


def _hold_scope(endpoint: Endpoint, run: Run) -> None:
    key = run.key_without(endpoint.contract.scope)
    endpoint.ask(run, known=True, key=key).must(refused(403, "authorization_error", "forbidden"))


def _hold_unknown(endpoint: Endpoint, run: Run) -> None:
    endpoint.ask(run, known=False).must(refused(404))


for _each in ENDPOINTS:
    add(f"{_each.name}.key", _each.line, "§5", "Without a key, it is 401.", _hold_key, _each)
    if (_scope := _each.contract.scope) != ANY_SCOPE:
        _says, _ours = f"A key without the scope {_scope} is 403.", _each.operation in _OURS
        add(f"{_each.name}.scope", _each.line, "§2", _says, _hold_scope, _each, ours=_ours)
    if ":id" in _each.line:
        _says = "An id that nobody has is 404 not_found."
        add(f"{_each.name}.unknown", _each.line, "§5", _says, _hold_unknown, _each)
