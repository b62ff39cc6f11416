"""Read a response: within a memory limit, and not a byte beyond its end."""

from __future__ import annotations

import re
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
    """The compressed body is incomplete, although its framing is complete."""


class BodyReader:
    """Collects the chunks of a body, and decompresses gzip and deflate up to the size limit."""

    __slots__ = ("_chunks", "_content_type", "_inflate", "_length", "_start", "_status", "length")

    def __init__(self, status: int, headers: Mapping[str, str]) -> None:
        encoding = headers.get("content-encoding", "").strip().lower()
        self._inflate = zlib.decompressobj(_GZIP_OR_ZLIB) if encoding in ("gzip", "x-gzip") else None
        # The start of a deflate, until it shows whether it is zlib, as in the standard, or raw, as of some servers.
        self._start = b"" if encoding == "deflate" else None
        self._chunks: list[bytes] = []
        self._length = 0
        self.length = 0  # bytes on the wire
        self._status = status
        self._content_type = headers.get("content-type")

    def feed(self, chunk: bytes) -> None:
        """Add the next received chunk.
        Raises UnexpectedResponseError: the body is larger than 32 MiB, or is not valid gzip.
        """
        problem = self._take(chunk)
        if problem is not None:
            del chunk  # it may contain a secret, and tracebacks show local variables
            raise self._error(problem)

    def _take(self, chunk: bytes) -> str | None:
        self.length += len(chunk)
        if self._start is not None:
            self._start += chunk
            if len(self._start) < 2:
                return None
            chunk, self._start = self._start, None
            self._inflate = zlib.decompressobj(_GZIP_OR_ZLIB if _has_header(chunk) else -zlib.MAX_WBITS)
        while self._inflate is not None and chunk:
            if self._inflate.eof:
                # A gzip may have several members and padding; one decompressor would keep the rest unread.
                chunk = chunk.lstrip(b"\0")
                if not chunk:
                    break
                self._inflate = zlib.decompressobj(_GZIP_OR_ZLIB)
            try:
                plain = self._inflate.decompress(chunk, MAX_BODY_BYTES - self._length + 1)
            except zlib.error:
                if self._status >= 300:
                    # The status shows the error; a broken body must not hide it.
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
        Raises TruncatedBodyError: its gzip has no end.
        Raises UnexpectedResponseError: as JSON it would fill the memory.
        """
        if self._start or (self._inflate is not None and self.length and not self._inflate.eof):
            raise TruncatedBodyError
        return self.so_far()

    def so_far(self) -> bytes:
        """The bytes received so far. Raises UnexpectedResponseError: as JSON they would fill the memory."""
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


def _has_header(data: bytes) -> bool:
    """Whether `data` begins as gzip or zlib do, which raw deflate does not."""
    return data.startswith(b"\x1f\x8b") or (data[0] & 15 == 8 and int.from_bytes(data[:2], "big") % 31 == 0)


_END_OF_HEAD = b"\r\n\r\n"
_MOST_HEAD_BYTES = 128 * 1024
# Of a chunk's size with its extensions, and of a trailer.
_MOST_LINE_BYTES = 4096
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,20})(?:;.*)?[ \t]*")


class Received:
    """Follows a response through the received bytes.

    A server or a proxy may send bytes after its response, such as a body with a 204, or an error page. httpcore would
    read them as the next response. So a connection is used again only if every byte belongs to the response: 1xx
    responses before it, head, body, and trailers.
    """

    __slots__ = ("_chunks", "_doubtful", "_head", "_size", "_start")

    def __init__(self) -> None:
        self.start()

    def start(self) -> None:
        """Begin the next response."""
        self._start: bytes | None = b""  # of the response, until its head ends
        self._head = 0  # bytes of the head, and of 1xx responses before it
        self._size = 0
        self._chunks: _Chunks | None = None
        self._doubtful = False

    def feed(self, data: bytes) -> None:
        """Take the next bytes."""
        self._size += len(data)
        if self._start is not None:
            data = self._feed_head(self._start + data if self._start else data)
        if self._chunks is not None:
            self._chunks.feed(data)

    def _feed_head(self, data: bytes) -> bytes:
        """Follow the head; returns the bytes after it."""
        while (end := data.find(_END_OF_HEAD) + len(_END_OF_HEAD)) >= len(_END_OF_HEAD):
            head, data = data[:end], data[end:]
            self._head += end
            # To httpcore, a bare line feed also ends a line, so the head may have ended before.
            self._doubtful |= head.count(b"\n") != head.count(b"\r\n")
            if head[9:10] != b"1":
                self._start = None
                if b"\r\ntransfer-encoding" in head.lower():
                    self._chunks = _Chunks()
                return data
        self._start = data if len(data) <= _MOST_HEAD_BYTES else None
        return b""

    def is_all(self, length: int, *, chunked: bool) -> bool:
        """Whether only a head and a body of `length` bytes came; False in doubt."""
        if self._doubtful or not self._head:
            return False
        if chunked:
            return self._chunks is not None and self._chunks.is_all(length)
        return self._size == self._head + length


class _Chunks:
    """Follows a chunked body to its end, as strictly as httpcore reads it."""

    __slots__ = ("_ended", "_last", "_length", "_line", "_skip", "_valid")

    def __init__(self) -> None:
        self._line = b""  # the start of a line
        self._skip = 0  # remaining bytes of the chunk, with its line end
        self._length = 0  # of the body
        self._last = False  # whether trailers follow, after the last chunk
        self._ended = False
        self._valid = True

    def feed(self, data: bytes) -> None:
        """Take the next bytes."""
        if self._line:
            data = self._line + data
        position = 0
        while self._valid and position < len(data):
            if self._skip:
                skipped = min(self._skip, len(data) - position)
                self._skip -= skipped
                position += skipped
                continue
            end = data.find(b"\r\n", position)
            if end < 0:
                break
            self._take_line(data[position:end])
            position = end + 2
        self._line = data[position:] if self._valid else b""
        self._valid = self._valid and len(self._line) <= _MOST_LINE_BYTES

    def _take_line(self, line: bytes) -> None:
        if self._ended:
            self._valid = False  # bytes after the body
        elif self._last:
            self._ended = not line
            # To httpcore, a bare line feed may have ended the trailers before.
            self._valid = b"\n" not in line
        elif (chunk := _CHUNK.fullmatch(line)) is None:
            self._valid = False
        else:
            size = int(chunk[1], 16)
            self._length += size
            self._skip = size + 2 if size else 0
            self._last = size == 0

    def is_all(self, length: int) -> bool:
        """Whether exactly a body of `length` bytes was received, with its framing."""
        return self._valid and self._ended and not self._line and self._length == length
