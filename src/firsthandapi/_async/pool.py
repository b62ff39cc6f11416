"""Idle connections: one stack for each event loop.

The sync twin is also written by hand: it has threads instead of event loops.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable
from typing import TYPE_CHECKING
from weakref import finalize

import anyio
from anyio.lowlevel import current_token

from firsthandapi._async.bridge import Line
from firsthandapi._core.calls.places import Place, Places
from firsthandapi.errors import FirstHandTimeoutError

if TYPE_CHECKING:
    from firsthandapi._async.wire import Connection

# Enough for a program that gathers thousands of calls, without running out of sockets. Long-polls, which occupy a
# connection for a minute, have as many of their own, so that other calls do not wait for them.
MAX_CONNECTIONS = 100
# Seconds between two searches for idle connections that the server closed.
SWEEP = 1.0


class Pool:
    """A stack of idle connections per loop: O(1) however many there are, the most recently used first.

    A connection belongs to the loop that opened it, and is closed with that loop or with the client. So the client also
    works in the next `asyncio.run`, and leaves no socket open.
    """

    def __init__(self, connect: Callable[[], Connection]) -> None:
        self._connect = connect
        self._stacks: dict[object, _Stack] = {}
        # The connections of an unclosed client must not stay open as long as the loop.
        finalize(self, _let_go, self._stacks).atexit = False

    def stack(self) -> _Stack | None:
        """The connections of the running loop, if it has any."""
        return self._stacks.get(current_token())

    async def acquire(self, timeout: float, *, long_poll: bool = False) -> Connection:
        """A connection for one request: an idle one that still works, or a new one.
        Raises FirstHandTimeoutError: all are busy for `timeout` seconds.
        """
        stack = self.stack() or await self._open()
        places, line = stack.polls if long_poll else stack.calls
        # A free place must not cost a turn of the loop.
        place = (places.take() if line.empty else None) or await _wait(places, line, timeout)
        connection = None
        while connection is None and stack.idle:
            connection = stack.idle.pop()
            if not connection.usable():
                await _close(connection)
                connection = None
        connection = connection or self._connect()
        connection.place = place
        return connection

    async def _open(self) -> _Stack:
        for token, stack in list(self._stacks.items()):
            if _is_closed(token):
                # This loop was closed without `shutdown_asyncgens`; nothing can be awaited there.
                del self._stacks[token]
                stack.abandon()
        stack = _Stack(self._stacks)
        await stack.open()
        return stack

    async def release(self, connection: Connection, *, reusable: bool, long_poll: bool = False) -> None:
        """Give the connection back; it is closed unless its exchange ran to the end."""
        connection.place = None
        stack = self.stack()
        if stack is None:
            await _close(connection)
            return
        _, line = stack.polls if long_poll else stack.calls
        line.wake()
        if reusable:
            stack.idle.append(connection)
        else:
            await _close(connection)
        now = time.monotonic()
        if now >= stack.sweep_at:
            stack.sweep_at = now + SWEEP
            await stack.sweep()

    async def close_idle(self) -> None:
        """Close the idle connections of this loop, which may be dead; the next requests open new ones."""
        stack = self.stack()
        await _close_all([] if stack is None else stack.idle)  # None: the client was closed meanwhile

    async def aclose(self) -> None:
        """Close the idle connections of this loop; busy ones close after their exchange."""
        stack = self.stack()
        if stack is not None:
            await stack.aclose()


class _Stack:
    def __init__(self, stacks: dict[object, _Stack]) -> None:
        self.idle: list[Connection] = []
        self.calls = Places(MAX_CONNECTIONS), Line()
        self.polls = Places(MAX_CONNECTIONS), Line()
        self.sweep_at = 0.0
        self._life = self._live(stacks)

    async def open(self) -> None:
        await anext(self._life)

    async def _live(self, stacks: dict[object, _Stack]) -> AsyncGenerator[None, None]:
        # asyncio.run and trio.run close all async generators before they end, and loops close those that are collected.
        # So connections are closed without a __del__, and while the loop runs.
        token = current_token()
        stacks[token] = self
        try:
            yield
        finally:
            stacks.pop(token, None)
            await _close_all(self.idle)

    async def sweep(self) -> None:
        # A caller with few requests always takes the top connection, so the others would stay, closed by the server.
        usable: list[Connection] = []
        useless: list[Connection] = []
        for connection in self.idle[:-1]:
            (usable if connection.usable() else useless).append(connection)
        self.idle[:-1] = usable
        await _close_all(useless)

    def abandon(self) -> None:
        while self.idle:
            self.idle.pop().abandon()

    def let_go(self) -> None:
        # The loop closes the unreferenced generator; nothing can be awaited here, nor by anyone else: the pool is gone.
        del self._life

    async def aclose(self) -> None:
        await self._life.aclose()


def _let_go(stacks: dict[object, _Stack]) -> None:
    for token, stack in list(stacks.items()):
        if _is_closed(token):
            stack.abandon()
        else:
            stack.let_go()


async def _wait(places: Places, line: Line, timeout: float) -> Place:
    ends = time.monotonic() + timeout
    with line.join() as waiter:
        while True:
            place = places.take() if waiter.first else None
            if place is not None:
                return place
            seconds_left = ends - time.monotonic()
            if (
                seconds_left <= 0
            ):  # pragma: no cover # tested: Python 3.11 traces no frame that a cancelled wait goes on in
                raise FirstHandTimeoutError(
                    f"all {MAX_CONNECTIONS} connections were busy for {timeout:g} s", request_sent=False
                )
            await waiter.wait(seconds_left)


async def _close(connection: Connection) -> None:
    # Shielded, so that a cancelled task does not leave its socket open.
    with anyio.CancelScope(shield=True):
        await connection.aclose()


async def _close_all(connections: list[Connection]) -> None:
    try:
        while connections:
            await _close(connections.pop())
    finally:
        if connections:  # no shield holds off asyncio's own `cancel`
            await _close_all(connections)


def _is_closed(token: object) -> bool:
    """Whether this loop is closed; never for trio, which always closes its generators."""
    is_closed = getattr(getattr(token, "native_token", token), "is_closed", None)
    return is_closed is not None and bool(is_closed())
