# Made from _async/clock.py by `make generate`. Do not edit.
"""The clock of calls: that of downloads, with a pause that is awaited."""

from __future__ import annotations

import time

from firsthandapi._base.host.clock import HostClock

# No sleep counts a suspend, so a longer one looks at the clock again after so many seconds.
_LONGEST_SLEEP = 60.0


class Clock(HostClock):
    """The transport's clock, which tests replace."""

    def sleep(self, seconds: float) -> None:
        """Pause."""
        ends = self.monotonic() + seconds
        while (rest := ends - self.monotonic()) > _LONGEST_SLEEP:
            time.sleep(_LONGEST_SLEEP)
        time.sleep(max(rest, 0.0))
