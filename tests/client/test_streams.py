"""A connection, in both halves."""

from __future__ import annotations

import asyncio
import socket
import ssl

import anyio
import pytest
from anyio.abc import ByteStream, SocketAttribute
from anyio.streams.tls import TLSStream

from firsthandapi._async import streams as async_streams
from firsthandapi._base.masking import Secret
from firsthandapi._base.network.certificates import ssl_context
from firsthandapi._sync import streams
from raw import CERTIFICATE

MUCH = Secret(b"x" * 50_000_000)


def test_a_stream_says_how_it_broke() -> None:
    """A peer that is silent, one that takes nothing, a socket that is closed, a name that is none."""
    ours, theirs = socket.socketpair()
    stream = streams.Stream(ours)
    assert not stream.is_readable()
    for call in (lambda: stream.read(1), lambda: stream.write(MUCH)):
        with pytest.raises(TimeoutError), stream.within(0.05):
            call()
        with pytest.raises(TimeoutError), stream.within(0):
            call()
    stream.within(1)
    with pytest.raises(OSError, match="label"):
        stream.start_tls(ssl.create_default_context(), "x" * 300)
    stream.close()
    theirs.close()
    stream.within(1)
    for call in (
        lambda: stream.write(MUCH),
        lambda: stream.read(1),
        lambda: stream.start_tls(ssl.create_default_context(), "localhost"),
        lambda: streams.connect("x" * 70 + ".example", 80, timeout=1),
    ):
        with pytest.raises(OSError, match=r".") as caught:
            call()
        assert not isinstance(caught.value, TimeoutError)


def test_an_async_stream_says_how_it_broke() -> None:
    """The same."""

    async def run(port: int) -> None:
        stream = await async_streams.connect("127.0.0.1", port, timeout=5)
        assert not stream.is_readable()
        for seconds, call in (
            (0.01, lambda: stream.read(1)),
            (0.01, lambda: stream.start_tls(ssl.create_default_context(), "localhost")),
            (0.05, lambda: stream.write(MUCH)),
        ):
            with pytest.raises(TimeoutError), stream.within(seconds):
                await call()
        await stream.aclose()
        for call in (
            lambda: stream.write(MUCH),
            lambda: stream.read(1),
            lambda: stream.start_tls(ssl.create_default_context(), "localhost"),
            lambda: async_streams.connect("x" * 70 + ".example", 80, timeout=5),
        ):
            with pytest.raises(OSError) as caught:  # noqa: PT011 # anyio's have no text
                await call()
            assert not isinstance(caught.value, TimeoutError)

    with socket.create_server(("127.0.0.1", 0)) as server:
        asyncio.run(run(server.getsockname()[1]))


@pytest.mark.parametrize("rest", [b"", b"stray"])
@pytest.mark.parametrize("layers", [0, 1, 2])
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_an_async_stream_knows_what_came_with_the_bytes_it_gave(
    backend: str, layers: int, rest: bytes
) -> None:
    """anyio took it from the socket, which shows it no more: it would be the next response. Without TLS, in TLS, and in
    TLS within TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)

    async def run() -> None:
        sent = anyio.Event()

        async def serve(peer: ByteStream) -> None:
            for _ in range(layers):
                peer = await TLSStream.wrap(
                    peer, server_side=True, ssl_context=context, standard_compatible=False
                )
            async with peer:
                await peer.send(b"response")
                if rest:
                    await peer.send(rest)
                sent.set()
                await anyio.sleep_forever()

        listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
        async with listener, anyio.create_task_group() as group:
            group.start_soon(listener.serve, serve)
            port = listener.extra(SocketAttribute.local_port)
            stream = await async_streams.connect("127.0.0.1", port, timeout=10)
            with stream.within(10):
                for _ in range(layers):
                    await stream.start_tls(ssl_context(False), "localhost")
                await sent.wait()
                assert await stream.read(8 if rest and not layers else 100) == b"response"
            assert stream.is_readable() is bool(rest)
            await stream.aclose()
            group.cancel_scope.cancel()

    anyio.run(run, backend=backend)


def test_the_first_address_that_answers_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that refuses, and those after it, are given up."""

    async def look_up(host: str, port: int) -> list[str]:
        return ["127.0.0.2", "127.0.0.1", "127.0.0.3"]

    async def connect(port: int) -> None:
        stream = await async_streams.connect("several.example", port, timeout=5)
        assert stream._socket.getpeername()[0] == "127.0.0.1"  # pyright: ignore[reportPrivateUsage] # nothing else says it
        await stream.aclose()

    monkeypatch.setattr(async_streams, "_look_up", look_up)
    with socket.create_server(("127.0.0.1", 0)) as server:
        asyncio.run(connect(server.getsockname()[1]))
