# Made from _async/clock.py by `make generate`. Do not edit.
"""The clock of calls: that of downloads, with a pause that is awaited."""

from __future__ import annotations

import time

from firsthandapi._host.clock import HostClock


class Clock(HostClock):
    """The transport's clock, which tests replace."""

    def sleep(self, seconds: float) -> None:
        """Pause."""
        time.sleep(seconds)
