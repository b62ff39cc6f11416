"""The twin of the async bridge, written by hand: here nothing is awaited, and any thread may call anything."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from inspect import iscoroutinefunction
from typing import Any, ParamSpec, TypeVar

from firsthandapi.errors import InvalidArgumentError

P = ParamSpec("P")
T = TypeVar("T")

# What `on_update` and the like may be.
Callback = Callable[[T], object]

Lock = threading.Lock


def check_callback(callback: Callback[T] | None, field: str) -> None:
    """Refuse what cannot be called or would have to be awaited, before anything is sent.

    Raises:
        InvalidArgumentError: it cannot be, or would have to be.
    """
    if callback is not None and not callable(callback):
        raise InvalidArgumentError(f"{field} must be a function or None", field=field)
    call = getattr(callback, "__call__", None)  # noqa: B004 # an object's method may be a coroutine function
    if iscoroutinefunction(callback) or iscoroutinefunction(call):
        raise InvalidArgumentError(
            f"{field} is a coroutine function, which the sync client cannot await; use AsyncFirstHandClient",
            field=field,
        )


def call_back(callback: Callback[T] | None, value: T) -> None:
    """Tell the caller."""
    if callback is not None:
        callback(value)


def run_blocking(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run what blocks right here."""
    return function(*args, **kwargs)


def run_until_cancelled(
    cancel: Callable[[], None],  # noqa: ARG001 # Ctrl-C reaches the function itself
    function: Callable[P, T],
    *args: P.args,
    **kwargs: P.kwargs,
) -> T:
    """Run what blocks right here."""
    return function(*args, **kwargs)


finish_blocking = run_blocking


@contextmanager
def calls_from_threads() -> Generator[Callable[..., Any], None, None]:
    """Lets threads call functions of the client: they may anyway."""

    def call(function: Callable[..., Any], *args: Any) -> Any:
        return function(*args)

    yield call
