"""The twin of the async bridge, written by hand: nothing is awaited, and any thread may call any function."""

from __future__ import annotations

import itertools
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import copy_context
from inspect import iscoroutinefunction
from typing import Any, ParamSpec, TypeVar

from firsthandapi._core.calls.places import AT_ONCE
from firsthandapi._core.calls.ratelimit import RateLimiter as RateLimiter
from firsthandapi.errors import ConfigurationError, FirstHandError, InvalidArgumentError

P = ParamSpec("P")
T = TypeVar("T")

# What `on_update` and the like may be.
Callback = Callable[[T], object]

Lock = threading.Lock

# Callers look again after a wait in any case.
_LONGEST_WAIT = 1.0


def check_callback(callback: Callback[T] | None, field: str) -> None:
    """Check that `callback` can be called and is no coroutine function, before anything is sent.

    Raises:
        InvalidArgumentError: it is not callable, or is a coroutine function.
    """
    if callback is not None and not callable(callback):
        raise InvalidArgumentError(f"{field} must be a function or None", field=field)
    call = getattr(callback, "__call__", None)  # noqa: B004 # an object's method may be a coroutine function
    if iscoroutinefunction(callback) or iscoroutinefunction(call):
        raise InvalidArgumentError(
            f"{field} is a coroutine function, which the sync client cannot await; use AsyncFirstHandClient",
            field=field,
        )


def check_rate_limiter(limiter: RateLimiter | None) -> None:
    """Check that `limiter` is one, or None. Raises ConfigurationError: it is not."""
    if limiter is not None and not all(
        callable(method := getattr(limiter, name, None)) and not iscoroutinefunction(method)
        for name in ("acquire", "observe")
    ):
        raise ConfigurationError("rate_limiter must have plain methods acquire and observe: see RateLimiter")


def call_back(callback: Callback[T] | None, value: T) -> None:
    """Call the caller's function."""
    if callback is not None:
        callback(value)


def run_blocking(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a blocking function in this thread."""
    return function(*args, **kwargs)


def run_until_cancelled(
    cancel: Callable[[], None],  # noqa: ARG001 # Ctrl-C reaches the function itself
    function: Callable[P, T],
    *args: P.args,
    **kwargs: P.kwargs,
) -> T:
    """Run a blocking function in this thread."""
    return function(*args, **kwargs)


finish_blocking = run_blocking


def at_once(calls: Sequence[Callable[[], object]]) -> None:
    """Make these calls, some at the same time in threads, and wait for their ends. Raises the first error then."""
    errors: list[Exception] = []

    def make(call: Callable[[], object]) -> None:
        try:
            call()
        except Exception as error:  # it is raised in the caller's thread
            errors.append(error)

    try:
        for start in range(0, len(calls), AT_ONCE):
            threads: list[threading.Thread] = []
            own, *others = calls[start : start + AT_ONCE]
            for call in others:
                thread = threading.Thread(target=copy_context().run, args=(make, call), daemon=True)
                try:
                    thread.start()
                    threads.append(thread)
                except RuntimeError:  # the system refused a new thread
                    make(call)
            make(own)
            for thread in threads:
                while thread.is_alive():
                    thread.join(_LONGEST_WAIT)
            for error in errors[:1]:
                raise error
    finally:
        errors.clear()  # an error that holds this frame would hold itself


@contextmanager
def ending_with(function: Callable[[], object]) -> Generator[None, None, None]:
    """Run a function at the end of the block. An error of the block hides one of the function."""
    try:
        yield
    except BaseException:
        with suppress(FirstHandError):
            function()
        raise
    function()


@contextmanager
def ended(generator: Iterator[T]) -> Generator[Iterator[T], None, None]:
    """`generator`, closed when the block is left."""
    try:
        yield generator
    finally:
        if isinstance(generator, Generator):  # pragma: no branch # to type checkers it need not be one
            generator.close()


class Line:
    """A line where threads wait in order of arrival."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiters: deque[Waiter] = deque()

    @property
    def empty(self) -> bool:
        """Whether nobody waits."""
        return not self._waiters

    @contextmanager
    def join(self, arrival: int = 0) -> Generator[Waiter, None, None]:
        """Wait in the line for the time of the block, behind all with the same or an earlier arrival."""
        waiter = Waiter(self._waiters, arrival)
        try:
            with self._lock:
                self._waiters.insert(place(self._waiters.copy(), arrival), waiter)
            yield waiter
        finally:
            # Something may have struck before it stood there. What strikes in here finds it gone: no signal is
            # handled before `remove` has returned, and one left in the line would be waited for without end.
            if waiter in self._waiters:  # pragma: no branch # a test that strikes there is not measured
                self._waiters.remove(waiter)
            self.wake()

    def wake(self, *, everyone: bool = False) -> None:
        """Wake the first in the line, or everyone."""
        if self._waiters:
            with self._lock:
                # Threads leave the line without the lock, so it is copied in one step.
                for waiter in self._waiters.copy() if everyone else itertools.islice(self._waiters.copy(), 1):
                    waiter.wake()


def place(waiters: deque[Waiter], arrival: int) -> int:
    """The index in a line for this arrival: the end, except for one that comes back."""
    later = itertools.takewhile(lambda waiter: waiter.arrival > arrival, reversed(waiters))
    return len(waiters) - sum(1 for _ in later)


class Waiter:
    """A thread in a line, with the number of its arrival."""

    def __init__(self, waiters: deque[Waiter], arrival: int) -> None:
        self.arrival = arrival
        self._waiters = waiters
        # Free once it is woken. Events are written in Python: an exception of a signal's handler may leave one locked.
        self._asleep = threading.Lock()
        self._asleep.acquire()

    @property
    def first(self) -> bool:
        """Whether nobody is before it."""
        return self._waiters[0] is self

    def wake(self) -> None:
        with suppress(RuntimeError):  # it is awake
            self._asleep.release()

    def wait(self, seconds: float | None) -> None:
        """Wait to be woken, at most `seconds`."""
        # In slices: on Windows, an endless wait swallows Ctrl-C.
        self._asleep.acquire(timeout=_LONGEST_WAIT if seconds is None else min(seconds, _LONGEST_WAIT))


@contextmanager
def calls_from_threads() -> Generator[Callable[..., Any], None, None]:
    """Let threads call functions of the client, which they may anyway."""

    def call(function: Callable[..., Any], *args: Any) -> Any:
        return function(*args)

    yield call
