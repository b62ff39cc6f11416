"""Webhooks into an ASGI or WSGI application of this process, without a socket."""

from __future__ import annotations

import asyncio
import inspect
import io
import logging
import sys
import threading
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, cast

log = logging.getLogger("firsthandapi.testing")


# What an application responds, and what it raised, in words: the first may come without the second, and vice versa.
Started = Callable[[int], None]
Outcome = tuple[int | None, str | None]


class InProcess:
    """Applications on one event loop, in a thread that ends with the server."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()

    def post(self, app: Any, path: str, headers: Mapping[str, str], body: bytes, timeout: float) -> Outcome:
        """Let an application handle a POST. What it raises is logged, and in the result."""
        statuses: list[int] = []
        call = _asgi if _is_asgi(app) else _wsgi
        handled = call(app, path, headers, body, statuses.append)
        future = asyncio.run_coroutine_threadsafe(handled, self._running())
        problem = None
        try:
            future.result(timeout)
        except Exception as error:
            future.cancel()
            log.exception("the application failed on a webhook")
            problem = f"{type(error).__name__}: {error}"
        return statuses[-1] if statuses else None, problem

    def stop(self) -> None:
        """End the thread."""
        if self._loop is not None and self._thread is not None:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()
            self._loop = None

    def _running(self) -> asyncio.AbstractEventLoop:
        with self._starting:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
                self._thread.start()
            return self._loop


def _is_asgi(app: Any) -> bool:
    """Whether an application takes scope, receive, and send, not environ and start_response."""
    function = app
    while isinstance(function, partial):
        function = cast("Any", function.func)
    if any(map(inspect.iscoroutinefunction, (function, type(function).__call__))):
        return True
    parameters = [*inspect.signature(app).parameters.values()]
    return sum(slot.default is slot.empty and slot.kind < slot.VAR_POSITIONAL for slot in parameters) == 3


async def _asgi(app: Any, path: str, headers: Mapping[str, str], body: bytes, started: Started) -> None:
    path, _, query = path.partition("?")
    messages = [{"type": "http.request", "body": body, "more_body": False}]
    is_complete = asyncio.Event()

    async def receive() -> dict[str, Any]:
        if messages:
            return messages.pop()
        await is_complete.wait()
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            started(message["status"])
        elif not message.get("more_body"):
            is_complete.set()

    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()],
        "client": ("127.0.0.1", 0),
        "server": ("localhost", 80),
        "state": {},
    }
    await app(scope, receive, send)


async def _wsgi(app: Any, path: str, headers: Mapping[str, str], body: bytes, started: Started) -> None:
    path, _, query = path.partition("?")
    environ: dict[str, Any] = {
        "REQUEST_METHOD": "POST",
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    for name, value in headers.items():
        key = name.upper().replace("-", "_")
        environ[key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"] = value

    def start_response(status: str, _headers: Any, _error: Any = None) -> Callable[[bytes], object]:
        started(int(status.split()[0]))
        return len

    def call() -> None:
        result = app(environ, start_response)
        try:
            for _ in result:
                pass
        finally:
            getattr(result, "close", lambda: None)()

    await asyncio.to_thread(call)
