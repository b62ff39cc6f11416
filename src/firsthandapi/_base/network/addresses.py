"""A connection to one of a host's addresses."""

from __future__ import annotations

import contextlib
import os
import selectors
import socket
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from . import lookups

# Seconds before the next address is tried in parallel, as in RFC 8305 and anyio.
HEAD_START = 0.25
NOT_ACCEPTED = "it did not accept a connection in time"


def connect(host: str, port: int, *, timeout: float, look: Callable[[], None] | None = None) -> socket.socket:
    """A TCP connection to the first address of `host` that answers.

    After a quarter of a second without an answer, as over a broken IPv6 route, the next address is tried in parallel.

    Args:
        host: a name, or an IPv4 or IPv6 address.
        port: the port.
        timeout: seconds for looking up the name and for all addresses together.
        look: called when the wait becomes noticeable and every 100 ms from then on; an exception of its own
            ends the wait.

    Raises OSError: no address could be reached; TimeoutError if none answered in time.
    Raises UnicodeError: `host` cannot be a name.
    """
    ends = time.monotonic() + timeout
    addresses = deque(lookups.look_up(host, port, timeout=timeout, look=look))
    failure = OSError(f"{host} has no address")
    pending: set[socket.socket] = set()
    next_start = 0.0
    patience = lookups.NOTICEABLE
    with selectors.DefaultSelector() as selector:
        try:
            while addresses or pending:
                now = time.monotonic()
                if now >= ends:
                    raise TimeoutError(NOT_ACCEPTED)
                if addresses and (now >= next_start or not pending):
                    family, kind, protocol, _, address = addresses.popleft()
                    try:
                        sock = _begin(family, kind, protocol, address)
                    except OSError as error:  # such as a missing route: try the next address immediately
                        failure = error
                        continue
                    pending.add(sock)
                    selector.register(sock, selectors.EVENT_WRITE)
                    next_start = now + HEAD_START
                wait = min(ends, next_start if addresses else ends) - now
                ready = selector.select(wait if look is None else min(wait, patience))
                if not ready and look is not None:
                    look()
                    patience = lookups.LOOK
                for sock in [peer for peer in pending if any(peer is key.fileobj for key, _ in ready)]:
                    code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                    if code == 0:
                        sock.settimeout(timeout)
                        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                        pending.remove(sock)
                        return sock
                    failure, next_start = OSError(code, os.strerror(code)), 0.0
                    selector.unregister(sock)
                    pending.remove(sock)
                    sock.close()
            raise failure
        finally:
            for sock in pending:
                sock.close()


def _begin(family: int, kind: int, protocol: int, address: Any) -> socket.socket:
    """A socket that has started to connect."""
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setblocking(False)
        with contextlib.suppress(BlockingIOError):  # connecting
            # Not `connect_ex`: tools that forbid connections in tests replace `connect`.
            sock.connect(address)
    except BaseException:
        sock.close()
        raise
    return sock
