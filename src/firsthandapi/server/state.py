"""Everything that the service remembers. Whoever reads or changes it holds `lock`."""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from .model import Account, Delivery, Event, File, Job, Key, Organization, Submission

DAY = 86400.0
YEAR = 365 * DAY
# Requests can create any number of deliveries and unpaid checkouts: only the latest are kept.
MAX_DELIVERIES = 10_000
MAX_CHECKOUTS = 10_000


class Timekeeper(Protocol):
    """A clock that can be asked, and that calls when a time has come."""

    speed: float

    def now(self) -> float:
        """The time, in Unix seconds."""
        ...

    def at(self, when: float, callback: Callable[[float], None]) -> None:
        """Call `callback(when)` at the time `when`."""
        ...

    def real_seconds(self, virtual: float) -> float:
        """How long a span of the clock's time takes for a client."""
        ...


@dataclass(slots=True)
class Checkout:
    """A purchase that waits for its page to be opened."""

    account: Account
    cents: int
    is_paid: bool = False


class State:
    """The state of one service, in memory."""

    def __init__(self, clock: Timekeeper, seed: int) -> None:
        self.clock = clock
        self.seed = seed
        self.lock = threading.RLock()
        self.organizations: list[Organization] = []
        self.keys: dict[str, Key] = {}  # by secret
        self.jobs: dict[str, Job] = {}
        self.submissions: dict[str, Submission] = {}
        self.files: dict[str, File] = {}  # approved and not withdrawn
        self.events: dict[str, Event] = {}
        self.checkouts: OrderedDict[str, Checkout] = OrderedDict()
        self.deliveries: deque[Delivery] = deque(maxlen=MAX_DELIVERIES)

    def forget(self) -> None:
        """Forget everything. Held requests wake first."""
        for job in self.jobs.values():
            for listener in [*job.listeners]:
                listener()
        for kept in (
            self.organizations,
            self.keys,
            self.jobs,
            self.submissions,
            self.files,
            self.events,
            self.checkouts,
            self.deliveries,
        ):
            kept.clear()

    def later(self, when: float, action: Callable[[float], object]) -> None:
        """Do `action` at the time `when`, under the lock."""

        def run(at: float) -> None:
            with self.lock:
                action(at)

        self.clock.at(when, run)
