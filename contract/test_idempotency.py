"""Idempotency keys: what makes it safe to send a POST again."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from .checks import has_header, refused, same_as, shows, status, succeeded
from .exchange import Key
from .server import NEW_JOB, Server


@pytest.fixture
def once() -> str:
    """An idempotency key."""
    return f"contract {uuid.uuid4()}"


def _order(server: Server, once: str, **options: Any) -> Any:
    return server.post("/v1/jobs", NEW_JOB, once=once, **options).must(succeeded).object.get("id")


def test_idempotency_marked(server: Server) -> None:
    """A response that comes again has the header Idempotent-Replayed: true. (§1 "Idempotency" ‡)"""
    order = server.request("POST", "/v1/jobs", NEW_JOB)
    server.send(order).must(succeeded, has_header("idempotent-replayed", None))
    server.send(order).must(has_header("idempotent-replayed", "true"))


def test_idempotency_length(server: Server, once: str) -> None:
    """A key of 255 characters is accepted, a longer one is 400. (§1 "Idempotency" ‡)"""
    _order(server, once.ljust(255, "x"))
    server.post("/v1/jobs", NEW_JOB, once=once.ljust(256, "y")).must(refused(400, "validation_error"))


def test_idempotency_whole(server: Server, once: str) -> None:
    """Keys are compared to their last character, and in upper and lower case. (§1 "Idempotency")"""
    start = once.ljust(254, "x")
    keys = dict.fromkeys(f"{start[:length]}{end}" for length in (32, 64, 128, 254) for end in "xyX")
    ids = [_order(server, key) for key in keys]
    assert len({*ids}) == len(ids), "two keys that differ late, or in case, count as one"


def test_idempotency_refused(server: Server, once: str) -> None:
    """A refused request leaves its key free. (§1 "Idempotency" ‡)"""
    server.post("/v1/jobs", {**NEW_JOB, "files_needed": 0}, once=once).must(refused(400))
    _order(server, once)


def test_idempotency_errors(server: Server) -> None:
    """An error is not kept: once its cause is gone, the same request succeeds. (§1 "Idempotency" ‡)"""
    server.needs_control("a worker")
    job = server.new_job(min_star_rating=3)["id"]
    rating = server.request("POST", f"/v1/jobs/{job}/rate", {"rating": 4})
    server.send(rating).must(status(409), has_header("idempotent-replayed", None))
    server.work(job, 5, 5)
    server.send(rating).must(status(200), has_header("idempotent-replayed", None))


def test_idempotency_path(server: Server, once: str) -> None:
    """A key counts for one endpoint: another one takes it as new. (§1 "Idempotency" ‡)"""
    server.cancel(_order(server, once), once=once).must(succeeded, shows(status="cancelled"))


def test_idempotency_strangers(server: Server, once: str, strangers: tuple[Key, Key]) -> None:
    """A key counts for one organization: another one gets a job of its own. (§1 "Idempotency" ‡)"""
    ids = [_order(server, once), _order(server, once, key=strangers[0])]
    assert ids[0] != ids[1], "another organization gets the response that a key brought this one"


def test_idempotency_together(server: Server) -> None:
    """Two requests with one key at the same time create one job. (§1 "Idempotency" ‡)"""
    order = server.request("POST", "/v1/jobs", NEW_JOB)
    future = server.begin(order)
    first = server.send(order).must(succeeded)
    second = future.result()
    server.note(second)
    if second.status != 409:  # refused while the first one is in flight: nothing was created twice
        second.must(same_as(first))
