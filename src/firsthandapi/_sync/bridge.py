"""The twin of the async bridge, written by hand: here nothing is awaited."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import ParamSpec, TypeVar

from firsthandapi.errors import InvalidArgumentError

P = ParamSpec("P")
T = TypeVar("T")

# What `on_update` and the like may be.
Callback = Callable[[T], object]


def call_back(callback: Callback[T] | None, value: T) -> None:
    """Tell the caller."""
    if callback is not None:
        result = callback(value)
        if isinstance(result, Coroutine):
            result.close()
            raise InvalidArgumentError(
                "a coroutine function was given to the sync client, which cannot await it; use AsyncFirstHandClient",
                field=getattr(callback, "__name__", "callback"),
            )


def run_blocking(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run what blocks right here."""
    return function(*args, **kwargs)
