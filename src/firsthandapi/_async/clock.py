"""The clock of calls: that of downloads, with a pause that is awaited."""

from __future__ import annotations

import anyio

from firsthandapi._base.host.clock import HostClock

# No sleep counts a suspend, so a longer one looks at the clock again after so many seconds.
_LONGEST_SLEEP = 60.0


class Clock(HostClock):
    """The transport's clock, which tests replace."""

    async def sleep(self, seconds: float) -> None:
        """Pause."""
        ends = self.monotonic() + seconds
        while (rest := ends - self.monotonic()) > _LONGEST_SLEEP:
            await anyio.sleep(_LONGEST_SLEEP)
        await anyio.sleep(max(rest, 0.0))
