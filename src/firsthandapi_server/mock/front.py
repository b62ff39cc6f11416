"""The layer before the application: request log and faults, down to the bytes on the wire."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Iterable
from email.utils import formatdate
from http.client import responses
from typing import Any
from urllib.parse import parse_qsl

from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from firsthandapi_server.contract.errors import ApiError
from firsthandapi_server.http.app import App
from firsthandapi_server.http.downloads import expired
from firsthandapi_server.http.gate import refusal
from firsthandapi_server.http.pagination import TOP
from firsthandapi_server.http.reading import MAX_BODY, MAX_UPLOAD, read_body
from firsthandapi_server.http.requests import ReceivedRequest, RequestLog, replay, until_gone
from firsthandapi_server.http.responses import error_response, json_bytes
from firsthandapi_server.http.signing import LIFETIME
from firsthandapi_server.rules.faults import Fault, Faults

log = logging.getLogger("firsthandapi.testing")
log.addHandler(logging.NullHandler())

_CHUNK = 256 * 1024
_JSON = (b"content-type", b"application/json")
_GARBAGE = b"<html><body>It works!</body></html>"
_ERROR_TYPES = {
    400: "validation_error",
    401: "authentication_error",
    402: "insufficient_credits",
    403: "authorization_error",
    404: "not_found",
    409: "conflict",
    410: "gone",
    422: "validation_error",
    429: "rate_limit_exceeded",
    502: "bad_gateway",
    503: "service_unavailable",
    504: "gateway_timeout",
}


class Front:
    """The ASGI callable that the server runs."""

    def __init__(
        self,
        app: App,
        faults: Faults,
        control: Callable[[], ASGIApp],
        console: Callable[[], ASGIApp],
        on_request: Callable[[ReceivedRequest], None] | None,
        public: str | None = None,
    ) -> None:
        self._app = app
        self._faults = faults
        self._control = control
        self._console = console
        self._public = public
        self.log = RequestLog(on_request)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refused = refusal(scope["method"], scope["headers"], self._public)
        is_control = (scope["path"] + "/").startswith("/_control/")
        try:
            body = await read_body(receive, 0 if refused else MAX_UPLOAD if is_control else MAX_BODY + 1)
            if refused:
                raise refused
        except ClientDisconnect:
            return  # the client hung up before the end of its request
        except ApiError as error:
            envelope = self._dated(error_response(error))
            envelope.headers["connection"] = "close"
            await _send(envelope, send)
            return
        if is_control:
            await _send(await self._handle(self._control(), scope, body, receive), send)
            return
        if (scope["path"] + "/").startswith("/console/"):
            # Not collected first: a page that is open stays connected, to learn of changes.
            await self._show(scope, replay(body, receive), send)
            return
        entry = self.log.add(scope, body)
        fault = self._faults.strike(scope["method"], scope["path"])
        reply = await self._reply(scope, body, receive, fault)
        drop = None if fault is None else fault.drop
        status = None if reply is None or drop else reply.status_code
        # Before the first byte is sent, so that a client with a response finds it in the log.
        self.log.ended(entry, status, () if reply is None else reply.raw_headers, drop)
        if reply is None or drop:
            scope["state"]["transport"].abort()
            await until_gone(receive)
            return
        if fault and fault.dribble:
            await _dribble(scope, reply, receive, fault.dribble)
        elif fault and fault.cut is not None:
            await _send(reply, send, fault.cut)
            scope["state"]["transport"].close()
            await until_gone(receive)
        else:
            await _send(reply, send)

    async def _show(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._console()(scope, receive, send)
        except ModuleNotFoundError as error:
            if error.name != "jinja2":
                raise
            words = 'The console needs Jinja2: pip install "firsthandapi[testing]".'
            await _send(self._dated(Response(words, 503, media_type="text/plain")), send)
        except Exception:
            log.exception("the console failed on %s %s", scope["method"], scope["path"])
            raise

    async def _reply(
        self, scope: Scope, body: bytes, receive: Receive, fault: Fault | None
    ) -> Response | None:
        if fault is None:
            return await self._handle(self._app.asgi, scope, body, receive)
        if fault.delay:
            await asyncio.sleep(fault.delay)
        if fault.drop == "before":
            return None
        is_download = scope["path"].startswith("/files/")
        if fault.status is not None:
            reply = self._dated(_failure(fault.status, f"Status {fault.status}, as asked for."))
        elif fault.expired_url and is_download:
            reply = self._dated(expired())
        else:
            reply = await self._handle(self._app.asgi, scope, body, receive)
            self._spoil(reply, fault, scope)
        if fault.retry_after is not None:
            reply.headers["retry-after"] = f"{fault.retry_after}"
        reply.headers.update(fault.headers)
        return reply

    async def _handle(self, app: ASGIApp, scope: Scope, body: bytes, receive: Receive) -> Response:
        reply = Response()

        async def send(message: Message) -> None:
            if message["type"] == "http.response.start":
                reply.status_code = message["status"]
                reply.raw_headers = [*message["headers"]]
            else:
                reply.body = bytes(reply.body) + message.get("body", b"")

        try:
            await app(scope, replay(body, receive), send)
        except Exception:
            log.exception("the mock server failed on %s %s", scope["method"], scope["path"])
            reply = _failure(500, "The bundled server has a bug; its log shows where.")
        return self._dated(reply)

    def _dated(self, reply: Response) -> Response:
        reply.headers["date"] = formatdate(self._app.client_time(), usegmt=True)
        return reply

    def _spoil(self, reply: Response, fault: Fault, scope: Scope) -> None:
        if not 200 <= reply.status_code < 300:
            return
        if fault.garbage:
            reply.status_code = 200
            reply.body = _GARBAGE
            reply.headers["content-type"] = "text/html"
        elif (fault.expired_url or fault.repeat_cursor) and _JSON in reply.raw_headers:
            content = json.loads(bytes(reply.body))
            if fault.expired_url:
                self._expire_urls(content)
            if fault.repeat_cursor and content.get("object") == "list":
                query = dict(parse_qsl(scope["query_string"].decode("latin-1")))
                content.update(has_more=True, next_cursor=query.get("cursor", TOP))
            reply.body = json_bytes(content)
        reply.headers["content-length"] = str(len(reply.body))

    def _expire_urls(self, content: dict[str, Any]) -> None:
        then = self._app.world.clock.now() - LIFETIME - 60
        for item in content.get("data", [content]):
            for name in ("download_url", "file_url"):
                if item.get(name):
                    path = item[name].removeprefix(self._app.base_url).partition("?")[0]
                    item[name] = self._app.base_url + self._app.signer.sign(path, then)[0]


def _failure(status: int, message: str) -> Response:
    return error_response(ApiError(status, _ERROR_TYPES.get(status, "internal_error"), message))


async def _send(reply: Response, send: Send, only: int | None = None) -> None:
    await send({"type": "http.response.start", "status": reply.status_code, "headers": reply.raw_headers})
    body = reply.body if only is None else reply.body[:only]
    for start in range(0, max(len(body), 1), _CHUNK):
        more = only is not None or start + _CHUNK < len(body)
        await send({"type": "http.response.body", "body": body[start : start + _CHUNK], "more_body": more})


async def _dribble(scope: Scope, reply: Response, receive: Receive, seconds: float) -> None:
    """Byte by byte, past the HTTP library, since that sends headers in one piece."""
    transport = scope["state"]["transport"]
    reply.headers["connection"] = "close"
    for byte in _wire(reply, is_head=scope["method"] == "HEAD"):
        if transport.is_closing():
            break
        transport.write(bytes((byte,)))
        await asyncio.sleep(seconds)
    transport.close()
    await until_gone(receive)


def _wire(reply: Response, *, is_head: bool) -> Iterable[int]:
    lines = [f"HTTP/1.1 {reply.status_code} {responses.get(reply.status_code, '')}".encode()]
    lines += [name + b": " + value for name, value in reply.raw_headers]
    return b"\r\n".join([*lines, b"", b"" if is_head else bytes(reply.body)])
