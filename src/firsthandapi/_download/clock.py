"""Time, in one place, so that no test has to sleep."""

from __future__ import annotations

import random
import threading
import time


class Clock:
    """The engine's clock; tests put one of their own in its place."""

    def monotonic(self) -> float:
        """Seconds since some moment; never jumps."""
        return time.monotonic()

    def time(self) -> float:
        """Unix seconds, as the machine believes."""
        return time.time()

    def random(self) -> float:
        """0 to 1, to spread the retries of many threads."""
        return random.random()  # noqa: S311 # it hides nothing

    def pause(self, seconds: float, stop: threading.Event) -> None:
        """Pause, but no longer than until `stop` is set."""
        stop.wait(seconds)
