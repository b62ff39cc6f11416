"""Where connections rest, what a stream says when it breaks, and who waits in a line: the corners."""

from __future__ import annotations

import socket
import ssl
from types import SimpleNamespace
from typing import Any

import anyio
import httpcore
import pytest

from firsthandapi import ApiResponse, errors
from firsthandapi._async import limiter as async_limiter
from firsthandapi._async import pool as async_pool
from firsthandapi._async import reader as async_reader
from firsthandapi._async import waiting as async_waiting
from firsthandapi._async.wire import _perform
from firsthandapi._masking import Secret
from firsthandapi._sync import limiter, streams
from firsthandapi._sync import pool as sync_pool
from firsthandapi._sync import reader as sync_reader
from firsthandapi._sync import waiting as sync_waiting
from firsthandapi._sync import wire as sync_wire

from .support import FakeClock


class Resting:
    """A connection that counts what is done to it."""

    def __init__(self, usable: bool) -> None:
        self._usable = usable
        self.closed = self.abandoned = False

    def usable(self) -> bool:
        return self._usable

    async def aclose(self) -> None:
        self.closed = True

    def abandon(self) -> None:
        self.abandoned = True


def test_a_sweep_closes_what_no_longer_works() -> None:
    """The connection used last stays on top; useless ones below it are closed."""
    stack: Any = async_pool._Stack({})
    useless, good, last = Resting(False), Resting(True), Resting(False)
    stack.idle = [useless, good, last]
    anyio.run(stack.sweep)
    assert stack.idle == [good, last]
    assert (useless.closed, good.closed, last.closed) == (True, False, False)


def test_a_sweep_of_threads_does_the_same() -> None:
    """The sync twin."""
    pool: Any = sync_pool.Pool(lambda: None)  # type: ignore[arg-type, return-value] # nothing is connected
    useless, good, last = Resting(False), Resting(True), Resting(False)
    for one in (useless, good, last):
        one.close = lambda one=one: setattr(one, "closed", True)  # type: ignore[attr-defined, misc] # the sync twin closes so
    pool._idle = [useless, good, last]
    pool._sweep()
    assert (useless.closed, good.closed, last.closed) == (True, False, False)
    pool._idle = []


def test_a_list_that_cannot_be_read_ends_the_look() -> None:
    """Each follower reads its own job then; a list that never shows the job is left after a few pages."""
    page = Secret(b'{"data": [{"id": "job_2", "status": "open"}], "has_more": true, "next_cursor": "c"}')
    for module, awaited in ((sync_reader, False), (async_reader, True)):
        for answer, asked in ((errors.ConfigurationError("closed"), 1), (page, 2)):
            calls: list[object] = []

            def send(request: object, answer: Any = answer, calls: list[object] = calls) -> Any:
                calls.append(request)
                if isinstance(answer, Exception):
                    raise answer
                return ApiResponse(200), answer

            async def asend(request: object, send: Any = send) -> Any:
                return send(request)

            reader: Any = object.__new__(module.SharedReader)
            reader._board = SimpleNamespace(followed={"job_1"}, jobs={}, pauses=None)
            reader._waiting = SimpleNamespace(time_limit=lambda: None, options={})
            reader._transport = SimpleNamespace(send=asend if awaited else send)
            anyio.run(reader._read_list) if awaited else reader._read_list()
            assert len(calls) == asked
            assert reader._board.jobs == {}


def test_a_job_that_no_list_shows_is_read() -> None:
    """The reader found nothing, so the job itself is asked for."""

    async def poll(_: object) -> bool:
        return True

    waiting: Any = object.__new__(sync_waiting.Waiting)
    waiting._poll = lambda _: True
    assert waiting.change_to(None)
    waiting = object.__new__(async_waiting.Waiting)
    waiting._poll = poll
    assert anyio.run(waiting.change_to, None)


@pytest.mark.parametrize("closed", [True, False])
def test_what_belongs_to_another_loop_is_left_alone(monkeypatch: pytest.MonkeyPatch, closed: bool) -> None:
    """Connections of a loop that still runs stay; those of one that is closed are abandoned."""
    monkeypatch.setattr(async_pool, "_is_closed", lambda _: closed)
    pool: Any = async_pool.Pool(lambda: None)  # type: ignore[arg-type, return-value] # nothing is connected
    for act in (pool._open, None):
        stack: Any = async_pool._Stack({})
        resting = Resting(True)
        stack.idle = [resting]
        stacks: Any = {"another loop": stack}
        if act is None:
            async_pool._let_go(stacks)
        else:
            pool._stacks.clear()
            pool._stacks.update(stacks)
            anyio.run(act)
        assert resting.abandoned is closed


def test_a_stack_that_was_let_go_is_not_opened_again() -> None:
    """Its generator is gone: opening and closing do nothing."""
    stack: Any = async_pool._Stack({})
    stack.let_go()
    anyio.run(stack.open)
    anyio.run(stack.aclose)


def test_a_place_in_the_line_is_given_up_in_time() -> None:
    """Whoever has no time left is told so."""
    clock: Any = FakeClock()
    for module in (limiter, async_limiter):
        assert module._left(None, clock) is None
        assert module._left(clock.now + 2, clock) == 2
        with pytest.raises(TimeoutError):
            module._left(clock.now, clock)


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


def test_a_proxy_that_does_not_take_the_request_is_not_reached() -> None:
    """Time that runs out in the handshake with a proxy is time for connecting."""

    class Stuck(httpcore.AsyncMockStream):
        async def write(self, buffer: bytes, timeout: float | None = None) -> None:
            raise httpcore.WriteTimeout

    def handshake() -> Any:
        yield Secret(b"CONNECT"), 1

    class StuckThread(httpcore.MockStream):
        def write(self, buffer: bytes, timeout: float | None = None) -> None:
            raise httpcore.WriteTimeout

    with pytest.raises(httpcore.ConnectTimeout):
        anyio.run(_perform, handshake(), Stuck([]), 1.0)
    with pytest.raises(httpcore.ConnectTimeout):
        sync_wire._perform(handshake(), StuckThread([]), 1.0)
