"""Reading the head of an HTTP/1.1 response: strictly, since what follows is framed by it.

The standard library's reader takes headers for an e-mail and copies the body through one more buffer, which
costs a third of the CPU of a 100 KB file; it also leaves no way to end a thread that waits for the network.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from firsthandapi._core.download import content_length

# Far above what any server sends, and all that one may make us hold.
MOST_HEAD_BYTES = 64 * 1024

_STATUS_LINE = re.compile(r"HTTP/1\.([01]) ([1-9][0-9]{2})(?: [^\x00\r\n]*)?")
_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\x00\r\n]*)?")


class MalformedResponseError(Exception):
    """Not an HTTP/1.1 response, or one whose length cannot be told for sure."""


@dataclass(frozen=True)
class Head:
    """A response's head.

    Attributes:
        status: the status.
        headers: names in lower case; one that came several times is joined by `, `.
        length: the body's length; None if it is chunked or ends with the connection.
        chunked: whether the body comes in chunks.
        keep_alive: whether the connection may be used again once the body is read.
    """

    status: int
    headers: dict[str, str]
    length: int | None
    chunked: bool
    keep_alive: bool

    @property
    def framed(self) -> bool:
        """Whether the body's end can be told from a broken connection."""
        return self.chunked or self.length is not None


def parse_head(raw: bytes) -> Head:
    """The head in `raw`, without the empty line at its end, of the answer to a GET.

    Raises:
        MalformedResponseError: it is none.
    """
    status_line, *lines = raw.decode("latin-1").split("\r\n")
    match = _STATUS_LINE.fullmatch(status_line)
    if match is None:
        raise MalformedResponseError("the answer is not HTTP/1.1")
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not _NAME.fullmatch(name) or "\n" in value or "\r" in value or "\0" in value:
            raise MalformedResponseError("a header is malformed")
        name, value = name.lower(), value.strip(" \t")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    status = int(match[2])
    length, chunked = _framing(status, headers)
    close = "close" in headers.get("connection", "" if match[1] == "1" else "close").lower()
    return Head(status, headers, length, chunked, not close and (chunked or length is not None))


def _framing(status: int, headers: dict[str, str]) -> tuple[int | None, bool]:
    if status < 200 or status in (204, 304):
        return 0, False
    encoding = headers.get("transfer-encoding")
    if encoding is not None:
        # Two framings at once, or one unknown: whatever one believes, a middleman may believe the other.
        if encoding.lower() != "chunked" or "content-length" in headers:
            raise MalformedResponseError("the body's length is given in two ways, or in an unknown one")
        return None, True
    if "content-length" not in headers:
        return None, False
    length = content_length(headers["content-length"])
    if length is None:
        raise MalformedResponseError("Content-Length is not a number")
    return length, False


def parse_chunk_size(line: bytes) -> int:
    """The size in the line before a chunk.

    Raises:
        MalformedResponseError: there is none.
    """
    match = _CHUNK_SIZE.fullmatch(line)
    if match is None:
        raise MalformedResponseError("a chunk's size is malformed")
    return int(match[1], 16)
