"""TCP connections for httpcore, over anyio, on asyncio and trio.

The sync twin is also written by hand: it has blocking sockets instead of an event loop.
"""

from __future__ import annotations

import socket
import ssl
from contextlib import suppress
from typing import Any

import anyio
import anyio.abc
import httpcore
from anyio.abc import SocketAttribute
from anyio.lowlevel import current_token

from firsthandapi._masking import Secret
from firsthandapi._network import names
from firsthandapi._network.addresses import HEAD_START, NOT_ACCEPTED
from firsthandapi._network.tls import is_readable

_BROKEN = (anyio.BrokenResourceError, anyio.ClosedResourceError)


class SocketStream(httpcore.AsyncNetworkStream):
    """A connection of anyio's, whose errors become httpcore's. httpcore's own class searches for the socket before each
    request, which takes longer."""

    def __init__(self, stream: anyio.abc.ByteStream) -> None:
        self._stream = stream
        self._socket: Any = stream.extra(SocketAttribute.raw_socket)  # noqa: S610 # not Django's

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        try:
            with anyio.fail_after(timeout):
                return await self._stream.receive(max_bytes)
        except anyio.EndOfStream:
            return b""
        except TimeoutError as error:
            raise httpcore.ReadTimeout(str(error)) from error
        except _BROKEN as error:
            raise httpcore.ReadError(str(error)) from error

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        data = Secret(buffer)
        del buffer  # it contains the API key, and tracebacks show local variables
        try:
            with anyio.fail_after(timeout):
                await self._stream.send(data.reveal())
        except TimeoutError as error:
            raise httpcore.WriteTimeout(str(error)) from error
        except _BROKEN as error:
            raise httpcore.WriteError(str(error)) from error

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.AsyncNetworkStream:
        from anyio.streams.tls import TLSStream  # only where TLS is spoken

        try:
            with anyio.fail_after(timeout):
                # Some servers end a connection without the end of TLS.
                encrypted = await TLSStream.wrap(
                    self._stream, ssl_context=ssl_context, hostname=server_hostname, standard_compatible=False
                )
        except TimeoutError as error:
            raise httpcore.ConnectTimeout(str(error)) from error
        except (*_BROKEN, anyio.EndOfStream, ssl.SSLError) as error:
            raise httpcore.ConnectError(str(error)) from error
        return SocketStream(encrypted)

    def get_extra_info(self, info: str) -> Any:
        if info == "is_readable":
            return is_readable(self._socket)
        return self._socket if info == "socket" else None


async def connect(host: str, port: int, timeout: float) -> httpcore.AsyncNetworkStream:
    """A TCP connection to the first address of `host` that answers. After 250 ms without an answer, the next address is
    tried in parallel.
    Raises httpcore.ConnectError: none could be reached.
    Raises httpcore.ConnectTimeout: none answered in time.
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
    try:
        return SocketStream(await anyio.connect_tcp(address, port))
    except OSError as error:
        # The reason is the cause of anyio's general error.
        raise OSError(*(error.__cause__ or error).args) from None


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
