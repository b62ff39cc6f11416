"""Read the body of a response within a memory limit."""

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
    """The compressed body is incomplete, although its framing is complete."""


class BodyReader:
    """Collects the chunks of a body, and decompresses gzip and deflate up to the size limit."""

    __slots__ = ("_came", "_chunks", "_content_type", "_inflate", "_length", "_start", "_status")

    def __init__(self, status: int, headers: Mapping[str, str]) -> None:
        encoding = headers.get("content-encoding", "").strip().lower()
        self._inflate = zlib.decompressobj(_GZIP_OR_ZLIB) if encoding in ("gzip", "x-gzip") else None
        # The start of a deflate, until it shows whether it is zlib, as in the standard, or raw, as of some servers.
        self._start = b"" if encoding == "deflate" else None
        self._chunks: list[bytes] = []
        self._length = 0
        self._came = 0  # bytes on the wire
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
        self._came += len(chunk)
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
        if self._start or (self._inflate is not None and self._came and not self._inflate.eof):
            raise TruncatedBodyError("the compressed body is incomplete")
        return self.so_far()

    def so_far(self) -> bytes:
        """The bytes received so far. Raises UnexpectedResponseError: as JSON they would fill the memory."""
        if self._length > _MOST_VALUES:
            values = sum(chunk.count(mark) for chunk in self._chunks for mark in (b",", b"[", b"{"))
            if values > _MOST_VALUES:
                self._chunks.clear()  # they may contain a secret, and tracebacks show local variables
                raise self._error(_TOO_MANY)
        return self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)

    def _error(self, problem: str) -> UnexpectedResponseError:
        return UnexpectedResponseError(
            f"HTTP {self._status}: the body {problem}; check that base_url is the address of the FirstHandAPI service",
            status=self._status,
            content_type=self._content_type,
            length=self._length,
        )


def _has_header(data: bytes) -> bool:
    """Whether `data` begins as gzip or zlib do, which raw deflate does not."""
    return data.startswith(b"\x1f\x8b") or (data[0] & 15 == 8 and int.from_bytes(data[:2], "big") % 31 == 0)
