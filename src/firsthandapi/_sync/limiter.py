# Made from _async/limiter.py by `make generate`. Do not edit.
"""One budget of requests for all that use a key through one client: a count, and a line where callers wait."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from weakref import WeakSet

from firsthandapi._core.ratelimit import Permit, RequestBudget, Wait
from firsthandapi._core.response import ApiResponse
from firsthandapi._sync.bridge import Line
from firsthandapi._sync.clock import Clock
from firsthandapi._watching import logger

_limiters: WeakSet[ClientLimiter] = WeakSet()


class ClientLimiter:
    """The `RateLimiter` of a client and its copies. The rules are `RequestBudget`'s; here callers wait.

    Args:
        clock: gives the client's clock, which tests replace.
    """

    def __init__(self, clock: Callable[[], Clock]) -> None:
        self._clock = clock
        self.start()
        _limiters.add(self)

    def start(self) -> None:
        """Start with an empty line and an unknown window; a forked child has neither the callers nor the responses
        that its parent waits for, and the lock may be held by a thread that it does not have."""
        self._budget = RequestBudget()
        self._lock = threading.Lock()  # never held while waiting
        self._line = Line()

    def acquire(self, key: str, *, timeout: float | None) -> Permit:  # noqa: ARG002 # it has one key
        """Wait until a request may be sent, in order of arrival.

        Raises:
            TimeoutError: it may not be sent within `timeout` seconds.
        """
        # Nobody overtakes those who wait; where nobody does, a call costs no more than the count.
        if self._line.empty:
            found = self._take()
            if isinstance(found, Permit):
                return found
        clock = self._clock()
        ends = None if timeout is None else clock.monotonic() + timeout
        with self._line.join() as waiter:
            while not waiter.first:
                waiter.wait(_left(ends, clock))
            woken = 0.0
            while isinstance(found := self._take(woken), Wait):
                left = _left(ends, clock)
                if left is not None and found.seconds >= left and found.for_reset:
                    raise TimeoutError
                if found.for_reset:
                    logger().info("waiting %.1f s for the rate limit of the key to reset", found.seconds)
                    # The time has passed, even where tests freeze the clock.
                    woken = max(clock.monotonic(), woken) + found.seconds
                    clock.sleep(found.seconds)
                else:
                    waiter.wait(found.seconds if left is None else min(left, found.seconds))
            return found

    def _take(self, woken: float = 0.0) -> Permit | Wait:
        with self._lock:
            return self._budget.take(max(self._clock().monotonic(), woken))

    def observe(self, key: str, permit: Permit, response: ApiResponse | None, *, sent: bool) -> None:  # noqa: ARG002 # it has one key
        """Learn the result of a request."""
        clock = self._clock()
        with self._lock:
            self._budget.observe(permit, response, sent=sent, now=clock.monotonic(), time=clock.time())
        self._line.wake()


def _left(ends: float | None, clock: Clock) -> float | None:
    if ends is None:
        return None
    left = ends - clock.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _start_in_child() -> None:  # pragma: no cover # it runs in a forked child, which is not measured
    for limiter in list(_limiters):
        limiter.start()


if hasattr(os, "register_at_fork"):  # pragma: no branch # Windows has no fork
    # Before any thread of the child can make a call.
    os.register_at_fork(after_in_child=_start_in_child)
