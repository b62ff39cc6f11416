"""One thread's requests and their responses, over connections that are kept."""

from __future__ import annotations

import contextlib
import http.client
import re
import sys
import time
from collections.abc import Callable
from email.parser import HeaderParser
from typing import Final, NamedTuple

from firsthandapi._core.calls.config import Origin
from firsthandapi._core.files.download import Address, MalformedResponseError, Pace, framing, parse_chunk_size
from firsthandapi._network.names import NOTICEABLE
from firsthandapi._network.proxies import Route
from firsthandapi._network.tls import Link, is_readable
from firsthandapi._version import __version__

from .network import BrokenError, Network, StoppedError, as_broken

# One per thread, and all the memory a file takes, however large it is.
BUFFER_BYTES: Final = 512 * 1024
# Far above what any server sends, and the most that one may make us keep.
_MOST_HEAD_BYTES = 64 * 1024
_MOST_CHUNK_LINE = 4096
_MOST_TRAILERS = 100
# A small body that is of no use is read, so that its connection stays of use.
_MOST_DRAINED = 16 * 1024
# The longest that received bytes wait for more: whoever watches sees progress.
_HOLD_BACK = 0.25
_MOST_IDLE = 4

# A head that is HTTP and nothing else.
_HEAD = re.compile(
    rb"HTTP/1\.([01]) ([1-9][0-9][0-9])(?: [^\0\r\n]*)?\r\n((?:[^\0\r\n \t][^\0\r\n]*\r\n)*\r\n)"
)
# What `http.client.parse_headers` does, without its search for a body: that takes half of its time.
_FIELDS = HeaderParser(_class=http.client.HTTPMessage)
_NOT_HTTP = "the response's head is not HTTP"

_FIXED_FIELDS = (
    f"User-Agent: firsthandapi-python/{__version__} "
    f"(Python {sys.version_info[0]}.{sys.version_info[1]}; {sys.platform})\r\n"
    "Accept: */*\r\nAccept-Encoding: identity\r\n"
)


class Head(NamedTuple):
    """A response's head.

    Attributes:
        status: the status.
        headers: names in lower case; one that came several times is joined by `, `.
        length: the body's length; None if it is chunked or ends with the connection.
        chunked: whether the body comes in chunks.
        reusable: whether the connection may be used again after the body.
    """

    status: int
    headers: dict[str, str]
    length: int | None
    chunked: bool
    reusable: bool

    @property
    def framed(self) -> bool:
        """Whether the end of the body differs from a broken connection."""
        return self.chunked or self.length is not None


def _parse_head(match: re.Match[bytes]) -> Head:
    version, code, fields = match.groups()
    message = _FIELDS.parsestr(fields.decode("latin-1"))
    if message.defects:
        raise MalformedResponseError("a header is malformed")
    headers: dict[str, str] = {}
    for name, value in message.raw_items():
        key = name.lower()
        headers[key] = f"{headers[key]}, {value}" if key in headers else value
    status = int(code)
    length, chunked = framing(status, headers)
    closes = "close" in headers.get("connection", "" if version == b"1" else "close").lower()
    return Head(status, headers, length, chunked, not closes and (chunked or length is not None))


class Connection:
    """A connection, and the buffer that heads go to, with what comes after them.

    Args:
        link: the socket, connected.
        route: where it leads.
        buffer: one that other connections of the thread may use in between.
        timeout: seconds for a head, and between two bytes of a body.
        waits: called when the thread begins to wait for the network; whether to call it the next time.
    """

    def __init__(
        self, link: Link, route: Route, buffer: bytearray, timeout: float, waits: Callable[[], bool]
    ) -> None:
        self.link = link
        self.route = route
        self.used = False
        self.start = self.end = 0  # the bytes in the buffer that came after the head
        self._buffer = buffer
        self._timeout = timeout
        self._waits = waits
        self._reports = timeout > NOTICEABLE  # whether a noticeable wait is reported
        self._seconds = timeout  # the socket's timeout
        link.settimeout(timeout)

    # `http.client` neither sends nor receives. Other people's instruments record what passes through its methods, and
    # the URL is a secret; and it takes heads for e-mails, with folded lines, bare line feeds, and an end wherever the
    # connection ends, although the body is framed by them. Its parser gets what has passed here.

    def ask(self, address: Address, headers: list[tuple[str, str]]) -> Head | None:
        """Send a request, and read the head of its response; None if the connection was closed before any of it came.

        Raises:
            MalformedResponseError: it is not HTTP/1.1, or the length of its body is uncertain.
            OSError: the connection broke.
        """
        self.start = self.end = 0
        # With whatever timeout the socket has: a request fits into its buffer.
        self.link.sendall(self._request(address, headers))
        return self._receive_head()

    def _request(self, address: Address, headers: list[tuple[str, str]]) -> bytes:
        target = address.target
        if self.route.forwarded:
            target = address.origin.url + target
            headers = headers + self.route.proxy_headers()
        lines = "".join([f"{name}: {value}\r\n" for name, value in headers])
        head = f"GET {target} HTTP/1.1\r\nHost: {address.origin.authority}\r\n{_FIXED_FIELDS}{lines}\r\n"
        return head.encode("ascii")

    def _receive_head(self) -> Head | None:
        ends = time.monotonic() + self._timeout
        buffer, view, start = self._buffer, memoryview(self._buffer), 0
        self.end = end = self._receive_first(view)
        while end:
            stop = buffer.find(b"\r\n\r\n", start, end) + 4
            if stop >= 4:
                match = _HEAD.fullmatch(buffer, start, stop)
                if match is None or stop > _MOST_HEAD_BYTES:
                    raise MalformedResponseError(_NOT_HTTP)
                if match[2] >= b"200" or match[2] == b"101":
                    self.start, self.end = stop, end
                    return _parse_head(match)
                start = stop  # an informational response, which others follow
                continue
            if end > _MOST_HEAD_BYTES or not b"HTTP/1.".startswith(buffer[start:end][:7]):
                raise MalformedResponseError(_NOT_HTTP)
            left = ends - time.monotonic()  # a byte must not restart the whole time
            if left <= 0:
                raise TimeoutError
            self.wait_up_to(left)
            size = self.link.recv_into(view[end:])
            self.wait_up_to(self._timeout)
            if size == 0:
                raise MalformedResponseError("the response's head is cut")
            end += size
        return None

    def _receive_first(self, view: memoryview) -> int:
        if self._reports:
            self.wait_up_to(NOTICEABLE)
            try:
                return self.link.recv_into(view)
            except TimeoutError:
                self._reports = self._waits()
        self.wait_up_to(self._timeout)
        return self.link.recv_into(view)

    def receive(self, view: memoryview) -> int:
        """Receive bytes of the body into `view`; how many. A fast connection still has the short timeout that its head
        came within, since each change of it is a system call."""
        try:
            return self.link.recv_into(view)
        except TimeoutError:
            if self._seconds != NOTICEABLE:
                raise
        self.wait_up_to(self._timeout)
        return self.link.recv_into(view)

    def wait_up_to(self, seconds: float) -> None:
        """Wait no longer than this for the next byte."""
        if seconds != self._seconds:
            self._seconds = seconds
            self.link.settimeout(seconds)


class Session:
    """What one thread has of its own: connections and a buffer.

    Args:
        network: how hosts are reached.
        waits: called when the thread begins to wait for the network; whether to call it the next time.

    Attributes:
        waiting: whether the thread has waited noticeably for the network, and still does.
    """

    def __init__(self, network: Network, waits: Callable[[], bool] = lambda: False) -> None:
        self.network = network
        self.buffer = bytearray(BUFFER_BYTES)
        self.waiting = False
        self._waits = waits
        self._idle: dict[Origin, Connection] = {}

    def get(self, address: Address, headers: list[tuple[str, str]]) -> Response:
        """Ask for `address`: the response with its head read.

        Raises:
            BrokenError, HopelessError, StoppedError, ConfigurationError: as `Network.connect`.
        """
        try:
            return self._get(address, headers)
        finally:
            self.waiting = False

    def _get(self, address: Address, headers: list[tuple[str, str]]) -> Response:
        connection = self._idle.pop(address.origin, None)
        if connection is not None:
            if not is_readable(connection.link):
                response = self._ask(connection, address, headers)
                if response is not None:
                    return response
            else:  # the server hung up, or sent what nobody asked for
                self.network.drop(connection.link)
        link, route = self.network.connect(address.origin, self._begin_to_wait)
        connection = Connection(link, route, self.buffer, self.network.timeout, self._begin_to_wait)
        response = self._ask(connection, address, headers)
        if response is None:
            raise BrokenError(f"no response from {address.origin.host}: the server closed the connection")
        return response

    def _ask(
        self, connection: Connection, address: Address, headers: list[tuple[str, str]]
    ) -> Response | None:
        """The response; None if the connection was closed before any of it came, as happens to idle ones."""
        try:
            head = connection.ask(address, headers)
        except BaseException as error:
            self.network.drop(connection.link)
            if self.network.stop.is_set():
                raise StoppedError from None
            host = address.origin.host
            if isinstance(error, MalformedResponseError):
                raise BrokenError(f"{host}: {error}") from None
            if isinstance(error, OSError):
                if connection.used and connection.end == 0 and not isinstance(error, TimeoutError):
                    return None
                raise as_broken(error, f"no response from {host}") from None
            raise
        if head is None:
            self.network.drop(connection.link)
            return None
        connection.used = True
        return Response(self, connection, head)

    def _begin_to_wait(self) -> bool:
        self.waiting = True
        return self._waits()

    def keep(self, connection: Connection) -> None:
        """Keep a connection for the next request to its origin."""
        if len(self._idle) >= _MOST_IDLE:
            self.close()
        self._idle[connection.route.origin] = connection

    def close(self) -> None:
        """Close the idle connections."""
        while self._idle:
            self.network.drop(self._idle.popitem()[1].link)


class Response:
    """A response whose head is read. Read its body to the end, or `abandon` it."""

    def __init__(self, session: Session, connection: Connection, head: Head) -> None:
        self.head = head
        self.buffer = session.buffer
        self._session = session
        self._connection = connection
        # In the buffer: the bytes that `read` has not returned yet.
        self._start, self._end = connection.start, connection.end
        self._left = head.length
        self._chunk = 0  # the bytes of the current chunk that `read` has not returned yet
        self._begun = False  # whether a chunk came before
        self._failure: BrokenError | None = None
        self._open = True
        self._pace = Pace(session.network.timeout, now=time.monotonic())
        if head.length == 0:
            self._finish(surplus=self._start != self._end)

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
        except MalformedResponseError as error:
            self.abandon()
            raise BrokenError(str(error)) from None
        except BaseException:
            self.abandon()
            raise

    def _read_plain(self) -> memoryview:
        view, start, came = memoryview(self.buffer), self._start, self._end
        most = len(view) if self._left is None else min(len(view), start + self._left)
        self._start = self._end = 0
        end = self._receive(view, min(came, most), most)
        if self._failure is not None and end == start:
            raise self._failure
        if self._left is not None:
            self._left -= end - start
            if self._left == 0:
                # More than was announced, whatever it is, is neither this file's nor the next response.
                self._finish(surplus=came > most)
        return view[start:end]

    # `http.client` takes "-5" for a chunk's size, whatever follows a chunk for its end, and trailers without end. So
    # this part of a reader is ours; storages seldom send chunks.

    def _read_chunk(self) -> memoryview:
        if self._chunk == 0:
            if self._begun and self._line():
                raise MalformedResponseError("a chunk is longer than it says")
            self._begun = True
            self._chunk = parse_chunk_size(self._line())
            if self._chunk == 0:
                for _ in range(_MOST_TRAILERS):
                    if not self._line():  # trailers, of which none is of use
                        self._finish(surplus=self._start != self._end)
                        return memoryview(b"")
                raise MalformedResponseError("the body's trailers do not end")
        if self._start == self._end:
            self._fill()
        start = self._start
        self._start = min(self._end, start + self._chunk)
        self._chunk -= self._start - start
        return memoryview(self.buffer)[start : self._start]

    def _line(self) -> bytes:
        """A line between chunks, without its end."""
        while (stop := self.buffer.find(b"\r\n", self._start, self._end)) < 0:
            if self._end - self._start > _MOST_CHUNK_LINE:
                raise MalformedResponseError("the chunked body is malformed")
            self._fill()
        line = bytes(memoryview(self.buffer)[self._start : stop])
        self._start = stop + 2
        return line

    def _fill(self) -> None:
        """Receive once, after the part of a line that is in the buffer already."""
        view, kept = memoryview(self.buffer), self._end - self._start
        view[:kept] = bytes(view[self._start : self._end])
        self._start, self._end = 0, self._receive(view, kept, len(view), once=True)
        if self._failure is not None and self._end == kept:
            raise self._failure

    def _receive(self, view: memoryview, start: int, most: int, *, once: bool = False) -> int:
        """Fill `view` from `start` to `most`; how far it got. An error goes to `_failure`: the bytes before it are
        returned first. Over TLS this turns once per 16 KiB, so the checks that can wait come after the loop."""
        receive, end, size = self._connection.receive, start, -1
        held_until = time.monotonic() + _HOLD_BACK
        try:
            while end < most and (size := receive(view[end:most])):
                end += size
                if once or time.monotonic() > held_until:
                    break
        except OSError as error:
            self._fail(as_broken(error, "the connection broke"))
        if self._session.network.stop.is_set():
            raise StoppedError
        if size == 0 and not self.head.framed:
            self.abandon()  # its end is that of its connection
        elif size == 0:
            self._fail(BrokenError("the connection closed before the body's end"))
        elif not self._pace.keeps_up(end - start, now=time.monotonic()):
            self._fail(BrokenError("the download is too slow"))
        return end

    def _fail(self, error: BrokenError) -> None:
        if self._failure is None:
            self._failure = error
        self.abandon()

    def _finish(self, *, surplus: bool) -> None:
        if self._open:
            self._open = False
            if self.head.reusable and not surplus:
                self._session.keep(self._connection)
            else:
                self._session.network.drop(self._connection.link)

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
        self._connection.wait_up_to(min(0.5, self._session.network.timeout))
        with contextlib.suppress(BrokenError):
            while self.read():
                pass
