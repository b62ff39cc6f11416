"""Time: an attempt is bounded by `timeout`, a call by `deadline`, against servers that send a byte at a time."""

from __future__ import annotations

import socket
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from base.network.servers import silent_address
from firsthandapi.errors import DeadlineExceededError, FirstHandConnectionError, FirstHandTimeoutError
from firsthandapi.testing import MockServer

from .support import JOB, Connect, held_jobs

# Far above what is due, for machines under load; far below what an unbounded call would take.
LATE = 20.0


@pytest.fixture(params=["headers", "body", "delay"])
def slow(request: pytest.FixtureRequest, fresh_server: MockServer) -> MockServer:
    """A server that would take a minute for headers, for a body, or before it answers."""
    if request.param == "headers":
        fresh_server.faults.add(dribble=0.1, times=None)
    elif request.param == "body":
        # At this pace the headers are there soon and the body is not.
        fresh_server.faults.add(dribble=0.002, times=None, headers={"Content-Length": "100000"})
    else:
        fresh_server.faults.add(delay=60, times=None)
    return fresh_server


def test_the_timeout_of_an_attempt(connect: Connect, slow: MockServer) -> None:
    """An attempt ends when its `timeout` does, however steadily bytes come."""
    client = connect(slow, timeout=1.0, max_retries=0)
    started = time.monotonic()
    with pytest.raises(FirstHandTimeoutError, match="in time; increase timeout=") as caught:
        client.me()
    assert time.monotonic() - started < LATE
    assert caught.value.attempts == 1
    assert caught.value.request_sent


def test_the_deadline_of_a_call(connect: Connect, slow: MockServer) -> None:
    """A call ends when its `deadline` does, within an attempt too."""
    client = connect(slow, deadline=0.4)
    started = time.monotonic()
    with pytest.raises(DeadlineExceededError) as caught:
        client.me()
    assert time.monotonic() - started < LATE
    assert caught.value.attempts == 1
    assert isinstance(caught.value.__cause__, FirstHandTimeoutError)


def test_the_deadline_holds_over_attempts(connect: Connect, slow: MockServer) -> None:
    """Attempts that time out one after the other end with the deadline."""
    client = connect(slow, timeout=0.2, deadline=1.2, max_retries=100)
    started = time.monotonic()
    with pytest.raises(DeadlineExceededError):
        client.me()
    assert time.monotonic() - started < LATE
    assert 1 <= len(slow.requests) <= 3


def test_an_attempt_that_timed_out_is_tried_again(connect: Connect, fresh_server: MockServer) -> None:
    """Each attempt but the last has timed out: one slow answer costs one, and busy cores may make another one slow."""
    attempts: list[Any] = []
    client = connect(fresh_server, timeout=1, max_retries=20, on_attempt=attempts.append, frozen=True)
    fresh_server.faults.add(delay=30)
    assert client.me().response.attempts == len(attempts) > 1
    assert {type(attempt.error) for attempt in attempts[:-1]} == {FirstHandTimeoutError}


def test_a_long_poll_may_take_longer_than_the_timeout(connect: Connect, fresh_server: MockServer) -> None:
    """The wait of a long-poll comes on top of the timeout of its attempt."""
    # Without the wait every attempt would be too short; with it, only one on busy cores may be.
    client = connect(fresh_server, timeout=1.5, max_retries=5, frozen=True)
    job = client.with_options(timeout=30).jobs.create(**JOB)
    started = time.monotonic()
    assert client.jobs.get(job.id, wait=2).status == "open"
    assert time.monotonic() - started > 1.9


def test_timeouts_of_many_days(connect: Connect, fresh_server: MockServer) -> None:
    """A timeout larger than sockets take works as one nobody will see the end of."""
    assert connect(fresh_server, timeout=9e8, max_retries=0).me()


@pytest.fixture
def deaf() -> Iterator[str]:
    """An address whose connections are never accepted: its queue is full."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        clogs = []
        for _ in range(8):
            clog = socket.socket()
            clog.setblocking(False)
            clog.connect_ex(listener.getsockname())
            clogs.append(clog)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        for clog in clogs:
            clog.close()


def test_connecting_takes_five_seconds_at_most(
    connect: Connect, deaf: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Connecting has a limit of its own, whose end is not that of the deadline: it is tried again."""
    for kind in ("sync", "async"):
        monkeypatch.setattr(f"firsthandapi._{kind}.wire.CONNECT_TIMEOUT", 0.2)
    client = connect(base_url=deaf, deadline=60, max_retries=1)
    clock = connect.clock(client)
    started = time.monotonic()
    with pytest.raises(FirstHandTimeoutError, match="did not accept a connection in time; check") as caught:
        client.me()
    assert time.monotonic() - started < LATE
    assert caught.value.attempts == 2
    assert not caught.value.request_sent
    assert clock.sleeps == [0.5]


def test_a_server_that_reads_nothing(connect: Connect) -> None:
    """A request that the other end does not read is bounded too."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        client = connect(base_url=f"http://127.0.0.1:{listener.getsockname()[1]}", timeout=0.4, max_retries=0)
        started = time.monotonic()
        with pytest.raises(FirstHandTimeoutError):
            client.request("POST", "/v1/jobs", json={"description": "x" * 20_000_000})
        assert time.monotonic() - started < LATE


def test_waiting_for_a_free_connection(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    """When every connection is busy a call waits for one."""
    for kind in ("sync", "async"):
        monkeypatch.setattr(f"firsthandapi._{kind}.pool.MAX_CONNECTIONS", 1)
    with held_jobs() as (server, go_on):
        client = connect(base_url=server.base_url, max_retries=0)
        assert client.me()
        busy = threading.Thread(target=client.jobs.list)
        busy.start()
        while len(server.requests) < 2:
            time.sleep(0.005)
        threading.Timer(0.3, go_on.set).start()
        assert client.me()
        busy.join()


def resolving(monkeypatch: pytest.MonkeyPatch, result: Any) -> None:
    """Make the name `localhost` lead to these addresses, or to an error."""
    real = socket.getaddrinfo

    def addresses(host: Any, port: int, *args: Any, **options: Any) -> Any:
        if host not in ("localhost", b"localhost"):
            return real(host, port, *args, **options)
        if isinstance(result, OSError):
            raise result
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in result]

    monkeypatch.setattr(socket, "getaddrinfo", addresses)


@pytest.fixture
def stuck(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A name whose lookup does not end."""
    go = threading.Event()
    real = socket.getaddrinfo

    def look_up(host: Any, *args: Any, **options: Any) -> Any:
        if host == "stuck.example":
            assert go.wait(60)
        return real("127.0.0.1", *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    yield "https://stuck.example"
    go.set()


def test_a_name_that_is_looked_up_for_ever(connect: Connect, stuck: str) -> None:
    """`timeout` bounds the lookup of a name, and it is tried again; `deadline` bounds a call with its lookups."""
    with pytest.raises(
        FirstHandTimeoutError, match=r"could not connect to stuck\.example: looking up the name took too long"
    ) as caught:
        connect(base_url=stuck, timeout=0.1, max_retries=1).me()
    assert caught.value.attempts == 2
    assert not caught.value.request_sent
    with pytest.raises(DeadlineExceededError):
        connect(base_url=stuck, deadline=0.1).me()


def by_name(url: str) -> str:
    return url.replace("127.0.0.1", "localhost")


def test_the_next_address_is_tried(
    connect: Connect, fresh_server: MockServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the first address of a name refuses, the next is tried, within one attempt."""
    resolving(monkeypatch, ["127.0.0.77", "127.0.0.1"])
    assert (
        connect(fresh_server, base_url=by_name(fresh_server.url), max_retries=0).me().response.attempts == 1
    )


@pytest.mark.skipif(
    sys.platform != "linux", reason="other systems have one loopback address, and other queues"
)
def test_a_silent_address(
    connect: Connect, fresh_server: MockServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the first address of a name swallows packets, the next gets its share of the time to connect."""
    resolving(monkeypatch, ["127.0.0.2", "127.0.0.1"])
    for kind in ("sync", "async"):
        monkeypatch.setattr(f"firsthandapi._{kind}.wire.CONNECT_TIMEOUT", 60.0)
    with silent_address("127.0.0.2", int(fresh_server.url.rpartition(":")[2])):
        started = time.monotonic()
        client = connect(fresh_server, base_url=by_name(fresh_server.url), timeout=60, max_retries=0)
        assert client.me().response.attempts == 1
        assert time.monotonic() - started < LATE


@pytest.mark.parametrize("result", [[], OSError("no such name"), ["127.0.0.77", "127.0.0.78"]])
def test_no_address_answers(
    result: Any, connect: Connect, fresh_server: MockServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name without an address that answers is a failed connection."""
    resolving(monkeypatch, result)
    with pytest.raises(FirstHandConnectionError, match="could not connect") as caught:
        connect(fresh_server, base_url=by_name(fresh_server.url), max_retries=0).me()
    assert not caught.value.request_sent


def test_one_time_for_all_addresses(connect: Connect, deaf: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Four dead addresses together take no longer than one."""
    resolving(monkeypatch, ["127.0.0.1"] * 20)
    client = connect(base_url=by_name(deaf), timeout=0.3, max_retries=0)
    started = time.monotonic()
    with pytest.raises(FirstHandTimeoutError):
        client.me()
    assert time.monotonic() - started < LATE
