"""Time, in one place, so that no test has to sleep."""

from __future__ import annotations

import random
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any


def counting_suspends(clocks: Any, platform: str) -> Callable[[], float]:
    """The clock of the module `clocks` (that is, `time`) that never jumps, and counts the time of a suspend.

    `time.monotonic` is one on Windows only. Linux has another clock for that, and so has macOS, by a name that means
    something else on Linux.
    """
    number = getattr(clocks, "CLOCK_MONOTONIC_RAW" if platform == "darwin" else "CLOCK_BOOTTIME", None)
    try:
        clocks.clock_gettime(number)
    except (AttributeError, TypeError, OSError):  # a system without it
        return clocks.monotonic  # type: ignore[no-any-return] # it is `time`
    return partial(clocks.clock_gettime, number)


ticks = counting_suspends(time, sys.platform)


class HostClock:
    """This machine's clock, which tests replace."""

    def monotonic(self) -> float:
        """Seconds of a clock that never jumps, and counts a suspend."""
        return ticks()

    def time(self) -> float:
        """Unix seconds by this machine's clock."""
        return time.time()

    def random(self) -> float:
        """0 to 1, to spread the retries of many clients."""
        return random.random()  # noqa: S311 # it hides nothing

    def pause(self, seconds: float, stop: threading.Event) -> None:
        """Pause, but no longer than until `stop` is set."""
        stop.wait(seconds)
