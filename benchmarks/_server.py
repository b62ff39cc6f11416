"""Servers in processes of their own: one that costs next to nothing, and the bundled one with a finished job."""

from __future__ import annotations

import asyncio
import multiprocessing
import threading
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from multiprocessing.connection import Connection
from typing import Any


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


def _serve_job(files: int, delay: float, tell: Connection) -> None:
    from firsthandapi.testing import MockServer

    with MockServer(speed=0, workers=False, rate_limit=None) as server, server.client() as client:
        job_id = client.jobs.create(
            description="Photos of street signs in daylight",
            files_needed=files,
            accepted_formats=["image/jpeg"],
            price_per_file_cents=10,
        ).id
        for _ in range(files):
            server.submit(job_id)
        server.clock.advance(minutes=1)
        server.faults.add(path="/files/*", delay=delay, times=None)
        tell.send((server.api_key, server.url, job_id))
        threading.Event().wait()


@contextmanager
def running(target: Callable[..., None], *args: object) -> Generator[Any, None, None]:
    """What `target` tells when it serves, in a process of its own."""
    # A new interpreter, not a fork: the same on every platform, and no thread or socket is inherited.
    context = multiprocessing.get_context("spawn")
    reader, tell = context.Pipe(duplex=False)
    process = context.Process(target=target, args=(*args, tell), daemon=True)
    process.start()
    tell.close()
    try:
        yield reader.recv()
    finally:
        process.terminate()
        process.join()


@contextmanager
def serving(answer: bytes) -> Generator[str, None, None]:
    """The URL of a server whose every answer is `answer`, whole: status line, headers, body."""
    with running(_run, answer) as port:
        yield f"http://127.0.0.1:{port}"


def finished_job(files: int, delay: float) -> AbstractContextManager[tuple[str, str, str]]:
    """The API key, the URL, and a finished job of the bundled server, which keeps files back for `delay` seconds."""
    return running(_serve_job, files, delay)
