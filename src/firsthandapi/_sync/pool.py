"""Idle connections: one stack for all threads.

Written by hand, as its async twin is: that one has event loops where this has threads.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING
from weakref import WeakSet

from firsthandapi._core.calls.places import Place, Places
from firsthandapi._sync.bridge import Line
from firsthandapi.errors import FirstHandTimeoutError

if TYPE_CHECKING:
    from firsthandapi._sync.wire import Connection

# Enough for any pool of threads, without running out of sockets. Long-polls, which occupy a connection for a minute,
# have as many of their own, so that other calls do not wait for them.
MAX_CONNECTIONS = 100
# Seconds between two searches for idle connections that the server closed.
SWEEP = 1.0

_pools: WeakSet[Pool] = WeakSet()


class Pool:
    """A stack of idle connections: O(1) however many there are, the most recently used first."""

    def __init__(self, connect: Callable[[], Connection]) -> None:
        self._connect = connect
        self._closed = False
        self._start()
        _pools.add(self)

    def _start(self) -> None:
        self._idle: list[Connection] = []  # append and pop are atomic
        self._calls = Places(MAX_CONNECTIONS), Line()
        self._polls = Places(MAX_CONNECTIONS), Line()
        self._sweep_at = 0.0

    def start_in_child(self) -> None:
        """Start again in a forked child, which must not use its parent's sockets. Closing its copies does not close the
        connections."""
        inherited = self._idle
        self._start()
        for connection in inherited:
            connection.close()

    def acquire(self, timeout: float, *, long_poll: bool = False) -> Connection:
        """A connection for one request: an idle one that still works, or a new one.

        Raises:
            FirstHandTimeoutError: all are busy for `timeout` seconds.
        """
        places, line = self._polls if long_poll else self._calls
        place = (places.take() if line.empty else None) or _wait(places, line, timeout)
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:
                connection = self._connect()
                break
            if connection.usable():
                break
            connection.close()
        connection.place = place
        return connection

    def release(self, connection: Connection, *, reusable: bool, long_poll: bool = False) -> None:
        """Give the connection back; it is closed unless its exchange ran to the end."""
        connection.place = None
        _, line = self._polls if long_poll else self._calls
        line.wake()
        if reusable:
            self._idle.append(connection)
            if self._closed:  # perhaps by another thread just now, which may have missed this one
                self.close()
        else:
            connection.close()
        now = time.monotonic()
        if now >= self._sweep_at:
            self._sweep_at = now + SWEEP
            self._sweep()

    def _sweep(self) -> None:
        # A caller with few requests always takes the last one, so the others would stay, closed by the server.
        for _ in range(len(self._idle) - 1):
            try:
                connection = self._idle.pop(0)
            except IndexError:  # pragma: no cover # another thread took the last one in this very moment
                return
            if connection.usable():
                # Below the one used last, which stays the first to be taken.
                self._idle.insert(max(len(self._idle) - 1, 0), connection)
            else:
                connection.close()

    def close_idle(self) -> None:
        """Close the idle connections, which may be dead; the next requests open new ones."""
        with suppress(IndexError):  # another thread may take the last one
            while True:
                self._idle.pop().close()

    def close(self) -> None:
        """Close the idle connections; busy ones close when their exchange is over."""
        self._closed = True
        self.close_idle()


def _wait(places: Places, line: Line, timeout: float) -> Place:
    ends = time.monotonic() + timeout
    with line.join() as waiter:
        while True:
            place = places.take() if waiter.first else None
            if place is not None:
                return place
            left = ends - time.monotonic()
            if left <= 0:
                raise FirstHandTimeoutError(
                    f"all {MAX_CONNECTIONS} connections were busy for {timeout:g} s", request_sent=False
                )
            waiter.wait(left)


def _start_in_child() -> None:  # pragma: no cover # it runs in a forked child, which is not measured
    for pool in list(_pools):
        pool.start_in_child()


if hasattr(os, "register_at_fork"):  # pragma: no branch # Windows has no fork
    # Before any thread of the child can come along, so two first calls at once cannot both begin anew.
    os.register_at_fork(after_in_child=_start_in_child)
