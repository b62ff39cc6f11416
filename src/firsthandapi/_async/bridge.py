"""Where async code meets the caller's functions and blocking ones.

The sync twin is written by hand too: it has nothing to await.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from inspect import isawaitable
from typing import ParamSpec, TypeVar

import anyio.to_thread

from firsthandapi.errors import InvalidArgumentError

P = ParamSpec("P")
T = TypeVar("T")

# What `on_update` and the like may be.
Callback = Callable[[T], "Awaitable[object] | object"]


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


async def addresses(host: str, port: int) -> list[str]:  # noqa: ARG001 # the sync twin needs both
    """Where to connect: anyio resolves by itself, without blocking, and tries all addresses in one go."""
    return [host]


async def run_blocking(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run what blocks on a thread, so that the loop goes on."""
    return await anyio.to_thread.run_sync(lambda: function(*args, **kwargs))
