"""Real time: the clock of your own server."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from sched import scheduler

from firsthandapi_server.contract.text import floor_ms

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
        self._due = scheduler(self.now)
        self._woken = threading.Event()
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
        self._due.enterabs(when, 0, self._call, (callback,))
        self._woken.set()

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
        self._stopping = True
        self._woken.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def run_due(self) -> float:
        """Make the calls that are due, in order. Returns the seconds until the next call, within a limit."""
        seconds = self._due.run(blocking=False)
        return _LOOK_SECONDS if seconds is None else min(seconds, _LOOK_SECONDS)

    def _call(self, callback: Callback) -> None:
        if self._stopping:
            return
        try:
            # A late call, for example after a night without power, gets the current time.
            callback(self.now())
        except Exception:
            _log.exception("a scheduled call failed")

    def _run(self) -> None:
        while not self._stopping:
            self._woken.wait(self.run_due())
            self._woken.clear()
