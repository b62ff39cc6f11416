"""One thread's requests and their responses, over connections that are kept."""

from __future__ import annotations

import contextlib
import socket
import sys
import time
from collections.abc import Callable
from typing import Final

from firsthandapi._core.config import Origin
from firsthandapi._core.download import Address, Pace
from firsthandapi._masking import Secret
from firsthandapi._version import __version__

from .head import MOST_HEAD_BYTES, Head, MalformedResponseError, parse_chunk_size, parse_head
from .network import NOTICEABLE, BrokenError, Network, StoppedError, as_broken, proxy_headers

# One a thread, and all the memory a file takes, however large it is.
BUFFER_BYTES: Final = 512 * 1024
# A small body that is of no use is read, so that its connection stays of use.
_MOST_DRAINED = 16 * 1024
# Bytes are handed on at least so often, for the sake of who watches.
_HOLD_BACK = 0.25
_MOST_IDLE = 4

_USER_AGENT = (
    f"firsthandapi-python/{__version__} (Python {sys.version_info[0]}.{sys.version_info[1]}; {sys.platform})"
)


class Connection:
    """A connection, and whether it has carried a request before."""

    __slots__ = ("key", "proxy", "receive", "sock", "used")

    def __init__(self, key: Origin, sock: socket.socket, proxy: Secret[str] | None) -> None:
        self.key = key
        self.sock = sock
        self.receive = sock.recv_into
        self.proxy = proxy
        self.used = False


class StaleError(Exception):
    """The server hung up while the connection was idle: nothing was lost, the request goes out once more."""


class Session:
    """What one thread has of its own: connections and a buffer.

    Args:
        network: how hosts are reached.
        on_wait: called when the thread begins to wait for the network.
    """

    def __init__(self, network: Network, on_wait: Callable[[], None] = lambda: None) -> None:
        self.network = network
        self.buffer = bytearray(BUFFER_BYTES)
        self._on_wait = on_wait
        self._idle: dict[Origin, Connection] = {}

    def get(self, address: Address, headers: list[tuple[str, str]]) -> Response:
        """Ask for `address`: the response with its head read.

        Raises:
            BrokenError, HopelessError, StoppedError, ConfigurationError: as `Network.connect`.
        """
        connection = self._idle.pop(address.origin, None)
        if connection is not None:
            try:
                return self._ask(connection, address, headers)
            except StaleError:
                pass
        sock, proxy = self.network.connect(address.origin, self._on_wait)
        return self._ask(Connection(address.origin, sock, proxy), address, headers)

    def _ask(self, connection: Connection, address: Address, headers: list[tuple[str, str]]) -> Response:
        try:
            return self._exchange(connection, address, headers)
        except BaseException as error:
            self.network.drop(connection.sock)
            if self.network.stop.is_set():
                raise StoppedError from None
            if isinstance(error, MalformedResponseError):
                raise BrokenError(f"{address.origin.host}: {error}") from None
            if isinstance(error, (OSError, ValueError)):
                raise as_broken(error, f"no answer from {address.origin.host}") from None
            raise

    def _exchange(self, connection: Connection, address: Address, headers: list[tuple[str, str]]) -> Response:
        origin, target, proxy = address.origin, address.target, connection.proxy
        lines = [
            ("Host", origin.authority),
            ("User-Agent", _USER_AGENT),
            ("Accept", "*/*"),
            ("Accept-Encoding", "identity"),
            *headers,
        ]
        if proxy is not None and origin.scheme == "http":
            target = origin.url + target
            lines += proxy_headers(proxy)
        request = f"GET {target} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in lines)
        ends = time.monotonic() + self.network.timeout
        try:
            connection.sock.sendall(f"{request}\r\n".encode("ascii"))
            head, start, end = self._read_head(connection, ends)
        except (OSError, EOFError) as error:
            if connection.used and not isinstance(error, TimeoutError):
                raise StaleError from None
            if isinstance(error, EOFError):
                raise BrokenError(f"no answer from {origin.host}: it closed the connection") from None
            raise
        connection.used = True
        return Response(self, connection, head, start, end)

    def _read_head(self, connection: Connection, ends: float) -> tuple[Head, int, int]:
        """The head, and where in the buffer the bytes that came with it begin and end."""
        sock, view, timeout = connection.sock, memoryview(self.buffer), self.network.timeout
        end = self._first_bytes(sock, view, timeout)
        start = 0
        while True:
            stop = self.buffer.find(b"\r\n\r\n", start, end)
            if stop >= 0:
                head = parse_head(bytes(view[start:stop]))
                start = stop + 4
                if head.status >= 200 or head.status == 101:
                    sock.settimeout(timeout)
                    return head, start, end
                continue  # 1xx: the true answer follows
            if end > MOST_HEAD_BYTES:
                raise MalformedResponseError("the answer's head does not end")
            left = ends - time.monotonic()
            if left <= 0:
                raise TimeoutError
            sock.settimeout(left)
            received = sock.recv_into(view[end:])
            if received == 0:
                raise EOFError
            end += received

    def _first_bytes(self, sock: socket.socket, view: memoryview, timeout: float) -> int:
        if timeout > NOTICEABLE:
            sock.settimeout(NOTICEABLE)
            try:
                received = sock.recv_into(view)
            except TimeoutError:
                self._on_wait()
                sock.settimeout(timeout)
            else:
                if received == 0:
                    raise EOFError
                return received
        received = sock.recv_into(view)
        if received == 0:
            raise EOFError
        return received

    def keep(self, connection: Connection) -> None:
        """Keep a connection for the next request to its origin."""
        if len(self._idle) >= _MOST_IDLE:
            self.close()
        self._idle[connection.key] = connection

    def close(self) -> None:
        """Close what is idle."""
        while self._idle:
            self.network.drop(self._idle.popitem()[1].sock)


class Response:
    """A response whose head is read. Read its body to the end, or `abandon` it."""

    def __init__(self, session: Session, connection: Connection, head: Head, start: int, end: int) -> None:
        self.head = head
        self.buffer = session.buffer
        self._session = session
        self._connection = connection
        self._start, self._end = start, end  # the bytes in the buffer that are not handed on yet
        self._left = head.length
        self._chunk = 0  # of the current chunk, what is not handed on yet
        self._begun = False  # whether a chunk came before
        self._failure: BrokenError | None = None
        self._open = True
        self._surplus = False
        network = session.network
        self._pace = Pace(network.timeout, now=time.monotonic())
        if head.length == 0:
            self._surplus = start != end
            self._finish()

    @property
    def swappable(self) -> bool:
        """Whether `buffer` may be another one at each `read`."""
        return not self.head.chunked

    def read(self) -> memoryview:
        """The next bytes of the body, valid until the next `read`; none at its end.

        Raises:
            BrokenError: the connection broke, or the body is cut or comes too slowly.
            StoppedError: the run was cancelled.
        """
        if self._failure is not None:
            raise self._failure
        if not self._open:
            return memoryview(b"")
        try:
            return self._read_chunk() if self.head.chunked else self._read_plain()
        except BaseException as error:
            self.abandon()
            if isinstance(error, MalformedResponseError):
                raise BrokenError(str(error)) from None
            raise

    def _read_plain(self) -> memoryview:
        view, start, end, left = memoryview(self.buffer), self._start, self._end, self._left
        self._start = self._end = 0
        most = len(view) if left is None else min(len(view), start + left)
        if end > most:
            # More than was announced. Whatever it is, it is not this file's, nor the next answer.
            end, self._surplus = most, True
        end = self._receive(view, end, most)
        if self._failure is not None and end == start:
            raise self._failure
        if left is not None:
            self._left = left - (end - start)
            if self._left == 0:
                self._finish()
        return view[start:end]

    def _read_chunk(self) -> memoryview:
        if self._chunk == 0:
            self._chunk = self._next_chunk()
            if self._chunk == 0:
                self._surplus = self._start != self._end
                self._finish()
                return memoryview(b"")
        if self._start == self._end:
            self._fill()
        start = self._start
        self._start = min(self._end, start + self._chunk)
        self._chunk -= self._start - start
        return memoryview(self.buffer)[start : self._start]

    def _next_chunk(self) -> int:
        if self._begun and self._line():
            raise MalformedResponseError("a chunk is longer than it says")
        self._begun = True
        size = parse_chunk_size(self._line())
        if size == 0:
            for _ in range(100):
                if not self._line():  # trailers, of which none is of use
                    return 0
            raise MalformedResponseError("the body's trailers do not end")
        return size

    def _line(self) -> bytes:
        while True:
            stop = self.buffer.find(b"\r\n", self._start, self._end)
            if stop >= 0:
                line = bytes(memoryview(self.buffer)[self._start : stop])
                self._start = stop + 2
                return line
            if self._end - self._start > 4096:
                raise MalformedResponseError("a chunk's size is malformed")
            self._fill()

    def _fill(self) -> None:
        view = memoryview(self.buffer)
        kept = self._end - self._start
        if self._start:
            view[:kept] = bytes(view[self._start : self._end])
            self._start, self._end = 0, kept
        self._end = self._receive(view, kept, len(view), once=True)
        if self._failure is not None and self._end == kept:
            raise self._failure

    def _receive(self, view: memoryview, end: int, most: int, *, once: bool = False) -> int:
        """Fill `view` from `end` to `most`; how far it got. What went wrong is in `_failure`: what came before
        it is handed on first. Over TLS this turns once for 16 KiB, so what can wait is done after the loop."""
        network, receive, start = self._session.network, self._connection.receive, end
        begun = time.monotonic()
        try:
            while end < most:
                received = receive(view[end:most])
                if not received:
                    self._end_of_connection()
                    break
                end += received
                if once or time.monotonic() - begun > _HOLD_BACK:
                    break
        except (OSError, ValueError) as error:
            self._fail(as_broken(error, "the connection broke"))
        if network.stop.is_set():
            raise StoppedError
        if self._failure is None and not self._pace.keeps_up(end - start, now=time.monotonic()):
            self._fail(BrokenError("it comes too slowly"))
        return end

    def _end_of_connection(self) -> None:
        if self.head.framed:
            self._fail(BrokenError("the connection closed before the body's end"))
        else:
            self.abandon()

    def _fail(self, error: BrokenError) -> None:
        self._failure = error
        self.abandon()

    def _finish(self) -> None:
        if self._open:
            self._open = False
            if self.head.keep_alive and not self._surplus:
                self._session.keep(self._connection)
            else:
                self._session.network.drop(self._connection.sock)

    def abandon(self) -> None:
        """Close the connection: the rest is not wanted."""
        if self._open:
            self._open = False
            self._session.network.drop(self._connection.sock)

    def drain(self) -> None:
        """Be done with a body that is of no use."""
        if self.head.length is None or self.head.length > _MOST_DRAINED:
            self.abandon()
        if not self._open:
            return
        # Waiting for it longer than for a new connection would be no gain.
        self._connection.sock.settimeout(min(self._session.network.timeout, 0.5))
        with contextlib.suppress(BrokenError):
            while self.read():
                pass
