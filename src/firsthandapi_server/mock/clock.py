"""Virtual time: it flows at `speed`, tests advance it, and due events happen in order."""

from __future__ import annotations

import heapq
import itertools
import math
import threading
import time
from collections import deque
from collections.abc import Callable
from datetime import timedelta

from firsthandapi_server.contract.text import floor_ms

__all__ = ["Clock"]

Callback = Callable[[float], None]

# The year 9991 begins: what happens before that expires within the calendar, which ends with 9999.
_END = 253_118_390_400.0


def _checked(speed: float) -> float:
    if not 0 <= speed < float("inf"):
        raise ValueError(f"speed must be 0 or more, not {speed}")
    return speed


class Clock:
    """The server's clock. `speed` is virtual seconds per real second; at 0 only `advance` moves time.

    Attributes:
        moves: the latest 1,000 jumps: the real time, and the virtual times before and after it.
    """

    def __init__(self, speed: float = 1.0) -> None:
        # Virtual and real time, and what a real second is worth since then: read by others without a lock.
        self._base = (time.time(), time.monotonic(), _checked(speed))
        self._frozen: float | None = None  # while events run, time stands at the event's own
        self._due: list[tuple[float, int, Callback]] = []
        self._order = itertools.count()
        self._condition = threading.Condition()
        self._runner = threading.RLock()  # whoever holds it runs events
        self._thread: threading.Thread | None = None
        self._stopping = False
        self._wait_until_idle: Callable[[], None] = lambda: None
        self.moves: deque[tuple[float, float, float]] = deque(maxlen=1000)

    @property
    def speed(self) -> float:
        """Virtual seconds per real second; at 0 only `advance` moves time."""
        return self._base[2]

    @speed.setter
    def speed(self, speed: float) -> None:
        with self._condition:
            self._base = (self._flowing(), time.monotonic(), _checked(speed))
            self._condition.notify_all()

    def now(self) -> float:
        """The virtual time, in Unix seconds, to the millisecond."""
        frozen = self._frozen
        return floor_ms(self._flowing() if frozen is None else frozen)

    def at(self, when: float, callback: Callback) -> None:
        """Call `callback(when)` at the virtual time `when`."""
        with self._condition:
            heapq.heappush(self._due, (when, next(self._order), callback))
            if self._due[0][0] == when:
                self._condition.notify_all()

    def advance(
        self,
        *,
        weeks: float = 0,
        days: float = 0,
        hours: float = 0,
        minutes: float = 0,
        seconds: float = 0,
        milliseconds: float = 0,
    ) -> None:
        """Move time on. When this returns, all that fell due has happened, webhook deliveries included.

        It blocks while receivers handle their deliveries, so call it neither from such a handler nor in the
        event loop of one: there `await asyncio.to_thread(server.clock.advance, days=7)`.

        Args:
            weeks, days, hours, minutes, seconds, milliseconds: how far, as `timedelta` takes them; 0 or more
                in sum.

        Raises:
            ValueError: the sum is below 0, or leads beyond the year 9990.
        """
        try:
            step = timedelta(
                weeks=weeks,
                days=days,
                hours=hours,
                minutes=minutes,
                seconds=seconds,
                milliseconds=milliseconds,
            ).total_seconds()
        except OverflowError:
            step = math.inf
        if step < 0:
            raise ValueError("time does not go back")
        with self._runner:
            self.reach(self._flowing() + step)

    def reach(self, when: float, until: Callable[[], bool] = lambda: False) -> None:
        """Move time on to `when`, if it is not that late yet.

        Args:
            when: the time, in Unix seconds.
            until: time stops earlier, after all that happens at the moment at which this is true.

        Raises:
            ValueError: `when` is beyond the year 9990.
        """
        if when > _END:
            raise ValueError("time ends with the year 9990; advance by less")
        with self._runner:
            began, start = time.time(), self._flowing()
            self._frozen = start
            try:
                self._run_until(max(when, start), until)
            finally:
                with self._condition:
                    self._base = (self._frozen, time.monotonic(), self.speed)
                    if self._frozen > start:
                        self.moves.append((began, start, self._frozen))
                    self._frozen = None
                    self._condition.notify_all()

    def restart(self, then: Callable[[], None]) -> None:
        """Drop every scheduled event, return to the present, and call `then` before time flows again.

        Args:
            then: sets up the new state.
        """
        with self._runner:
            with self._condition:
                self._due.clear()
                self.moves.clear()
                self._base = (time.time(), time.monotonic(), self.speed)
                self._frozen = None
            then()

    def start(self, wait_until_idle: Callable[[], None]) -> None:
        """Let time flow. `advance` calls `wait_until_idle` to wait for the work of other threads."""
        self._wait_until_idle = wait_until_idle
        self._stopping = False
        self._thread = threading.Thread(target=self._flow, name="firsthandapi-clock", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Let nothing happen any more."""
        with self._condition:
            self._stopping = True
            self._condition.notify_all()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()
        self._thread = None

    def real_seconds(self, virtual: float) -> float:
        """How long a span of virtual time takes on the client's clock."""
        return virtual / self.speed if self.speed else virtual

    def _flowing(self) -> float:
        virtual, real, speed = self._base
        return virtual + (time.monotonic() - real) * speed

    def _run_until(self, target: float, until: Callable[[], bool]) -> None:
        while True:
            if until():
                target = min(target, self._frozen or 0)
            due = self._next_due()
            if due is None or due > (self._frozen or 0):
                self._wait_until_idle()  # attempts in progress may schedule something earlier
                due = self._next_due()
            if due is None or due > target:
                self._frozen = target
                return
            self._frozen = max(self._frozen or 0, due)
            self._pop_and_run(due)

    def _next_due(self) -> float | None:
        with self._condition:
            return self._due[0][0] if self._due else None

    def _pop_and_run(self, until: float) -> None:
        with self._condition:
            if not self._due or self._due[0][0] > until:
                return
            when, _, callback = heapq.heappop(self._due)
        callback(floor_ms(when))

    def _flow(self) -> None:
        while True:
            with self._condition:
                if self._stopping:
                    return
                if not self._due or not self.speed:
                    self._condition.wait()
                    continue
                wait = (self._due[0][0] - self._flowing()) / self.speed
                if wait > 0:
                    self._condition.wait(min(wait, threading.TIMEOUT_MAX))
                    continue
            with self._runner:
                # Never the future: an `advance` may have ended, and its rest been run, while this waited.
                self._pop_and_run(self._flowing())
