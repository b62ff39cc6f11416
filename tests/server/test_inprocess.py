"""`deliver_to`: webhooks into an application of this process."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from client.support import JOB
from firsthandapi import FirstHandClient
from firsthandapi.testing import MockServer
from firsthandapi.types import WebhookEndpoint
from firsthandapi.webhooks import unwrap

Seen = list[tuple[str, bytes, dict[str, str]]]


def of_starlette(seen: Seen) -> Any:
    """Through a middleware and a stream, which both wait for the client to go."""

    async def receive(request: Request) -> Response:
        seen.append((str(request.url), await request.body(), dict(request.headers)))
        return StreamingResponse(iter(["o", "k"]))

    async def pass_on(request: Request, call_next: Any) -> Response:
        response: Response = await call_next(request)
        return response

    app = Starlette(routes=[Route("/webhooks", receive, methods=["POST"])])
    app.add_middleware(BaseHTTPMiddleware, dispatch=pass_on)
    return app


def of_asgi(seen: Seen) -> Any:
    """A function that returns what is awaited."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        body = (await receive())["body"]
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        seen.append(
            (f"http://{headers['host']}{scope['path']}?{scope['query_string'].decode()}", body, headers)
        )
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    return lambda scope, receive, send: app(scope, receive, send)


def of_wsgi(seen: Seen) -> Any:
    """As Flask and Django have it."""

    def app(environ: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
        body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
        headers = {
            name.removeprefix("HTTP_").lower().replace("_", "-"): value
            for name, value in environ.items()
            if name.startswith(("HTTP_", "CONTENT_"))
        }
        seen.append(
            (f"http://{environ['HTTP_HOST']}{environ['PATH_INFO']}?{environ['QUERY_STRING']}", body, headers)
        )
        start_response("200 OK", [])
        return [b"ok"]

    return app


@pytest.mark.parametrize("kind", [of_starlette, of_asgi, of_wsgi, lambda seen: partial(of_asgi(seen))])
def test_an_application_gets_signed_events(
    firsthand_server: MockServer, firsthand_client: FirstHandClient, kind: Callable[[Seen], Any]
) -> None:
    """It is an endpoint like any other, and those of the job are there when the wait for it returns."""
    seen: Seen = []
    endpoint = firsthand_server.deliver_to(kind(seen), "/webhooks?a=b")
    assert isinstance(endpoint, WebhookEndpoint)
    job = firsthand_client.jobs.create_and_wait(**JOB)
    events = [unwrap(body, headers, endpoint.secret or "") for _, body, headers in seen]
    assert {url for url, *_ in seen} == {"http://localhost/webhooks?a=b"}
    assert {event.type for event in events} >= {"submission.scored", "job.completed"}
    assert {delivery.status for delivery in firsthand_server.webhook_deliveries} == {"delivered"}
    assert [webhook.id for webhook in firsthand_client.webhooks.list()] == [endpoint.id]
    assert firsthand_client.jobs.get(job.id).status == "completed"


def test_an_exception_is_an_attempt_that_failed(
    fresh_server: MockServer, caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged, and the delivery is repeated."""
    answers = [ValueError("no such order"), None]

    def app(_environ: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
        start_response("200 OK" if answers[0] is None else "500 Oh", [])
        if (error := answers.pop(0)) is not None:
            raise error
        return []

    fresh_server.deliver_to(app)
    fresh_server.emit("job.paused", {})
    fresh_server.clock.advance(minutes=1)
    (delivery,) = fresh_server.webhook_deliveries
    assert (delivery.url, delivery.status) == ("http://localhost/webhooks", "delivered")
    assert [(attempt.status, attempt.error) for attempt in delivery.attempts] == [
        (500, "ValueError: no such order"),
        (200, None),
    ]
    assert "no such order" in caplog.text


def test_an_application_that_hangs_is_given_up(
    fresh_server: MockServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the time that any receiver has."""
    monkeypatch.setattr("firsthandapi_server.http.deliveries.TIMEOUT", 0.05)

    async def app(_scope: Any, receive: Any, _send: Any) -> None:
        while True:
            await receive()

    fresh_server.deliver_to(app)
    fresh_server.emit("job.paused", {})
    fresh_server.wait_idle()
    ((attempt,),) = [delivery.attempts for delivery in fresh_server.webhook_deliveries]
    assert (attempt.status, (attempt.error or "")[:12]) == (None, "TimeoutError")
    with pytest.raises(ValueError, match="slash"):
        fresh_server.deliver_to(app, "webhooks")
    fresh_server.reset()
    fresh_server.emit("job.paused", {})
    assert fresh_server.webhook_deliveries == []
