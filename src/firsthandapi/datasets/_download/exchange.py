"""One thread's requests and their responses, over connections that are kept: `http.client` over sockets of our own."""

from __future__ import annotations

import http.client
import io
import sys
import time
from collections.abc import Callable
from typing import Any, Final

from firsthandapi._base.network.lookups import NOTICEABLE
from firsthandapi._base.network.proxies import Route
from firsthandapi._base.network.tls import Link, is_readable
from firsthandapi._base.origins import Origin
from firsthandapi._base.version import __version__
from firsthandapi._core.files.download import Address, MalformedResponseError, Pace, framing

from .network import BrokenError, Network, StoppedError, as_broken

# One per thread, and all the memory a file takes, however large it is.
BUFFER_BYTES: Final = 512 * 1024
# With a head come the first bytes of a body: a small one entirely.
_READ_AHEAD: Final = 128 * 1024
# The most that one read takes from the network: without it, trailers and 1xx responses need not end.
_MOST_BYTES = 4 * BUFFER_BYTES
# A small body that is of no use is read, so that its connection stays of use.
_MOST_DRAINED = 16 * 1024
# The longest that received bytes wait for more: whoever watches sees progress.
_HOLD_BACK = 0.25
_MOST_IDLE = 4

_FIXED_FIELDS = (
    f"User-Agent: firsthandapi-python/{__version__} "
    f"(Python {sys.version_info[0]}.{sys.version_info[1]}; {sys.platform})\r\n"
    "Accept: */*\r\nAccept-Encoding: identity\r\n"
)


class _Reader(io.BufferedReader):
    def close(self) -> None:
        """Stay open: `http.client` closes it after each response, and the connection serves the next one."""


class DownloadSocket(io.RawIOBase):
    """A connected socket, as `http.client.HTTPResponse` reads it: each byte in time. `timeout` is that for a head, and
    between two bytes of a body; `waits` is called when the thread begins to wait for the network, and returns whether
    to call it the next time.

    No `http.client.HTTPConnection`, since other people's instruments record the URLs that pass through its methods."""

    def __init__(self, link: Link, route: Route, timeout: float, waits: Callable[[], bool]) -> None:
        self.link = link
        self.route = route
        self.used = False
        self.came = 0  # bytes of a head, or of one read from a body
        self.reader = _Reader(self, _READ_AHEAD)
        self._timeout = timeout
        self._waits = waits
        self._reports = timeout > NOTICEABLE  # whether a noticeable wait is reported
        self._seconds = 0.0  # the socket's timeout, once it is set
        self._head_ends = 0.0  # when a head must have come
        self._pace: Pace | None = None  # of a body
        self._resting = False

    def ask(self, address: Address, headers: list[tuple[str, str]]) -> http.client.HTTPResponse:
        """Send a request, and read the head of its response.
        Raises MalformedResponseError: the head is cut, or does not end.
        Raises http.client.HTTPException: it is not HTTP/1.1.
        Raises OSError: the connection broke.
        """
        self.came, self._pace, self._resting = 0, None, False
        self._head_ends = time.monotonic() + self._timeout
        # With whatever timeout the socket has: a request fits into its buffer.
        self.link.sendall(self._request(address, headers))
        self.wait_up_to(NOTICEABLE if self._reports else self._timeout)
        sock: Any = self
        while True:
            response = http.client.HTTPResponse(sock, method="GET")
            response.begin()
            if response.status >= 200 or response.status == 101:  # none that another one follows
                self._pace = Pace(self._timeout, now=time.monotonic())
                return response

    def _request(self, address: Address, headers: list[tuple[str, str]]) -> bytes:
        target = address.target
        if self.route.forwarded:
            target = address.origin.url + target
            headers = headers + self.route.proxy_headers()
        lines = "".join([f"{name}: {value}\r\n" for name, value in headers])
        head = f"GET {target} HTTP/1.1\r\nHost: {address.origin.authority}\r\n{_FIXED_FIELDS}{lines}\r\n"
        return head.encode("ascii")

    def is_clean(self) -> bool:
        """Whether nothing came after the last response: neither bytes nor the end."""
        self._resting = True
        return not self.reader.peek() and not is_readable(self.link)

    def wait_up_to(self, seconds: float) -> None:
        """Wait no longer than this for the next byte."""
        if seconds != self._seconds:
            self._seconds = seconds
            self.link.settimeout(seconds)

    def makefile(self, mode: str) -> _Reader:  # noqa: ARG002 # what `http.client` asks a socket for
        return self.reader

    def readable(self) -> bool:
        return True

    def close(self) -> None:
        """Stay open too: what is collected later would be flushed into a closed file."""

    def readinto(self, buffer: Any) -> int | None:
        """Receive once. None between two responses."""
        if self._resting:
            return None
        size = self._receive(buffer)
        self.came += size
        if self._pace is None:
            if size == 0 and self.came:
                raise MalformedResponseError("the response's head is cut")
            if time.monotonic() > self._head_ends:  # a byte must not restart the whole time
                raise TimeoutError
        elif not self._pace.keeps_up(size, now=time.monotonic()):
            raise BrokenError("the download is too slow")
        if self.came > _MOST_BYTES:
            raise MalformedResponseError("the response does not end")
        return size

    def _receive(self, buffer: Any) -> int:
        # A fast connection still has the short timeout that its head came within: a change is a system call.
        if self._seconds == NOTICEABLE:
            try:
                return self.link.recv_into(buffer)
            except TimeoutError:
                if self._pace is None:
                    self._reports = self._waits()
                self.wait_up_to(self._timeout)
        return self.link.recv_into(buffer)


class Session:
    """What one thread has of its own: connections and a buffer.

    Attributes:
        waiting: whether the thread has waited noticeably for the network, and still does."""

    def __init__(self, network: Network, waits: Callable[[], bool] = lambda: False) -> None:
        self.network = network
        self.buffer = bytearray(BUFFER_BYTES)
        self.waiting = False
        self._waits = waits
        self._idle: dict[Origin, DownloadSocket] = {}

    def get(self, address: Address, headers: list[tuple[str, str]]) -> Response:
        """Ask for `address`: the response with its head read.
        Raises BrokenError, HopelessError, StoppedError, ConfigurationError: as `Network.connect`.
        """
        try:
            connection = self._idle.pop(address.origin, None)
            if connection is not None:
                if connection.is_clean():
                    response = self._ask(connection, address, headers)
                    if response is not None:
                        return response
                else:
                    self.network.drop(connection.link)
            link, route = self.network.connect(address.origin, self._begin_to_wait)
            response = self._ask(
                DownloadSocket(link, route, self.network.timeout, self._begin_to_wait), address, headers
            )
            assert response is not None  # noqa: S101 # of a new connection
            return response
        finally:
            self.waiting = False

    def _ask(
        self, connection: DownloadSocket, address: Address, headers: list[tuple[str, str]]
    ) -> Response | None:
        """The response; None if a used connection was closed before any of it came, as happens to idle ones."""
        try:
            response = Response(self, connection, connection.ask(address, headers))
        except BaseException as error:
            self.network.drop(connection.link)
            closed = isinstance(error, OSError) and not isinstance(error, TimeoutError)
            if connection.used and closed and not connection.came and not self.network.stop.is_set():
                return None
            raise self.explain(error, f"no response from {address.origin.host}") from None
        connection.used = True
        return response

    def explain(self, error: BaseException, problem: str) -> BaseException:
        """Our error for one that ended a request; none of its text is the server's."""
        if isinstance(error, Exception) and self.network.stop.is_set():
            return StoppedError()
        if isinstance(error, http.client.RemoteDisconnected):
            return BrokenError(f"{problem}: the server closed the connection")
        if isinstance(error, http.client.IncompleteRead):
            return BrokenError("the connection closed before the body's end")
        if isinstance(error, http.client.HTTPException):
            return BrokenError(f"{problem}: it is not HTTP")
        if isinstance(error, MalformedResponseError):
            return BrokenError(f"{problem}: {error}")
        return as_broken(error, problem) if isinstance(error, OSError) else error

    def _begin_to_wait(self) -> bool:
        self.waiting = True
        return self._waits()

    def keep(self, connection: DownloadSocket) -> None:
        """Keep a connection for the next request to its origin."""
        if len(self._idle) >= _MOST_IDLE:
            self.close()
        self._idle[connection.route.origin] = connection

    def close(self) -> None:
        while self._idle:
            self.network.drop(self._idle.popitem()[1].link)


class Response:
    """A response whose head is read. Read its body to the end, or `abandon` it.

    Attributes:
        status: the status.
        headers: names in lower case; one that came several times is joined by `, `.
        length: the body's length; None if it is chunked or ends with the connection.
        framed: whether the end of the body differs from a broken connection.
        buffer: where the next `read` puts its bytes, unless they come in chunks.

    Raises:
        MalformedResponseError: a header is malformed, or the body's length is uncertain.
    """

    def __init__(
        self, session: Session, connection: DownloadSocket, response: http.client.HTTPResponse
    ) -> None:
        self.status = response.status
        self.headers: dict[str, str] = {}
        for name, value in response.headers.raw_items():
            key = name.lower()
            self.headers[key] = f"{self.headers[key]}, {value}" if key in self.headers else value
        # `http.client` takes heads for e-mails, with folded lines.
        if response.headers.defects or any("\n" in value for value in self.headers.values()):
            raise MalformedResponseError("a header is malformed")
        self.length, chunked = framing(self.status, self.headers)
        self.framed = chunked or self.length is not None
        self.buffer = session.buffer
        self._session = session
        self._connection = connection
        self._response = response
        self._left = self.length
        self._failure: Exception | None = None
        self._open = True
        if self.length == 0:
            self._finish()

    def read(self) -> memoryview:
        """The next bytes of the body, valid until the next `read`; none at its end.
        Raises BrokenError: the connection broke, or the body is cut or comes too slowly.
        Raises StoppedError: the run was cancelled.
        """
        if not self._open:
            return memoryview(b"")
        try:
            piece = self._read()
            if self._session.network.stop.is_set():
                raise StoppedError  # noqa: TRY301 # one way out of all
        except BaseException as error:
            self.abandon()
            raise self._session.explain(error, "the connection broke") from None
        if not piece or self._left == 0:
            self._finish()
        return piece

    def _read(self) -> memoryview:
        connection, view, end = self._connection, memoryview(self.buffer), 0
        connection.came = 0
        if self._failure is not None:
            raise self._failure
        if self._response.chunked:
            return memoryview(self._response.read1(BUFFER_BYTES))
        most = len(view) if self._left is None else min(len(view), self._left)
        held_until = time.monotonic() + _HOLD_BACK
        try:
            size: int | None = connection.reader.readinto1(view[:most])  # first what came with the head
            while size:
                end += size
                if end == most or time.monotonic() > held_until:
                    break
                size = connection.readinto(view[end:most])
        except (OSError, BrokenError) as error:
            if end == 0:
                raise
            self._failure = error  # raised after the bytes that came before it
        if self._left is not None:
            if end == 0:
                raise http.client.IncompleteRead(b"")
            self._left -= end
        return view[:end]

    def _finish(self) -> None:
        if self._response.will_close:
            self.abandon()
        elif self._open:
            self._open = False
            self._session.keep(self._connection)

    def abandon(self) -> None:
        """Close the connection: the rest is not wanted."""
        if self._open:
            self._open = False
            self._session.network.drop(self._connection.link)

    def drain(self) -> None:
        """Be done with a body that is of no use."""
        if self.length is None or self.length > _MOST_DRAINED:
            self.abandon()
        if not self._open:
            return
        # Waiting for it longer than for a new connection would be no gain.
        self._connection.wait_up_to(min(0.5, self._session.network.timeout))
        try:
            while self.read():
                pass
        except BrokenError:
            pass
