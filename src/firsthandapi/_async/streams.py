"""TCP connections for httpcore, over anyio, on asyncio and trio.

The sync twin is also written by hand: it has blocking sockets instead of an event loop.
"""

from __future__ import annotations

import socket
from contextlib import suppress
from typing import Any, cast

import anyio
import httpcore
from anyio.lowlevel import current_token

from firsthandapi._network import names
from firsthandapi._network.addresses import HEAD_START, NOT_ACCEPTED


async def connect(host: str, port: int, timeout: float) -> httpcore.AsyncNetworkStream:
    """A TCP connection to the first address of `host` that answers. After 250 ms without an answer, the next address is
    tried in parallel.

    Raises:
        httpcore.ConnectError: none could be reached.
        httpcore.ConnectTimeout: none answered in time.
    """
    step = names.TOO_SLOW
    try:
        with anyio.fail_after(timeout):
            addresses = await _look_up(host, port)
            step = NOT_ACCEPTED
            return await _connect_first(addresses, port)
    except TimeoutError:
        raise httpcore.ConnectTimeout(step) from None
    except OSError as error:
        raise httpcore.ConnectError(str(error)) from error
    except UnicodeError:
        raise httpcore.ConnectError("this name has no address") from None


async def _look_up(host: str, port: int) -> list[str]:
    # Not by anyio, which makes the end of the loop wait for the lookup.
    found = names.start(host, port)
    if not found.done():
        token = current_token()
        loop: Any = getattr(token, "native_token", token)
        wake = getattr(loop, "call_soon_threadsafe", None) or loop.run_sync_soon
        looked_up = anyio.Event()

        def tell(_: object) -> None:
            with suppress(RuntimeError):  # the loop is closed by now
                wake(looked_up.set)

        found.add_done_callback(tell)
        await looked_up.wait()
    return [address[0] for *_, address in found.result()]


async def _connect_first(addresses: list[str], port: int) -> httpcore.AsyncNetworkStream:
    if len(addresses) == 1:
        return await _reach(addresses[0], port)
    reached: list[httpcore.AsyncNetworkStream] = []
    failures = [OSError("this name has no address")]

    async def attempt(address: str, over: anyio.Event) -> None:
        try:
            reached.append(await _reach(address, port))
            group.cancel_scope.cancel()  # pragma: no cover # tested: Python 3.11 does not trace how anyio goes on here
        except OSError as error:
            failures.append(error)
        finally:
            over.set()

    try:
        async with anyio.create_task_group() as group:
            for address in addresses:
                over = anyio.Event()
                group.start_soon(attempt, address, over)
                with anyio.move_on_after(HEAD_START):
                    await over.wait()
    except BaseException:
        for stream in reached:  # pragma: no cover # cancelled at the very moment that one was reached
            await close(stream)
        raise
    for stream in reached[1:]:  # pragma: no cover # two reached in one turn of the loop
        await close(stream)
    if reached:
        return reached[0]
    raise failures[-1]


async def _reach(address: str, port: int) -> httpcore.AsyncNetworkStream:
    # Without anyio, httpcore has another class of this name, so type checkers see two.
    backend = cast("httpcore.AsyncNetworkBackend", httpcore.AnyIOBackend())
    try:
        return await backend.connect_tcp(address, port)
    except httpcore.ConnectError as error:
        # The reason is the cause of anyio's general error.
        cause = error.__cause__ and error.__cause__.__cause__
        raise OSError(*(cause or error).args) from None


async def close(stream: httpcore.AsyncNetworkStream) -> None:
    """Close a connection, even if the task is cancelled."""
    with anyio.CancelScope(shield=True):
        await stream.aclose()


def abandon(stream: httpcore.AsyncNetworkStream) -> None:
    """Close a connection whose event loop is closed. An asyncio transport cannot do that: it needs the loop, and keeps
    the socket until it is collected."""
    found = stream.get_extra_info("socket")
    sock = getattr(found, "_sock", found)  # asyncio's has no `close`
    if isinstance(sock, socket.socket):  # pragma: no branch # that of another library stays open
        sock.close()
