"""Clients whose waits cost no real time: their pauses move the clock of the server that they talk to."""

from __future__ import annotations

import threading
from collections.abc import Callable
from math import ceil
from types import ModuleType
from typing import Any, Protocol, TypeVar

import anyio.to_thread

from firsthandapi._async.clock import Clock as AsyncClock
from firsthandapi._base.host.loopback import is_loopback
from firsthandapi._sync.clock import Clock

T = TypeVar("T")


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


def moved(client: T, time: Time) -> T:
    """Give a client, of either half, the clock of its server.

    Args:
        client: the client.
        time: the clock.

    Returns:
        The client.
    """
    shared: Any = vars(client)["_transport"].shared
    shared.clock = (_MovedAsyncClock if "._async." in type(client).__module__ else _MovedClock)(time)
    return client


# The clocks of servers whose clients wait in no real time, by port.
TIMES: dict[int, Time] = {}


def watch(transport: ModuleType, guard: Callable[[Any], None]) -> None:
    """Let clients of the servers in `TIMES` wait by their clocks, and call `guard` with the transport before each call.

    Args:
        transport: the module of one half of the client.
        guard: raises an error if the call may not be made.
    """
    kind: Any = transport.Transport
    clock = _MovedAsyncClock if "._async." in transport.__name__ else _MovedClock
    begin, check_open = kind.__init__, kind.check_open
    if check_open.__module__ == __name__:
        return

    def start(self: Any, config: Any, shared: Any) -> None:
        time = TIMES.get(config.origin.port) if is_loopback(config.origin.host) else None
        if time is not None:
            shared.clock = clock(time)
        begin(self, config, shared)

    def check(self: Any) -> None:
        guard(self)
        check_open(self)

    kind.__init__, kind.check_open = start, check
