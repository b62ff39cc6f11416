"""Time, in one place, so that no test has to sleep."""

from __future__ import annotations

import random
import threading
import time


class HostClock:
    """This machine's clock, which tests replace."""

    def monotonic(self) -> float:
        """Seconds of a clock that never jumps."""
        return time.monotonic()

    def time(self) -> float:
        """Unix seconds by this machine's clock."""
        return time.time()

    def random(self) -> float:
        """0 to 1, to spread the retries of many clients."""
        return random.random()  # noqa: S311 # it hides nothing

    def pause(self, seconds: float, stop: threading.Event) -> None:
        """Pause, but no longer than until `stop` is set."""
        stop.wait(seconds)
