"""Where async code meets the caller's functions and blocking ones.

The sync twin is written by hand too: it has nothing to await.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from inspect import isawaitable
from typing import ParamSpec, TypeVar

import anyio.to_thread

P = ParamSpec("P")
T = TypeVar("T")

# What `on_update` and the like may be.
Callback = Callable[[T], "Awaitable[object] | object"]


async def call_back(callback: Callback[T] | None, value: T) -> None:
    """Tell the caller, who may have given a function or a coroutine function."""
    if callback is not None:
        result = callback(value)
        if isawaitable(result):
            await result


async def run_blocking(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run what blocks on a thread, so that the loop goes on."""
    return await anyio.to_thread.run_sync(lambda: function(*args, **kwargs))
