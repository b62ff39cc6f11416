"""A server that costs next to nothing, in a process of its own: one answer to every GET."""

from __future__ import annotations

import asyncio
import multiprocessing
from collections.abc import Generator
from contextlib import contextmanager
from multiprocessing.connection import Connection


class _Canned(asyncio.Protocol):
    def __init__(self, answer: bytes) -> None:
        self._answer = answer
        self._unread = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        *requests, self._unread = (self._unread + data).split(b"\r\n\r\n")
        self._transport.write(self._answer * len(requests))


async def _listen(answer: bytes, tell: Connection) -> None:
    server = await asyncio.get_running_loop().create_server(
        lambda: _Canned(answer), "127.0.0.1", 0, backlog=200
    )
    tell.send(server.sockets[0].getsockname()[1])
    await server.serve_forever()


def _run(answer: bytes, tell: Connection) -> None:
    asyncio.run(_listen(answer, tell))


@contextmanager
def serving(answer: bytes) -> Generator[str, None, None]:
    """The URL of a server whose every answer is `answer`, whole: status line, headers, body."""
    # A new interpreter, not a fork: the same on every platform, and no thread or socket is inherited.
    context = multiprocessing.get_context("spawn")
    port, tell = context.Pipe(duplex=False)
    process = context.Process(target=_run, args=(answer, tell), daemon=True)
    process.start()
    tell.close()
    try:
        yield f"http://127.0.0.1:{port.recv()}"
    finally:
        process.terminate()
        process.join()
