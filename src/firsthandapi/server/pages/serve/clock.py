"""Real time: the clock of a server that serves people."""

from __future__ import annotations

import heapq
import itertools
import logging
import threading
import time
from collections.abc import Callable

from firsthandapi.server.contract.text import floor_ms

Callback = Callable[[float], None]

# The machine's time may be set, and a laptop sleeps: look at least this often.
_LOOK_SECONDS = 30.0
_log = logging.getLogger("firsthandapi.serve")


class RealClock:
    """The time of the machine, which never goes back, and calls when a time has come."""

    speed = 1.0

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._time = now
        self._latest = 0.0
        self._due: list[tuple[float, int, Callback]] = []
        self._order = itertools.count()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._stopping = False

    def now(self) -> float:
        """The time, in Unix seconds, to the millisecond."""
        self._latest = max(self._latest, floor_ms(self._time()))
        return self._latest

    def at(self, when: float, callback: Callback) -> None:
        """Call `callback(when)` at the time `when`, from the clock's thread."""
        with self._changed:
            heapq.heappush(self._due, (when, next(self._order), callback))
            if self._due[0][0] == when:
                self._changed.notify_all()

    def real_seconds(self, virtual: float) -> float:
        """How long a span of the clock's time takes for a client: as long."""
        return virtual

    def start(self) -> None:
        """Let what is due happen."""
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="firsthandapi-clock", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Let nothing happen any more."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def run_due(self) -> float:
        """Do what is due now, in order; how many seconds from now the next is due, within bounds."""
        while True:
            with self._changed:
                left = self._due[0][0] - self.now() if self._due else _LOOK_SECONDS
                if left > 0 or self._stopping:
                    return min(left, _LOOK_SECONDS)
                _, _, callback = heapq.heappop(self._due)
            try:
                # Late is late, after a night without power for example: what happens now happens now.
                callback(self.now())
            except Exception:
                _log.exception("something that was due failed")

    def _run(self) -> None:
        while True:
            left = self.run_due()
            with self._changed:
                if self._stopping:
                    return
                # Else something became due between the two.
                if not self._due or self._due[0][0] > self.now():
                    self._changed.wait(max(left, 0.001))
