"""uvicorn in a thread: its own event loop, a socket bound immediately, and a stop that waits for nobody."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import threading
from typing import Any, cast

import h11
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from firsthandapi.server.contract.errors import ApiError

from .responses import error_response

_MAX_CONNECTIONS = 2000
_MAX_IDLE = 1000
_HEAD_SECONDS = 30.0

_log = logging.getLogger("firsthandapi.testing.http")
_log.setLevel(logging.CRITICAL + 1)  # tests send junk on purpose: it is not worth a line


class _Protocol(H11Protocol):
    """uvicorn's protocol, silent, with its transport within reach of the faults."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # uvicorn gives this one
        self.logger = _log
        self.access_log = False
        self.app_state = {"transport": transport}
        super().connection_made(transport)
        self._head_timer: asyncio.TimerHandle | None = None
        self.heard = self.loop.time()
        if len(self.connections) > _MAX_CONNECTIONS:
            transport.abort()
            return
        self._expect_head()
        if len(self.connections) > _MAX_IDLE:
            self._make_room()

    def data_received(self, data: bytes) -> None:
        """Limit the time for a request's head: uvicorn limits only the time between requests."""
        self.heard = self.loop.time()
        super().data_received(data)
        self._expect_head()

    def _make_room(self) -> None:
        """Of too many connections without a request, close the one that has been silent longest."""
        idle = [
            each
            for each in cast("set[_Protocol]", self.connections)
            if each.conn.their_state is h11.IDLE and not each.transport.is_closing()
        ]
        if len(idle) > _MAX_IDLE:
            min(idle, key=lambda each: each.heard).transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is expected any more."""
        super().connection_lost(exc)
        self._stop_head_timer()

    def _expect_head(self) -> None:
        if self.conn.their_state is not h11.IDLE:
            self._stop_head_timer()
        elif self._head_timer is None:
            self._head_timer = self.loop.call_later(_HEAD_SECONDS, self._give_up)

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _give_up(self) -> None:
        if self.conn.their_state is h11.IDLE:
            self.transport.close()

    def send_400_response(self, msg: str) -> None:
        """Answer bytes that are not HTTP with the documented envelope."""
        if not self.transport.is_closing():
            response = error_response(ApiError(400, "validation_error", msg))
            headers = b"".join(name + b": " + value + b"\r\n" for name, value in response.raw_headers)
            head = b"HTTP/1.1 400 Bad Request\r\n" + headers + b"connection: close\r\n\r\n"
            self.transport.write(head + bytes(response.body))
            self.transport.close()


class HttpServer:
    """Serves an ASGI application on a port, of this machine only unless told, from a daemon thread.

    uvicorn's own `Server` polls for its end every 0.1 s and waits for clients to hang up. A server that
    tests start and stop by the hundred must stop immediately: so only its protocol is used, and its
    connections are cut.
    """

    def __init__(self, app: Any, port: int, host: str = "127.0.0.1") -> None:
        self._config = Config(
            app,
            interface="asgi3",
            http=_Protocol,
            ws="none",
            lifespan="off",
            log_config=None,
            proxy_headers=False,
            timeout_keep_alive=75,
        )
        self._socket = _bind(host, port)
        self.port: int = self._socket.getsockname()[1]
        self._loop = asyncio.new_event_loop()
        self._stopping = asyncio.Event()
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"firsthandapi-{self.port}", daemon=True)

    def start(self) -> None:
        """Return when connections are taken."""
        self._config.load()
        self._thread.start()
        self._started.wait()

    def stop(self) -> None:
        """Cut every connection and end the thread, if it was started. Later calls change nothing."""
        if self._thread.ident is None:
            self._socket.close()
            self._loop.close()
        elif self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stopping.set)
            self._thread.join()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._serve())
        finally:
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            asyncio.set_event_loop(None)
            self._loop.close()

    async def _serve(self) -> None:
        state = ServerState()
        server = await self._loop.create_server(
            lambda: _Protocol(config=self._config, server_state=state, app_state={}),
            sock=self._socket,
            backlog=2048,
        )
        self._started.set()
        await self._stopping.wait()
        server.close()
        for connection in [*state.connections]:
            connection.transport.abort()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}  # requests, and connections being accepted
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        while state.connections:  # an aborted transport reports to its protocol in the next turn of the loop
            await asyncio.sleep(0)


def _bind(host: str, port: int) -> socket.socket:
    # With the protocol named, asyncio sets TCP_NODELAY on every connection.
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        # On Windows SO_REUSEADDR would let two servers share a port; there it is not needed.
        if os.name != "nt":
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
        bound.listen(2048)  # here, so that a port in use is the caller's error
        bound.setblocking(False)
    except OSError:
        bound.close()
        raise
    return bound
