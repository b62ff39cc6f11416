"""A file whose transfer breaks off is continued, or starts over, on disk and in memory."""

from __future__ import annotations

import pytest

from firsthandapi import DownloadError, IntegrityError
from firsthandapi._core.files.download import MOST_ATTEMPTS
from firsthandapi.datasets._download.ranges import RangeReader
from raw import Reply, response

from .conftest import Bench, config_of


@pytest.mark.parametrize("then", ["close", "reset"])
def test_resume(bench: Bench, then: str) -> None:
    """A cut body is continued where it broke off, held to its ETag."""
    bench.storage.script.append(bench.storage.cut(400, "close"))
    bench.good()
    first, second = bench.storage.requests
    assert "range" not in first.headers
    assert second.headers["range"] == "bytes=400-"
    assert second.headers["if-range"] == bench.storage.etag
    assert bench.bytes == 1000


def test_no_strong_etag(bench: Bench) -> None:
    """Without a strong ETag, and without a promised hash, the file starts again at byte 0."""
    body = bench.storage.content[:300]
    bench.storage.script += [
        response(body, length=1000, ETag='W/"weak"', then="close"),
        response(body, length=1000, then="close"),
    ]
    bench.good(bench.wanted(sha256=None))
    assert all("range" not in request.headers for request in bench.storage.requests)
    assert bench.bytes == 1000


@pytest.mark.parametrize("etag", ['W/"weak"', None])
def test_promises_vouch_for_a_part(bench: Bench, etag: str | None) -> None:
    """Where size and hash are promised, a cut file is continued without a strong ETag as well."""
    body, fields = bench.storage.content, {} if etag is None else {"ETag": etag}
    bench.storage.script += [
        response(body[:300], length=1000, then="close", **fields),
        response(body[300:], 206, Content_Range="bytes 300-999/1000", **fields),
    ]
    bench.good()
    assert [request.headers.get("range") for request in bench.storage.requests] == [None, "bytes=300-"]
    assert all("if-range" not in request.headers for request in bench.storage.requests)
    assert bench.bytes == 1000


@pytest.mark.parametrize("etag", ['W/"new"', 'W/"old"'], ids=["shown", "hidden"])
def test_halves_that_do_not_match(bench: Bench, etag: str) -> None:
    """An object that changed in between is noticed by its weak ETag or by its hash, and comes anew from byte 0."""
    body = bench.storage.content
    bench.storage.script += [
        response(b"o" * 600, length=1000, ETag='W/"old"', then="close"),
        response(body[600:], 206, Content_Range="bytes 600-999/1000", ETag=etag),
        response(body[:100], length=1000, ETag='W/"new"', then="close"),
    ]
    if etag == 'W/"new"':
        bench.storage.script.append(response(body[100:], 206, Content_Range="bytes 100-999/1000", ETag=etag))
    bench.good()
    ranges = [request.headers.get("range") for request in bench.storage.requests]
    # What was joined in vain once is not joined again.
    assert ranges == [None, "bytes=600-", None, "bytes=100-" if etag == 'W/"new"' else None]
    assert bench.bytes == 1000


def test_changed_object(bench: Bench) -> None:
    """An object that changed in between comes anew from byte 0: the answer is a 200, and read as one."""
    old = response(b"o" * 600, length=1000, ETag='"old"', then="close")
    bench.storage.script.append(old)
    bench.good()
    assert [request.headers.get("if-range") for request in bench.storage.requests] == [None, '"old"']
    assert bench.bytes == 1000


def test_wrong_part(bench: Bench) -> None:
    """A part that is not the one asked for is not used: all starts over."""
    storage = bench.storage
    storage.script += [
        storage.cut(600),
        response(b"z" * 400, 206, Content_Range="bytes 599-998/1000", ETag=storage.etag),
    ]
    bench.good()
    assert "range" not in storage.requests[2].headers


def test_short_part(bench: Bench) -> None:
    """A server may send less than was asked for: the rest is asked for next."""
    storage = bench.storage
    storage.script += [
        storage.cut(100),
        lambda _: response(storage.content[100:300], 206, Content_Range="bytes 100-299/1000"),
    ]
    bench.good()
    assert [request.headers.get("range") for request in storage.requests] == [
        None,
        "bytes=100-",
        "bytes=300-",
    ]


def test_object_got_shorter(bench: Bench) -> None:
    """A 416 to a resumed request starts over."""
    bench.storage.script += [bench.storage.cut(600), response(status=416)]
    bench.good()


def test_many_drops(bench: Bench) -> None:
    """Attempts that bring bytes do not count, so a bad line gets the file in the end."""
    bench.storage.script += [bench.storage.cut(20) for _ in range(40)]
    bench.good(max_retries=1)
    assert len(bench.storage.requests) == 41


def test_drops_are_bounded(bench: Bench) -> None:
    """Whatever each attempt brings, their number has an end."""
    # Enough an attempt to count as progress on the slowest machine.
    bench.storage.content = b"x" * 2_100_000
    bench.storage.handler = bench.storage.cut(20_000)
    assert f"after {MOST_ATTEMPTS} attempts" in bench.bad()
    assert len(bench.storage.requests) == MOST_ATTEMPTS


def read_whole(bench: Bench, sha256: str | None, size_bytes: int | None = 1000) -> bytes:
    """The file, read into memory."""
    reader = RangeReader(config_of())
    reader._clock = bench.clock

    def url_of(stale: bool) -> str:
        if stale:
            bench.refreshed.append("file_1")
        return bench.storage.url()

    try:
        return reader.read("file_1", url_of, 0, None, size_bytes=size_bytes, sha256=sha256)[0]
    finally:
        reader.close()


@pytest.mark.parametrize("promised", [True, False])
def test_in_memory(bench: Bench, promised: bool) -> None:
    """A file whose hash is promised is continued there too; any other one starts over. A refused URL is replaced."""
    storage = bench.storage
    storage.script += [storage.cut(400), storage.cut(300), response(status=403)]
    assert read_whole(bench, storage.sha256 if promised else None) == storage.content
    ranges = [request.headers["range"] for request in storage.requests]
    assert ranges == [
        "bytes=0-",
        *(["bytes=400-", "bytes=700-", "bytes=700-"] if promised else ["bytes=0-"] * 3),
    ]
    assert bench.refreshed == ["file_1"]


def test_in_memory_halves_that_do_not_match_start_over(bench: Bench) -> None:
    """Once, then the bytes are wrong; a file that the storage has lost is named as well."""
    storage = bench.storage
    storage.script.append(response(b"o" * 600, length=1000, then="close"))
    assert read_whole(bench, storage.sha256) == storage.content
    with pytest.raises(IntegrityError, match="file_1"):
        read_whole(bench, "0" * 64)
    storage.script.append(response(status=404))
    with pytest.raises(DownloadError, match="file_1"):
        read_whole(bench, storage.sha256)
    assert [request.headers["range"] for request in storage.requests] == [
        "bytes=0-",
        "bytes=600-",
        *["bytes=0-"] * 4,
    ]


@pytest.mark.parametrize(
    "then",
    [
        response(status=416),
        response(status=416, Content_Range="bytes */300"),
        response(b"z" * 400, 206, Content_Range="bytes 599-998/1000"),
        response(b"s" * 300, length=300),
    ],
    ids=["refused", "shorter", "another part", "all of a shorter one"],
)
def test_in_memory_rest_that_does_not_come(bench: Bench, then: Reply) -> None:
    """All starts over, and the first half alone is never the file, whether its size is known or not."""
    storage = bench.storage
    storage.script += [storage.cut(600), then]
    assert read_whole(bench, storage.sha256, size_bytes=None) == storage.content
    assert [request.headers["range"] for request in storage.requests] == [
        "bytes=0-",
        "bytes=600-",
        "bytes=0-",
    ]
