"""TCP connections over anyio, on asyncio and trio.

The sync twin is also written by hand: it has blocking sockets instead of an event loop.
"""

from __future__ import annotations

import socket
import ssl
from contextlib import AbstractContextManager, suppress
from typing import Any

import anyio
import anyio.abc
from anyio.abc import SocketAttribute
from anyio.lowlevel import current_token

from firsthandapi._base.masking import Secret
from firsthandapi._base.network import lookups
from firsthandapi._base.network.addresses import HEAD_START, NOT_ACCEPTED
from firsthandapi._base.network.tls import is_readable

_BROKEN = (anyio.BrokenResourceError, anyio.ClosedResourceError)


class Stream:
    """A connection of anyio's, whose errors become the system's."""

    def __init__(self, stream: anyio.abc.ByteStream) -> None:
        self._stream = stream
        self._socket: Any = stream.extra(SocketAttribute.raw_socket)  # noqa: S610 # not Django's
        self._tls: list[ssl.SSLObject] = []  # two where an https proxy leads to an https origin
        self._full = False  # whether the last read got as much as it may, so that anyio may hold more

    def within(self, seconds: float) -> AbstractContextManager[object]:
        """Raise TimeoutError if the block takes longer."""
        return anyio.fail_after(seconds)

    async def read(self, most: int) -> bytes:
        """The next bytes, `most` at most; none where the peer has closed. Raises OSError."""
        try:
            data = await self._stream.receive(most)
        except anyio.EndOfStream:
            return b""
        except _BROKEN as error:
            raise ConnectionError(str(error)) from error
        self._full = len(data) == most
        return data

    async def write(self, data: Secret[bytes]) -> None:
        """Send all of `data`. Raises OSError."""
        try:
            await self._stream.send(data.reveal())
        except _BROKEN as error:
            raise ConnectionError(str(error)) from error

    async def start_tls(self, context: ssl.SSLContext, host: str) -> None:
        """Speak TLS from now on. Raises OSError."""
        from anyio.streams.tls import TLSAttribute, TLSStream  # only where TLS is spoken

        try:
            # Some servers end a connection without the end of TLS.
            self._stream = await TLSStream.wrap(
                self._stream, ssl_context=context, hostname=host, standard_compatible=False
            )
            self._tls.append(self._stream.extra(TLSAttribute.ssl_object))  # noqa: S610 # not Django's
        except (*_BROKEN, anyio.EndOfStream, ValueError) as error:
            raise ConnectionError(str(error)) from error

    def is_readable(self) -> bool:
        """Whether an idle connection has unexpected bytes, or was closed by the peer."""
        # What came with the last record that was read is in the socket no more.
        return self._full or is_readable(self._socket) or any(map(_has_record, self._tls))

    async def aclose(self) -> None:
        await self._stream.aclose()

    def abandon(self) -> None:
        """Close it where its event loop is closed. An asyncio transport cannot do that: it needs the loop, and keeps
        the socket until it is collected."""
        sock = getattr(self._socket, "_sock", self._socket)  # asyncio's has no `close`
        if isinstance(sock, socket.socket):  # pragma: no branch # that of another library stays open
            sock.close()


def _has_record(tls: ssl.SSLObject) -> bool:
    try:
        tls.read(1)
    except ssl.SSLError as error:  # SSLWantReadError: no; another one: its end
        return not isinstance(error, ssl.SSLWantReadError)
    return True


async def connect(host: str, port: int, timeout: float) -> Stream:
    """A TCP connection to the first address of `host` that answers. After 250 ms without an answer, the next address is
    tried in parallel.
    Raises OSError: none could be reached; TimeoutError if none answered in time.
    """
    step = lookups.TOO_SLOW
    try:
        with anyio.fail_after(timeout):
            addresses = await _look_up(host, port)
            step = NOT_ACCEPTED
            return await _connect_first(addresses, port)
    except TimeoutError:
        raise TimeoutError(step) from None
    except UnicodeError:
        raise OSError("this name has no address") from None


async def _look_up(host: str, port: int) -> list[str]:
    # Not by anyio, which makes the end of the loop wait for the lookup.
    lookup = lookups.start(host, port)
    if not lookup.done():
        token = current_token()
        loop: Any = getattr(token, "native_token", token)
        wake = getattr(loop, "call_soon_threadsafe", None) or loop.run_sync_soon
        looked_up = anyio.Event()

        def tell(_: object) -> None:
            with suppress(RuntimeError):  # the loop is closed by now
                wake(looked_up.set)

        lookup.add_done_callback(tell)
        await looked_up.wait()
    return [address[0] for *_, address in lookup.result()]


async def _connect_first(addresses: list[str], port: int) -> Stream:
    if len(addresses) == 1:
        return await _reach(addresses[0], port)
    reached: list[Stream] = []
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
            await _close(stream)
        raise
    for stream in reached[1:]:  # pragma: no cover # two reached in one turn of the loop
        await _close(stream)
    if reached:
        return reached[0]
    raise failures[-1]


async def _reach(address: str, port: int) -> Stream:
    try:
        return Stream(await anyio.connect_tcp(address, port))
    except OSError as error:
        # The reason is the cause of anyio's general error.
        raise OSError(*(error.__cause__ or error).args) from None


async def _close(stream: Stream) -> None:  # pragma: no cover # as rare as where it is called
    # Even if the task is cancelled.
    with anyio.CancelScope(shield=True):
        await stream.aclose()
