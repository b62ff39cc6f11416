"""What holds of each endpoint by itself: its key, its scope, unknown ids, and idempotency keys."""

from __future__ import annotations

import functools
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from firsthandapi.conformance._checks import header, refused, same_as, succeeded
from firsthandapi.conformance._exchange import DiffersError, Exchange, NotTriedError
from firsthandapi.conformance._promises import Promise, add, promise
from firsthandapi.conformance._run import JOB, NO_KEY, Run
from firsthandapi.server.contract.operations import ANY_SCOPE, OPERATIONS

_TABLE, _ERRORS, _ONCE = "§2", "§5", '§1 "Idempotency"'
_NOBODY = "0" * 26


# By the start of a path, what the ids in it start with.
_PREFIXES = {
    "jobs": "job_",
    "files": "file_",
    "submissions": "sub_",
    "api_keys": "key_",
    "webhook_endpoints": "we_",
    "webhook_events": "evt_",
}
_OPERATIONS = {operation.name: operation for operation in OPERATIONS}


@dataclass(frozen=True)
class Endpoint:
    """How to try an operation of the contract.

    Attributes:
        name: the start of the ids of its promises.
        operation: its name in the contract.
        id: an id for the path that a promise may spoil.
        body: a valid body.
        ours: whether its scope is this project's reading.
    """

    name: str
    operation: str
    id: Callable[[Run], str] | None = None
    body: Callable[[Run], Any] = lambda _: None
    ours: bool = False

    @property
    def method(self) -> str:
        """The HTTP method."""
        return _OPERATIONS[self.operation].method

    @property
    def path(self) -> str:
        """The path, with `:id`."""
        return _OPERATIONS[self.operation].path.replace("{id}", ":id")

    @property
    def scope(self) -> str | None:
        """The scope that it needs; None for any."""
        scope = _OPERATIONS[self.operation].scope
        return None if scope == ANY_SCOPE else scope

    def ask(self, run: Run, *, known: bool, **options: Any) -> Exchange:
        """Call it: with a known id, or with one that nobody has."""
        path = self.path
        if ":id" in path:
            path = path.replace(
                ":id", self.id(run) if known and self.id else _PREFIXES[path.split("/")[2]] + _NOBODY
            )
        return run(self.method, path, self.body(run), **options)


def _job(run: Run) -> str:
    return str(run.job["id"])


def _spare_job(run: Run) -> str:
    return str(run.spare_job["id"])


def _file(run: Run) -> str:
    return str(run.file["id"])


def _submission(run: Run) -> str:
    return str(run.submission["id"])


def _key(run: Run) -> str:
    return str(run.spare_key["id"])


def _hook(run: Run) -> str:
    return str(run.spare_endpoint["id"])


def _event(run: Run) -> str:
    return str(run.event["id"])


def _key_body(run: Run) -> Any:
    environment = "test" if run.is_sandbox else "live"
    return {"name": "Conformance check", "scopes": ["usage:read"], "environment": environment}


ENDPOINTS = (
    Endpoint("me", "me"),
    Endpoint("jobs.create", "create_job", body=lambda _: JOB),
    Endpoint("jobs.list", "list_jobs"),
    Endpoint("jobs.get", "get_job", _job),
    Endpoint("jobs.cancel", "cancel_job", _spare_job),
    Endpoint("jobs.rate", "rate_job", _spare_job, body=lambda _: {"rating": 4}),
    Endpoint("files.list", "list_files", _job),
    Endpoint("files.refresh", "refresh_url", _file, ours=True),
    Endpoint("submissions.of_job", "list_job_submissions", _job),
    Endpoint("submissions.list", "list_submissions", ours=True),
    Endpoint("submissions.summary", "summarize_submissions", ours=True),
    Endpoint("submissions.get", "get_submission", _submission, ours=True),
    Endpoint("api_keys.create", "create_key", body=_key_body),
    Endpoint("api_keys.list", "list_keys"),
    Endpoint("api_keys.rotate", "rotate_key", _key),
    Endpoint("api_keys.revoke", "revoke_key", _key),
    Endpoint("webhooks.create", "create_webhook", body=lambda run: {"url": run.hook}),
    Endpoint("webhooks.list", "list_webhooks"),
    Endpoint("webhooks.get", "get_webhook", _hook),
    Endpoint("webhooks.update", "update_webhook", _hook, body=lambda _: {"description": "x"}),
    Endpoint("webhooks.delete", "delete_webhook", _hook),
    Endpoint("webhooks.rotate_secret", "rotate_webhook_secret", _hook),
    Endpoint("events.list", "list_events"),
    Endpoint("events.replay", "replay_event", _event),
    Endpoint("credits", "get_credits"),
    Endpoint("transactions.list", "list_transactions"),
    Endpoint("purchase", "purchase", body=lambda _: {"amount_cents": 1000}),
    Endpoint("settings", "get_settings"),
    Endpoint(
        "settings.update", "update_settings", body=lambda _: {"default_price_per_file_cents": 50}, ours=True
    ),
    Endpoint("audit.list", "list_audit_events"),
)


def _hold_key(run: Run, endpoint: Endpoint) -> None:
    endpoint.ask(run, known=False, key=NO_KEY).must(refused(401))


def _hold_scope(run: Run, endpoint: Endpoint) -> None:
    # Whichever lacks it: a key for billing alone, or one for the audit trail alone.
    key = run.audit_key if endpoint.scope == "usage:read" else run.poor_key
    endpoint.ask(run, known=True, key=key).must(refused(403, "authorization_error", "forbidden"))


def _hold_unknown(run: Run, endpoint: Endpoint) -> None:
    endpoint.ask(run, known=False).must(refused(404))


for _each in ENDPOINTS:
    _line = f"{_each.method} {_each.path}"
    _writes = _each.method != "GET"
    add(
        Promise(
            f"{_each.name}.key",
            _line,
            _ERRORS,
            "Without a key, it is 401.",
            functools.partial(_hold_key, endpoint=_each),
            writes=_writes,
        )
    )
    if _each.scope is not None:
        add(
            Promise(
                f"{_each.name}.scope",
                _line,
                _TABLE,
                f"A key without the scope {_each.scope} is 403.",
                functools.partial(_hold_scope, endpoint=_each),
                writes=True,
                ours=_each.ours,
            )
        )
    if ":id" in _each.path:
        add(
            Promise(
                f"{_each.name}.unknown",
                _line,
                _ERRORS,
                "An id that nobody has is 404 not_found.",
                functools.partial(_hold_unknown, endpoint=_each),
                writes=_writes,
            )
        )


# --- idempotency keys -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Once:
    """A POST for which an idempotency key is required.

    Attributes:
        name: the start of the ids of its promises.
        path: with `:id`.
        first: the id for the path, and a body.
        other: another body; None if no other one is valid.
    """

    name: str
    path: str
    first: Callable[[Run], tuple[str, Any]]
    other: Any = None


def _key_twice(run: Run) -> tuple[str, Any]:
    return "", _key_body(run)


ONCE = (
    Once("jobs.create", "/v1/jobs", lambda _: ("", JOB), {**JOB, "files_needed": 1}),
    Once("jobs.cancel", "/v1/jobs/:id/cancel", lambda run: (str(run.new_job()["id"]), {})),
    Once(
        "jobs.rate",
        "/v1/jobs/:id/rate",
        lambda run: (str(run.own_completed_job["id"]), {"rating": 4}),
        {"rating": 5},
    ),
    Once("api_keys.create", "/v1/api_keys", _key_twice, {"name": "Another"}),
    Once(
        "webhooks.create",
        "/v1/webhook_endpoints",
        lambda run: ("", {"url": run.hook, "events": ["job.flagged"]}),
        {"url": "https://conformance.invalid/other"},
    ),
    Once(
        "purchase",
        "/v1/billing/credits/purchase",
        lambda _: ("", {"amount_cents": 1000}),
        {"amount_cents": 2500},
    ),
)


def _hold_required(run: Run, once: Once) -> None:
    id, body = once.first(run)
    run("POST", once.path.replace(":id", id), body, once=None).must(refused(400, "validation_error"))


def _hold_replay(run: Run, once: Once) -> None:
    id, body = once.first(run)
    path, key = once.path.replace(":id", id), _unique(once)
    first = run("POST", path, body, once=key).must(succeeded)
    run("POST", path, body, once=key).must(same_as(first))
    if once.other is not None:
        run("POST", path, once.other, once=key).must(
            refused(409, "idempotency_error", "idempotency_conflict", "conflict")
        )


def _unique(once: Once) -> str:
    return f"conformance {once.name} {uuid.uuid4()}"


for _once in ONCE:
    add(
        Promise(
            f"{_once.name}.idempotency_required",
            f"POST {_once.path}",
            _ONCE,
            "Without an Idempotency-Key, it is 400 validation_error.",
            functools.partial(_hold_required, once=_once),
            writes=True,
            ours=True,
        )
    )
    add(
        Promise(
            f"{_once.name}.idempotency",
            f"POST {_once.path}",
            _ONCE,
            "The same Idempotency-Key and body: the first response again. Another body: 409.",
            functools.partial(_hold_replay, once=_once),
            writes=True,
        )
    )

_CREATE = "POST /v1/jobs"


@promise(
    "idempotency.marked",
    _CREATE,
    _ONCE,
    "A response that comes again has the header Idempotent-Replayed: true.",
    writes=True,
    ours=True,
)
def _marked(run: Run) -> None:
    key = _unique(ONCE[0])
    first = run("POST", "/v1/jobs", JOB, once=key).must(succeeded)
    if "idempotent-replayed" in first.headers:
        raise DiffersError("the first response has it already", first)
    run("POST", "/v1/jobs", JOB, once=key).must(header("idempotent-replayed", "true"))


@promise(
    "idempotency.length",
    _CREATE,
    _ONCE,
    "A key of 255 characters is accepted, a longer one is 400.",
    writes=True,
    ours=True,
)
def _length(run: Run) -> None:
    start = _unique(ONCE[0])
    run("POST", "/v1/jobs", JOB, once=start.ljust(255, "x")).must(succeeded)
    run("POST", "/v1/jobs", JOB, once=start.ljust(256, "y")).must(refused(400, "validation_error"))


@promise(
    "idempotency.refused", _CREATE, _ONCE, "A refused request leaves its key free.", writes=True, ours=True
)
def _free(run: Run) -> None:
    key = _unique(ONCE[0])
    run("POST", "/v1/jobs", {**JOB, "files_needed": 0}, once=key).must(refused(400))
    run("POST", "/v1/jobs", JOB, once=key).must(succeeded)


@promise(
    "idempotency.path",
    _CREATE,
    _ONCE,
    "A key counts for one endpoint: another one takes it as new.",
    writes=True,
    ours=True,
)
def _per_path(run: Run) -> None:
    key = _unique(ONCE[0])
    job = run("POST", "/v1/jobs", JOB, once=key).must(succeeded)
    it = run("POST", f"/v1/jobs/{job.object.get('id')}/cancel", once=key).must(succeeded)
    if it.object.get("status") != "cancelled":
        raise DiffersError(
            f"the job is {it.object.get('status')} after a cancellation with the key of its creation", it
        )


@promise(
    "idempotency.together",
    _CREATE,
    _ONCE,
    "Two requests with one key at the same time create one job.",
    writes=True,
    ours=True,
)
def _together(run: Run) -> None:
    key = _unique(ONCE[0])
    asked = run.ask("POST", "/v1/jobs", JOB, once=key)
    other = run.begin(asked)
    first = run.send(asked).must(succeeded)
    try:
        second = other.result(run.patience)
    except TimeoutError:
        raise NotTriedError("the second request got no response in time") from None
    run.note(second)
    if second.status == 409:
        return  # refused while the first one is in flight: nothing was created twice
    second.must(same_as(first))
