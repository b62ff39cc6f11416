"""Deprecated endpoints: a warning, once an endpoint, at the caller's line."""

from __future__ import annotations

import asyncio
import warnings
from datetime import UTC, datetime
from typing import Any

import pytest

from firsthandapi.errors import GoneError
from firsthandapi.testing import MockServer

from .support import JOB, Connect

SUNSET = datetime(2099, 1, 1, tzinfo=UTC)


def caught(call: Any) -> list[warnings.WarningMessage]:
    with warnings.catch_warnings(record=True) as records:
        warnings.simplefilter("always")
        call()
    return records


def test_once_an_endpoint(connect: Connect, fresh_server: MockServer) -> None:
    """Each deprecated endpoint warns once, whatever ids it is called with, also through copies."""
    fresh_server.deprecate("/v1", sunset=SUNSET, link="https://docs.example/new?X-Amz-Signature=5ecret")
    client = connect(fresh_server)

    def calls() -> None:
        for _ in range(2):
            for _ in range(2):
                job = client.jobs.create(**JOB)
                client.jobs.get(job.id)
            client.with_options(timeout=5).me()
            client.webhooks.list()
            client.webhooks.events.list()

    records = caught(calls)
    assert [warning.category for warning in records] == [DeprecationWarning] * 5
    endpoints = [
        str(warning.message).partition(";")[0].removeprefix("FirstHandAPI has deprecated ")
        for warning in records
    ]
    assert endpoints == [
        "POST /v1/jobs",
        "GET /v1/jobs/:id",
        "GET /v1/me",
        "GET /v1/webhook_endpoints",
        "GET /v1/webhook_events",
    ]
    text = str(records[0].message)
    assert "Thu, 01 Jan 2099 00:00:00 GMT" in text
    assert "https://docs.example/new" in text
    assert "5ecret" not in text


def test_the_warning_is_the_caller_s(fresh_server: MockServer) -> None:
    """The warning names the line that called, sync and async, at the first attempt and after retries."""
    fresh_server.deprecate("/v1")
    with fresh_server.client() as client:
        (warning,) = caught(client.me)
        assert warning.filename == __file__
        (warning,) = caught(lambda: list(client.jobs.list()))
        assert warning.filename == __file__
    with fresh_server.client() as client:
        client._transport.shared.clock.sleep = lambda seconds: None
        fresh_server.faults.add(status=503, times=2)
        (warning,) = caught(client.me)
        assert warning.filename == __file__

    async def main() -> None:
        async with fresh_server.async_client() as client:
            await client.me()
            await client.jobs.list()
            [job async for job in client.jobs.list(limit=1)]
            job = await client.jobs.create(**JOB)
            await client.jobs.cancel(job.id)

    records = caught(lambda: asyncio.run(main()))
    assert len(records) == 4
    assert {warning.filename for warning in records} == {__file__}


def test_without_details(connect: Connect, fresh_server: MockServer) -> None:
    """A bare `Deprecation` header is enough, and nothing is made up."""
    client = connect(fresh_server)
    fresh_server.faults.add(headers={"Deprecation": "true"})
    (warning,) = caught(client.me)
    message = "FirstHandAPI has deprecated GET /v1/me. A newer firsthandapi may use its successor"
    assert str(warning.message) == message
    assert caught(client.me) == []


def test_a_warning_as_an_error(connect: Connect, fresh_server: MockServer) -> None:
    """Who makes warnings errors gets this one, and the client works on."""
    client = connect(fresh_server)
    fresh_server.faults.add(headers={"Deprecation": "true"})
    with pytest.raises(DeprecationWarning):
        client.me()
    assert client.me().response.status_code == 200


def test_a_warning_as_an_error_does_not_cost_a_job(
    connect: Connect, fresh_server: MockServer, caplog: pytest.LogCaptureFixture
) -> None:
    """Where warnings are errors, the answer to a POST, which may have been paid for, is given; the note is logged."""
    client = connect(fresh_server)
    fresh_server.faults.add(headers={"Deprecation": "true"})
    assert client.jobs.create(**JOB).status == "open"
    assert [(record.name, record.getMessage().partition(".")[0]) for record in caplog.records] == [
        ("firsthandapi", "FirstHandAPI has deprecated POST /v1/jobs")
    ]


def test_after_the_sunset(connect: Connect, fresh_server: MockServer) -> None:
    """An endpoint that was switched off is a GoneError that says to upgrade."""
    fresh_server.deprecate("/v1/me", sunset=datetime(2020, 1, 1, tzinfo=UTC))
    client = connect(fresh_server)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(GoneError, match="upgrade firsthandapi"):
            client.me()
