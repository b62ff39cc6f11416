"""One file: whole, as promised, and under its name."""

from __future__ import annotations

import random

import pytest

from firsthandapi._core.files import download as rules
from firsthandapi.datasets._download import transfer
from firsthandapi.errors import IntegrityError
from raw import RawRequest, Reply, response

from .conftest import Bench
from .storage import CHUNKED, chunked


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
    bench.storage.script.append(Reply(bench.storage.serve(RawRequest("", {}, 0)).data, "close"))
    outcomes = bench.fetch(bench.wanted(1), bench.wanted(2), concurrency=1, max_retries=0)
    assert [outcome.error for outcome in outcomes] == [None, None]
    assert bench.clock.pauses == []


def test_target_is_replaced(bench: Bench) -> None:
    """What stands at the target is replaced in one step."""
    bench.wanted().target.write_bytes(b"old")
    bench.good()


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

    def endless(_: RawRequest) -> Reply:
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


@pytest.mark.parametrize("announced", [True, False])
def test_no_promised_size(bench: Bench, announced: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file without a promised size has a limit, so that a body without an end does not fill the disk."""
    monkeypatch.setattr(transfer, "MOST_BYTES", 2_000_000)
    monkeypatch.setattr(rules, "MOST_BYTES", 2_000_000)
    body = b"x" * 4_000_000
    bench.storage.handler = lambda _: (
        response(body, then="close") if announced else Reply(CHUNKED + chunked(body, 100_000), "close")
    )
    download = bench.wanted(size_bytes=None, sha256=None)
    assert "the largest that is downloaded" in bench.bad(download)
    assert len(bench.storage.requests) == 1
    bench.storage.content = body[:2_000_000]
    bench.storage.handler = bench.storage.serve
    bench.good(bench.wanted(size_bytes=None, sha256=None))
