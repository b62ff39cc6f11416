"""The async client on its event loops: asyncio and trio, several loops, cancellation, many at once."""

from __future__ import annotations

import asyncio
import gc
import socket
import subprocess
import sys
import threading
import time
from importlib.metadata import version
from typing import Any

import anyio
import pytest
import trio

from firsthandapi import AsyncFirstHandClient
from firsthandapi._async.pool import _Stack
from firsthandapi.errors import FirstHandTimeoutError
from firsthandapi.testing import MockServer
from raw import RawServer, Reply

from .support import JOB, held_jobs


def test_trio(fresh_server: MockServer) -> None:
    """The client works on trio as on asyncio, a long-poll and its cancellation included."""

    async def main() -> None:
        async with fresh_server.async_client() as client:
            job = await client.jobs.create(**JOB)
            assert [row.id async for row in client.jobs.list()] == [job.id]
            with trio.move_on_after(0.2) as scope:
                await client.jobs.wait(job.id)
            assert scope.cancelled_caught
            assert (await client.jobs.cancel(job.id)).status == "cancelled"
            async with trio.open_nursery() as nursery:
                for _ in range(20):
                    nursery.start_soon(client.me)

    trio.run(main)


def test_one_client_on_several_loops(fresh_server: MockServer) -> None:
    """A client works in the next loop too; each has connections of its own, which are closed with it: nothing warns."""
    client = fresh_server.async_client()

    async def main() -> None:
        async with anyio.create_task_group() as group:
            for _ in range(5):
                group.start_soon(client.me)

    for backend in ("asyncio", "asyncio", "trio", "trio"):
        anyio.run(main, backend=backend)
        gc.collect()
    asyncio.run(client.close())


UNCLOSED = """
import asyncio, gc
from firsthandapi.testing import MockServer

with MockServer(speed=0, workers=False) as server:
    client = server.async_client()
    asyncio.run(client.me())
    # Its loop is gone. The client may go now, in whatever thread, and touches neither loop nor socket.
    del client
    gc.collect()

    async def main():
        other = server.async_client()
        await other.me()
        del other
        gc.collect()
        await asyncio.sleep(0)

    asyncio.run(main())
print("fine")
"""


def run(code: str, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *options, "-c", code], capture_output=True, text=True, timeout=60)


def test_an_unclosed_client_touches_nothing() -> None:
    """A client that goes without being closed says so, and that is all that happens."""
    done = run(UNCLOSED, "-W", "error", "-W", "always::ResourceWarning")
    assert done.stdout == "fine\n"
    assert done.stderr.count("ResourceWarning: a firsthandapi client was not closed") == 2
    assert "unclosed" not in done.stderr
    assert "Traceback" not in done.stderr


def test_a_cancelled_call_ends_promptly(fresh_server: MockServer) -> None:
    """A task cancelled in a long-poll ends at once, its connection is closed, and the next call works."""

    async def main() -> None:
        async with fresh_server.async_client() as client:
            job = await client.jobs.create(**JOB)
            waiting = asyncio.create_task(client.jobs.wait(job.id))
            while not any(request.headers.get("prefer") for request in fresh_server.requests):
                await asyncio.sleep(0.005)
            started = time.monotonic()
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            assert time.monotonic() - started < 10
            assert (await client.jobs.get(job.id)).id == job.id
            (wire,) = client._shared._wires.values()
            stack: Any = wire._pool.stack()
            assert len(stack.idle) == 1
            assert not stack.calls[0]._taken

    asyncio.run(main())


# anyio before 4.16 drops a socket that was connected at the very moment of a cancellation. It is closed when it
# is collected, with a warning that is not ours to mend.
leaky = tuple(map(int, version("anyio").split(".")[:2])) < (4, 16)
leaks = pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning" if leaky else "error::ResourceWarning"
)


@leaks
@pytest.mark.parametrize("when", [0, 0.0005, 0.001, 0.002, 0.005])
def test_cancellation_at_any_moment(when: float, fresh_server: MockServer) -> None:
    """Calls cancelled while they connect, send or read leave the client whole."""

    async def main() -> None:
        async with fresh_server.async_client() as client:
            for _ in range(8):
                task = asyncio.create_task(client.jobs.list()._first())
                await asyncio.sleep(when)
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
            assert (await client.me()).response.attempts == 1
            (wire,) = client._shared._wires.values()
            places, _ = wire._pool.stack().calls
            # A cancelled connection may close a moment later; earlier versions of anyio keep it in a circle.
            for _ in range(500):
                gc.collect()
                if not places._taken:
                    break
                await asyncio.sleep(0.01)
            assert not places._taken

    asyncio.run(main())
    gc.collect()


def test_a_timeout_of_the_caller_s(fresh_server: MockServer) -> None:
    """`asyncio.wait_for` around a call ends it, retries and pauses included."""

    async def main() -> None:
        async with fresh_server.async_client() as client:
            fresh_server.faults.add(status=503, retry_after=30, times=None)
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(client.me(), 0.2)

    asyncio.run(main())


def test_fifty_in_flight(fresh_server: MockServer) -> None:
    """Fifty long-polls are held at once by one client, and all hear of the change."""

    async def main() -> None:
        async with fresh_server.async_client() as client:
            job = await client.jobs.create(**JOB)
            waits = [asyncio.create_task(client.jobs.get(job.id, wait=30)) for _ in range(50)]
            while sum(1 for request in fresh_server.requests if request.headers.get("prefer")) < 50:
                await asyncio.sleep(0.005)
            await client.jobs.cancel(job.id)
            assert {job.status for job in await asyncio.gather(*waits)} == {"cancelled"}

    asyncio.run(main())


def test_more_than_there_are_connections(fresh_server: MockServer) -> None:
    """Three hundred calls at once share a hundred connections."""

    async def main() -> None:
        async with fresh_server.async_client() as client:
            results = await asyncio.gather(*[client.me() for _ in range(300)])
            assert len(results) == 300
            (wire,) = client._shared._wires.values()
            assert len(wire._pool.stack().idle) <= 100

    asyncio.run(main())


def test_closing_while_a_task_is_busy(fresh_server: MockServer) -> None:
    """A call that is under way when the client closes ends well, and its connection is closed."""

    async def main() -> None:
        client = fresh_server.async_client()
        fresh_server.faults.add(delay=0.2)
        busy = asyncio.create_task(client.me())
        while not fresh_server.requests:
            await asyncio.sleep(0.005)
        await client.close()
        assert (await busy).response.status_code == 200
        (wire,) = client._shared._wires.values()
        assert wire._pool.stack() is None

    asyncio.run(main())


def test_a_waiting_call_that_is_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call cancelled while it waits for a connection takes none away."""
    monkeypatch.setattr("firsthandapi._async.pool.MAX_CONNECTIONS", 1)

    async def main(server: RawServer, go_on: threading.Event) -> None:
        async with AsyncFirstHandClient("fh_test_x", server.base_url, max_retries=0) as client:
            busy = asyncio.create_task(client.jobs.list()._first())
            while not server.requests:
                await asyncio.sleep(0.005)
            waiting = asyncio.create_task(client.me())
            await asyncio.sleep(0.01)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            with pytest.raises(FirstHandTimeoutError):
                await client.me(timeout=0.01)
            go_on.set()
            await busy
            assert await client.me()

    with held_jobs() as (server, go_on):
        asyncio.run(main(server, go_on))


def test_closed_clients_leave_nothing_in_their_loop(fresh_server: MockServer) -> None:
    """A program that makes and closes clients for weeks keeps nothing of them."""

    async def main() -> None:
        for _ in range(20):
            async with fresh_server.async_client() as client:
                await client.me()
            await client.close()
        gc.collect()
        assert not [candidate for candidate in gc.get_objects() if type(candidate) is _Stack]

    asyncio.run(main())


LOOPS = """
import asyncio, gc, os, sys, time, warnings
from firsthandapi import AsyncFirstHandClient
from firsthandapi.testing import MockServer

warnings.simplefilter("ignore")

def sockets():
    found = 0
    for each in os.listdir("/proc/self/fd"):
        try:
            found += os.readlink(f"/proc/self/fd/{each}").startswith("socket:")
        except OSError:
            pass
    return found

def kept_since(before):
    # The server's ends, which are in this process too, close a moment later.
    for _ in range(3_000):
        if sockets() - before <= 6:
            break
        time.sleep(0.01)
    return sockets() - before

with MockServer(speed=0, workers=False) as server:
    server.rate_limit = None
    asyncio.run(server.async_client().me())
    gc.collect()
    before = sockets()
    client = server.async_client()
    for _ in range(20):
        loop = asyncio.new_event_loop()
        loop.run_until_complete(client.me())
        loop.close()
    kept = kept_since(before)
    assert kept <= 6, f"{kept} sockets of 20 loops that were closed without a word"

    async def unclosed():
        before = sockets()
        for _ in range(20):
            await server.async_client().me()
            gc.collect()
            await asyncio.sleep(0.01)
        return kept_since(before)

    kept = asyncio.run(unclosed())
    assert kept <= 6, f"{kept} sockets of 20 clients that were dropped in a living loop"
print("fine")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="descriptors are counted in /proc")
def test_connections_go_with_their_loop_or_their_client() -> None:
    """A loop that is closed without a word leaves no socket, nor does a client that is dropped unclosed."""
    done = run(LOOPS)
    assert done.stdout == "fine\n", done.stderr[-2000:]


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_cancelling_in_a_handshake(backend: str) -> None:
    """A call that is cancelled during the TLS handshake closes its socket."""
    received: list[bytes] = []
    begun, ended = threading.Event(), threading.Event()

    def swallow(connection: socket.socket) -> None:
        connection.settimeout(30)
        while data := connection.recv(65536):  # the ClientHello, then the end
            received.append(data)
            begun.set()
        ended.set()

    async def main(port: int) -> None:
        url = f"https://127.0.0.1:{port}"
        async with AsyncFirstHandClient("fh_test_x", url, verify=False, max_retries=0) as client:
            async with anyio.create_task_group() as group:
                group.start_soon(client.me)
                assert await anyio.to_thread.run_sync(begun.wait, 60)
                group.cancel_scope.cancel()
            assert await anyio.to_thread.run_sync(ended.wait, 60)

    with RawServer(lambda _: Reply(b""), first=swallow) as server:
        gc.disable()
        try:
            anyio.run(main, server.port, backend=backend)
        finally:
            gc.enable()
