"""Where connections rest."""

from __future__ import annotations

import asyncio
import dis
import gc
import itertools
import sys
from inspect import isawaitable
from types import FrameType
from typing import Any

import anyio
import pytest

from firsthandapi._async import pool as async_pool
from firsthandapi._sync import pool as sync_pool
from firsthandapi.errors import FirstHandTimeoutError


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


def test_a_task_that_is_cancelled_while_it_closes_closes_all() -> None:
    """Whether it sweeps or closes its client: no shield of anyio's holds off `task.cancel()`."""

    class Slow(Resting):
        async def aclose(self) -> None:
            self.closed = True
            await anyio.sleep(0)

    async def main() -> None:
        for useless in ([Slow(False) for _ in range(5)], [Slow(True) for _ in range(5)]):
            stack: Any = async_pool._Stack({})
            await stack.open()
            stack.idle = [*useless, Slow(True)]
            task = asyncio.ensure_future(stack.aclose() if useless[0].usable() else stack.sweep())
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert all(link.closed for link in useless)
            await stack.aclose()

    asyncio.run(main())


def test_a_sweep_of_threads_does_the_same() -> None:
    """The sync twin."""
    pool: Any = sync_pool.Pool(lambda: None)  # type: ignore[arg-type, return-value] # nothing is connected
    useless, good, last = Resting(False), Resting(True), Resting(False)
    for link in (useless, good, last):
        link.close = lambda wire=link: setattr(wire, "closed", True)  # type: ignore[attr-defined, misc] # the sync twin closes so
    pool._idle = [useless, good, last]
    pool._sweep()
    assert (useless.closed, good.closed, last.closed) == (True, False, False)
    pool._idle = []


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


class Struck(BaseException):
    """What the handler of a signal raises."""


class Strike:
    """Raises once, at one of the steps where Python looks for signals: when a call in firsthandapi has returned."""

    def __init__(self, number: int) -> None:
        self.done = False
        self._number = number
        self._steps = itertools.count()
        self.last: dict[FrameType, str] = {}

    def __call__(self, frame: FrameType, event: str, _: object) -> Any:
        if not str(frame.f_globals.get("__name__")).startswith(("firsthandapi.", "contextlib")):
            return None
        frame.f_trace_opcodes = True
        if event == "opcode":
            returned = self.last.get(frame, "").startswith("CALL")
            self.last[frame] = dis.opname[frame.f_code.co_code[frame.f_lasti]]
            if returned and not self.done and next(self._steps) == self._number:
                self.done = True
                raise Struck
        return self


async def awaited(result: Any) -> Any:
    """The result of either half."""
    return await result if isawaitable(result) else result


class Blocking(Resting):
    """The same, of the sync half."""

    def close(self) -> None:
        self.closed = True


@pytest.mark.filterwarnings("ignore:coroutine:RuntimeWarning")  # one may strike before it is awaited
@pytest.mark.parametrize("half", ["sync", "async"])
@pytest.mark.parametrize("busy", [False, True])
def test_whatever_strikes_in_the_pool_leaves_every_connection_to_the_next_call(
    half: str, busy: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C or a soft time limit, at any step of taking a connection and giving it back, with a connection at hand and
    where one waits for it: no place is lost, no lock stays taken, and nobody stays in the line."""
    monkeypatch.setattr(f"firsthandapi._{half}.pool.MAX_CONNECTIONS", 1)
    pool: Any = (
        sync_pool.Pool(lambda: Blocking(True))  # type: ignore[arg-type, return-value] # nothing is connected
        if half == "sync"
        else async_pool.Pool(lambda: Resting(True))  # type: ignore[arg-type, return-value] # nothing is connected
    )

    async def once(timeout: float = 0.0) -> None:
        connection = await awaited(pool.acquire(timeout))
        await awaited(pool.release(connection, reusable=True))

    async def main() -> int:
        for number in itertools.count():  # pragma: no branch # it returns
            held = await awaited(pool.acquire(0.0)) if busy else None
            strike, traced = Strike(number), sys.gettrace()
            sys._getframe().f_trace_opcodes = True  # else Python 3.12 tells of no step of the first call
            sys.settrace(strike)
            try:
                await once()
            except (FirstHandTimeoutError, Struck):
                assert busy or strike.done
            finally:
                sys.settrace(traced)
                strike.last.clear()  # frames keep what they hold
            if held is not None:
                await awaited(pool.release(held, reusable=True))
            await once()
            if not strike.done:
                return number
        raise AssertionError

    gc.disable()  # what it collects would be struck, and nobody would learn of it
    try:
        assert anyio.run(main) >= 10
    finally:
        gc.enable()


@pytest.mark.parametrize("half", ["sync", "async"])
def test_connections_that_stay_busy_are_a_timeout(half: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever finds no place in time is told how many there are, and that nothing was sent."""
    module = sync_pool if half == "sync" else async_pool
    monkeypatch.setattr(module, "MAX_CONNECTIONS", 1)
    pool: Any = module.Pool(lambda: Blocking(True) if half == "sync" else Resting(True))  # type: ignore[arg-type, return-value] # nothing is connected

    async def main() -> None:
        held = await awaited(pool.acquire(0.0))
        with pytest.raises(FirstHandTimeoutError, match=r"all 1 connections were busy for 0\.01 s") as caught:
            await awaited(pool.acquire(0.01))
        assert caught.value.request_sent is False
        await awaited(pool.release(held, reusable=False))

    asyncio.run(main())
