# Made from _async/limiter.py by `make generate`. Do not edit.
"""The request limiter of a client and its copies: a budget, and a line where callers wait."""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Callable
from typing import NamedTuple
from weakref import WeakSet

from firsthandapi._base.watching import logger
from firsthandapi._core.calls.ratelimit import (
    LONGEST_WINDOW,
    Hold,
    Permit,
    RequestBudget,
    RequestBudgets,
    spent_error,
)
from firsthandapi._core.calls.response import ApiResponse
from firsthandapi._sync.bridge import Line
from firsthandapi._sync.clock import Clock

_limiters: WeakSet[ClientLimiter] = WeakSet()


class NoTurnError(TimeoutError):
    """The request may not be sent in time. Its own class, because other code may raise a TimeoutError."""


class Turn(NamedTuple):
    """A request to an endpoint may be sent. `arrival` orders the calls; `budget` and `permit` count the request."""

    endpoint: str
    arrival: int
    budget: RequestBudget
    permit: Permit


class ClientLimiter:
    """The limiter of a client and its copies. `RequestBudgets` has the rules; this class makes callers wait.

    Args:
        clock: gives the client's clock, which tests replace.
    """

    def __init__(self, clock: Callable[[], Clock]) -> None:
        self._clock = clock
        self.start()
        _limiters.add(self)

    def start(self) -> None:
        """Start with empty lines and unknown windows. A forked child needs that: it has neither the callers nor the
        responses of its parent, and a thread that it does not have may hold the lock."""
        self._budgets = RequestBudgets()
        self._lock = threading.Lock()  # never held while waiting
        self._lines: dict[RequestBudget, Line] = {}
        self._arrivals = itertools.count(1)

    def acquire(self, endpoint: str, *, timeout: float | None, turn: Turn | None = None) -> Turn:
        """Wait until a request may be sent, in order of arrival; `turn` is that of one that a 429 refused.
        Raises NoTurnError: it may not be sent within `timeout` seconds.
        Raises RateLimitError: the service would refuse it for longer than a minute.
        """
        arrival = next(self._arrivals) if turn is None else turn.arrival
        clock = self._clock()
        ends = None if timeout is None else clock.monotonic() + timeout
        while True:
            budget, line = self._line_of(endpoint)
            # A waiting caller is never overtaken. Without one, a call only counts.
            if line.empty:
                answer = self._take(endpoint, arrival)
                if isinstance(answer, Turn):
                    return answer
            with line.join(arrival) as waiter:
                woken = 0.0
                while self._budgets.of(endpoint) is budget:
                    if not waiter.first:
                        waiter.wait(_left(ends, clock))
                        continue
                    answer = self._take(endpoint, arrival, woken)
                    if isinstance(answer, Turn):
                        return answer
                    seconds = max(answer.seconds, answer.reported)
                    if seconds > LONGEST_WINDOW:
                        raise spent_error(
                            budget.rate_limit, seconds, believed=answer.seconds, now=clock.time()
                        )
                    limit = _left(ends, clock)
                    if limit is not None and answer.seconds >= limit and answer.for_reset:
                        raise NoTurnError
                    if answer.for_reset:
                        logger().info("waiting %.1f s for the rate limit of the key to reset", answer.seconds)
                        seconds = answer.seconds + budget.spread(answer.seconds, jitter=clock.random())
                        # In tests the clock may be frozen.
                        woken = max(clock.monotonic(), woken) + answer.seconds
                        clock.sleep(seconds if limit is None else min(seconds, limit))
                    else:
                        waiter.wait(answer.seconds if limit is None else min(limit, answer.seconds))

    def _line_of(self, endpoint: str) -> tuple[RequestBudget, Line]:
        with self._lock:
            budget = self._budgets.of(endpoint)
            line = self._lines.get(budget)
            if line is None:
                line = self._lines[budget] = Line()
            return budget, line

    def _take(self, endpoint: str, arrival: int, woken: float = 0.0) -> Turn | Hold:
        with self._lock:
            answer = self._budgets.take(endpoint, max(self._clock().monotonic(), woken))
            if isinstance(answer, Permit):
                return Turn(endpoint, arrival, self._budgets.of(endpoint), answer)
            return answer

    def observe(self, turn: Turn, response: ApiResponse | None, *, sent: bool) -> None:
        """Learn the result of a request."""
        clock = self._clock()
        now, time = clock.monotonic(), clock.time()
        with self._lock:
            old_budget = self._budgets.observe(
                turn.endpoint, turn.budget, turn.permit, response, sent=sent, now=now, time=time
            )
        budget, line = self._line_of(turn.endpoint)
        line.wake()
        if old_budget is not budget:
            # Callers of an endpoint whose budget has changed go to another line.
            self._lines[old_budget].wake(everyone=True)


def _left(ends: float | None, clock: Clock) -> float | None:
    if ends is None:
        return None
    seconds = ends - clock.monotonic()
    if seconds <= 0:
        raise NoTurnError
    return seconds


def _start_in_child() -> None:  # pragma: no cover # it runs in a forked child, which is not measured
    for limiter in list(_limiters):
        limiter.start()


if hasattr(os, "register_at_fork"):  # pragma: no branch # Windows has no fork
    # Before a thread of the child can make a call.
    os.register_at_fork(after_in_child=_start_in_child)
