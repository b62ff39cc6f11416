"""The clock of calls: that of downloads, with a pause that is awaited."""

from __future__ import annotations

import anyio

from firsthandapi._host.clock import HostClock


class Clock(HostClock):
    """The transport's clock, which tests replace."""

    async def sleep(self, seconds: float) -> None:
        """Pause."""
        await anyio.sleep(seconds)
