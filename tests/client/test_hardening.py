"""Things that went wrong once: each of these would tell if they did again."""

from __future__ import annotations

import gc
import time

import httpx
import pytest
import trio

from firsthandapi import (
    FirstHandClient,
    FirstHandConnectionError,
    ServerError,
    UnexpectedResponseError,
)
from firsthandapi.testing import MockServer

from .support import JOB, KEY


def answering(response: httpx.Response, **options: object) -> FirstHandClient:
    http_client = httpx.Client(transport=httpx.MockTransport(lambda _: response))
    return FirstHandClient(KEY, http_client=http_client, **options)


@pytest.mark.parametrize(
    "response",
    [
        httpx.Response(200, headers={"content-type": f"text/x; k={KEY}"}, content=b"<html>"),
        httpx.Response(200, headers={"x-request-id": KEY}, json=[]),
        httpx.Response(500, headers={"x-request-id": KEY}, json={"error": {"message": KEY, "type": KEY}}),
    ],
)
def test_an_echoed_key_is_in_no_message(response: httpx.Response) -> None:
    """Whatever a gateway puts the key into, messages and reprs do not pass it on."""
    with (
        answering(response, max_retries=0) as client,
        pytest.raises((UnexpectedResponseError, ServerError)) as caught,
    ):
        client.me()
    text = f"{caught.value} {caught.value!r} {getattr(caught.value, 'response', '')!r} {client._config!r}"
    assert "5ecret" not in text


def test_a_wait_does_not_sit_out_a_certificate(fresh_server: MockServer) -> None:
    """TLS that fails will fail again: the wait ends at once and says so."""
    address = fresh_server.url.replace("http:", "https:")
    started = time.monotonic()
    with (
        FirstHandClient(KEY, address) as client,
        pytest.raises(FirstHandConnectionError, match="could not connect"),
    ):
        client.jobs.wait("job_1", timeout=60)
    assert time.monotonic() - started < 30


def test_an_id_of_the_service_steers_no_path() -> None:
    """A job whose id is a path is not asked for."""
    response = httpx.Response(201, json={"id": "job_1/cancel", "status": "open"})
    with answering(response) as client, pytest.raises(UnexpectedResponseError, match="is paid for") as raised:
        client.jobs.create_and_wait(**JOB)
    assert raised.value.job is not None
    assert raised.value.job.id == "job_1/cancel"
    assert raised.value.idempotency_key in str(raised.value)
    assert raised.value.request_sent


def test_copies_with_other_keys_are_forgotten() -> None:
    """A program that serves many customers by copies does not keep their keys."""
    with FirstHandClient(KEY, "http://127.0.0.1:1") as client:
        for number in range(100):
            client.with_options(api_key=f"fh_live_{number}")
        gc.collect()
        assert len(client._shared._key_states) == 1


def test_a_walk_left_early_is_quiet_under_trio(fresh_server: MockServer) -> None:
    """`break` out of `async for` leaves no generator that the loop would have to close."""

    async def walk() -> None:
        async with fresh_server.async_client() as client:
            for _ in range(2):
                await client.jobs.create(**JOB)
            async for _job in client.jobs.list(limit=1):
                break
            async for _page in client.jobs.list(limit=1).pages():
                break
        gc.collect()

    trio.run(walk)
