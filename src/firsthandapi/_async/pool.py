"""Where connections rest between requests: one stack for each event loop.

The sync twin is written by hand too: it has threads where this has event loops.
"""

from __future__ import annotations

import itertools
from collections.abc import AsyncGenerator, Callable
from typing import TYPE_CHECKING

import anyio
from anyio.lowlevel import RunVar

from firsthandapi.errors import FirstHandTimeoutError

if TYPE_CHECKING:
    from firsthandapi._async.wire import Connection

# Enough for a program that gathers thousands of calls; a limit, so that it does not run out of sockets.
MAX_CONNECTIONS = 100

# Some versions of anyio tell run variables apart by their name.
_numbers = itertools.count()


class Pool:
    """A stack of idle connections a loop: O(1) however many there are, the most recently used first.

    A connection belongs to the loop that made it. It is closed when that loop ends, so the client works in
    the next `asyncio.run` too, and no socket is left behind.
    """

    def __init__(self, connect: Callable[[], Connection]) -> None:
        self._connect = connect
        self._here: RunVar[_Stack] = RunVar(f"firsthandapi connections {next(_numbers)}")

    async def acquire(self, timeout: float) -> Connection:
        """A connection for one request: an idle one that still works, or a new one.

        Raises:
            FirstHandTimeoutError: all are busy for `timeout` seconds.
        """
        stack = self._here.get(None)
        if stack is None:
            stack = _Stack(self._here)
            await stack.open()
        # An uncontended semaphore must not cost a turn of the loop.
        if stack.free.value > 0:
            stack.free.acquire_nowait()
        else:
            with anyio.move_on_after(timeout) as scope:
                await stack.free.acquire()
            if scope.cancelled_caught:
                raise FirstHandTimeoutError(
                    f"all {MAX_CONNECTIONS} connections were busy for {timeout:g} s", request_sent=False
                )
        try:
            while stack.idle:
                connection = stack.idle.pop()
                if connection.usable():
                    return connection
                await _close(connection)
            return self._connect()
        except BaseException:
            stack.free.release()
            raise

    async def release(self, connection: Connection, *, reusable: bool) -> None:
        """Give the connection back; it is closed unless its exchange ran to the end."""
        stack = self._here.get(None)
        if stack is not None:
            stack.free.release()
            if reusable and connection.usable():
                stack.idle.append(connection)
                return
        await _close(connection)

    async def aclose(self) -> None:
        """Close the idle connections of this loop; busy ones close when their exchange is over."""
        stack = self._here.get(None)
        if stack is not None:
            await stack.aclose()


class _Stack:
    def __init__(self, here: RunVar[_Stack]) -> None:
        self.idle: list[Connection] = []
        self.free = anyio.Semaphore(MAX_CONNECTIONS)
        self._life = self._live(here)

    async def open(self) -> None:
        await anext(self._life)

    async def _live(self, here: RunVar[_Stack]) -> AsyncGenerator[None, None]:
        # asyncio.run and trio.run close every async generator that is still open before they end: the one
        # moment to close connections that needs no __del__ and finds the loop alive.
        token = here.set(self)
        try:
            yield
        finally:
            here.reset(token)
            while self.idle:
                await _close(self.idle.pop())

    async def aclose(self) -> None:
        await self._life.aclose()


async def _close(connection: Connection) -> None:
    # Shielded: a cancelled task must not leave its socket open.
    with anyio.CancelScope(shield=True):
        await connection.aclose()
