"""The known faults of the published 0.1.0 (contract §8). Each has a test here that would have caught it."""

from __future__ import annotations

import time
from email.utils import formatdate

import httpx
import pytest

from firsthandapi.errors import FirstHandApiError, InsufficientCreditsError, ServerError
from firsthandapi.testing import MockServer

from .support import JOB, Connect


def test_retry_after_is_obeyed(connect: Connect, fresh_server: MockServer) -> None:
    """0.1.0 ignored `Retry-After` and retried into the same 429."""
    client = connect(fresh_server)
    clock = connect.clock(client)
    fresh_server.faults.add(status=429, retry_after=17)
    client.me()
    assert clock.sleeps == [17]


def test_retry_after_as_a_date_does_not_crash(connect: Connect, fresh_server: MockServer) -> None:
    """0.1.0 crashed on a `Retry-After` that is an HTTP-date."""
    client = connect(fresh_server)
    clock = connect.clock(client)
    now = time.time()
    date = {"Date": formatdate(now, usegmt=True)}
    fresh_server.faults.add(status=429, retry_after=formatdate(now + 9, usegmt=True), headers=date)
    client.me()
    assert clock.sleeps == [9]


@pytest.mark.parametrize("what", ["purchase", "key"])
def test_purchases_and_new_keys_carry_an_idempotency_key(
    what: str, connect: Connect, fresh_server: MockServer
) -> None:
    """0.1.0 retried purchases and key creation without an idempotency key: they could happen twice."""
    client = connect(fresh_server)
    connect.clock(client)
    fresh_server.faults.add(method="POST", drop="after")
    made = client.billing.purchase(1000) if what == "purchase" else client.api_keys.create(name="CI")
    first, second = fresh_server.requests
    assert first.headers["idempotency-key"] == second.headers["idempotency-key"]
    assert made.response.idempotent_replay
    if what == "key":
        assert len([key for key in client.api_keys.list() if key.name == "CI"]) == 1


def test_a_long_poll_outlives_the_timeout(connect: Connect) -> None:
    """0.1.0's timeout of 30 s cut every long-poll of 60 s."""
    seen: list[float] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.extensions["timeout"]["read"])
        return httpx.Response(200, json={"id": "job_1", "status": "open"})

    client = connect(handler=answer)
    client.jobs.get("job_1", wait=60)
    client.jobs.get("job_1")
    assert seen == [90, 30]


def test_an_error_of_null_does_not_crash(connect: Connect) -> None:
    """0.1.0 crashed on `"error": null`."""
    client = connect(handler=lambda request: httpx.Response(500, json={"error": None}), max_retries=0)
    with pytest.raises(ServerError) as caught:
        client.me()
    assert caught.value.type == "unknown"


@pytest.mark.parametrize("nested", [True, False])
def test_the_extras_of_a_402_are_kept(nested: bool, connect: Connect) -> None:
    """0.1.0 dropped what a 402 says of the balance."""
    extras = {
        "current_balance_cents": 5,
        "required_cents": 100,
        "shortfall_cents": 95,
        "purchase_url": "https://p",
    }
    error = {"type": "insufficient_credits", "message": "No."}
    body = {"error": {**error, **extras}} if nested else {"error": error, **extras}
    client = connect(handler=lambda request: httpx.Response(402, json=body))
    with pytest.raises(InsufficientCreditsError) as caught:
        client.jobs.create(**JOB)
    assert {name: getattr(caught.value, name) for name in extras} == extras


def test_a_method_that_does_not_exist_says_what_does(connect: Connect) -> None:
    """0.1.0's README named methods that did not exist; the old names now lead to the new ones."""
    client = connect()
    with pytest.raises(AttributeError, match=r"use client\.jobs\.create_and_wait"):
        _ = client.create_job_and_wait
    assert callable(client.jobs.create_and_wait)
    assert issubclass(ServerError, FirstHandApiError)
