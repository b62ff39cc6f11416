"""Where connections rest between requests: one stack for each event loop.

The sync twin is written by hand too: it has threads where this has event loops.
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

# Enough for a program that gathers thousands of calls; a limit, so that it does not run out of sockets. Long-polls,
# each of which holds its connection for a minute, have as many of their own: they must not keep a plain call waiting.
MAX_CONNECTIONS = 100
# How often idle connections are looked through for those that the server closed.
SWEEP = 1.0


class Pool:
    """A stack of idle connections per loop: O(1) however many there are, the most recently used first.

    A connection belongs to the loop that made it, and goes with that loop, or with the client if that goes first. So
    the client works in the next `asyncio.run` too, and no socket is left behind.
    """

    def __init__(self, connect: Callable[[], Connection]) -> None:
        self._connect = connect
        self._stacks: dict[object, _Stack] = {}
        # A client that is dropped unclosed must not keep its connections for as long as the loop lives.
        finalize(self, _let_go, self._stacks).atexit = False

    def stack(self) -> _Stack | None:
        """The connections of the running loop, if it has any."""
        return self._stacks.get(current_token())

    async def acquire(self, timeout: float, *, long_poll: bool = False) -> Connection:
        """A connection for one request: an idle one that still works, or a new one.

        Raises:
            FirstHandTimeoutError: all are busy for `timeout` seconds.
        """
        stack = self.stack() or await self._open()
        places, line = stack.polls if long_poll else stack.calls
        # Where a place is free, it must not cost a turn of the loop.
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
                # A loop that was closed without `shutdown_asyncgens`: nothing can be awaited there any more.
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
        self._life: AsyncGenerator[None, None] | None = self._live(stacks)

    async def open(self) -> None:
        if self._life is not None:
            await anext(self._life)

    async def _live(self, stacks: dict[object, _Stack]) -> AsyncGenerator[None, None]:
        # asyncio.run and trio.run close every async generator that is still open before they end, and loops close
        # those that are collected: the moments to close connections that need no __del__ and find the loop alive.
        token = current_token()
        stacks[token] = self
        try:
            yield
        finally:
            stacks.pop(token, None)
            await _close_all(self.idle)

    async def sweep(self) -> None:
        # A caller with few requests takes the top one each time; those below would stay forever, closed by the
        # server.
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
        # The loop closes a generator that nobody holds, in its own time: from here nothing can be awaited.
        self._life = None

    async def aclose(self) -> None:
        if self._life is not None:
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
            left = ends - time.monotonic()
            if (
                left <= 0
            ):  # pragma: no cover # tested: Python 3.11 traces no frame that a cancelled wait goes on in
                raise FirstHandTimeoutError(
                    f"all {MAX_CONNECTIONS} connections were busy for {timeout:g} s", request_sent=False
                )
            await waiter.wait(left)


async def _close(connection: Connection) -> None:
    # Shielded: a cancelled task must not leave its socket open.
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
    """Whether this loop has ended. trio's never is here: it closes its generators whatever happens."""
    is_closed = getattr(getattr(token, "native_token", token), "is_closed", None)
    return is_closed is not None and bool(is_closed())
