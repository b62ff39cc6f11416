"""Reading a response's body: flat in memory, and never more than the limit."""

from __future__ import annotations

import zlib
from collections.abc import Mapping

from firsthandapi.errors import UnexpectedResponseError

from .response import MAX_BODY_BYTES

_GZIP_OR_ZLIB = zlib.MAX_WBITS | 32
_TOO_LONG = "is over 32 MiB, more than any response of the service"


class TruncatedBodyError(Exception):
    """The compressed body ends before its end: the connection broke, though its framing did not show it."""


class BodyReader:
    """Collects a body's chunks and takes gzip off, without trusting what it would unpack to."""

    __slots__ = ("_chunks", "_content_type", "_inflate", "_length", "_status", "_took")

    def __init__(self, status: int, headers: Mapping[str, str]) -> None:
        encoding = headers.get("content-encoding", "").strip().lower()
        self._inflate = (
            zlib.decompressobj(_GZIP_OR_ZLIB) if encoding in ("gzip", "x-gzip", "deflate") else None
        )
        self._chunks: list[bytes] = []
        self._length = 0
        self._took = False
        self._status = status
        self._content_type = headers.get("content-type")

    def feed(self, chunk: bytes) -> None:
        """Take the next chunk as it came off the wire.

        Raises:
            UnexpectedResponseError: the body is over 32 MiB, or is not the gzip it claims to be.
        """
        problem = self._take(chunk)
        if problem is not None:
            del chunk  # it may contain a secret, and tracebacks show local variables
            raise self._error(problem)

    def _take(self, chunk: bytes) -> str | None:
        self._took = self._took or bool(chunk)
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
                return "is not the gzip it claims to be"
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
        """
        if self._inflate is not None and self._took and not self._inflate.eof:
            raise TruncatedBodyError
        return self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)

    def _error(self, what: str) -> UnexpectedResponseError:
        return UnexpectedResponseError(
            f"HTTP {self._status}: the body {what}. Is base_url that of the FirstHandAPI service?",
            status=self._status,
            content_type=self._content_type,
            length=self._length,
        )
