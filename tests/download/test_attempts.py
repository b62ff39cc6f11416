"""What is tried again, with which URL, and where redirects lead."""

from __future__ import annotations

import pickle
from datetime import UTC, datetime, timedelta

import pytest

from firsthandapi.errors import DownloadError, NotFoundError
from raw import response

from .conftest import Bench
from .storage import Storage


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
    assert "responded with 503 (after 4 attempts)" in bench.bad()


@pytest.mark.parametrize("status", [400, 401, 404, 410, 204, 300, 304])
def test_hopeless_status(bench: Bench, status: int) -> None:
    """What does not heal is not tried again."""
    bench.storage.handler = lambda _: response(status=status, length=None if status in (204, 304) else 0)
    assert f"responded with {status}" in bench.bad()
    assert len(bench.storage.requests) == 1


def test_retry_after(bench: Bench) -> None:
    """`Retry-After` is obeyed."""
    bench.storage.script.append(response(status=503, Retry_After="7"))
    bench.good()
    assert bench.clock.pauses == [7.0]


def test_large_error_body(bench: Bench) -> None:
    """The body of an error is not read if it is large or does not end."""
    bench.storage.script += [
        response(b"x" * 100_000, 503, then="close"),
        response(b"x", 503, length=None, then="hang"),
        response(b"x", 503, length=10, then="close"),
    ]
    bench.good()
    assert len({request.connection for request in bench.storage.requests}) == 4


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
    storages = [Storage() for _ in range(6)]
    bench.storage.script += [response(status=302, Location=storage.url()) for storage in storages]
    try:
        outcomes = bench.fetch(*(bench.wanted(n) for n in range(6)), concurrency=1)
    finally:
        for storage in storages:
            storage.close()
    assert [outcome.error for outcome in outcomes] == [None] * 6
