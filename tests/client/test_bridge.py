"""Where async code meets callbacks and blocking code."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import anyio
import pytest

from firsthandapi._async.bridge import at_once, call_back, finish_blocking, run_blocking
from firsthandapi._sync import bridge as sync
from firsthandapi._sync.bridge import Line, Waiter


def test_the_bridge() -> None:
    """Callbacks may be functions or coroutine functions, and what blocks runs on a thread."""
    seen: list[Any] = []

    async def note(value: int) -> None:
        seen.append(value)

    async def main() -> None:
        await call_back(None, 0)
        await call_back(seen.append, 1)
        await call_back(note, 2)
        assert await run_blocking(threading.get_ident) != threading.get_ident()
        assert await run_blocking(lambda a, *, b: a + b, 1, b=2) == 3

    asyncio.run(main())
    assert seen == [1, 2]


@pytest.mark.parametrize("run", [run_blocking, finish_blocking])
def test_a_cancelled_task_leaves_no_thread_at_work(run: Callable[[Callable[[], None]], Any]) -> None:
    """Neither `task.cancel()` nor `asyncio.timeout` lets go of a thread that has begun, however often they come."""
    begun, go_on, ended = threading.Event(), threading.Event(), threading.Event()

    def block() -> None:
        begun.set()
        assert go_on.wait(30)
        ended.set()

    async def main() -> None:
        task = asyncio.ensure_future(run(block))
        while not begun.is_set():
            await asyncio.sleep(0)
        for _ in range(3):
            task.cancel()
            for _ in range(50):
                await asyncio.sleep(0)
            assert not task.done()
        go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert ended.is_set()

    asyncio.run(main())


def test_what_must_finish_is_run_by_a_cancelled_task() -> None:
    """Though it was cancelled before a thread began; what need not finish is not begun then."""
    calls: list[str] = []

    async def cancelled_at_once(run: Callable[[Callable[[], None]], Any], name: str) -> None:
        task = asyncio.ensure_future(run(lambda: calls.append(name)))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    async def main() -> None:
        await cancelled_at_once(run_blocking, "may")
        await cancelled_at_once(finish_blocking, "must")

    asyncio.run(main())
    assert calls == ["must"]


def test_threads_leave_a_line_while_others_are_woken(monkeypatch: pytest.MonkeyPatch) -> None:
    """They take no lock for that, so that no signal can leave one taken; here each leaves as it is woken."""
    line = Line()
    woken: list[Waiter] = []

    def leave(waiter: Waiter) -> None:
        woken.append(waiter)
        line._waiters.remove(waiter)

    monkeypatch.setattr(Waiter, "wake", leave)
    with line.join(), line.join() as second, line.join() as third:
        line.wake()
        line.wake(everyone=True)
        assert (len(woken), line.empty) == (3, True)
        assert woken[1:] == [second, third]


def test_calls_at_once_in_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each waits for the others of its slice; the first error is raised once all of the slice have ended."""
    monkeypatch.setattr(sync, "AT_ONCE", 3)
    met = threading.Barrier(3)
    ended: list[int] = []

    def call(number: int) -> None:
        met.wait(60)
        ended.append(number)
        if number == 4:
            raise ValueError(number)

    with pytest.raises(ValueError, match="4"):
        sync.at_once([partial(call, number) for number in range(9)])
    assert sorted(ended) == [0, 1, 2, 3, 4, 5]
    sync.at_once([])


def test_calls_at_once_on_a_system_that_refuses_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are made one after another."""

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    numbers: list[int] = []
    sync.at_once([partial(numbers.append, number) for number in range(3)])
    assert sorted(numbers) == [0, 1, 2]


def test_calls_at_once_in_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same."""
    monkeypatch.setattr("firsthandapi._async.bridge.AT_ONCE", 3)
    ended: list[int] = []

    async def main() -> None:
        arrived: list[int] = []

        async def call(number: int) -> None:
            arrived.append(number)
            while len(arrived) < number // 3 * 3 + 3:
                await anyio.sleep(0)
            ended.append(number)
            if number == 4:
                raise ValueError(number)

        with pytest.raises(ValueError, match="4"):
            await at_once([partial(call, number) for number in range(9)])

    asyncio.run(main())
    assert sorted(ended) == [0, 1, 2, 3, 4, 5]
