"""uvicorn in a thread, with its own event loop, a socket that is bound immediately, and a stop that does not wait."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import socket
import threading
from collections import Counter
from collections.abc import Sequence
from typing import Any, cast

import h11
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from firsthandapi._base.host import descriptors
from firsthandapi_server.contract.errors import ApiError

from .gate import visitor_address
from .responses import error_response

_MAX_CONNECTIONS = 2000
_OWN_FILES = 200  # of databases, uploads, and programs
# Connections that are accepted in one turn of the loop, and those that wait for it in the system.
_ACCEPTED, _WAITING = 100, 2048
_HEAD_SECONDS = 30.0
_EXHAUSTED = errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM
_SAY_EVERY = 60.0  # seconds
_UNFINISHED = h11.IDLE, h11.SEND_BODY

_log = logging.getLogger("firsthandapi.testing.http")
_log.setLevel(logging.CRITICAL + 1)  # tests send junk on purpose


class _Protocol(H11Protocol):
    """uvicorn's protocol without logging. Faults can reach its transport.

    Attributes:
        most: how many connections the server has.
        is_behind_proxy: whether the last address in `X-Forwarded-For` is the visitor's.
    """

    most = _MAX_CONNECTIONS
    is_behind_proxy = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # uvicorn gives this one
        self.logger = _log
        self.access_log = False
        self.app_state = {"transport": transport}
        super().connection_made(transport)
        self._head_timer: asyncio.TimerHandle | None = None
        self.heard = self.loop.time()
        self._expect_head()
        if len(self.connections) > self.most:
            self._make_room()

    def data_received(self, data: bytes) -> None:
        """Limit the time to receive a request's headers; uvicorn limits only the time between requests."""
        self.heard = self.loop.time()
        super().data_received(data)
        self._expect_head()

    @property
    def address(self) -> str:
        """Whose connection this is; what a proxy says of it is in a request."""
        return visitor_address(
            self.scope or {"client": self.client, "headers": ()}, is_behind_proxy=self.is_behind_proxy
        )

    def _make_room(self) -> None:
        """With too many connections, close some: of whoever has many, first those without a whole request, and of
        these those silent longest. Several at once, because looking is slow."""
        peers = [
            peer
            for peer in cast("set[_Protocol]", self.connections)
            if peer is not self and not peer.transport.is_closing()
        ]
        if len(peers) >= self.most:
            tenth = max(1, self.most // 10)
            crowds = Counter(peer.address for peer in peers)
            peers.sort(
                key=lambda peer: (
                    -(crowds[peer.address] // tenth),
                    peer.conn.their_state not in _UNFINISHED,
                    peer.heard,
                )
            )
            for peer in peers[: len(peers) - self.most + tenth]:
                peer.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
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
        """Respond to bytes that are not HTTP with the documented error envelope."""
        if not self.transport.is_closing():
            response = error_response(ApiError(400, "validation_error", msg))
            headers = b"".join(name + b": " + value + b"\r\n" for name, value in response.raw_headers)
            head = b"HTTP/1.1 400 Bad Request\r\n" + headers + b"connection: close\r\n\r\n"
            self.transport.write(head + bytes(response.body))
            self.transport.close()


class HttpServer:
    """Serves an ASGI application from a daemon thread, by default only to this machine.

    uvicorn's own `Server` checks every 0.1 s whether to stop, and waits for clients to disconnect. Tests start and stop
    hundreds of servers, which must stop immediately. So this class uses only uvicorn's protocol, and cuts connections.

    Args:
        app: the application.
        port: the port; 0 for any that is free.
        hosts: the addresses to listen on.
        is_behind_proxy: whether the last address in `X-Forwarded-For` is the visitor's.
    """

    def __init__(self, app: Any, port: int, *hosts: str, is_behind_proxy: bool = False) -> None:
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
        self._is_behind_proxy = is_behind_proxy
        allowed = descriptors.most()
        self._most = min(_MAX_CONNECTIONS, max(allowed - _OWN_FILES, allowed // 2))
        self._silent_until = 0.0
        self._sockets = _bind_all(hosts or ("127.0.0.1",), port)
        self.port: int = self._sockets[0].getsockname()[1]
        self._loop = asyncio.new_event_loop()
        self._stopping = asyncio.Event()
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"firsthandapi-{self.port}", daemon=True)

    def start(self) -> None:
        """Start, and return when the server accepts connections."""
        self._config.load()
        self._thread.start()
        self._started.wait()

    def stop(self) -> None:
        """Cut every connection and end the thread, if it was started. Later calls do nothing."""
        if self._thread.ident is None:
            self._close()
            self._loop.close()
        elif self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stopping.set)
            self._thread.join()

    def _close(self) -> None:
        for listener in self._sockets:
            listener.close()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._serve())
        finally:
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            asyncio.set_event_loop(None)
            self._loop.close()

    def _say(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Log what the loop reports, and a system without descriptors by one line in a minute: asyncio tries again by
        itself, and reports each try with its traceback."""
        error = context.get("exception")
        if not (isinstance(error, OSError) and error.errno in _EXHAUSTED):
            loop.default_exception_handler(context)
        elif loop.time() >= self._silent_until:
            self._silent_until = loop.time() + _SAY_EVERY
            logging.getLogger("firsthandapi.serve").warning(
                "new connections wait: %s; increase the number of open files that the server may have "
                "(LimitNOFILE= of systemd, ulimit -n of a shell)",
                error.strerror,
            )

    async def _serve(self) -> None:
        state = ServerState()

        def protocol() -> _Protocol:
            connection = _Protocol(config=self._config, server_state=state, app_state={})
            connection.most, connection.is_behind_proxy = self._most, self._is_behind_proxy
            return connection

        self._loop.set_exception_handler(self._say)
        servers = [
            await self._loop.create_server(protocol, sock=listener, backlog=_ACCEPTED)
            for listener in self._sockets
        ]
        for listener in self._sockets:
            listener.listen(_WAITING)
        self._started.set()
        await self._stopping.wait()
        for server in servers:
            server.close()
        for connection in [*state.connections]:
            connection.transport.abort()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}  # requests, and connections being accepted
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        while state.connections:  # an aborted transport reports to its protocol in the next turn of the loop
            await asyncio.sleep(0)


def _bind_all(hosts: Sequence[str], port: int, tries: int = 20) -> list[socket.socket]:
    """A socket for each host, with one port: any that is free at all of them, if `port` is 0."""
    bound: list[socket.socket] = []
    try:
        for host in hosts:
            bound.append(_bind(host, bound[0].getsockname()[1] if bound else port))
    except OSError:
        for listener in bound:
            listener.close()
        if port or not bound or tries == 1:
            raise
        return _bind_all(hosts, port, tries - 1)
    return bound


def _bind(host: str, port: int) -> socket.socket:
    # asyncio sets TCP_NODELAY only if the socket names its protocol.
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        # On Windows, SO_REUSEADDR would let two servers share a port, and is not needed.
        if os.name != "nt":
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
        bound.listen(_WAITING)  # here, so that the caller gets the error if the port is in use
        bound.setblocking(False)
    except OSError:
        bound.close()
        raise
    return bound
