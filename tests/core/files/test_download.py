"""The rules of downloading, as tables."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firsthandapi._core.files.download import (
    LEAST_RATE,
    MOST_ATTEMPTS,
    MOST_REDIRECTS,
    Attempts,
    BadUrlError,
    Hopeless,
    MalformedResponseError,
    Mismatch,
    Pace,
    ReadBody,
    Redirected,
    Refusals,
    Refused,
    TryAgain,
    Verdict,
    Wanted,
    allowed_schemes,
    check_whole,
    content_length,
    failure,
    follow,
    framing,
    is_too_old,
    judge,
    parse_url,
    range_headers,
    too_large,
)
from firsthandapi._core.files.download import MOST_BYTES as LARGEST
from firsthandapi.errors import DownloadError, IntegrityError

HTTPS = frozenset({"https"})
BOTH = frozenset({"http", "https"})


def test_schemes() -> None:
    """Plain http only where the API itself is plain http."""
    assert allowed_schemes("https://api.firsthandapi.com") == HTTPS
    assert allowed_schemes("http://127.0.0.1:8080") == BOTH


@pytest.mark.parametrize(
    ("url", "authority", "target"),
    [
        ("https://h.example", "h.example", "/"),
        ("https://h.example?a=b", "h.example", "/?a=b"),
        ("https://H.example:443/a//b/../c?x=%2F&y#frag", "h.example", "/a//b/../c?x=%2F&y"),
        ("https://h.example:8443/", "h.example:8443", "/"),
        ("https://[::1]:9/x", "[::1]:9", "/x"),
        ("http://h.example/x", "h.example", "/x"),
    ],
)
def test_parse_url(url: str, authority: str, target: str) -> None:
    """Path and query stay byte for byte; a fragment is not sent; the port shows where it is unusual."""
    address = parse_url(url, BOTH)
    assert (address.origin.authority, address.target) == (authority, target)
    assert repr(address) == f"<Address {address.origin.url}/…>"


@pytest.mark.parametrize(
    "url",
    ["", "h.example", "//h.example/", "http://h.example/", "ftp://h.example/", "file:///etc/passwd", "https:///x",
     "https://", "https://u@h/", "https://u:p@h/", "https://@h/", "https://h:x/", "https://h:99999/", "https://h:0/",
     "https://[::1/", "https://h/a b", "https://h/a\nb", "https://h/ä", "https://h\\@evil/", "https://h/a\\b",
     "javascript:alert(1)"],
)  # fmt: skip
def test_bad_urls(url: str) -> None:
    """What is no https URL is not fetched, and the error does not show it."""
    with pytest.raises(BadUrlError) as caught:
        parse_url(url, HTTPS)
    assert not url or url not in str(caught.value)


@given(st.text())
def test_any_url(url: str) -> None:
    """Whatever a URL holds, it is refused or taken, and cannot bring a second line into a request."""
    try:
        address = parse_url(url, BOTH)
    except BadUrlError:
        return
    assert not set("\r\n \0") & set(address.target + address.origin.authority)


@pytest.mark.parametrize(
    ("location", "result"),
    [
        ("/x?y", "https://h.example/x?y"),
        ("x", "https://h.example/a/x"),
        ("//other.example/x", "https://other.example/x"),
        ("https://other.example:81/", "https://other.example:81/"),
        ("http://other.example/", None),
        ("file:///etc/passwd", None),
        ("https://[", None),
        ("https://x y/", None),
    ],
)
def test_follow(location: str, result: str | None) -> None:
    """A redirect is relative to where it comes from, and never leads away from https."""
    address = parse_url("https://h.example/a/b?sig=1", BOTH)
    if result is None:
        with pytest.raises(BadUrlError, match="redirected"):
            follow(address, location, hops=0, schemes=BOTH)
    else:
        next_address = follow(address, location, hops=0, schemes=BOTH)
        assert next_address.origin.url + next_address.target == result


def test_follow_from_http() -> None:
    """From plain http both ways are open, where plain http is."""
    address = parse_url("http://h.example/", BOTH)
    assert follow(address, "http://o.example/", hops=4, schemes=BOTH).origin.scheme == "http"
    assert follow(address, "https://o.example/", hops=4, schemes=BOTH).origin.scheme == "https"
    with pytest.raises(BadUrlError, match="more than 5"):
        follow(address, "/", hops=MOST_REDIRECTS, schemes=BOTH)


def test_is_too_old() -> None:
    """A URL is too old when it has expired, or is about to; one without a date, or with a strange one, is not."""
    now = datetime(2026, 1, 1, tzinfo=UTC)
    ages = {-60: True, 0: True, 30: True, 31: False, 3600: False}
    for seconds, too_old in ages.items():
        assert is_too_old(now + timedelta(seconds=seconds), now=now.timestamp()) is too_old
    assert not is_too_old(None, now=now.timestamp())
    strange = datetime.min.replace(tzinfo=timezone(timedelta(hours=14)))
    assert is_too_old(strange, now=0.0) in (True, False)


class Unspeakable(datetime):
    """A moment that this system cannot say in seconds."""

    def timestamp(self) -> float:
        raise OverflowError


def test_is_too_old_unspeakable() -> None:
    """A date that the system cannot count in seconds says nothing."""
    assert not is_too_old(Unspeakable(2026, 1, 1), now=0.0)


@pytest.mark.parametrize(
    ("etag", "is_strong"),
    [
        ('"a"', True),
        ('""', True),
        ('W/"a"', False),
        ("a", False),
        ('"a", "b"', False),
        ('"a\nb"', False),
        (None, False),
    ],
)
def test_range_headers(etag: str | None, is_strong: bool) -> None:
    """A part is asked for only with a strong ETag to hold it to, or if the whole file is held to a promised hash."""
    assert range_headers(0, etag, promised=True) == []
    held = [("Range", "bytes=5-"), ("If-Range", etag)]
    assert range_headers(5, etag, promised=False) == (held if is_strong else [])
    assert range_headers(5, etag, promised=True) == (held if is_strong else [("Range", "bytes=5-")])


def verdict(status: int, headers: dict[str, str] | None = None, **changes: Any) -> Verdict:
    defaults = {
        "length": 100,
        "framed": True,
        "offset": 0,
        "etag": None,
        "size_bytes": 100,
        "sha256": None,
        "now": 0.0,
    }
    return judge(status, headers or {}, **{**defaults, **changes})


@pytest.mark.parametrize(
    ("status", "headers", "changes", "result"),
    [
        (200, {}, {}, ReadBody(0, 100)),
        (200, {}, {"length": None}, ReadBody(0, None)),
        (200, {}, {"size_bytes": None}, ReadBody(0, 100)),
        (200, {}, {"offset": 40, "etag": '"a"'}, ReadBody(0, 100)),
        (200, {}, {"length": 99}, Mismatch("the storage has 99 bytes, but 100 were promised")),
        (200, {"content-encoding": "gzip"}, {}, Hopeless("the storage encoded the file against the request")),
        (200, {"content-encoding": ""}, {}, ReadBody(0, 100)),
        (200, {"content-encoding": " Identity "}, {}, ReadBody(0, 100)),
        *((status, {"location": "/x"}, {}, Redirected("/x")) for status in (301, 302, 303, 307, 308)),
        (302, {}, {}, Hopeless("the storage responded with 302")),
        (304, {"location": "/x"}, {}, Hopeless("the storage responded with 304")),
        (403, {}, {}, Refused()),
        (404, {}, {}, Hopeless("the storage responded with 404")),
        (416, {}, {}, Hopeless("the storage responded with 416")),
        (416, {}, {"offset": 5}, TryAgain("the object became shorter", from_start=True)),
        (429, {"retry-after": "3"}, {}, TryAgain("the storage responded with 429", 3.0)),
        (408, {}, {}, TryAgain("the storage responded with 408")),
        (499, {}, {}, Hopeless("the storage responded with 499")),
        (500, {}, {}, TryAgain("the storage responded with 500")),
        (503, {"retry-after": "junk"}, {}, TryAgain("the storage responded with 503")),
        (200, {}, {"length": LARGEST, "size_bytes": None}, ReadBody(0, LARGEST)),
        (200, {}, {"length": LARGEST + 1, "size_bytes": None}, Hopeless(too_large())),
        (200, {}, {"length": LARGEST, "size_bytes": LARGEST}, ReadBody(0, LARGEST)),
        (200, {}, {"length": LARGEST + 1, "size_bytes": LARGEST + 1}, Hopeless(too_large())),
        (200, {}, {"length": None, "size_bytes": 10**30}, Hopeless(too_large())),
        (200, {}, {"length": None, "size_bytes": None}, ReadBody(0, None)),
    ],
)  # fmt: skip
def test_judge(status: int, headers: dict[str, str], changes: dict[str, Any], result: Verdict) -> None:
    """What each answer means."""
    assert verdict(status, headers, **changes) == result


def test_judge_unframed() -> None:
    """A body without framing needs a promise that tells whether it is whole."""
    loose: dict[str, Any] = {"length": None, "framed": False, "size_bytes": None}
    assert isinstance(verdict(200, **loose), Hopeless)
    assert verdict(200, **{**loose, "size_bytes": 5}) == ReadBody(0, None)
    assert verdict(200, **{**loose, "sha256": "a"}) == ReadBody(0, None)
    assert "over 10 GB" in too_large()


WRONG = TryAgain("the storage sent a different part than requested", from_start=True)


@pytest.mark.parametrize(
    ("span", "etag", "good"),
    [
        ("bytes 40-99/100", '"a"', True),
        (" BYTES 40-99/100 ", None, True),
        ("bytes 40-99/100", '"b"', False),
        ("bytes */100", '"a"', False),
        ("", '"a"', False),
    ],
)
def test_judge_part(span: str, etag: str | None, good: bool) -> None:
    """A part is taken only if it is one of the same object."""
    headers = {"content-range": span} | ({"etag": etag} if etag else {})
    assert verdict(206, headers, offset=40, etag='"a"', length=60) == (ReadBody(40, 100) if good else WRONG)
    assert verdict(206, headers, offset=40, length=60) == (ReadBody(40, 100) if "-" in span else WRONG)


def test_judge_any_part() -> None:
    """Of all parts that a storage could name, and all lengths of their bodies, only those asked for are taken; one that
    ends early is, too."""
    for offset, first, last in product(range(4), repeat=3):
        for total, length in product([None, *range(5)], repeat=2):
            span = f"bytes {first}-{last}/{'*' if total is None else total}"
            size = last + 1 if total is None else total
            good = 0 < offset == first <= last < size and length in (None, last + 1 - first)
            result = verdict(206, {"content-range": span}, offset=offset, length=length, size_bytes=None)
            assert result == (ReadBody(offset, size) if good else WRONG)


def test_check_whole() -> None:
    """Size and hash must be those promised; what nobody promised is not checked."""
    target = Wanted("file_1", None, None, 5, "ab", Path("x"))
    assert check_whole(5, "ab", target) is None
    assert check_whole(5, "ab", replace(target, sha256=" AB ")) is None
    assert check_whole(9, "cd", replace(target, size_bytes=None, sha256=None)) is None
    assert check_whole(4, "ab", target) == Mismatch("received 4 bytes, but 5 were promised")
    assert check_whole(6, "ab", target) == Mismatch("received more than the promised 5 bytes")
    assert check_whole(5, "cd", target) == Mismatch("its SHA-256 differs from the promised one")


@pytest.mark.parametrize(
    ("text", "result"),
    [("0", 0), ("12", 12), ("12, 12", 12), ("12,13", None), ("-1", None), ("+1", None), ("1_0", None), ("", None),
     ("9" * 19, None), ("١", None), ("1.0", None)],
)  # fmt: skip
def test_content_length(text: str, result: int | None) -> None:
    """A length is digits, and says the same however often it is repeated."""
    assert content_length(text) == result


def failed(
    attempts: Attempts, *, gained: int = 0, seconds: float = 0.0, after: float | None = None
) -> float | None:
    return attempts.failed(gained=gained, seconds=seconds, retry_after=after, jitter=1.0)


def test_failures_in_a_row() -> None:
    """Pauses double up to 8 s; `max_retries` failures in a row are tried again."""
    attempts = Attempts(6)
    assert [failed(attempts) for _ in range(7)] == [0.5, 1, 2, 4, 8, 8, None]


def test_gain_starts_anew() -> None:
    """An attempt that brought bytes at a fair rate starts the count anew, also with no retries."""
    attempts = Attempts(0)
    assert [failed(attempts, gained=1) for _ in range(5)] == [0.5] * 5
    assert failed(attempts, gained=LEAST_RATE * 30, seconds=30) == 0.5
    assert failed(attempts, gained=LEAST_RATE * 30, seconds=31) is None
    assert failed(Attempts(0)) is None


def test_retry_after() -> None:
    """`Retry-After` takes the pause's place; more than a minute is not waited."""
    attempts = Attempts(3)
    assert failed(attempts, after=0.0) == 0.0
    assert failed(attempts, after=60.0) == 60.0
    assert failed(attempts, after=60.1) is None


def test_the_bounds_are_those_of_the_guide() -> None:
    """What a storage may do to a thread and a disk."""
    assert (MOST_ATTEMPTS, LEAST_RATE, LARGEST) == (100, 1024, 10_000_000_000)
    guide = (Path(__file__).parents[3] / "docs" / "guides" / "proxies.md").read_text(encoding="utf-8")
    assert "A file must be at most 10 GB." in guide


def test_attempts_have_an_end() -> None:
    """However they go, attempts have an end."""
    attempts = Attempts(10**6)
    assert [attempts.begin() for _ in range(MOST_ATTEMPTS + 1)] == [True] * MOST_ATTEMPTS + [False]


def test_refusals() -> None:
    """Two fresh URLs in a row; bytes gained start the count anew."""
    attempts = Attempts(3)
    assert [attempts.refused() for _ in range(3)] == [True, True, False]
    failed(attempts)
    assert not attempts.refused()
    failed(attempts, gained=1)
    assert [attempts.refused() for _ in range(3)] == [True, True, False]


def test_refusals_of_many_files() -> None:
    """Ten files in a row whose fresh URLs were refused are enough; a file that comes starts the count anew."""
    refusals = Refusals()
    for _ in range(2):
        seen = []
        for _ in range(10):
            seen.append(refusals.hopeless)
            refusals.refused()
        assert (seen, refusals.hopeless) == ([False] * 10, True)
        refusals.received()


def test_mismatches() -> None:
    """Wrong bytes are fetched once more."""
    attempts = Attempts(3)
    assert [attempts.mismatched() for _ in range(2)] == [True, False]


def test_pace() -> None:
    """At the end of each window enough must have come, and the next one starts from nothing."""
    pace = Pace(10.0, now=0.0)
    assert pace.keeps_up(1, now=19.9)
    assert not pace.keeps_up(20 * LEAST_RATE - 2, now=20.0)
    assert pace.keeps_up(0, now=39.9)
    assert pace.keeps_up(20 * LEAST_RATE, now=40.0)
    assert not pace.keeps_up(20 * LEAST_RATE - 1, now=60.0)


def test_failure() -> None:
    """A mismatch is an `IntegrityError`, anything else a `DownloadError`; `failures` names the file."""
    error = failure("file_1", "it rained")
    assert type(error) is DownloadError
    assert str(error) == "file_1 could not be downloaded: it rained"
    assert type(failure("file_1", "x", mismatch=True).failures[0][1]) is IntegrityError


@pytest.mark.parametrize(
    ("status", "headers", "result"),
    [
        (200, {}, (None, False)),
        (200, {"content-length": "7"}, (7, False)),
        (200, {"content-length": "7, 7"}, (7, False)),
        (200, {"transfer-encoding": "Chunked"}, (None, True)),
        (304, {"content-length": "7"}, (0, False)),
        (204, {"transfer-encoding": "chunked"}, (0, False)),
        (199, {}, (0, False)),
        (200, {"content-length": "7, 8"}, None),
        (200, {"content-length": "+7"}, None),
        (200, {"content-length": "7", "transfer-encoding": "chunked"}, None),
        (200, {"transfer-encoding": "gzip, chunked"}, None),
    ],
)
def test_framing(status: int, headers: dict[str, str], result: tuple[int | None, bool] | None) -> None:
    """A body has a length, comes in chunks, or ends with its connection; two words on that are one too many."""
    if result is None:
        with pytest.raises(MalformedResponseError):
            framing(status, headers)
    else:
        assert framing(status, headers) == result
