"""One thread's requests and their responses, over connections that are kept: `http.client` on sockets of our own."""

from __future__ import annotations

import contextlib
import http.client
import io
import math
import re
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any, Final, NamedTuple

from firsthandapi._core.config import Origin
from firsthandapi._core.download import (
    Address,
    MalformedResponseError,
    Pace,
    framing,
    parse_chunk_size,
)
from firsthandapi._network.addresses import NOTICEABLE
from firsthandapi._network.proxies import Route
from firsthandapi._network.tls import Link, is_readable
from firsthandapi._version import __version__

from .network import BrokenError, Network, StoppedError, as_broken

# One per thread, and all the memory a file takes, however large it is.
BUFFER_BYTES: Final = 512 * 1024
# Far above what any server sends, and all that one may make us hold.
_MOST_HEAD_BYTES = 64 * 1024
_MOST_CHUNK_LINE = 4096
_MOST_TRAILERS = 100
# A small body that is of no use is read, so that its connection stays of use.
_MOST_DRAINED = 16 * 1024
# Bytes are handed on at least so often, for the sake of who watches.
_HOLD_BACK = 0.25
_MOST_IDLE = 4

_LINE = re.compile(rb"(?:[^\0\r\n \t][^\0\r\n]*)?\r\n")
# A whole head, but for those of informational responses, which others follow.
_HEAD = re.compile(rb"HTTP/1\.[01] [2-9][0-9][0-9](?: [^\0\r\n]*)?\r\n(?:[^\0\r\n \t][^\0\r\n]*\r\n)*\r\n")

_USER_AGENT = (
    f"firsthandapi-python/{__version__} (Python {sys.version_info[0]}.{sys.version_info[1]}; {sys.platform})"
)


class Head(NamedTuple):
    """A response's head.

    Attributes:
        status: the status.
        headers: names in lower case; one that came several times is joined by `, `.
        length: the body's length; None if it is chunked or ends with the connection.
        chunked: whether the body comes in chunks.
    """

    status: int
    headers: dict[str, str]
    length: int | None
    chunked: bool

    @property
    def framed(self) -> bool:
        """Whether the end of the body differs from a broken connection."""
        return self.chunked or self.length is not None


class _Reader(io.BufferedReader):
    """What `http.client` reads a response through: one for all responses of a connection, so that bytes beyond a
    response are found and not lost."""

    def chunk_line(self) -> bytes:
        """A line between chunks, without its end."""
        line = self.readline(_MOST_CHUNK_LINE)
        if not line.endswith(b"\r\n"):
            raise MalformedResponseError("the chunked body is cut or malformed")
        return line[:-2]

    def close(self) -> None:
        """Nothing: `http.client` closes this after each response."""


class _StrictReader:
    """The same, for a head that did not come as one piece of HTTP. `http.client` takes heads for e-mails, with folded
    lines, bare line feeds, and an end wherever the connection ends; but what follows is framed by the head."""

    def __init__(self, reader: _Reader) -> None:
        self._size = 0
        self._reader = reader
        self.readinto = reader.readinto
        self.close = self.flush = reader.close

    def readline(self, _: int) -> bytes:
        line = self._reader.readline(_MOST_HEAD_BYTES)
        if line == b"" and self._size == 0:
            return line  # `http.client` says what this means
        self._size += len(line)
        if self._size > _MOST_HEAD_BYTES or not _LINE.fullmatch(line):
            raise MalformedResponseError("the response's head is not HTTP")
        return line


class _Response(http.client.HTTPResponse):
    """Passes over every informational response: `http.client` does so for 100 alone."""

    def begin(self) -> None:
        super().begin()
        while 100 < self.status < 200 and self.status != 101:
            self.headers = self.msg = None  # type: ignore[assignment] # as before the first response
            super().begin()


class Connection(io.RawIOBase):
    """A connection, as `http.client` takes it for a socket: its timeouts are decided here.

    Args:
        link: the socket, connected.
        route: where it leads.
        timeout: seconds for a head, and between two bytes of a body.
        waits: called when the thread begins to wait for the network; whether to call it the next time.
    """

    def __init__(self, link: Link, route: Route, timeout: float, waits: Callable[[], bool]) -> None:
        super().__init__()
        self.link = link
        self.route = route
        self.used = False
        self.reader = _Reader(self)
        self.http = http.client.HTTPConnection(route.origin.host, route.origin.port)
        self.http.sock = self
        self.http.auto_open = 0  # it never connects by itself
        self.http.response_class = _Response
        self.sendall = link.sendall
        self._receive = link.recv_into
        self._timeout = timeout
        self._waits = waits
        self._seconds = timeout  # the socket's timeout: `timeout`, or only until a wait is noticeable
        self._tell = True
        self._ends = 0.0  # when the head must have come; 0 in a body
        self._piece_ends = 0.0
        self._quiet = False
        self.came = 0  # bytes of the head, or of the current piece of the body
        self.failure: OSError | None = None
        link.settimeout(timeout)

    # --- for http.client ----------------------------------------------------------------------------------

    def makefile(self, *_: Any) -> _Reader | _StrictReader:
        return self.reader if _HEAD.match(self.reader.peek(1)) else _StrictReader(self.reader)

    def close(self) -> None:
        """Nothing: whoever opened the connection closes it."""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int | None:
        """Receive once. Called again and again until a piece is complete, so it is kept short.

        In a body None ends the piece early: after a quarter of a second, and when the connection broke. So what came
        before is handed on.
        """
        if self._ends:
            return self._receive_head(buffer)
        if self._quiet or self.failure is not None or (self.came and time.monotonic() > self._piece_ends):
            return None
        try:
            size = self._receive(buffer)
        except TimeoutError as error:
            if self._seconds != NOTICEABLE:
                self.failure = error
                return None
            self._wait_up_to(self._timeout)
            return self.readinto(buffer)
        except OSError as error:
            self.failure = error
            return None
        self.came += size
        return size

    def _receive_head(self, buffer: Any) -> int:
        if self.came:
            # A byte must not restart the whole time.
            left = self._ends - time.monotonic()
            if left <= 0:
                raise TimeoutError
            self._wait_up_to(left)
        try:
            size = self._receive(buffer)
        except TimeoutError:
            if self._seconds != NOTICEABLE:
                raise
            self._tell = self._waits()
            self._wait_up_to(self._timeout)
            size = self._receive(buffer)
        self.came += size
        return size

    def _wait_up_to(self, seconds: float) -> None:
        if seconds != self._seconds:
            self._seconds = seconds
            self.link.settimeout(seconds)

    # --- for the session ----------------------------------------------------------------------------------

    def ask(
        self, address: Address, headers: Iterable[tuple[str, str]]
    ) -> tuple[http.client.HTTPResponse, Head]:
        """Send a request, and read the head of its response.

        Raises:
            MalformedResponseError: it is not HTTP/1.1, or the length of its body is uncertain.
            http.client.HTTPException: the same, in other words.
            OSError: the connection broke.
        """
        self._wait_up_to(NOTICEABLE if self._tell and self._timeout > NOTICEABLE else self._timeout)
        self._ends = time.monotonic() + self._timeout
        self.came = 0
        forwarded = self.route.forwarded
        self.http.putrequest(
            "GET",
            address.origin.url + address.target if forwarded else address.target,
            skip_host=True,
            skip_accept_encoding=True,
        )
        self._put(headers)
        if forwarded:
            self._put(self.route.proxy_headers())
        self.http.endheaders()
        response = self.http.getresponse()
        self._ends = 0.0
        if self._seconds != NOTICEABLE:
            self._wait_up_to(self._timeout)
        if response.msg.defects:
            raise MalformedResponseError("a header is malformed")
        found: dict[str, str] = {}
        for name, value in response.msg.raw_items():
            key = name.lower()
            found[key] = f"{found[key]}, {value}" if key in found else value
        return response, Head(response.status, found, *framing(response.status, found))

    def _put(self, headers: Iterable[tuple[str, str]]) -> None:
        for name, value in headers:
            self.http.putheader(name, value)

    def start_piece(self, seconds: float = _HOLD_BACK) -> None:
        """Begin to read the next piece of a body; it ends after that many seconds, if any byte came."""
        self.came = 0
        self._piece_ends = time.monotonic() + seconds

    def hurry(self, seconds: float) -> None:
        """Wait no longer than this for the rest of a body."""
        self._wait_up_to(min(seconds, self._timeout))

    def has_surplus(self) -> bool:
        """Whether bytes came that belong to no response."""
        self._quiet = True
        try:
            return bool(self.reader.peek(1))
        finally:
            self._quiet = False


class Session:
    """What one thread has of its own: connections and a buffer.

    Args:
        network: how hosts are reached.
        waits: called when the thread begins to wait for the network; whether to call it the next time.
    """

    def __init__(self, network: Network, waits: Callable[[], bool] = lambda: False) -> None:
        self.network = network
        self.buffer = bytearray(BUFFER_BYTES)
        self._waits = waits
        self._idle: dict[Origin, Connection] = {}

    def get(self, address: Address, headers: list[tuple[str, str]]) -> Response:
        """Ask for `address`: the response with its head read.

        Raises:
            BrokenError, HopelessError, StoppedError, ConfigurationError: as `Network.connect`.
        """
        fields = [
            ("Host", address.origin.authority),
            ("User-Agent", _USER_AGENT),
            ("Accept", "*/*"),
            ("Accept-Encoding", "identity"),
            *headers,
        ]
        connection = self._idle.pop(address.origin, None)
        if connection is not None:
            if not is_readable(connection.link):
                response = self._ask(connection, address, fields)
                if response is not None:
                    return response
            else:  # the server hung up, or sent what nobody asked for
                self.network.drop(connection.link)
        link, route = self.network.connect(address.origin, self._waits)
        connection = Connection(link, route, self.network.timeout, self._waits)
        response = self._ask(connection, address, fields)
        if response is None:
            raise BrokenError(f"no response from {address.origin.host}: the server closed the connection")
        return response

    def _ask(
        self, connection: Connection, address: Address, headers: list[tuple[str, str]]
    ) -> Response | None:
        """The response; None if the connection was closed before any of it came, as happens to idle ones."""
        try:
            response, head = connection.ask(address, headers)
        except BaseException as error:
            self.network.drop(connection.link)
            if self.network.stop.is_set():
                raise StoppedError from None
            host = address.origin.host
            if isinstance(error, (MalformedResponseError, http.client.HTTPException)):
                if isinstance(error, http.client.RemoteDisconnected):
                    return None
                raise BrokenError(f"{host}: {_said(error)}") from None
            if isinstance(error, OSError):
                if connection.used and connection.came == 0 and not isinstance(error, TimeoutError):
                    return None
                raise as_broken(error, f"no response from {host}") from None
            raise
        connection.used = True
        return Response(self, connection, response, head)

    def keep(self, connection: Connection) -> None:
        """Keep a connection for the next request to its origin."""
        if len(self._idle) >= _MOST_IDLE:
            self.close()
        self._idle[connection.route.origin] = connection

    def close(self) -> None:
        """Close the idle connections."""
        while self._idle:
            self.network.drop(self._idle.popitem()[1].link)


def _said(error: Exception) -> str:
    # The text of http.client quotes the response; the name of its class says as much.
    return (
        str(error) if isinstance(error, MalformedResponseError) else f"not HTTP/1.1 ({type(error).__name__})"
    )


def _received(size: int | None, connection: Connection) -> int:
    if size is None:  # nothing but a failure
        raise connection.failure or ConnectionResetError
    return size


class Response:
    """A response whose head is read. Read its body to the end, or `abandon` it."""

    def __init__(
        self, session: Session, connection: Connection, response: http.client.HTTPResponse, head: Head
    ) -> None:
        self.head = head
        self.buffer = session.buffer
        self._session = session
        self._connection = connection
        self._response = response
        self._left = head.length
        self._chunk = 0  # the unread bytes of the current chunk
        self._begun = False  # whether a chunk came before
        self._failure: BrokenError | None = None
        self._open = True
        self._pace = Pace(session.network.timeout, now=time.monotonic())
        if head.length == 0:
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
            size = self._read()
        except (OSError, MalformedResponseError, http.client.HTTPException) as error:
            self.abandon()
            if self._session.network.stop.is_set():
                raise StoppedError from None
            if isinstance(error, OSError):
                raise as_broken(error, "the connection broke") from None
            raise BrokenError(_said(error)) from None
        except BaseException:
            self.abandon()
            raise
        return memoryview(self.buffer)[:size]

    def _read(self) -> int:
        network, connection = self._session.network, self._connection
        if self.head.chunked:
            size = self._read_chunk()
        else:
            connection.start_piece()
            size = _received(self._response.readinto(self.buffer), connection)
            if self._left is not None:
                self._left -= size
        if network.stop.is_set():
            raise StoppedError
        if size and not self._pace.keeps_up(size, now=time.monotonic()):
            self._fail(BrokenError("the download is too slow"))
        elif self._left == 0 or (size == 0 and self.head.chunked):
            self._finish()
        elif size == 0:
            self.abandon()
            if self.head.framed:
                raise BrokenError("the connection closed before the body's end")
        return size

    # `http.client` takes "-5" for a chunk's size, whatever follows a chunk for its end, and trailers without end. So
    # this part of a reader is ours; storages seldom send chunks.

    def _read_chunk(self) -> int:
        connection, reader = self._connection, self._connection.reader
        if self._chunk == 0:
            connection.start_piece(math.inf)  # half a line is of no use
            if self._begun and reader.chunk_line():
                raise MalformedResponseError("a chunk is longer than it says")
            self._begun = True
            self._chunk = parse_chunk_size(reader.chunk_line())
            if self._chunk == 0:
                for _ in range(_MOST_TRAILERS):
                    if not reader.chunk_line():  # trailers, of which none is of use
                        return 0
                raise MalformedResponseError("the body's trailers do not end")
        connection.start_piece()
        size = _received(reader.readinto(memoryview(self.buffer)[: self._chunk]), connection)
        if size == 0:
            raise MalformedResponseError("the chunked body is cut or malformed")
        self._chunk -= size
        return size

    def _fail(self, error: BrokenError) -> None:
        self._failure = error
        self.abandon()

    def _finish(self) -> None:
        self._open = False
        self._response.close()
        if self._response.will_close or self._connection.has_surplus():
            self._session.network.drop(self._connection.link)
        else:
            self._session.keep(self._connection)

    def abandon(self) -> None:
        """Close the connection: the rest is not wanted."""
        if self._open:
            self._open = False
            self._session.network.drop(self._connection.link)

    def drain(self) -> None:
        """Be done with a body that is of no use."""
        if self.head.length is None or self.head.length > _MOST_DRAINED:
            self.abandon()
        if not self._open:
            return
        # Waiting for it longer than for a new connection would be no gain.
        self._connection.hurry(0.5)
        with contextlib.suppress(BrokenError):
            while self.read():
                pass
