"""Idempotency keys: what makes it safe to send a POST again."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

from firsthandapi.conformance._checks import has_header, refused, same_as, shows, status, succeeded
from firsthandapi.conformance._exchange import NotTriedError
from firsthandapi.conformance._promises import add, promise
from firsthandapi.conformance._run import JOB, Run

from .endpoints import ENDPOINTS, Endpoint

_ONCE = '§1 "Idempotency"'
# An id with which the call succeeds.
_FIT: dict[str, Callable[[Run], Any]] = {
    "cancel_job": lambda run: run.new_job()["id"],
    "rate_job": lambda run: run.own_completed_job["id"],
}
ONCE = [each for each in ENDPOINTS if each.operation.needs_idempotency_key]


def _call(endpoint: Endpoint, run: Run) -> tuple[str, Any, Any]:
    """A path, a body, and another body, with which the call succeeds."""
    fit = _FIT.get(endpoint.operation.name)
    return endpoint.path(run, fit and fit(run)), *endpoint.bodies(run)


def _hold_required(endpoint: Endpoint, run: Run) -> None:
    path, body, _ = _call(endpoint, run)
    run.post(path, body, once=None).must(refused(400, "validation_error"))


def _hold_replay(endpoint: Endpoint, run: Run) -> None:
    (path, body, other), key = _call(endpoint, run), _unique()
    first = run.post(path, body, once=key).must(succeeded)
    run.post(path, body, once=key).must(same_as(first))
    if other != body:
        it = run.post(path, other, once=key)
        it.must(refused(409, "idempotency_error", "idempotency_conflict", "conflict"))


def _unique() -> str:
    return f"conformance {uuid.uuid4()}"


for _each in ONCE:
    _says = "Without an Idempotency-Key, it is 400 validation_error."
    add(f"{_each.name}.idempotency_required", _each.line, _ONCE, _says, _hold_required, _each, ours=True)
    _says = "The same Idempotency-Key and body: the first response again. Another body: 409."
    add(f"{_each.name}.idempotency", _each.line, _ONCE, _says, _hold_replay, _each)


def _order(run: Run, once: str, **options: Any) -> Any:
    return run.post("/v1/jobs", JOB, once=once, **options).must(succeeded).object.get("id")


@promise("idempotency.marked", "POST /v1/jobs", _ONCE, ours=True)
def _marked(run: Run) -> None:
    """A response that comes again has the header Idempotent-Replayed: true."""
    asked = run.ask("POST", "/v1/jobs", JOB)
    run.send(asked).must(succeeded, has_header("idempotent-replayed", None))
    run.send(asked).must(has_header("idempotent-replayed", "true"))


@promise("idempotency.length", "POST /v1/jobs", _ONCE, ours=True)
def _length(run: Run) -> None:
    """A key of 255 characters is accepted, a longer one is 400."""
    _order(run, _unique().ljust(255, "x"))
    run.post("/v1/jobs", JOB, once=_unique().ljust(256, "y")).must(refused(400, "validation_error"))


@promise("idempotency.whole", "POST /v1/jobs", _ONCE)
def _whole(run: Run) -> None:
    """Keys are compared to their last character, and in upper and lower case."""
    start = _unique().ljust(254, "x")
    keys = [f"{start[:number]}{end}" for number in (32, 64, 128, 254) for end in "xyX"]
    ids = [_order(run, key) for key in dict.fromkeys(keys)]
    run.hold(len({*ids}) == len(ids), "two keys that differ late, or in case, count as one")


@promise("idempotency.refused", "POST /v1/jobs", _ONCE, ours=True)
def _free(run: Run) -> None:
    """A refused request leaves its key free."""
    key = _unique()
    run.post("/v1/jobs", {**JOB, "files_needed": 0}, once=key).must(refused(400))
    _order(run, key)


@promise("idempotency.errors", "POST /v1/jobs/:id/rate", _ONCE, ours=True)
def _errors(run: Run) -> None:
    """An error is not kept: once its cause is gone, the same request with the same key succeeds."""
    run.needs_control("a worker")
    job = run.new_job(min_star_rating=3)["id"]
    asked = run.ask("POST", f"/v1/jobs/{job}/rate", {"rating": 4})
    run.send(asked).must(status(409), has_header("idempotent-replayed", None))
    run.work(job, 5, 5)
    run.send(asked).must(status(200), has_header("idempotent-replayed", None))


@promise("idempotency.path", "POST /v1/jobs", _ONCE, ours=True)
def _per_path(run: Run) -> None:
    """A key counts for one endpoint: another one takes it as new."""
    key = _unique()
    run.cancel(_order(run, key), once=key).must(succeeded, shows(status="cancelled"))


@promise("idempotency.strangers", "POST /v1/jobs", _ONCE, ours=True)
def _per_organization(run: Run) -> None:
    """A key counts for one organization: another one gets a job of its own."""
    key = _unique()
    ids = [_order(run, key), _order(run, key, key=run.strangers[0])]
    run.hold(ids[0] != ids[1], "another organization gets the response that a key brought this one")


@promise("idempotency.together", "POST /v1/jobs", _ONCE, ours=True)
def _together(run: Run) -> None:
    """Two requests with one key at the same time create one job."""
    asked = run.ask("POST", "/v1/jobs", JOB)
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
