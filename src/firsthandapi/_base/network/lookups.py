"""The addresses of a name, with a time limit.

`getaddrinfo` may take 5 s for each name server that does not respond, and cannot be cancelled. So daemon threads run
it: neither the caller nor the exit of the interpreter has to wait for it.
"""

from __future__ import annotations

import contextlib

# The first name lookup would load it, and a child forked just then would hang.
import encodings.idna  # noqa: F401 # pyright: ignore[reportUnusedImport]
import ipaddress
import os
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Final

# More names than any program uses; a limit, because a name that hangs keeps its thread.
MAX_THREADS: Final = 32
# A thread that waits longer waits for the network, not for the processor.
NOTICEABLE: Final = 0.008
# The longest wait between two calls of `look`. Without `look` as well: on Windows, an endless wait swallows Ctrl-C.
LOOK: Final = 0.1
TOO_SLOW: Final = "looking up the name took too long"

# Results of `getaddrinfo`: family, kind, protocol, canonical name, and address.
Found = list[tuple[Any, Any, int, str, tuple[Any, ...]]]
Name = tuple[str, int]


class _Lookups:
    """The lookups of a process: one at a time for each name, shared by all callers."""

    def __init__(self) -> None:
        self.start_in_child()

    def start_in_child(self) -> None:
        """Start again in a forked child, which has none of its parent's threads."""
        self._lock = threading.Lock()
        self._unfinished: dict[Name, Future[Found]] = {}
        self._queue: deque[Name] = deque()
        self._threads = 0

    def start(self, name: Name) -> Future[Found]:
        with self._lock:
            future = self._unfinished.get(name)
            if future is not None:
                return future
            future = self._unfinished[name] = Future()
            self._queue.append(name)
            if self._threads == MAX_THREADS:
                return future
            self._threads += 1
        try:
            threading.Thread(target=self._run, name="firsthandapi-names", daemon=True).start()
        except RuntimeError:
            self._run()  # the system refuses a thread, such as at exit
        return future

    def _run(self) -> None:
        while True:
            with self._lock:
                if not self._queue:
                    self._threads -= 1
                    return
                name = self._queue.popleft()
            addresses, failure = _look_up(name)
            with self._lock:
                future = self._unfinished.pop(name)
            if failure is None:
                future.set_result(addresses)
            else:
                future.set_exception(failure)
                failure = None  # else the error and this frame would keep each other alive


def _look_up(name: Name) -> tuple[Found, BaseException | None]:
    try:
        return socket.getaddrinfo(*name, type=socket.SOCK_STREAM), None
    except BaseException as error:
        return [], error


_lookups = _Lookups()
if hasattr(os, "register_at_fork"):  # pragma: no branch # Windows has no fork
    os.register_at_fork(after_in_child=_lookups.start_in_child)


def start(host: str, port: int) -> Future[Found]:
    """Look up the addresses of `host`. An IP address takes no time."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return _lookups.start((host, port))
    done: Future[Found] = Future()
    done.set_result(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
    return done


def look_up(host: str, port: int, *, timeout: float, look: Callable[[], None] | None = None) -> Found:
    """The addresses of `host`.

    Args:
        host: a name, or an IPv4 or IPv6 address.
        port: the port.
        timeout: seconds.
        look: called when the wait becomes noticeable and every 100 ms from then on; an exception of its own
            ends the wait.

    Raises OSError: the name has no address; TimeoutError if it was not found in time.
    Raises UnicodeError: `host` cannot be a name.
    """
    ends = time.monotonic() + timeout
    future = start(host, port)
    patience = LOOK if look is None else NOTICEABLE
    while not future.done():
        seconds_left = ends - time.monotonic()
        if seconds_left <= 0:
            raise TimeoutError(TOO_SLOW)
        with contextlib.suppress(TimeoutError):
            future.exception(min(seconds_left, patience))
            break
        patience = LOOK
        if look is not None:
            look()
    return future.result()
