"""Reading a response's body."""

from __future__ import annotations

import gzip
import tracemalloc
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firsthandapi._core.calls.body import BodyReader, TruncatedBodyError
from firsthandapi._core.calls.headers import Headers
from firsthandapi._core.calls.response import MAX_BODY_BYTES
from firsthandapi.errors import UnexpectedResponseError


def reader(encoding: str | None = None, status: int = 200) -> BodyReader:
    raw = [(b"Content-Type", b"application/json")]
    if encoding is not None:
        raw.append((b"Content-Encoding", encoding.encode()))
    return BodyReader(status, Headers(raw))


def read(data: bytes, encoding: str | None = None, size: int = 7) -> bytes:
    body = reader(encoding)
    for start in range(0, len(data), size):
        body.feed(data[start : start + size])
    return body.finish()


@given(st.binary(max_size=500), st.integers(1, 100))
def test_plain(data: bytes, size: int) -> None:
    """What comes in pieces comes out as one."""
    assert read(data, None, size) == data
    assert read(data, "identity", size) == data


@given(st.binary(max_size=500), st.integers(1, 100), st.sampled_from(["gzip", "GZIP ", "x-gzip"]))
def test_gzip(data: bytes, size: int, name: str) -> None:
    """gzip is taken off, however its pieces fall."""
    assert read(gzip.compress(data, mtime=0), name, size) == data


@given(st.binary(max_size=500), st.integers(1, 100), st.sampled_from([zlib.MAX_WBITS, -zlib.MAX_WBITS]))
def test_deflate(data: bytes, size: int, window: int) -> None:
    """`deflate`, which is zlib's format, is taken off too, and so is the raw one that some servers send."""
    pack = zlib.compressobj(wbits=window)
    assert read(pack.compress(data) + pack.flush(), "deflate", size) == data


@pytest.mark.parametrize("length", [1, 2, -1])
@pytest.mark.parametrize("window", [zlib.MAX_WBITS, -zlib.MAX_WBITS])
def test_truncated_deflate(window: int, length: int) -> None:
    """Either, without its end, is a broken connection."""
    pack = zlib.compressobj(wbits=window)
    with pytest.raises(TruncatedBodyError, match="the compressed body is incomplete"):
        read((pack.compress(b"abc") + pack.flush())[:length], "deflate")


@given(st.lists(st.binary(max_size=50), min_size=1, max_size=3), st.integers(1, 40), st.integers(1, 60))
def test_padded_gzip(members: list[bytes], padding: int, size: int) -> None:
    """Zeros after a gzip, or between its members, are none of the body."""
    data = b"".join(gzip.compress(member) + bytes(padding) for member in members)
    assert read(data, "gzip", size) == b"".join(members)


@given(st.lists(st.binary(max_size=50), min_size=1, max_size=4), st.integers(1, 60))
def test_gzip_of_several_members(members: list[bytes], size: int) -> None:
    """A gzip of several members is all of them: the first alone would be a body cut short in silence."""
    assert read(b"".join(map(gzip.compress, members)), "gzip", size) == b"".join(members)


@pytest.mark.parametrize("length", [1, 5, 10, 15, -1])
def test_truncated_gzip(length: int) -> None:
    """gzip without its end is a broken connection, cut in its header or later."""
    body = reader("gzip")
    body.feed(gzip.compress(b"abc" * 100, mtime=0)[:length])
    with pytest.raises(TruncatedBodyError):
        body.finish()


@pytest.mark.parametrize("encoding", [None, "gzip"])
def test_no_body(encoding: str | None) -> None:
    """A response without a body has none, whatever encoding it claims."""
    body = reader(encoding)
    assert body.finish() == b""
    body.feed(b"")
    assert body.finish() == b""


@pytest.mark.parametrize(
    "data", [b"{}", b"not gzip at all", gzip.compress(b"x", mtime=0)[:10] + b"\xff" * 20]
)
def test_not_gzip(data: bytes) -> None:
    """What is not the gzip it claims to be says so."""
    with pytest.raises(UnexpectedResponseError, match="not valid gzip") as caught:
        read(data, "gzip", 100)
    assert caught.value.status == 200
    assert caught.value.content_type == "application/json"


@pytest.mark.parametrize("status", [302, 404, 502])
def test_not_gzip_in_an_error(status: int) -> None:
    """The status of an error says what went wrong: a body that is not the gzip it claims does not hide it."""
    body = reader("gzip", status)
    body.feed(b"<html>Bad Gateway</html>")
    body.feed(b"more of it")
    assert isinstance(body.finish(), bytes)


def test_junk_after_gzip() -> None:
    """What follows the end of a gzip is not kept without bound: it is another member or an error."""
    body = reader("gzip")
    body.feed(gzip.compress(b"{}", mtime=0))
    with pytest.raises(UnexpectedResponseError, match="not valid gzip"):
        body.feed(b"junk" * 1000)


def test_32_mib() -> None:
    """A body of 32 MiB is read; one byte more is too much."""
    body = reader()
    chunk = bytes(1024 * 1024)
    for _ in range(32):
        body.feed(chunk)
    assert len(body.finish()) == MAX_BODY_BYTES
    with pytest.raises(UnexpectedResponseError, match="larger than 32 MiB") as caught:
        body.feed(b"x")
    assert caught.value.length == MAX_BODY_BYTES + 1


def test_four_million_values() -> None:
    """More than that would take gigabytes as objects; a body of a few long texts is none of those."""
    body = reader()
    for mark in b",", b"[", b"{", b"}":
        body.feed(mark * 1_333_333)
    body.feed(b",")
    assert len(body.finish()) == 4 * 1_333_333 + 1
    body.feed(b"[")
    with pytest.raises(UnexpectedResponseError, match="more than 4,000,000 values") as caught:
        body.finish()
    assert caught.value.length == 4 * 1_333_333 + 2


def bomb(mib: int) -> bytes:
    compressor = zlib.compressobj(9, zlib.DEFLATED, 31)
    chunk = bytes(1024 * 1024)
    return b"".join(compressor.compress(chunk) for _ in range(mib)) + compressor.flush()


def test_a_gzip_bomb_costs_no_more_than_the_limit() -> None:
    """A few kilobytes that unpack to far more are refused at the limit, not after it."""
    data = bomb(120)
    assert len(data) < MAX_BODY_BYTES // 100
    tracemalloc.start()
    try:
        with pytest.raises(UnexpectedResponseError, match="larger than 32 MiB") as caught:
            reader("gzip").feed(data)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 3 * MAX_BODY_BYTES
    assert caught.value.length == MAX_BODY_BYTES + 1  # what was unpacked to know it


def test_a_bomb_of_many_members() -> None:
    """Members that are small each count together."""
    with pytest.raises(UnexpectedResponseError, match="larger than 32 MiB"):
        reader("gzip").feed(bomb(1) * 40)


def test_an_error_from_300_on_outlives_its_broken_body() -> None:
    """A success does not."""
    reader = BodyReader(300, Headers([(b"content-encoding", b"gzip")]))
    reader.feed(b"junk")
    assert reader.finish() == b""
    reader = BodyReader(299, Headers([(b"content-encoding", b"gzip")]))
    with pytest.raises(UnexpectedResponseError):
        reader.feed(b"junk")
