"""Time, in one place, so that no test has to sleep."""

from __future__ import annotations

import random
import time

import anyio


class Clock:
    """The transport's clock; tests put one of their own in its place."""

    def monotonic(self) -> float:
        """Seconds since some moment; never jumps."""
        return time.monotonic()

    def time(self) -> float:
        """Unix seconds, as the machine believes."""
        return time.time()

    def random(self) -> float:
        """0 to 1, to spread the retries of many clients."""
        return random.random()  # noqa: S311 # it hides nothing

    async def sleep(self, seconds: float) -> None:
        """Pause."""
        await anyio.sleep(seconds)
