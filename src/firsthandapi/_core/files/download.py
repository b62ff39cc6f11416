"""The rules of downloading: what to ask for, what a response means, whether to try again. No I/O.

The engine in `datasets/_download` asks here after every step, so that each rule is a function call in a test.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urljoin, urlsplit

from firsthandapi._base.origins import DEFAULT_PORTS, Origin
from firsthandapi._core.calls.retry import LONGEST_RETRY_AFTER, backoff, parse_retry_after
from firsthandapi.errors import DownloadError, IntegrityError

if TYPE_CHECKING:
    from pathlib import Path

    from firsthandapi.types.file import File

MOST_REDIRECTS = 5
# In a row, without a byte gained. A file whose fresh URLs are refused as well is refused for another reason.
MOST_REFRESHES = 2
# Files in a row whose fresh URLs were refused as well. From then on fresh URLs cost requests and help nobody.
MOST_REFUSED_FILES = 10
# In all: a server that drops every connection after a few bytes must not keep us busy forever.
MOST_ATTEMPTS = 100
# What a transfer must bring, in bytes per second over a window of twice the `timeout`. `timeout` alone bounds
# the silence between two bytes, so a server that sends one byte every 29 s would occupy a thread for years.
# Any link that people really have, a bad mobile one included, brings ten times this.
LEAST_RATE = 1024
# A body that does not end must not fill the disk, whatever size was promised, if any: 10 GB are 25 minutes of the
# largest video that a phone records (4K, 400 MB a minute).
MOST_BYTES = 10_000_000_000
# Clocks differ, and a request takes its time.
EXPIRY_MARGIN = 30.0

_STRONG_ETAG = re.compile(r'"[\x21\x23-\x7e]*"')
_CONTENT_RANGE = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18}|\*)")
# What comes with a 416: a file that is empty, or shorter than the first byte wanted.
_BEYOND = re.compile(r"bytes \*/([0-9]{1,18})")
_DIGITS = re.compile(r"[0-9]{1,18}")


@dataclass(frozen=True)
class Wanted:
    """One file to download.

    Attributes:
        file_id: its id.
        url: its signed URL, or None: then a fresh one is requested first.
        expires_at: when that URL expires; None if unknown.
        size_bytes: the promised size, or None.
        sha256: the promised SHA-256 in hex, or None.
        target: where it goes. Its directory must exist; a file of that name is replaced.
    """

    file_id: str
    url: str | None = field(repr=False)  # whoever has it has the file
    expires_at: datetime | None
    size_bytes: int | None
    sha256: str | None
    target: Path

    @classmethod
    def of(cls, file: File, target: Path, url: tuple[str | None, datetime | None] | None = None) -> Wanted:
        """`file` to be put at `target`; a `url` takes the place of the one that it was listed with."""
        address, expires_at = url or (file.download_url, file.download_url_expires_at)
        return cls(file.id, address, expires_at, file.size_bytes, file.content_hash, target)


@dataclass(frozen=True)
class Address:
    """A checked URL, in the parts that a request needs. `target` contains the signature: never show it."""

    origin: Origin
    target: str

    def __repr__(self) -> str:
        return f"<Address {self.origin.url}/…>"


class BadUrlError(Exception):
    """A URL that must not be requested. The text says why, without the URL."""


# --- URLs -------------------------------------------------------------------------------------------------


def allowed_schemes(base_url: str) -> frozenset[str]:
    """https; plain http only where the API itself is plain http, which is on loopback."""
    return frozenset({"https", "http"} if base_url.startswith("http:") else {"https"})


def parse_url(url: str, schemes: frozenset[str]) -> Address:
    """`url` in parts, if it may be requested. Raises BadUrlError: it is not."""
    # urlsplit drops line breaks and tabs silently, so these are looked for first.
    if not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        raise BadUrlError("the download URL contains characters that no URL has")
    try:
        parts = urlsplit(url)
    except ValueError:
        raise BadUrlError("the download URL is malformed") from None
    if parts.scheme not in schemes:
        raise BadUrlError(f"the download URL is not {' or '.join(sorted(schemes, reverse=True))}")
    if "@" in parts.netloc:
        raise BadUrlError("the download URL contains credentials")
    # A signature covers path and query byte for byte: they go out as they came.
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Address(_origin(parts.scheme, parts.netloc), target)


@lru_cache(maxsize=32)  # the files of a job have one or two
def _origin(scheme: str, netloc: str) -> Origin:
    parts = SplitResult(scheme, netloc, "", "", "")
    try:
        host, port = parts.hostname, parts.port
    except ValueError:
        raise BadUrlError("the download URL is malformed") from None
    if not host or port == 0:
        raise BadUrlError("the download URL has no host")
    return Origin(scheme, host, port or DEFAULT_PORTS[scheme], "")


def follow(address: Address, location: str, *, hops: int, schemes: frozenset[str]) -> Address:
    """Where a redirect leads; `hops` counts those before it. Raises BadUrlError: not to be followed."""
    if hops >= MOST_REDIRECTS:
        raise BadUrlError(f"more than {MOST_REDIRECTS} redirects")
    if address.origin.scheme == "https":
        schemes = frozenset({"https"})
    try:
        joined = urljoin(address.origin.url + address.target, location)
        return parse_url(joined, schemes)
    except ValueError:
        raise BadUrlError("the storage redirected to a malformed URL") from None
    except BadUrlError as error:
        raise BadUrlError(f"the storage redirected to a forbidden URL: {error}") from None


def is_too_old(expires_at: datetime | None, *, now: float) -> bool:
    """Whether a URL is known to have expired at `now` (Unix seconds), or is just about to."""
    if expires_at is None:
        return False
    try:
        return expires_at.timestamp() - EXPIRY_MARGIN <= now
    except (OverflowError, ValueError):  # the year 1 or 9999, in a zone or on a system that cannot say it
        return False


# --- what to ask for --------------------------------------------------------------------------------------


def range_headers(offset: int, etag: str | None, *, promised: bool) -> list[tuple[str, str]]:
    """The headers that ask for the bytes from `offset` on, or for all.
    `etag`: that of the object that the bytes before are of. If it is a strong one, the storage itself sends all bytes
    of an object that is another by now; a weak one cannot vouch for a half.
    `promised`: whether the size and the SHA-256 are known: then two halves that do not match are noticed, and the file
    is downloaded once more.
    """
    if offset == 0:
        return []
    range_header = ("Range", f"bytes={offset}-")
    if etag is not None and _STRONG_ETAG.fullmatch(etag):
        return [range_header, ("If-Range", etag)]
    return [range_header] if promised else []


# --- what a response means --------------------------------------------------------------------------------


@dataclass(frozen=True)
class ReadBody:
    """The body is the file from byte `offset` on; `total` is the whole file's size, or None if nobody said."""

    offset: int
    total: int | None


@dataclass(frozen=True)
class Redirected:
    """The file is elsewhere."""

    location: str


@dataclass(frozen=True)
class Refused:
    """403: the URL has expired, or was never valid."""


@dataclass(frozen=True)
class TryAgain:
    """Retry later. `from_start`: the bytes received so far are useless."""

    reason: str
    retry_after: float | None = None
    from_start: bool = False


@dataclass(frozen=True)
class Mismatch:
    """The file is complete, but not the promised one."""

    reason: str


@dataclass(frozen=True)
class Hopeless:
    """No retry can help."""

    reason: str


Verdict = ReadBody | Redirected | Refused | TryAgain | Mismatch | Hopeless


def judge(
    status: int,
    headers: Mapping[str, str],
    *,
    length: int | None,
    framed: bool,
    offset: int,
    etag: str | None,
    size_bytes: int | None,
    sha256: str | None,
    now: float,
) -> Verdict:
    """What a response's head says; its headers have names in lower case.
    `length`, `framed`: the body's length by its framing, or None; and whether its end differs from a broken connection.
    `offset`, `etag`: the first byte asked for, and the ETag of the bytes before it.
    """
    if status == 416 and offset:
        return TryAgain("the object became shorter", from_start=True)
    if (verdict := _without_bytes(status, headers, now=now)) is not None:
        return verdict
    if not framed and size_bytes is None and sha256 is None:
        return Hopeless("the body cannot be verified: it has no length, no size, and no SHA-256")
    if status == 206:
        part = _part_of(headers, length)
        # A part that nobody asked for is wrong too: then offset is 0.
        is_another = etag is not None and headers.get("etag", etag) != etag
        if part is None or offset == 0 or part[0] != offset or is_another:
            return TryAgain("the storage sent a different part than requested", from_start=True)
        # All the rest was asked for; a server may send less, and the next request asks for the rest.
        total: int | None = part[1] + 1 if part[2] is None else part[2]
    else:
        offset, total = 0, length
    if (size_bytes if size_bytes is not None else total or 0) > MOST_BYTES:
        return Hopeless(too_large())
    if size_bytes is not None and total is not None and total != size_bytes:
        return Mismatch(f"the storage has {total} bytes, but {size_bytes} were promised")
    return ReadBody(offset, total)


def _without_bytes(
    status: int, headers: Mapping[str, str], *, now: float
) -> Redirected | Refused | TryAgain | Hopeless | None:
    """What a response says that does not have the bytes of the file; None for one that may have them."""
    if status in (301, 302, 303, 307, 308) and headers.get("location"):
        return Redirected(headers["location"])
    if status == 403:
        return Refused()
    if status in (408, 429) or status >= 500:
        return TryAgain(f"the storage responded with {status}", parse_retry_after(headers, now=now))
    if status not in (200, 206):
        return Hopeless(f"the storage responded with {status}")
    if headers.get("content-encoding", "identity").strip().lower() not in ("identity", ""):
        return Hopeless("the storage encoded the file against the request")
    return None


def _part_of(headers: Mapping[str, str], length: int | None) -> tuple[int, int, int | None] | None:
    """The first and the last byte of a part, and the size of the file if it says so; None if something contradicts."""
    match = _CONTENT_RANGE.fullmatch(headers.get("content-range", "").strip().lower())
    if match is None:
        return None
    first, last = int(match[1]), int(match[2])
    total = None if match[3] == "*" else int(match[3])
    right = first <= last and (total is None or last < total) and length in (None, last - first + 1)
    return (first, last, total) if right else None


def too_large() -> str:
    """Why a file is given up that would fill the disk."""
    return f"the file is over {MOST_BYTES // 10**9} GB, the largest that is downloaded"


def judge_range(
    status: int,
    headers: Mapping[str, str],
    *,
    length: int | None,
    start: int,
    end: int | None,
    now: float,
) -> tuple[int, int, int] | Redirected | Refused | TryAgain | Hopeless:
    """What a response says to a request for the bytes from `start` up to `end`, None for all the rest.
    Returns bytes of the body to pass over, bytes of it to read, and the size of the whole file; or why there are none.
    """
    if status == 416 and (beyond := _BEYOND.fullmatch(headers.get("content-range", "").strip().lower())):
        size = int(beyond[1])
        return (0, 0, size) if start >= size else TryAgain("the storage refused a part that it has")
    if (verdict := _without_bytes(status, headers, now=now)) is not None:
        return verdict
    if status == 200:  # a storage without ranges sends all of it
        if length is None:
            return Hopeless("the storage does not say how long the file is")
        return start, max(min(length if end is None else end, length) - start, 0), length
    part = _part_of(headers, length)
    if part is not None:
        first, last, total = part
        if first == start and total is not None and last + 1 == (total if end is None else min(end, total)):
            return 0, last + 1 - first, total
    return TryAgain("the storage sent a different part than requested")


def check_whole(size: int, sha256: str, promise: Wanted) -> Mismatch | None:
    """Whether the received bytes are the promised ones."""
    if promise.size_bytes is not None and size > promise.size_bytes:
        return Mismatch(f"received more than the promised {promise.size_bytes} bytes")
    if promise.size_bytes is not None and size != promise.size_bytes:
        return Mismatch(f"received {size} bytes, but {promise.size_bytes} were promised")
    if promise.sha256 is not None and sha256 != promise.sha256.strip().lower():
        return Mismatch("its SHA-256 differs from the promised one")
    return None


# --- how a response is framed -----------------------------------------------------------------------------


class MalformedResponseError(Exception):
    """Not an HTTP/1.1 response, or one of uncertain length."""


def framing(status: int, headers: Mapping[str, str]) -> tuple[int | None, bool]:
    """The length of the body of a response to a GET, and whether it comes in chunks; with neither, it ends with its
    connection.
    Raises MalformedResponseError: it is given in two ways, or in an unknown one.
    """
    if status < 200 or status in (204, 304):
        return 0, False
    encoding = headers.get("transfer-encoding")
    if encoding is not None:
        # With two framings, or an unknown one, a proxy on the way may read the response differently.
        if encoding.lower() != "chunked" or "content-length" in headers:
            raise MalformedResponseError("the body's length is given in two ways, or in an unknown one")
        return None, True
    if "content-length" not in headers:
        return None, False
    length = content_length(headers["content-length"])
    if length is None:
        raise MalformedResponseError("Content-Length is not a number")
    return length, False


def content_length(text: str) -> int | None:
    """A `Content-Length`; None if it is not one. Repeated, it must say the same each time."""
    values = {value.strip() for value in text.split(",")}
    value = values.pop()
    return int(value) if not values and _DIGITS.fullmatch(value) else None


# --- whether to try again ---------------------------------------------------------------------------------


class Attempts:
    """What has been tried for one file, and what may be tried still."""

    def __init__(self, max_retries: int) -> None:
        self.made = 0
        self._max_retries = max_retries
        self._failures = 0  # in a row, without a real gain
        self._refusals = 0  # in a row, without a byte
        self._mismatches = 0

    def begin(self) -> bool:
        """Whether one more may be made; it counts."""
        self.made += 1
        return self.made <= MOST_ATTEMPTS

    def refused(self) -> bool:
        """After a 403: whether a fresh URL is worth asking for. Outside the count of failures."""
        self._refusals += 1
        return self._refusals <= MOST_REFRESHES

    def mismatched(self) -> bool:
        """After the wrong bytes: whether to download them once more."""
        self._mismatches += 1
        return self._mismatches <= 1

    def failed(
        self, *, gained: int, seconds: float, retry_after: float | None, jitter: float
    ) -> float | None:
        """After a failure: seconds to pause before the next attempt, or None to give up.

        An attempt that brought bytes at a fair rate restarts the count: a large file over a bad line needs
        many. One that only dribbled does not, or it could continue forever.
        """
        if gained:
            self._refusals = 0
        fair = gained > 0 and gained >= LEAST_RATE * seconds
        self._failures = 0 if fair else self._failures + 1
        if self._failures > self._max_retries:
            return None
        if retry_after is not None:
            return retry_after if retry_after <= LONGEST_RETRY_AFTER else None
        return backoff(max(self._failures, 1), jitter=jitter)


class Refusals:
    """Whether fresh URLs still help, over all files of a run. Threads change it, each in one step."""

    def __init__(self) -> None:
        self._in_a_row = 0

    def received(self) -> None:
        """A file came, so URLs are good."""
        self._in_a_row = 0

    def refused(self) -> None:
        """A file was refused, even by a fresh URL."""
        self._in_a_row += 1

    @property
    def hopeless(self) -> bool:
        """Whether a fresh URL is refused as well."""
        return self._in_a_row >= MOST_REFUSED_FILES


class Pace:
    """Whether a transfer is fast enough to continue (see `LEAST_RATE`)."""

    __slots__ = ("_bytes", "_ends", "_least", "_window")

    def __init__(self, timeout: float, *, now: float) -> None:
        self._window = 2 * timeout
        self._least = LEAST_RATE * self._window
        self._bytes = 0
        self._ends = now + self._window

    def keeps_up(self, size: int, *, now: float) -> bool:
        """Count `size` bytes that came at `now`."""
        self._bytes += size
        if now < self._ends:
            return True
        fast_enough = self._bytes >= self._least
        self._bytes, self._ends = 0, now + self._window
        return fast_enough


# --- words ------------------------------------------------------------------------------------------------


def failure(file_id: str, reason: str, *, mismatch: bool = False) -> DownloadError:
    """The error for one file; `reason` contains no secret."""
    kind = IntegrityError if mismatch else DownloadError
    return kind(f"{file_id} could not be downloaded: {reason}", failures=((file_id, kind(reason)),))
