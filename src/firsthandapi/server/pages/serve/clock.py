"""Real time: the clock of your own server."""

from __future__ import annotations

import heapq
import itertools
import logging
import threading
import time
from collections.abc import Callable

from firsthandapi.server.contract.text import floor_ms

Callback = Callable[[float], None]

# Maximum seconds between checks: someone may set the machine's time, and a laptop sleeps.
_LOOK_SECONDS = 30.0
_log = logging.getLogger("firsthandapi.serve")


class RealClock:
    """The machine's time, except that it never goes back; makes calls when their time has come.

    Where the machine's time is set back, such as after a start with a wrong one, this one continues at half speed until
    they agree again: what is due comes later, not after hours of standing still.

    Args:
        now: the machine's time.
        ticks: seconds that nobody sets.
    """

    speed = 1.0

    def __init__(
        self, now: Callable[[], float] = time.time, ticks: Callable[[], float] = time.monotonic
    ) -> None:
        self._time = now
        self._ticks = ticks
        self._latest = self._looked = 0.0
        self._looking = threading.Lock()
        self._due: list[tuple[float, int, Callback]] = []
        self._order = itertools.count()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._stopping = False

    def now(self) -> float:
        """The time in Unix seconds, to the millisecond."""
        with self._looking:
            at, ticks = self._time(), self._ticks()
            if at < self._latest:
                at = self._latest + (ticks - self._looked) / 2
            self._latest, self._looked = at, ticks
            return floor_ms(at)

    def at(self, when: float, callback: Callback) -> None:
        """Call `callback(when)` at the time `when`, from the clock's thread."""
        with self._changed:
            heapq.heappush(self._due, (when, next(self._order), callback))
            if self._due[0][0] == when:
                self._changed.notify_all()

    def real_seconds(self, virtual: float) -> float:
        """The real seconds of a span of this clock's time: the same number."""
        return virtual

    def start(self) -> None:
        """Start to make calls that are due."""
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="firsthandapi-clock", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop making calls."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def run_due(self) -> float:
        """Make the calls that are due, in order. Returns the seconds until the next call, within a limit."""
        while True:
            with self._changed:
                left = self._due[0][0] - self.now() if self._due else _LOOK_SECONDS
                if left > 0 or self._stopping:
                    return min(left, _LOOK_SECONDS)
                _, _, callback = heapq.heappop(self._due)
            try:
                # A late call, for example after a night without power, gets the current time.
                callback(self.now())
            except Exception:
                _log.exception("a scheduled call failed")

    def _run(self) -> None:
        while True:
            left = self.run_due()
            with self._changed:
                if self._stopping:
                    return
                # Do not wait if a call became due meanwhile.
                if not self._due or self._due[0][0] > self.now():
                    self._changed.wait(max(left, 0.001))
