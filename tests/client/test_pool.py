"""Where connections rest."""

from __future__ import annotations

import asyncio
from typing import Any

import anyio
import pytest

from firsthandapi._async import pool as async_pool
from firsthandapi._sync import pool as sync_pool


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
            assert all(each.closed for each in useless)
            await stack.aclose()

    asyncio.run(main())


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
