"""A connection, as httpcore takes it."""

from __future__ import annotations

import asyncio
import socket
import ssl

import httpcore
import pytest

from firsthandapi._async import streams as async_streams
from firsthandapi._sync import streams


def test_a_stream_says_how_it_broke() -> None:
    """A peer that takes nothing, a socket that is closed, a name that is none."""
    ours, theirs = socket.socketpair()
    stream = streams.SocketStream(ours)
    with pytest.raises(httpcore.WriteTimeout):
        stream.write(b"x" * 50_000_000, timeout=0.05)
    assert stream.get_extra_info("nothing of the kind") is None
    stream.close()
    theirs.close()
    with pytest.raises(httpcore.WriteError):
        stream.write(b"x", timeout=1)
    with pytest.raises(httpcore.ReadError):
        stream.read(1, timeout=1)
    with pytest.raises(httpcore.ConnectError):
        stream.start_tls(ssl.create_default_context(), "localhost", timeout=1)
    with pytest.raises(httpcore.ConnectError):
        streams.connect("x" * 70 + ".example", 80, timeout=1)


def test_an_async_stream_says_how_it_broke() -> None:
    """A peer that is silent, one that takes nothing, and a connection that is closed."""

    async def run(port: int) -> None:
        stream = await async_streams.connect("127.0.0.1", port, timeout=5)
        assert stream.get_extra_info("is_readable") is False
        assert stream.get_extra_info("nothing of the kind") is None
        with pytest.raises(httpcore.ReadTimeout):
            await stream.read(1, timeout=0.01)
        with pytest.raises(httpcore.ConnectTimeout):
            await stream.start_tls(ssl.create_default_context(), "localhost", timeout=0.01)
        with pytest.raises(httpcore.WriteTimeout):
            await stream.write(b"x" * 50_000_000, timeout=0.05)
        await stream.aclose()
        with pytest.raises(httpcore.WriteError):
            await stream.write(b"x", timeout=1)
        with pytest.raises(httpcore.ReadError):
            await stream.read(1, timeout=1)
        with pytest.raises(httpcore.ConnectError):
            await stream.start_tls(ssl.create_default_context(), "localhost", timeout=1)

    with socket.create_server(("127.0.0.1", 0)) as server:
        asyncio.run(run(server.getsockname()[1]))


class Handshake:
    """A link whose handshake fails."""

    def __init__(self, failure: BaseException) -> None:
        self.failure = failure
        self.closed = False

    def do_handshake(self) -> None:
        raise self.failure

    def close(self) -> None:
        self.closed = True


@pytest.mark.parametrize(
    ("failure", "expected"),
    [
        (TimeoutError(), httpcore.ConnectTimeout),
        (ConnectionResetError(), httpcore.ConnectError),
        (KeyboardInterrupt(), KeyboardInterrupt),
    ],
)
def test_a_handshake_that_fails_closes_its_connection(
    monkeypatch: pytest.MonkeyPatch, failure: BaseException, expected: type[BaseException]
) -> None:
    """Whatever ends it: no socket stays open."""
    link = Handshake(failure)
    monkeypatch.setattr(streams, "encrypt", lambda *_: link)
    ours, theirs = socket.socketpair()
    with ours, theirs, pytest.raises(expected):
        streams.SocketStream(ours).start_tls(ssl.create_default_context(), "localhost", timeout=1)
    assert link.closed


def test_silence_is_a_timeout() -> None:
    """A peer that sends nothing is waited for as long as was said."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        stream = streams.SocketStream(ours)
        stream.write(b"", timeout=1)
        assert stream.get_extra_info("is_readable") is False
        with pytest.raises(httpcore.ReadTimeout):
            stream.read(1, timeout=0.01)


@pytest.mark.parametrize(
    ("failure", "expected"),
    [(TimeoutError(), httpcore.ConnectTimeout), (ConnectionRefusedError(), httpcore.ConnectError)],
)
def test_an_address_that_cannot_be_reached(
    monkeypatch: pytest.MonkeyPatch, failure: OSError, expected: type[Exception]
) -> None:
    """The failure of the last address is httpcore's."""

    def fail(*_: object, **__: object) -> None:
        raise failure

    monkeypatch.setattr(streams.addresses, "connect", fail)
    with pytest.raises(expected):
        streams.connect("localhost", 80, timeout=1)


def test_a_name_that_is_none_is_no_address() -> None:
    """For the async client too."""
    with pytest.raises(httpcore.ConnectError, match="no address"):
        asyncio.run(async_streams.connect("x" * 70 + ".example", 80, timeout=5))


def test_the_first_address_that_answers_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that refuses, and those after it, are given up."""

    async def look_up(host: str, port: int) -> list[str]:
        return ["127.0.0.2", "127.0.0.1", "127.0.0.3"]

    async def connect(port: int) -> None:
        stream = await async_streams.connect("several.example", port, timeout=5)
        assert stream.get_extra_info("socket").getpeername()[0] == "127.0.0.1"
        await stream.aclose()

    monkeypatch.setattr(async_streams, "_look_up", look_up)
    with socket.create_server(("127.0.0.1", 0)) as server:
        asyncio.run(connect(server.getsockname()[1]))
