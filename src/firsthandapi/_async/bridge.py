"""Where async code meets the caller's functions, blocking ones, and threads.

The sync twin is written by hand too: it has nothing to await.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from inspect import isawaitable
from typing import Any, ParamSpec, TypeVar

import anyio
import anyio.from_thread
import anyio.to_thread

from firsthandapi.errors import InvalidArgumentError

P = ParamSpec("P")
T = TypeVar("T")

# What `on_update` and the like may be.
Callback = Callable[[T], "Awaitable[object] | object"]

Lock = anyio.Lock


def check_callback(callback: Callback[T] | None, field: str) -> None:
    """Refuse what cannot be called, before anything is sent.

    Raises:
        InvalidArgumentError: it cannot be.
    """
    if callback is not None and not callable(callback):
        raise InvalidArgumentError(f"{field} must be a function, a coroutine function or None", field=field)


async def call_back(callback: Callback[T] | None, value: T) -> None:
    """Tell the caller, who may have given a function or a coroutine function."""
    if callback is not None:
        result = callback(value)
        if isawaitable(result):
            await result


async def run_blocking(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run what blocks on a thread, so that the loop goes on."""
    return await anyio.to_thread.run_sync(lambda: function(*args, **kwargs))


async def run_until_cancelled(
    cancel: Callable[[], None], function: Callable[P, T], *args: P.args, **kwargs: P.kwargs
) -> T:
    """Run what blocks on a thread; a cancelled task is told at once, and `cancel` ends the thread."""
    try:
        return await anyio.to_thread.run_sync(lambda: function(*args, **kwargs), abandon_on_cancel=True)
    except BaseException:
        cancel()
        raise


async def finish_blocking(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run what blocks and must be done, also when the task is cancelled."""
    scope = anyio.CancelScope(shield=True)
    with scope:
        return await run_blocking(function, *args, **kwargs)
    raise AssertionError("a shielded scope is never left early")  # pragma: no cover # for type checkers


@asynccontextmanager
async def calls_from_threads() -> AsyncGenerator[Callable[..., Any], None]:
    """Lets threads call coroutine functions of this loop: `call(function, *args)` blocks its thread until done."""
    caught: Exception | KeyboardInterrupt | None = None
    async with anyio.from_thread.BlockingPortal() as portal:
        try:
            yield portal.call
        except (Exception, KeyboardInterrupt) as error:  # the portal's task group would wrap it in a group
            caught = error
        finally:
            with anyio.CancelScope(shield=True):
                await portal.stop(cancel_remaining=True)
    if caught is not None:
        raise caught
