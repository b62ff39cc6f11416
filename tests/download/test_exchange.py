"""How responses are framed, and how long they may take."""

from __future__ import annotations

import http.client
import random
import socket
import time
from typing import Any

import pytest

from base.network.servers import silent_address
from raw import RawRequest, Reply, refused, response

from .conftest import Bench
from .storage import CHUNKED, chunked


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
        assert "responded with 101" in bench.bad()
    else:
        bench.good()
        assert len(bench.clock.pauses) == 1


def test_other_protocol(bench: Bench) -> None:
    """A server that speaks first, and no HTTP, is left at once: it waits for us as we would for it."""
    bench.storage.script.append(Reply(b"SSH-2.0-OpenSSH_9.6\r\n", "hang"))
    assert "is not HTTP" in bench.bad(timeout=60, max_retries=0)


def test_no_instrument_sees_the_url(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tracers and error trackers patch `http.client.HTTPConnection` and record URLs: this one is a secret."""
    seen: list[object] = []
    monkeypatch.setattr(http.client.HTTPConnection, "putrequest", lambda *values, **_: seen.append(values))
    bench.good()
    assert seen == []


def test_informational(bench: Bench) -> None:
    """1xx answers are passed over."""
    good = bench.storage.serve(RawRequest("", {}, 0)).data
    early = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
    bench.storage.script.append(Reply(b"HTTP/1.1 100 Continue\r\n\r\n" + early + good))
    bench.good()


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
    ],
)
def test_bad_chunks(bench: Bench, body: bytes) -> None:
    """A chunked body that is cut, or no such thing, is not complete."""
    bench.storage.content = b"hello"
    bench.storage.script.append(Reply(CHUNKED + body, "close"))
    bench.good(bench.wanted(size_bytes=None))
    assert len(bench.storage.requests) == 2


@pytest.mark.parametrize("start", [b"", CHUNKED + b"0\r\n"])
def test_endless(bench: Bench, start: bytes) -> None:
    """Informational responses and trailers must end."""
    line = b"Trailer: " + b"x" * 1000 + b"\r\n" if start else b"HTTP/1.1 100 Continue\r\n\r\n"
    bench.storage.handler = lambda _: Reply(start + line * (3_000_000 // len(line)), "close")
    assert "does not end" in bench.bad(bench.wanted(size_bytes=None, sha256=None), max_retries=0)


def test_end_mark_missing(bench: Bench) -> None:
    """When all promised bytes are there, a missing mark of the end does no harm."""
    bench.storage.content = b"hello"
    bench.storage.script.append(Reply(CHUNKED + b"5\r\nhello\r\n", "close"))
    bench.good()
    assert len(bench.storage.requests) == 1


@pytest.mark.parametrize("field", ["size_bytes", "sha256"])
def test_no_framing(bench: Bench, field: str) -> None:
    """A body that ends with its connection is whole when size or hash say so."""
    bench.storage.script.append(response(bench.storage.content, length=None, then="close"))
    other_field = "sha256" if field == "size_bytes" else "size_bytes"
    bench.good(bench.wanted(**{other_field: None}))
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
    assert "the body cannot be verified" in bench.bad(bench.wanted(size_bytes=None, sha256=None))


def test_surplus(bench: Bench) -> None:
    """Bytes after the announced length are not the file's, and end the connection."""
    data = (
        bench.storage.serve(RawRequest("", {}, 0)).data + b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
    )
    bench.storage.script.append(Reply(data))
    bench.fetch(bench.wanted(1), bench.wanted(2), concurrency=1)
    assert [request.connection for request in bench.storage.requests] == [1, 2]
    assert (bench.directory / "file_2.jpg").read_bytes() == bench.storage.content


def test_silence(bench: Bench) -> None:
    """A server that falls silent is left after `timeout`, and what it sent is kept."""
    silent = [Reply(b"", "hang")]

    def serve(request: RawRequest) -> Reply:
        if "range" not in request.headers:  # again, should busy cores make the first bytes late
            return bench.storage.cut(700, "hang")(request)
        return silent.pop() if silent else bench.storage.serve(request)

    bench.storage.handler = serve
    bench.good(timeout=0.1, max_retries=50)
    assert bench.storage.requests[-1].headers["range"] == "bytes=700-"
    assert len(bench.clock.pauses) > 1
    assert not silent


def test_dribble(bench: Bench) -> None:
    """A server that sends a few bytes at a time is left, and such attempts count."""
    bench.storage.content = b"x" * 5000

    def dribble(request: RawRequest) -> Reply:
        reply = bench.storage.serve(request)
        return Reply(reply.data, "close", pieces=4, pause=0.02)

    bench.storage.handler = dribble
    started = time.monotonic()
    message = bench.bad(timeout=0.12, max_retries=1)
    assert "in time" in message
    assert time.monotonic() - started < 10


def test_dribbled_body(bench: Bench) -> None:
    """A body that comes slower than any real line brings it is not waited for."""
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"
    bench.clock.runs = True
    bench.storage.handler = lambda _: Reply(bench.storage.content, "close", pieces=1, pause=0.05, head=head)
    for _ in range(20):
        started = time.monotonic()
        message = bench.bad(timeout=0.4, max_retries=0)
        assert time.monotonic() - started < 30
        # Eight times the pause between two bytes: only on busy cores is a slow body a silent one, now and then.
        if "nothing came in time" not in message:
            break
    assert "too slow (after 1 attempt)" in message


def test_unreachable(bench: Bench) -> None:
    """A port where nobody listens is tried again, then reported without the URL."""
    with refused() as port:
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


def test_connect_hangs(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Connecting takes `timeout` at most."""
    monkeypatch.setattr("firsthandapi.datasets._download.network.CONNECT_TIMEOUT", 60.0)
    with silent_address("127.0.0.1") as port:
        url = f"http://127.0.0.1:{port}/"
        started = time.monotonic()
        assert "in time" in bench.bad(bench.wanted(url=url), timeout=0.2, max_retries=0)
        assert time.monotonic() - started < 30
