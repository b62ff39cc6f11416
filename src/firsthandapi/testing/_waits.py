"""Clients whose waits cost no real time: their pauses move the clock of the server that they talk to."""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import contextmanager
from math import ceil
from typing import Any, Protocol

import anyio.to_thread

from firsthandapi._async.clock import Clock as AsyncClock
from firsthandapi._base.host.loopback import is_loopback
from firsthandapi._base.network.interception import BEGINNING
from firsthandapi._sync.clock import Clock


class Time(Protocol):
    """The clock of a server."""

    def now(self) -> float:
        """The time, in Unix seconds."""
        ...

    def reach(self, when: float) -> None:
        """Move time on to `when`, if it is not that late yet."""
        ...


class _Moved:
    """A client's clock, which is that of a server."""

    def __init__(self, time: Time) -> None:
        self._time = time

    def monotonic(self) -> float:
        return self._time.now()

    def time(self) -> float:
        return self._time.now()

    def pause(self, seconds: float, stop: threading.Event) -> None:  # noqa: ARG002 # it takes no time
        self._pass(seconds)

    def _pass(self, seconds: float) -> None:
        if seconds > 0:
            # The server's clock says whole milliseconds, rounded down: it must not seem too early afterwards.
            milliseconds = round(self._time.now() * 1000) + max(ceil(seconds * 1000 - 0.001), 1)
            self._time.reach(milliseconds / 1000 + 1e-6)


class _MovedClock(_Moved, Clock):
    def sleep(self, seconds: float) -> None:
        self._pass(seconds)


class _MovedAsyncClock(_Moved, AsyncClock):
    async def sleep(self, seconds: float) -> None:
        # In a thread, because the receiver of a webhook that falls due may run in this loop.
        await anyio.to_thread.run_sync(self._pass, seconds)


# The clocks of servers whose clients wait in no real time, by port.
TIMES: dict[int, Time] = {}


@contextmanager
def moving(port: int, time: Time) -> Generator[None]:
    """Let the clients that are made meanwhile for the server on this port wait by its clock."""
    TIMES[port], BEGINNING[:] = time, [_follow]
    try:
        yield
    finally:
        del TIMES[port]


def _follow(transport: Any) -> None:
    origin = transport.config.origin
    time = TIMES.get(origin.port) if is_loopback(origin.host) else None
    if time is not None:
        kind = _MovedAsyncClock if "._async." in type(transport).__module__ else _MovedClock
        transport.shared.clock = kind(time)
