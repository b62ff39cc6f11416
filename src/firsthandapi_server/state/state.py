"""Everything that the service remembers. Whoever reads or changes it holds `lock`."""

from __future__ import annotations

import secrets
import threading
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple, Protocol, TypeVar

from firsthandapi_server.contract.text import new_id

from .keeping import Condition, Growing, Index, Latest, Lock
from .ledger import Lot, Sums
from .limits import MemoryReplies, Replies
from .model import Account, Appeal, Assignment, Delivery, Event, File, Job, Key, Organization, Submission
from .storage import MemoryStorage, Storage, Upload

T = TypeVar("T")

DAY = 86400.0
YEAR = 365 * DAY
# Requests can create any number of deliveries and unpaid checkouts: only the latest are kept.
MAX_DELIVERIES = 10_000
MAX_CHECKOUTS = 10_000


class Timekeeper(Protocol):
    """A clock that can be read, and that runs callbacks at a time."""

    @property
    def speed(self) -> float:
        """Its seconds per second of a client; at 0 it stands still."""
        ...

    def now(self) -> float:
        """The time, in Unix seconds."""
        ...

    def at(self, when: float, callback: Callable[[float], None]) -> None:
        """Call `callback(when)` at the time `when`."""
        ...

    def real_seconds(self, virtual: float) -> float:
        """How long a span of the clock's time takes for a client."""
        ...


@dataclass(slots=True, eq=False, weakref_slot=True)
class OpenPurchase:
    """A purchase that waits for its page to be opened."""

    id: str
    account: Account
    cents: int
    is_paid: bool = False


class StatusTally(NamedTuple):
    """How many submissions have a status, how many of them have stars, and how many stars these have together."""

    status: str
    total: int
    rated: int
    stars: int


@dataclass(frozen=True, slots=True)
class Pending:
    """A delivery that is not done. There may be very many, so each is loaded when its time has come.

    Attributes:
        load: gives the delivery itself.
        attempts: how many failed so far.
        last_at: when the last one began.
    """

    load: Callable[[], Delivery]
    attempts: int
    last_at: float


class State:
    """The state of one service, in memory. `sqlite` keeps it on disk: see `keeping`."""

    reads_aside = False

    def __init__(self, clock: Timekeeper, seed: int) -> None:
        self.clock = clock
        self.seed = seed
        self.url_secret = secrets.token_bytes(32)  # signs download URLs
        self.lock: Lock = threading.RLock()
        self._begin()

    def _begin(self) -> None:
        self.organizations: Growing[Organization] = []
        self.keys: Index[Key] = {}  # by digest
        self.jobs: Index[Job] = {}
        self.submissions: Index[Submission] = {}
        self.files: Index[File] = {}  # approved and not withdrawn
        self.appeals: Index[Appeal] = {}
        self.assignments: Index[Assignment] = {}
        self.events: Index[Event] = {}
        self.checkouts: Index[OpenPurchase] = Latest(MAX_CHECKOUTS)
        self.deliveries: Growing[Delivery] = deque(maxlen=MAX_DELIVERIES)
        self.replies: Replies = MemoryReplies()
        self.storage: Storage = MemoryStorage()

    @property
    def own(self) -> Account:
        """The live account of the server's own organization, the first."""
        return self.organizations[0].accounts["live"]

    def accounts(self) -> Iterator[Account]:
        """The accounts of all organizations, in both environments."""
        for organization in self.organizations:
            yield from organization.accounts.values()

    def forget(self) -> None:
        """Forget everything. Held requests wake first."""
        for job in self.jobs.values():
            for listener in [*job.listeners]:
                listener()
        self._begin()

    def later(self, when: float, action: Callable[[float], object]) -> None:
        """Do `action` at the time `when`, under the lock."""

        def run(at: float) -> None:
            with self.lock:
                action(at)

        self.clock.at(when, run)

    def changes(self) -> tuple[float, ...]:
        """Counters, of which at least one differs after a change."""
        return (
            len(self.jobs),
            sum(job.updated_at for job in self.jobs.values()),
            len(self.submissions),
            len(self.files),
            len(self.events),
            len(self.deliveries),
            sum(len(delivery.attempts) for delivery in self.deliveries),
            sum(delivery.status == "pending" for delivery in self.deliveries),
            sum(account.book.updated_at for account in self.accounts()),
        )

    def upload(self, most: int) -> Upload:
        """Receive a file of at most `most` bytes. The lock is not held."""
        return Upload(self.storage, new_id("blob_", self.clock.now()), most)

    def drop(self, files: Iterable[File]) -> None:
        """Forget files that were replaced."""

    def workers_of(self, job: Job) -> Collection[str]:
        """Who has sent something to a job, in order of arrival."""
        return dict.fromkeys(submission.worker_id for submission in job.submissions)

    def submissions_of(self, job: Job, worker: str, most: int) -> Iterable[Submission]:
        """The submissions of one worker to a job, the latest first."""
        return islice((entry for entry in reversed(job.submissions) if entry.worker_id == worker), most)

    def jobs_before(self, job_id: str | None, is_terminal: bool | None = None) -> Iterator[Job]:
        """All jobs that were posted before this one, or all of them, the newest first: finished ones, or others."""
        jobs = iter(reversed(self.jobs.values()))
        if job_id is not None:
            for job in jobs:
                if job.id == job_id:
                    break
        return (job for job in jobs if is_terminal in (None, job.is_terminal))

    def find(
        self, items: Growing[Any], conditions: Sequence[Condition], before: int | None, most: int
    ) -> list[int]:
        """The indexes of the latest items that meet all conditions, before an index if one is given.

        A state that `reads_aside` reads what was kept, and needs no lock for it; so does `tally`.
        """
        start = len(items) if before is None else min(before, len(items))
        indexes = (at for at in range(start - 1, -1, -1) if all(rule.holds(items[at]) for rule in conditions))
        return [*islice(indexes, most)]

    def pick(self, items: Growing[T], indexes: Sequence[int]) -> list[T]:
        """The items with these indexes, the latest first."""
        return [items[at] for at in indexes]

    def tally(self, items: Growing[Submission], conditions: Sequence[Condition]) -> list[StatusTally]:
        """How many of these submissions have which status."""
        ratings: dict[str, list[int | None]] = {}
        for submission in items:
            if all(condition.holds(submission) for condition in conditions):
                ratings.setdefault(submission.status, []).append(submission.rating)
        rated = {status: [stars for stars in group if stars is not None] for status, group in ratings.items()}
        return [
            StatusTally(status, len(group), len(rated[status]), sum(rated[status]))
            for status, group in ratings.items()
        ]

    def sums_of(self, account: Account) -> Sums:
        """The sums that the books of an account must match."""
        escrows = [job.escrow for job in account.jobs]
        return Sums(
            sum(transaction.amount_cents for transaction in account.book.transactions),
            sum(escrow.held for escrow in escrows),
            sum(escrow.paid for escrow in escrows),
            min((escrow.held for escrow in escrows), default=0),
        )

    # --- unfinished work ------------------------------------------------------------------------

    def waiting(self, *, live: bool = True) -> Iterable[Submission]:
        """The submissions that wait for their score, the oldest first; without `live`, those of the sandbox."""
        candidates = (entry for entry in self.submissions.values() if entry.status == "pending_score")
        return [entry for entry in candidates if live or entry.account.is_sandbox]

    def retries(self, most: int) -> list[tuple[str, float]]:
        """The live submissions that may be tried again, by id, and since when; the first ones."""
        candidates = (entry for entry in self.submissions.values() if entry.status == "retry_pending")
        live = [(entry.id, entry.scored_at or 0.0) for entry in candidates if not entry.account.is_sandbox]
        return sorted(live, key=lambda pair: pair[1])[:most]

    def same_as(self, file: File, most: int) -> Iterable[File]:
        """Other files with the same bytes, the latest first."""
        sha256 = file.facts().sha256
        files = (item for submission in reversed(self.submissions.values()) for item in submission.files)
        return islice((twin for twin in files if twin is not file and twin.facts().sha256 == sha256), most)

    def deadlines(self) -> Iterable[tuple[str, float]]:
        """The jobs that are not finished and have a deadline, by id."""
        return ()

    def expiring_lots(self) -> Iterable[tuple[Account, Lot]]:
        """The credit that may expire."""
        return ()

    def pending_deliveries(self) -> Iterable[Pending]:
        """The deliveries that are not done."""
        return ()

    # --- the end ----------------------------------------------------------------------------------------

    def close(self) -> None:
        """Close the storage of the state."""
