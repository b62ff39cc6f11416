"""Where async code meets the caller's functions, blocking ones, and threads.

The sync twin is also written by hand: it has nothing to await.
"""

from __future__ import annotations

import itertools
import threading
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator, Sequence
from concurrent.futures import Future
from contextlib import asynccontextmanager, contextmanager, suppress
from inspect import isawaitable, iscoroutinefunction
from typing import Any, Generic, ParamSpec, TypeVar

import anyio
import anyio.from_thread
import anyio.to_thread
from anyio.lowlevel import RunVar

from firsthandapi._core.calls.places import AT_ONCE
from firsthandapi._core.calls.ratelimit import AsyncRateLimiter as RateLimiter
from firsthandapi.errors import ConfigurationError, FirstHandError, InvalidArgumentError

P = ParamSpec("P")
T = TypeVar("T")

# What `on_update` and the like may be.
Callback = Callable[[T], "Awaitable[object] | object"]

Lock = anyio.Lock

# Some versions of anyio tell run variables apart by their name.
_numbers = itertools.count()


def check_callback(callback: Callback[T] | None, field: str) -> None:
    """Check that `callback` can be called, before anything is sent. Raises InvalidArgumentError: it is not callable."""
    if callback is not None and not callable(callback):
        raise InvalidArgumentError(f"{field} must be a function, a coroutine function or None", field=field)


def check_rate_limiter(limiter: RateLimiter | None) -> None:
    """Check that `limiter` is one, or None. Raises ConfigurationError: it is not."""
    if limiter is not None and not all(
        iscoroutinefunction(getattr(limiter, name, None)) for name in ("acquire", "observe")
    ):
        raise ConfigurationError(
            "rate_limiter must have coroutine functions acquire and observe: see AsyncRateLimiter"
        )


async def call_back(callback: Callback[T] | None, value: T) -> None:
    """Call the caller's function, which may be a coroutine function."""
    if callback is not None:
        result = callback(value)
        if isawaitable(result):
            await result


class _Once(Generic[T]):
    """A blocking call that runs once, although several threads may try."""

    def __init__(self, call: Callable[[], T]) -> None:
        self.result: Future[T] = Future()
        self._call = call
        self._turn = threading.Lock()

    def make(self) -> None:
        """Make the call, or wait until another thread has made it."""
        with self._turn:
            if not self.result.done():
                try:
                    self.result.set_result(self._call())
                except BaseException as error:
                    self.result.set_exception(error)

    def give_up(self) -> None:
        """Cancel the call, unless a thread runs it."""
        if self._turn.acquire(blocking=False):
            self.result.cancel()
            self._turn.release()


async def _run(once: _Once[T], *, must: bool) -> T:
    """Run the call in a thread, and wait for its end even if the task is cancelled.

    anyio's scopes do not shield from asyncio's own `cancel`, as of `asyncio.timeout`: the thread would keep working on
    what the caller has closed by then.
    """
    cancelled: BaseException | None = None
    try:
        while not once.result.done():
            try:
                with anyio.CancelScope(shield=must or cancelled is not None):
                    await anyio.to_thread.run_sync(once.make)
            except anyio.get_cancelled_exc_class() as error:
                cancelled = cancelled or error
                if not must:
                    once.give_up()
        if cancelled is not None:
            raise cancelled
        return once.result.result()
    finally:
        del once, cancelled  # an error that holds this frame would hold itself


async def run_blocking(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a blocking function in a thread. Once started, it runs to its end, even if the task is cancelled."""
    return await _run(_Once(lambda: function(*args, **kwargs)), must=False)


async def run_until_cancelled(
    cancel: Callable[[], None], function: Callable[P, T], *args: P.args, **kwargs: P.kwargs
) -> T:
    """Run a blocking function in a thread. If the task is cancelled, it ends at once, and `cancel` ends the thread."""
    try:
        return await anyio.to_thread.run_sync(lambda: function(*args, **kwargs), abandon_on_cancel=True)
    except BaseException:
        cancel()
        raise


async def finish_blocking(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a blocking function that must run to its end, even if the task is cancelled."""
    return await _run(_Once(lambda: function(*args, **kwargs)), must=True)


async def at_once(calls: Sequence[Callable[[], Awaitable[object]]]) -> None:
    """Make these calls, some at the same time, and wait for their ends. Raises the first error then."""
    errors: list[Exception] = []

    async def make(call: Callable[[], Awaitable[object]]) -> None:
        try:
            await call()
        except Exception as error:  # the task group would wrap it in a group
            errors.append(error)

    try:
        for start in range(0, len(calls), AT_ONCE):
            async with anyio.create_task_group() as group:
                for call in calls[start : start + AT_ONCE]:
                    group.start_soon(make, call)
            for error in errors[:1]:
                raise error
    finally:
        errors.clear()  # an error that holds this frame would hold itself


@asynccontextmanager
async def ending_with(function: Callable[[], object]) -> AsyncGenerator[None, None]:
    """Run a blocking function at the end of the block. An error of the block hides one of the function."""
    try:
        yield
    except BaseException:
        with suppress(FirstHandError):
            await finish_blocking(function)
        raise
    await finish_blocking(function)


@asynccontextmanager
async def ended(generator: AsyncIterator[T]) -> AsyncGenerator[AsyncIterator[T], None]:
    """`generator`, closed when the block is left: the event loop may find it too late."""
    try:
        yield generator
    finally:
        if isinstance(generator, AsyncGenerator):  # pragma: no branch # to type checkers it need not be one
            await generator.aclose()


class Line:
    """A line where tasks wait in order of arrival: one for each event loop, because events belong to it."""

    def __init__(self) -> None:
        self._here: RunVar[deque[Waiter]] = RunVar(f"firsthandapi line {next(_numbers)}")
        # Of all loops. Usually nobody waits, and finding the line of this loop is slow.
        self._all: set[Waiter] = set()

    @property
    def empty(self) -> bool:
        """Whether nobody waits."""
        return not self._all or not self._waiters()

    @contextmanager
    def join(self, arrival: int = 0) -> Generator[Waiter, None, None]:
        """Wait in the line for the time of the block, behind all with the same or an earlier arrival."""
        waiters = self._waiters()
        waiter = Waiter(waiters, arrival)
        try:
            self._all.add(waiter)
            waiters.insert(place(waiters, arrival), waiter)
            yield waiter
        finally:
            self._all.discard(waiter)
            if waiter in waiters:  # pragma: no branch # a signal may have struck before it stood there
                waiters.remove(waiter)
            self.wake()

    def wake(self, *, everyone: bool = False) -> None:
        """Wake the first in the line, or everyone."""
        waiters = self._waiters() if self._all else ()
        for waiter in list(waiters) if everyone else itertools.islice(waiters, 1):
            waiter.wake()

    def _waiters(self) -> deque[Waiter]:
        waiters = self._here.get(None)
        if waiters is None:
            waiters = deque[Waiter]()
            self._here.set(waiters)
        return waiters


def place(waiters: deque[Waiter], arrival: int) -> int:
    """The index in a line for this arrival: the end, except for one that comes back."""
    later = itertools.takewhile(lambda waiter: waiter.arrival > arrival, reversed(waiters))
    return len(waiters) - sum(1 for _ in later)


class Waiter:
    """A task in a line, with the number of its arrival."""

    def __init__(self, waiters: deque[Waiter], arrival: int) -> None:
        self.arrival = arrival
        self._waiters = waiters
        self._woken = anyio.Event()

    @property
    def first(self) -> bool:
        """Whether nobody is before it."""
        return self._waiters[0] is self

    def wake(self) -> None:
        self._woken.set()

    async def wait(self, seconds: float | None) -> None:
        """Wait to be woken, at most `seconds`."""
        with anyio.move_on_after(seconds):
            await self._woken.wait()
        self._woken = anyio.Event()


@asynccontextmanager
async def calls_from_threads() -> AsyncGenerator[Callable[..., Any], None]:
    """Let threads call coroutine functions of this loop: `call(function, *args)` blocks the thread until the result."""
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
