"""Where connections rest between requests: one stack for all threads.

Written by hand, as its async twin is: that one has event loops where this has threads.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from firsthandapi.errors import FirstHandTimeoutError

if TYPE_CHECKING:
    from firsthandapi._sync.wire import Connection

# Enough for any pool of threads; a limit, so that a program does not run out of sockets.
MAX_CONNECTIONS = 100


class Pool:
    """A stack of idle connections: O(1) however many there are, the most recently used first."""

    def __init__(self, connect: Callable[[], Connection]) -> None:
        self._connect = connect
        self._start()

    def _start(self) -> None:
        self._idle: list[Connection] = []  # append and pop are atomic
        self._free = threading.BoundedSemaphore(MAX_CONNECTIONS)
        self._closed = False
        self._pid = os.getpid()

    def acquire(self, timeout: float) -> Connection:
        """A connection for one request: an idle one that still works, or a new one.

        Raises:
            FirstHandTimeoutError: all are busy for `timeout` seconds.
        """
        if self._pid != os.getpid():
            # After a fork the child must not speak over its parent's sockets. To close its copies of them
            # says nothing to the other end.
            inherited = self._idle
            self._start()
            for connection in inherited:
                connection.close()
        if not self._free.acquire(timeout=timeout):
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
            self._free.release()
            raise

    def release(self, connection: Connection, *, reusable: bool) -> None:
        """Give the connection back; it is closed unless its exchange ran to the end."""
        self._free.release()
        if reusable and not self._closed and connection.usable():
            self._idle.append(connection)
            if self._closed:
                # It was closed by another thread just now, which may have missed this one.
                self.close()
        else:
            connection.close()

    def close(self) -> None:
        """Close the idle connections; busy ones close when their exchange is over."""
        self._closed = True
        while self._idle:
            self._idle.pop().close()
