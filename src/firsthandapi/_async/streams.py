"""A connection to a host, as httpcore takes it: over anyio, on asyncio and trio.

The sync twin is written by hand too: it has blocking sockets where this has an event loop.
"""

from __future__ import annotations

import socket
from typing import cast

import anyio
import httpcore


async def connect(host: str, port: int, timeout: float) -> httpcore.AsyncNetworkStream:
    """A TCP connection to the first address of `host` that answers. A silent one costs 250 ms: then anyio tries the
    next beside it.

    Raises:
        httpcore.ConnectError: none could be reached.
        httpcore.ConnectTimeout: none answered in time.
    """
    # Where anyio is missing httpcore has another class of this name, so type checkers see two.
    backend = cast("httpcore.AsyncNetworkBackend", httpcore.AnyIOBackend())
    try:
        return await backend.connect_tcp(host, port, timeout)
    except ValueError:  # by the codec, or by anyio where the system returns no address at all
        raise httpcore.ConnectError("this name has no address") from None


async def close(stream: httpcore.AsyncNetworkStream) -> None:
    """Close a connection, even when the task is cancelled: its socket must not stay open."""
    with anyio.CancelScope(shield=True):
        await stream.aclose()


def abandon(stream: httpcore.AsyncNetworkStream) -> None:
    """Close a connection whose event loop is closed. asyncio has no way to do that: its transport would ask the loop,
    and keeps the socket until it is collected."""
    found = stream.get_extra_info("socket")
    sock = getattr(found, "_sock", found)  # asyncio's has no `close`
    if isinstance(sock, socket.socket):  # pragma: no branch # of another library it is left alone
        sock.close()
