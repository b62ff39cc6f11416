"""The engine against a storage that misbehaves."""

from __future__ import annotations

import errno
import gzip
import os
import pickle
import queue
import random
import socket
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from firsthandapi._core.download import MOST_ATTEMPTS
from firsthandapi._download import engine as engine_module
from firsthandapi._download import fetch as fetch_module
from firsthandapi._download.clock import Clock
from firsthandapi._download.engine import Engine
from firsthandapi._download.fetch import Outcome
from firsthandapi.errors import ConfigurationError, DownloadError, IntegrityError, NotFoundError
from raw import Reply, Request, response

from .conftest import Bench
from .storage import Storage

# --- the good case ----------------------------------------------------------------------------------------


def test_good(bench: Bench) -> None:
    """A file comes whole, under its name, with its size and hash; its bytes are told."""
    bench.good()
    assert bench.bytes == 1000


def test_request(bench: Bench) -> None:
    """A request carries no key, asks for no encoding, and its target is byte for byte the URL's."""
    bench.good(bench.wanted(url=bench.storage.url("/a%2Fb//c?x=%41&y=a/b+c&z=")))
    request = bench.storage.requests[0]
    assert request.line == "GET /a%2Fb//c?x=%41&y=a/b+c&z= HTTP/1.1"
    assert request.headers["host"] == f"127.0.0.1:{bench.storage.port}"
    assert request.headers["accept-encoding"] == "identity"
    assert request.headers["user-agent"].startswith("firsthandapi-python/")
    assert not {"authorization", "cookie", "range"} & request.headers.keys()


def test_unknown_size_and_hash(bench: Bench) -> None:
    """Without a promise the framing says what is whole, and the hash is computed all the same."""
    bench.good(bench.wanted(size_bytes=None, sha256=None))


def test_empty_file(bench: Bench) -> None:
    """A file may be empty."""
    bench.storage.content = b""
    bench.good()


def test_large_file(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A large file is hashed in a thread of its own, to the same end, also when it is cut."""
    monkeypatch.setattr(fetch_module, "LARGE_BYTES", 1_000_000)
    bench.storage.content = random.Random(1).randbytes(9_000_000)
    bench.storage.script += [bench.storage.cut(2_000_000), bench.storage.cut(3_500_001, "reset")]
    bench.good()
    assert names() == []


def test_large_file_disk_full(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the disk refuses in the thread beside is reported like any other."""
    monkeypatch.setattr(fetch_module, "LARGE_BYTES", 1_000_000)
    bench.storage.content = random.Random(1).randbytes(9_000_000)
    write, written = os.write, []

    def fills_up(fd: int, data: memoryview) -> int:
        written.append(len(data))
        if sum(written) > 3_000_000:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(fd, data)

    monkeypatch.setattr(os, "write", fills_up)
    assert "No space left on device; free some space" in bench.bad()
    assert names() == []


def test_disk_fails_at_the_last_piece(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also what is refused when nothing more comes."""
    monkeypatch.setattr(fetch_module, "LARGE_BYTES", 1000)

    def fail(*args: object) -> int:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "write", fail)
    assert "Input/output error" in bench.bad()


def test_flushed_while_it_comes(bench: Bench) -> None:
    """A file of several portions is flushed as it comes, and again from the start when it starts over."""
    bench.storage.content = random.Random(1).randbytes(34_000_000)
    bench.storage.script.append(response(b"y" * 34_000_000))
    bench.good()


def test_connection_is_kept(bench: Bench) -> None:
    """One connection carries one file after the other."""
    bench.fetch(*(bench.wanted(n) for n in range(5)), concurrency=1)
    assert {request.connection for request in bench.storage.requests} == {1}


@pytest.mark.parametrize("line", ["Connection: close", "connection: Close"])
def test_connection_close(bench: Bench, line: str) -> None:
    """A connection that the server gives up is not used again."""
    data = f"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n{line}\r\n\r\n".encode() + bench.storage.content
    bench.storage.script.append(Reply(data, "close"))
    bench.fetch(bench.wanted(1), bench.wanted(2), concurrency=1)
    assert [request.connection for request in bench.storage.requests] == [1, 2]


def test_stale_connection(bench: Bench) -> None:
    """A connection that the server closed while it was idle costs no attempt."""
    bench.storage.script.append(Reply(bench.storage.serve(Request("", {}, 0)).data, "close"))
    outcomes = bench.fetch(bench.wanted(1), bench.wanted(2), concurrency=1, max_retries=0)
    assert [outcome.error for outcome in outcomes] == [None, None]
    assert bench.clock.pauses == []


def test_target_is_replaced(bench: Bench) -> None:
    """What stands at the target is replaced in one step."""
    bench.wanted().target.write_bytes(b"old")
    bench.good()


# --- drops and resuming -----------------------------------------------------------------------------------


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
    """Without a strong ETag the file starts again at byte 0."""
    body = bench.storage.content[:300]
    bench.storage.script += [
        response(body, length=1000, ETag='W/"weak"', then="close"),
        response(body, length=1000, then="close"),
    ]
    bench.good()
    assert all("range" not in request.headers for request in bench.storage.requests)
    assert bench.bytes == 1000


def test_changed_object(bench: Bench) -> None:
    """An object that changed in between comes anew from byte 0: the answer is a 200, and read as one."""
    old = response(b"o" * 600, length=1000, ETag='"old"', then="close")
    bench.storage.script.append(old)
    bench.good()
    assert [request.headers.get("if-range") for request in bench.storage.requests] == [None, '"old"']
    assert bench.bytes == 1000


@pytest.mark.parametrize(
    ("etag", "span"),
    [
        ('"other"', "bytes 600-999/1000"),
        (None, "bytes 599-998/1000"),
        (None, "bytes 600-998/1000"),
        (None, "bytes 600-999/999"),
        (None, "nonsense"),
        (None, ""),
    ],
)
def test_wrong_part(bench: Bench, etag: str | None, span: str) -> None:
    """A part that is not the one asked for, or of another object, is not used: all starts over."""
    storage = bench.storage
    storage.script += [
        storage.cut(600),
        response(b"z" * 400, 206, Content_Range=span, ETag=etag or storage.etag),
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


def test_part_nobody_asked_for(bench: Bench) -> None:
    """A 206 to a request without a range is refused."""
    bench.storage.script.append(response(b"x" * 1000, 206, Content_Range="bytes 0-999/1000"))
    bench.good()
    assert len(bench.storage.requests) == 2


def test_object_got_shorter(bench: Bench) -> None:
    """A 416 to a resumed request starts over."""
    bench.storage.script += [bench.storage.cut(600), response(status=416)]
    bench.good()


def test_416_at_the_start(bench: Bench) -> None:
    """A 416 to a request without a range is an error."""
    bench.storage.script.append(response(status=416))
    assert "answered 416" in bench.bad()


def test_many_drops(bench: Bench) -> None:
    """Attempts that bring bytes do not count, so a bad line gets the file in the end."""
    bench.storage.script += [bench.storage.cut(20) for _ in range(40)]
    bench.good(max_retries=1)
    assert len(bench.storage.requests) == 41


def test_drops_are_bounded(bench: Bench) -> None:
    """Whatever each attempt brings, their number has an end."""
    # Enough an attempt to count as progress on the slowest machine.
    bench.storage.content = b"x" * 4_000_000
    bench.storage.handler = bench.storage.cut(20_000)
    assert f"after {MOST_ATTEMPTS} attempts" in bench.bad()
    assert len(bench.storage.requests) == MOST_ATTEMPTS


@pytest.mark.parametrize(
    "junk",
    [
        b"",
        b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
        b"HTTP/2 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length : 5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nX: 1\r\n folded\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\nContent-Length: 999\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"a" * 70_000,
        b"HTTP/1.1 200 OK\r\nX: cut",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
    ],
)
def test_junk(bench: Bench, junk: bytes) -> None:
    """What is not HTTP/1.1, or leaves the body's length in doubt, is an attempt that failed."""
    bench.storage.script.append(Reply(junk, "close"))
    if b"101" in junk:
        assert "answered 101" in bench.bad()
    else:
        bench.good()
        assert len(bench.clock.pauses) == 1


def test_repeated_length(bench: Bench) -> None:
    """`Content-Length` may come twice if it says the same."""
    bench.storage.script.append(response(bench.storage.content, Content_Length="1000"))
    bench.good()
    assert len(bench.storage.requests) == 1


def test_informational(bench: Bench) -> None:
    """1xx answers are passed over."""
    good = bench.storage.serve(Request("", {}, 0)).data
    early = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
    bench.storage.script.append(Reply(b"HTTP/1.1 100 Continue\r\n\r\n" + early + good))
    bench.good()


# --- framing ----------------------------------------------------------------------------------------------


def chunked(body: bytes, size: int, tail: bytes = b"0\r\n\r\n") -> bytes:
    parts = [body[start : start + size] for start in range(0, len(body), size)]
    return b"".join(b"%x;ext=1\r\n%s\r\n" % (len(part), part) for part in parts) + tail


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize("size", [1, 7, 100_000, 10**6])
@pytest.mark.parametrize("tail", [b"0\r\n\r\n", b"000\r\nTrailer: x\r\n\r\n"])
def test_chunked(bench: Bench, size: int, tail: bytes) -> None:
    """Chunks of any size are put together, and the connection is kept."""
    bench.storage.content = random.Random(1).randbytes(300_000 if size > 10 else 3000)
    bench.storage.script.append(Reply(CHUNKED + chunked(bench.storage.content, size, tail)))
    outcomes = bench.fetch(bench.wanted(1, size_bytes=None, sha256=None), bench.wanted(2), concurrency=1)
    assert [outcome.sha256 for outcome in outcomes] == [bench.storage.sha256] * 2
    assert {request.connection for request in bench.storage.requests} == {1}


@pytest.mark.parametrize(
    "body",
    [
        b"5\r\nhel",
        b"5\r\nhello",
        b"zz\r\nhello",
        b"-5\r\nhello\r\n0\r\n\r\n",
        b"5\r\nhello more\r\n0\r\n\r\n",
        b"5\r\nhello\r\n",
        b"5" * 5000,
        b"0\r\n" + b"A: b\r\n" * 200,
    ],
)
def test_bad_chunks(bench: Bench, body: bytes) -> None:
    """A chunked body that is cut, or no such thing, is not complete."""
    bench.storage.content = b"hello"
    bench.storage.script.append(Reply(CHUNKED + body, "close"))
    bench.good(bench.wanted(size_bytes=None))
    assert len(bench.storage.requests) == 2


def test_end_mark_missing(bench: Bench) -> None:
    """When all promised bytes are there, a missing mark of the end does no harm."""
    bench.storage.content = b"hello"
    bench.storage.script.append(Reply(CHUNKED + b"5\r\nhello\r\n", "close"))
    bench.good()
    assert len(bench.storage.requests) == 1


@pytest.mark.parametrize("known", ["size_bytes", "sha256"])
def test_no_framing(bench: Bench, known: str) -> None:
    """A body that ends with its connection is whole when size or hash say so."""
    bench.storage.script.append(response(bench.storage.content, length=None, then="close"))
    other = "sha256" if known == "size_bytes" else "size_bytes"
    bench.good(bench.wanted(**{other: None}))
    assert len(bench.storage.requests) == 1


def test_no_framing_cut(bench: Bench) -> None:
    """A body that ends with its connection, and too early, is continued."""
    cut = response(bench.storage.content[:200], length=None, then="close", ETag=bench.storage.etag)
    bench.storage.script.append(cut)
    bench.good(bench.wanted(sha256=None))
    assert bench.storage.requests[1].headers["range"] == "bytes=200-"


def test_nothing_known(bench: Bench) -> None:
    """With neither size, hash nor framing nothing tells whether a body is whole: it is not taken."""
    bench.storage.script.append(response(b"x" * 1000, length=None, then="close"))
    assert "whether the body is whole" in bench.bad(bench.wanted(size_bytes=None, sha256=None))


def test_surplus(bench: Bench) -> None:
    """Bytes after the announced length are not the file's, and end the connection."""
    data = bench.storage.serve(Request("", {}, 0)).data + b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
    bench.storage.script.append(Reply(data))
    bench.fetch(bench.wanted(1), bench.wanted(2), concurrency=1)
    assert [request.connection for request in bench.storage.requests] == [1, 2]
    assert (bench.directory / "file_2.jpg").read_bytes() == bench.storage.content


# --- promises ---------------------------------------------------------------------------------------------


def test_wrong_hash(bench: Bench) -> None:
    """The wrong bytes are fetched once more, from the start; then it is an `IntegrityError`."""
    outcome = bench.one(bench.wanted(sha256="0" * 64))
    assert isinstance(outcome.error, IntegrityError)
    assert isinstance(outcome.error.failures[0][1], IntegrityError)
    assert ["range" in request.headers for request in bench.storage.requests] == [False, False]
    assert bench.left_over() == []


def test_wrong_hash_once(bench: Bench) -> None:
    """Bytes that were garbled once come right the second time."""
    bench.storage.script.append(response(b"y" * 1000))
    bench.good()
    assert bench.bytes == 1000


def test_hash_in_upper_case(bench: Bench) -> None:
    """A hash in upper case is the same hash."""
    bench.good(bench.wanted(sha256=bench.storage.sha256.upper()))


@pytest.mark.parametrize("size", [999, 1001, 0])
def test_wrong_length(bench: Bench, size: int) -> None:
    """A length that is not the promised size is a mismatch before a byte is written."""
    outcome = bench.one(bench.wanted(size_bytes=size))
    assert isinstance(outcome.error, IntegrityError)
    assert bench.bytes == 0
    assert len(bench.storage.requests) == 2


@pytest.mark.parametrize("framing", ["chunked", "none"])
def test_too_many_bytes(bench: Bench, framing: str) -> None:
    """Reading stops soon after the promised size, however much there is."""
    sent = []

    def endless(_: Request) -> Reply:
        sent.append(1)
        body = b"x" * 3_000_000
        if framing == "chunked":
            return Reply(CHUNKED + chunked(body, 100_000), "close")
        return response(body, length=None, then="close")

    bench.storage.handler = endless
    outcome = bench.one(bench.wanted(sha256=None))
    assert isinstance(outcome.error, IntegrityError)
    assert "more than the promised 1000 bytes" in str(outcome.error)
    assert len(sent) == 2
    assert bench.left_over() == []


@pytest.mark.parametrize("encoding", ["gzip", "br", "GZIP"])
def test_content_encoding(bench: Bench, encoding: str) -> None:
    """An encoded body is refused: it was asked not to be."""
    bench.storage.script.append(response(gzip.compress(b"x"), Content_Encoding=encoding))
    assert "encoded" in bench.bad()


def test_identity_encoding(bench: Bench) -> None:
    """`identity` is no encoding."""
    bench.storage.script.append(response(bench.storage.content, Content_Encoding="identity"))
    bench.good()


# --- URLs that expire -------------------------------------------------------------------------------------


def test_expired_url(bench: Bench) -> None:
    """A URL known to have expired is not tried."""
    bench.good(bench.wanted(expires_at=datetime.now(UTC) - timedelta(hours=1)))
    assert [request.target for request in bench.storage.requests] == ["/fresh"]


def test_no_url(bench: Bench) -> None:
    """A file without a URL gets one."""
    bench.good(bench.wanted(url=None))
    assert bench.refreshed == ["file_1"]


def test_fresh_url_is_tried(bench: Bench) -> None:
    """A fresh URL is tried even if it looks expired: the clock here may be wrong."""
    bench.fresh = lambda _: (bench.storage.url("/fresh"), datetime(2001, 1, 1, tzinfo=UTC))
    bench.good(bench.wanted(url=None))
    assert len(bench.refreshed) == 1


def test_403(bench: Bench) -> None:
    """A 403 is answered with a fresh URL, at once and outside the count of retries."""
    bench.storage.script += [response(b"<Error/>", 403)] * 2
    bench.good(max_retries=0)
    assert [request.target for request in bench.storage.requests][1:] == ["/fresh", "/fresh"]
    assert bench.clock.pauses == []
    assert {request.connection for request in bench.storage.requests} == {1}


def test_403_for_ever(bench: Bench) -> None:
    """Two fresh URLs without a byte gained are enough."""
    bench.storage.handler = lambda _: response(b"<Error/>", 403)
    assert "403" in bench.bad()
    assert len(bench.refreshed) == 2


def test_403_in_the_middle(bench: Bench) -> None:
    """A URL may expire in mid-file, often: each time bytes came, fresh URLs are asked for anew."""
    cut, no = bench.storage.cut(100), response(status=403)
    bench.storage.script += [cut, no, no, cut, no, no, cut, no, no]
    bench.good(max_retries=0)
    assert len(bench.refreshed) == 6
    assert bench.storage.requests[-1].headers["range"] == "bytes=300-"


def test_refresh_fails(bench: Bench) -> None:
    """When no fresh URL can be had, the reason is in `failures`."""

    def gone(_: str) -> tuple[str, None]:
        raise NotFoundError("no such file", status=404)

    bench.fresh = gone
    outcome = bench.one(bench.wanted(url=None))
    assert outcome.error is not None
    assert isinstance(outcome.error.failures[0][1], NotFoundError)


def test_refresh_breaks(bench: Bench) -> None:
    """An unexpected exception costs its own file alone."""

    def broken(_: str) -> tuple[str, None]:
        raise RuntimeError("loop is closed, https://u/?sig=verysecret")

    bench.fresh = broken
    bad, good = bench.fetch(bench.wanted(1, url=None), bench.wanted(2))
    assert good.error is None
    assert "RuntimeError" in str(bad.error)
    assert "verysecret" not in f"{bad!r} {bad.error}"
    assert isinstance(pickle.loads(pickle.dumps(bad.error)), DownloadError)


@pytest.mark.parametrize("script", [[], [response(status=403)]])
def test_no_refresh(bench: Bench, script: list[Reply]) -> None:
    """Where no fresh URL can come from, an expired one is an error."""
    bench.storage.script += script
    wanted = bench.wanted(**({} if script else {"url": None}))
    assert "expired" in bench.bad(wanted, refresh=None)


# --- answers that ask for patience ------------------------------------------------------------------------


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504, 599])
def test_try_again(bench: Bench, status: int) -> None:
    """What may heal is tried again, after pauses that double."""
    bench.storage.script += [response(b"busy", status)] * 3
    bench.good()
    assert bench.clock.pauses == [0.5, 1.0, 2.0]
    assert {request.connection for request in bench.storage.requests} == {1}


def test_give_up(bench: Bench) -> None:
    """After `max_retries` failures in a row it is over."""
    bench.storage.handler = lambda _: response(status=503)
    assert "answered 503 (after 4 attempts)" in bench.bad()


@pytest.mark.parametrize("status", [400, 401, 404, 410, 204, 300, 304])
def test_hopeless_status(bench: Bench, status: int) -> None:
    """What does not heal is not tried again."""
    bench.storage.handler = lambda _: response(status=status, length=None if status in (204, 304) else 0)
    assert f"answered {status}" in bench.bad()
    assert len(bench.storage.requests) == 1


def test_retry_after(bench: Bench) -> None:
    """`Retry-After` is obeyed."""
    bench.storage.script.append(response(status=503, Retry_After="7"))
    bench.good()
    assert bench.clock.pauses == [7.0]


def test_long_retry_after(bench: Bench) -> None:
    """More than a minute is not waited."""
    bench.storage.script.append(response(status=429, Retry_After="61"))
    assert "429" in bench.bad()
    assert bench.clock.pauses == []


def test_large_error_body(bench: Bench) -> None:
    """The body of an error is not read if it is large or does not end."""
    bench.storage.script += [
        response(b"x" * 100_000, 503, then="close"),
        response(b"x", 503, length=None, then="hang"),
        response(b"x", 503, length=10, then="close"),
    ]
    bench.good()
    assert len({request.connection for request in bench.storage.requests}) == 4


# --- redirects --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirect(bench: Bench, status: int) -> None:
    """Redirects are followed, the range with them."""
    bench.storage.script += [
        response(status=status, Location="/two?a=b"),
        bench.storage.cut(300),
        response(status=status, Location=bench.storage.url("/three")),
    ]
    bench.good()
    targets = [request.target.partition("?")[0] for request in bench.storage.requests]
    assert targets == ["/file", "/two", "/file", "/three"]
    assert bench.storage.requests[-1].headers["range"] == "bytes=300-"


def test_redirect_loop(bench: Bench) -> None:
    """Five redirects are enough."""
    bench.storage.handler = lambda _: response(status=302, Location="/again")
    assert "more than 5 redirects" in bench.bad()
    assert len(bench.storage.requests) == 6


@pytest.mark.parametrize(
    "location",
    ["file:///etc/passwd", "ftp://127.0.0.1/x", "http://u:verysecret@127.0.0.1/", "http://[::1", "http://a b/",
     "//\\evil", "http://127.0.0.1:0/", "http://127.0.0.1:99999/", "h\xe4llo"],
)  # fmt: skip
def test_bad_redirect(bench: Bench, location: str) -> None:
    """A redirect to what is no http(s) URL is not followed."""
    bench.storage.script.append(response(status=302, Location=location))
    assert "redirected" in bench.bad()
    assert len(bench.storage.requests) == 1


def test_bad_url(bench: Bench) -> None:
    """A URL with another scheme is never opened."""
    for url in ("file:///etc/passwd?verysecret", "https//x", "http://x\n.y/verysecret"):
        assert "download URL" in bench.bad(bench.wanted(url=url))


def test_plain_http_is_for_loopback(bench: Bench) -> None:
    """Plain http is refused where the API is https."""
    message = bench.bad(base_url="https://api.firsthandapi.com")
    assert "is not https" in message
    assert bench.storage.requests == []


def test_many_hosts(bench: Bench) -> None:
    """A thread keeps few idle connections, however many hosts it met."""
    others = [Storage() for _ in range(6)]
    bench.storage.script += [response(status=302, Location=other.url()) for other in others]
    try:
        outcomes = bench.fetch(*(bench.wanted(n) for n in range(6)), concurrency=1)
    finally:
        for other in others:
            other.close()
    assert [outcome.error for outcome in outcomes] == [None] * 6


# --- slowness ---------------------------------------------------------------------------------------------


def test_silence(bench: Bench) -> None:
    """A server that falls silent is left after `timeout`, and what it sent is kept."""
    bench.storage.script += [bench.storage.cut(700, "hang"), Reply(b"", "hang")]
    bench.good(timeout=0.1)
    assert bench.storage.requests[-1].headers["range"] == "bytes=700-"


def test_dribble(bench: Bench) -> None:
    """A server that sends a few bytes at a time is left, and such attempts count."""
    bench.storage.content = b"x" * 5000

    def dribble(request: Request) -> Reply:
        reply = bench.storage.serve(request)
        return Reply(reply.data, "close", pieces=4, pause=0.02)

    bench.storage.handler = dribble
    started = time.monotonic()
    # The head alone must come in time, so it comes in one piece.
    bench.storage.script.clear()
    message = bench.bad(timeout=0.12, max_retries=1)
    assert "in time" in message
    assert time.monotonic() - started < 2


def test_dribbled_body(bench: Bench) -> None:
    """A body that comes slower than any real line brings it is not waited for."""
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"
    bench.clock.runs = True
    bench.storage.handler = lambda request: Slow(head, bench.storage.content)
    started = time.monotonic()
    assert "too slow (after 2 attempts)" in bench.bad(timeout=0.1, max_retries=1)
    assert time.monotonic() - started < 2


class Slow(Reply):
    """A head at once, then 1 byte every 50 ms."""

    def __init__(self, head: bytes, body: bytes) -> None:
        super().__init__(body, "close", pieces=1, pause=0.05)
        self.head = head

    @property
    def data(self) -> Any:
        return _HeadFirst(self.head, self._body)

    @data.setter
    def data(self, value: bytes) -> None:
        self._body = value


class _HeadFirst(bytes):
    """Slices of one byte, of which the first is the whole head."""

    def __new__(cls, head: bytes, body: bytes) -> _HeadFirst:
        self = super().__new__(cls, body)
        self.head = head
        return self

    def __getitem__(self, key: Any) -> Any:
        return self.head if key.start == 0 else super().__getitem__(key)


def test_unreachable(bench: Bench) -> None:
    """A port where nobody listens is tried again, then reported without the URL."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    message = bench.bad(bench.wanted(url=f"http://127.0.0.1:{port}/?sig=verysecret"))
    assert "could not connect to 127.0.0.1" in message
    assert len(bench.clock.pauses) == 3


@pytest.mark.parametrize("host", ["a" * 70 + ".example", "no-such-host.invalid"])
def test_no_such_host(bench: Bench, host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that does not resolve is an error of ours."""

    def fail(name: str, *args: object, **kwargs: object) -> list[Any]:
        name.encode("idna")
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    assert f"could not connect to {host}" in bench.bad(bench.wanted(url=f"http://{host}/"))


def test_second_address(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """When a host's first address does not answer, the next one is tried."""
    real = socket.getaddrinfo(*("127.0.0.1", bench.storage.port), type=socket.SOCK_STREAM)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        dead = socket.getaddrinfo(*listener.getsockname(), type=socket.SOCK_STREAM)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: dead + real)
    bench.good()
    assert bench.clock.pauses == []


def test_host_without_address(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A host that has no address is an error."""
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [])
    assert "no address" in bench.bad()


def full_listener() -> socket.socket:
    """A listener whose queue is full: connecting to it hangs."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(0)
    return listener


def test_connect_hangs(bench: Bench) -> None:
    """Connecting takes `timeout` at most."""
    with full_listener() as listener:
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        started = time.monotonic()
        assert "in time" in bench.bad(bench.wanted(url=url), timeout=0.2, max_retries=0)
        assert time.monotonic() - started < 1
        for filler in fillers:
            filler.close()


# --- the disk ---------------------------------------------------------------------------------------------


def test_disk_full(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk ends the run: what waits is not tried, what is added is not either."""

    def full(fd: int, data: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    outcomes: queue.SimpleQueue[Outcome] = queue.SimpleQueue()
    with bench.engine(outcomes, concurrency=1) as engine:
        for number in range(20):
            engine.submit(bench.wanted(number))
        first = outcomes.get(timeout=5)
        assert "No space left on device; free some space" in str(first.error)
        for _ in range(19):
            assert "not tried, since the disk is full" in str(outcomes.get(timeout=5).error)
        engine.submit(bench.wanted(20))
        assert "not tried" in str(outcomes.get(timeout=5).error)
    assert len(bench.storage.requests) == 1
    assert list(bench.directory.iterdir()) == []


@pytest.mark.parametrize("call", ["write", "fsync", "replace", "ftruncate"])
def test_disk_fails(bench: Bench, call: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the disk refuses is an error of ours, and nothing is left."""

    def fail(*args: object, **kwargs: object) -> Any:
        raise OSError(errno.EIO, "Input/output error")

    bench.storage.script.append(response(b"y" * 500, length=1000, then="close"))
    monkeypatch.setattr(os, call, fail)
    assert "Input/output error" in bench.bad()


def test_short_writes(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that takes less than it was given gets the rest."""
    write = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: write(fd, data[:7]))
    bench.good()


def test_directory_missing(bench: Bench) -> None:
    """The directory must exist."""
    message = bench.bad(bench.wanted(target=bench.directory / "no" / "file.jpg"))
    assert "cannot be written to: No such file or directory" in message
    assert bench.storage.requests == []


def test_permission_denied(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory that may not be written to is an error of ours."""

    def denied(*args: object, **kwargs: object) -> int:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "open", denied)
    assert "cannot be written to: Permission denied" in bench.bad()


def test_target_is_a_directory(bench: Bench) -> None:
    """A directory is not replaced."""
    target = bench.directory / "sub"
    target.mkdir()
    outcome = bench.one(bench.wanted(target=target))
    assert "sub cannot be put in place" in str(outcome.error)
    assert bench.left_over() == []


def test_long_name(bench: Bench) -> None:
    """A name as long as names can be gets a temporary one that is not longer."""
    bench.good(bench.wanted(target=bench.directory / ("ä" * 125 + ".jpg")))


def test_directory_is_flushed(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The directory is flushed once for many files, and one that cannot be does no harm."""
    flushed: list[Path] = []
    monkeypatch.setattr(engine_module, "sync_directory", flushed.append)
    bench.fetch(*(bench.wanted(n) for n in range(5)))
    assert flushed == [bench.directory]


# --- many files, and an end -------------------------------------------------------------------------------


def test_few_files_few_threads(bench: Bench) -> None:
    """Threads are started for files that wait, not beforehand."""
    outcomes: queue.SimpleQueue[Outcome] = queue.SimpleQueue()
    with bench.engine(outcomes) as engine:
        assert names() == []
        engine.submit(bench.wanted(1))
        outcomes.get(timeout=5)
        deadline = time.monotonic() + 5
        while engine._idle == 0 and time.monotonic() < deadline:
            time.sleep(0.001)
        engine.submit(bench.wanted(2))
        outcomes.get(timeout=5)
        assert len(names()) == 1
    assert names() == []


# Not those of a bundled server that other tests share.
OURS = ("firsthandapi-download", "firsthandapi-storing")


def names() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith(OURS)]


def test_no_more_threads(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the system gives no more threads those there are do the work; when it gives none, that is an error."""
    start = threading.Thread.start
    given: list[int] = []

    def scarce(self: threading.Thread) -> None:
        if self.name.startswith("firsthandapi-"):
            if given:
                raise RuntimeError("can't start new thread")
            given.append(1)
        start(self)

    monkeypatch.setattr(threading.Thread, "start", scarce)
    outcomes = bench.fetch(*(bench.wanted(n) for n in range(10)))
    assert [outcome.error for outcome in outcomes] == [None] * 10
    with pytest.raises(DownloadError, match="refused a new thread"):
        bench.fetch(bench.wanted())


def test_threads_grow_with_latency(bench: Bench) -> None:
    """Over a network that takes its time as many connections are opened as are allowed, and no more."""
    most = []

    def late(request: Request) -> Reply:
        most.append(bench.storage.open_connections)
        time.sleep(0.03)
        return bench.storage.serve(request)

    bench.storage.handler = late
    outcomes = bench.fetch(*(bench.wanted(n) for n in range(80)), concurrency=20)
    assert [outcome.error for outcome in outcomes] == [None] * 80
    assert max(most) == 20


def test_random_faults(bench: Bench) -> None:
    """200 files through faults at random: all of them whole, nothing left, one outcome each."""
    rng = random.Random(7)
    storage = bench.storage
    storage.content = rng.randbytes(50_000)

    def whim(request: Request) -> Reply:
        kind = rng.randrange(12)
        if kind == 0:
            return Reply(b"", "reset")
        if kind == 1:
            return storage.cut(rng.randrange(50_000), "close")(request)
        if kind == 2:
            return storage.cut(rng.randrange(50_000), "reset")(request)
        if kind == 3:
            return response(b"slow down", 503)
        if kind == 4:
            return response(b"<Error/>", 403)
        if kind == 5:
            return Reply(b"garbage\r\n\r\n", "close")
        return storage.serve(request)

    storage.handler = whim
    outcomes = bench.fetch(*(bench.wanted(n) for n in range(200)), max_retries=20)
    refused = [outcome for outcome in outcomes if outcome.error is not None]
    # Three refusals in a row are meant to be final, and at random they happen.
    assert all("403" in str(outcome.error) for outcome in refused)
    assert len(refused) < 10
    for outcome in outcomes:
        assert outcome.error is not None or outcome.wanted.target.read_bytes() == storage.content
    assert bench.left_over() == []
    assert bench.bytes == 50_000 * (200 - len(refused))
    assert names() == []


def test_one_bad_file(bench: Bench) -> None:
    """One bad file never costs the others."""
    bench.storage.handler = lambda request: (
        response(status=404) if request.target == "/bad" else bench.storage.serve(request)
    )
    wanted = [bench.wanted(n, url=bench.storage.url("/bad" if n == 3 else "/good")) for n in range(10)]
    outcomes = bench.fetch(*wanted)
    assert [outcome.error is None for outcome in outcomes] == [n != 3 for n in range(10)]


def test_callbacks_that_raise(bench: Bench) -> None:
    """A callback that raises costs no file and no thread."""

    def broken(_: object) -> None:
        raise RuntimeError("the loop is closed")

    with Engine(base_url="http://127.0.0.1", refresh=None, on_done=broken, timeout=5) as engine:
        for number in range(3):
            engine.submit(bench.wanted(number))
    assert len(list(bench.directory.iterdir())) == 3


def hang_in_head(_: Request) -> Reply:
    return Reply(b"HTTP/1.1 200 OK\r\n", "hang")


def hang_in_body(_: Request) -> Reply:
    return response(b"x" * 100, length=1000, then="hang")


def hang_in_chunk(_: Request) -> Reply:
    return Reply(CHUNKED + b"ff\r\nabc", "hang")


@pytest.mark.parametrize("hang", [hang_in_head, hang_in_body, hang_in_chunk, lambda _: Reply(b"", "hang")])
def test_cancel(bench: Bench, hang: Callable[[Request], Reply]) -> None:
    """Cancelling ends every thread within a second, leaves no temporary file, and every file has its outcome."""
    bench.storage.handler = hang
    outcomes: queue.SimpleQueue[Outcome] = queue.SimpleQueue()
    with bench.engine(outcomes, concurrency=8, timeout=30) as engine:
        for number in range(20):
            engine.submit(bench.wanted(number))
        while len(bench.storage.requests) < 8:
            time.sleep(0.005)
        time.sleep(0.05)
        started = time.monotonic()
        engine.close(cancel=True)
        assert time.monotonic() - started < 1
        assert names() == []
    assert outcomes.qsize() == 20
    for _ in range(20):
        assert "cancelled" in str(outcomes.get().error)
    assert list(bench.directory.iterdir()) == []
    with pytest.raises(ConfigurationError, match="closed"):
        engine.submit(bench.wanted())


def test_cancel_in_a_pause(bench: Bench) -> None:
    """A pause before the next attempt ends when the run does."""
    bench.storage.handler = lambda _: response(status=503, Retry_After="50")
    outcomes: queue.SimpleQueue[Outcome] = queue.SimpleQueue()
    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt), bench.engine(outcomes, clock=Clock()) as engine:  # noqa: PT012 # the block is what is tested
        engine.submit(bench.wanted())
        while not bench.storage.requests:
            time.sleep(0.005)
        time.sleep(0.05)
        raise KeyboardInterrupt
    assert time.monotonic() - started < 2
    assert "cancelled" in str(outcomes.get().error)
    assert names() == []


def test_cancel_while_connecting(bench: Bench) -> None:
    """A connection in the making does not hold up the end."""
    with full_listener() as listener:
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        outcomes: queue.SimpleQueue[Outcome] = queue.SimpleQueue()
        with bench.engine(outcomes) as engine:
            engine.submit(bench.wanted(url=f"http://127.0.0.1:{listener.getsockname()[1]}/"))
            time.sleep(0.1)
            started = time.monotonic()
            engine.close(cancel=True)
            assert time.monotonic() - started < 1
        for filler in fillers:
            filler.close()
    assert "cancelled" in str(outcomes.get().error)
    assert names() == []


def test_cancel_while_refreshing(bench: Bench) -> None:
    """A `refresh` that blocks cannot be ended, but the run ends and no temporary file is left."""
    go, asked = threading.Event(), threading.Event()

    def stuck(_: str) -> tuple[str, None]:
        asked.set()
        go.wait(5)
        return bench.storage.url(), None

    bench.fresh = stuck
    bench.storage.script += [bench.storage.cut(100), response(status=403)]
    outcomes: queue.SimpleQueue[Outcome] = queue.SimpleQueue()
    with bench.engine(outcomes) as engine:
        engine.submit(bench.wanted())
        assert asked.wait(5)
        started = time.monotonic()
        engine.close(cancel=True)
        assert time.monotonic() - started < 1
        assert list(bench.directory.iterdir()) == []
        go.set()
    assert "cancelled" in str(outcomes.get(timeout=5).error)
    assert list(bench.directory.iterdir()) == []


def test_interrupted_close(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C while the block waits for its end cancels the rest."""
    bench.storage.handler = hang_in_body
    outcomes: queue.SimpleQueue[Outcome] = queue.SimpleQueue()
    join = threading.Thread.join
    calls = []

    def interrupted(self: threading.Thread, timeout: float | None = None) -> None:
        calls.append(timeout)
        if len(calls) == 1:
            raise KeyboardInterrupt
        join(self, timeout)

    with pytest.raises(KeyboardInterrupt), bench.engine(outcomes, timeout=30) as engine:  # noqa: PT012 # the block is what is tested
        engine.submit(bench.wanted())
        while not bench.storage.requests:
            time.sleep(0.005)
        monkeypatch.setattr(threading.Thread, "join", interrupted)
    monkeypatch.undo()
    assert names() == []
    assert "cancelled" in str(outcomes.get(timeout=5).error)
