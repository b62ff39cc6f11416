"""Where connections rest between requests: one stack for all threads.

Written by hand, as its async twin is: that one has event loops where this has threads.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING
from weakref import WeakSet

from firsthandapi.errors import FirstHandTimeoutError

if TYPE_CHECKING:
    from firsthandapi._sync.wire import Connection

# Enough for any pool of threads; a limit, so that a program does not run out of sockets. Long-polls, each of which
# holds its connection for a minute, have as many of their own: they must not keep a plain call waiting.
MAX_CONNECTIONS = 100
# How often idle connections are looked through for those that the server closed.
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
        self._free = threading.BoundedSemaphore(MAX_CONNECTIONS)
        self._free_polls = threading.BoundedSemaphore(MAX_CONNECTIONS)
        self._sweep_at = 0.0

    def start_in_child(self) -> None:
        """Begin anew in a forked child, which must not speak over its parent's sockets. To close its copies of them
        says nothing to the other end."""
        inherited = self._idle
        self._start()
        for connection in inherited:
            connection.close()

    def acquire(self, timeout: float, *, long_poll: bool = False) -> Connection:
        """A connection for one request: an idle one that still works, or a new one.

        Raises:
            FirstHandTimeoutError: all are busy for `timeout` seconds.
        """
        free = self._free_polls if long_poll else self._free
        if not free.acquire(timeout=timeout):
            raise FirstHandTimeoutError(
                f"all {MAX_CONNECTIONS} connections were busy for {timeout:g} s", request_sent=False
            )
        try:
            while True:
                try:
                    connection = self._idle.pop()
                except IndexError:
                    return self._connect()
                if connection.usable():
                    return connection
                connection.close()
        except BaseException:
            free.release()
            raise

    def release(self, connection: Connection, *, reusable: bool, long_poll: bool = False) -> None:
        """Give the connection back; it is closed unless its exchange ran to the end."""
        (self._free_polls if long_poll else self._free).release()
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
        # A light caller takes the last one each time; those below would wait for ever, closed by the server.
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

    def close(self) -> None:
        """Close the idle connections; busy ones close when their exchange is over."""
        self._closed = True
        while self._idle:
            self._idle.pop().close()


def _start_in_child() -> None:  # pragma: no cover # it runs in a forked child, which is not measured
    for pool in list(_pools):
        pool.start_in_child()


if hasattr(os, "register_at_fork"):  # pragma: no branch # Windows has no fork
    # Before any thread of the child can come along, so two first calls at once cannot both begin anew.
    os.register_at_fork(after_in_child=_start_in_child)
