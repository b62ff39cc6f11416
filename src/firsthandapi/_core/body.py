"""Reading a response: flat in memory, never more than the limit, and not a byte beyond its end."""

from __future__ import annotations

import zlib
from collections.abc import Mapping

from firsthandapi.errors import UnexpectedResponseError

from .response import MAX_BODY_BYTES

_GZIP_OR_ZLIB = zlib.MAX_WBITS | 32
_TOO_LONG = "is larger than 32 MiB, the limit for a response"
# Each value costs up to a hundred bytes of memory. A page of the longest transcripts, with a time for each word, has
# half as many.
_MOST_VALUES = 4_000_000
_TOO_MANY = f"has more than {_MOST_VALUES:,} values, the limit for a response"


class TruncatedBodyError(Exception):
    """The compressed body is cut: the connection broke, although the framing did not show it."""


class BodyReader:
    """Collects a body's chunks and decompresses gzip, without trusting its size."""

    __slots__ = ("_chunks", "_content_type", "_inflate", "_length", "_status", "length")

    def __init__(self, status: int, headers: Mapping[str, str]) -> None:
        encoding = headers.get("content-encoding", "").strip().lower()
        self._inflate = (
            zlib.decompressobj(_GZIP_OR_ZLIB) if encoding in ("gzip", "x-gzip", "deflate") else None
        )
        self._chunks: list[bytes] = []
        self._length = 0
        self.length = 0  # bytes on the wire
        self._status = status
        self._content_type = headers.get("content-type")

    def feed(self, chunk: bytes) -> None:
        """Take the next chunk as it came off the wire.

        Raises:
            UnexpectedResponseError: the body is larger than 32 MiB, or is not valid gzip.
        """
        problem = self._take(chunk)
        if problem is not None:
            del chunk  # it may contain a secret, and tracebacks show local variables
            raise self._error(problem)

    def _take(self, chunk: bytes) -> str | None:
        self.length += len(chunk)
        while self._inflate is not None and chunk:
            if self._inflate.eof:
                # A gzip may have several members. Left to one decompressor they would pile up unread.
                self._inflate = zlib.decompressobj(_GZIP_OR_ZLIB)
            try:
                plain = self._inflate.decompress(chunk, MAX_BODY_BYTES - self._length + 1)
            except zlib.error:
                if self._status >= 300:
                    # The status says what went wrong; a broken body must not hide it.
                    self._inflate, chunk = None, b""
                    break
                return "is not valid gzip"
            chunk = self._inflate.unused_data
            if not self._keep(plain):
                return _TOO_LONG
        return None if self._keep(chunk) else _TOO_LONG

    def _keep(self, plain: bytes) -> bool:
        self._length += len(plain)
        if self._length > MAX_BODY_BYTES:
            return False
        if plain:
            self._chunks.append(plain)
        return True

    def finish(self) -> bytes:
        """The whole body.

        Raises:
            TruncatedBodyError: its gzip has no end.
            UnexpectedResponseError: as JSON it would fill the memory.
        """
        if self._inflate is not None and self.length and not self._inflate.eof:
            raise TruncatedBodyError
        return self.so_far()

    def so_far(self) -> bytes:
        """The bytes received so far.

        Raises:
            UnexpectedResponseError: as JSON they would fill the memory.
        """
        if self._length > _MOST_VALUES:
            values = sum(chunk.count(mark) for chunk in self._chunks for mark in (b",", b"[", b"{"))
            if values > _MOST_VALUES:
                self._chunks.clear()  # they may contain a secret, and tracebacks show local variables
                raise self._error(_TOO_MANY)
        return self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)

    def _error(self, what: str) -> UnexpectedResponseError:
        return UnexpectedResponseError(
            f"HTTP {self._status}: the body {what}; check that base_url is the address of the FirstHandAPI service",
            status=self._status,
            content_type=self._content_type,
            length=self._length,
        )


_END_OF_HEAD = b"\r\n\r\n"
_LAST_CHUNK = b"\r\n0\r\n\r\n"
_MOST_HEAD_BYTES = 128 * 1024


class Received:
    """Counts the bytes of a response as they come off the wire.

    A server, or a proxy between, may send more than its response: a body with a 204, an error of its own behind
    the body. The engine below keeps such bytes and would read them as the next response, so a connection is used
    again only where all that came belongs to the response.
    """

    __slots__ = ("_end", "_head", "_size", "_start")

    def __init__(self) -> None:
        self.start()

    def start(self) -> None:
        """Begin the next response."""
        self._start: bytes | None = b""  # of the response, until its head ends
        self._head = 0
        self._size = 0
        self._end = b""

    def feed(self, data: bytes) -> None:
        """Take the next bytes."""
        self._size += len(data)
        if self._start is not None:
            self._start = self._start + data if self._start else data
            end = self._start.find(_END_OF_HEAD)
            if end >= 0:
                self._head, self._start = end + len(_END_OF_HEAD), None
            elif len(self._start) > _MOST_HEAD_BYTES:
                self._start = None
        self._end = self._end[1 - len(_LAST_CHUNK) :] + data

    def is_all(self, length: int, *, chunked: bool) -> bool:
        """Whether only a head and a body of `length` bytes came; False in doubt, such as after a 1xx."""
        if chunked:
            return self._end.find(_LAST_CHUNK) == len(self._end) - len(_LAST_CHUNK) >= 0
        return self._head > 0 and self._size == self._head + length
