"""What agents may spend: a folder of records that all sessions and processes of one key share, and that no tool can
change."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

from firsthandapi._base.counts import dollars
from firsthandapi._base.folder_lock import FolderLock
from firsthandapi._base.host import replacing
from firsthandapi._base.host.locking import FileLock, taken_within
from firsthandapi._base.names import ROOM
from firsthandapi._core.calls.idempotency import idempotency_key
from firsthandapi._core.orders.ordering import Walk
from firsthandapi._core.orders.record import (
    Account,
    OrderRecord,
    OtherOrders,
    ShownJob,
    key_of,
    read_record,
)
from firsthandapi.datasets import _disk
from firsthandapi.datasets._local import Local
from firsthandapi.datasets._lock import WRITER
from firsthandapi.datasets._store import refuse_earlier
from firsthandapi.errors import ConfigurationError, FirstHandError, InvalidArgumentError

# A process holds the lock for milliseconds.
_LOCK_SECONDS = 5.0
_CHANGED = "another session changed the budget at the same time: nothing was ordered; call again"

_Records = dict[str | None, OrderRecord]


class BudgetError(FirstHandError):
    """The order would exceed the budget. Nothing was sent.

    Attributes:
        cost_cents: the cost of the order, in US cents.
        left_cents: what the budget has left, in US cents.
    """

    def __init__(self, message: str, *, cost_cents: int, left_cents: int) -> None:
        super().__init__(message)
        self.cost_cents = cost_cents
        self.left_cents = left_cents


def default_folder(api_key: str) -> Path:
    """The folder of a key's ledger, named after the key without revealing it.
    Raises ConfigurationError: there is no home directory to put it in.
    """
    try:
        home = Path.home()
    except RuntimeError:  # as in some containers
        raise ConfigurationError(
            "there is no home directory for the ledger; pass a folder with --ledger"
        ) from None
    return home / ".firsthandapi" / "mcp" / hashlib.sha256(api_key.encode()).hexdigest()[:16]


class Ledger:
    """The orders of an API key, and what is set aside for campaigns: a record each, named by its key.

    An order is on the disk before it is posted. What may have been paid counts: an order that the service refused
    does until a search that began a minute later has not found its job.

    Every method raises ConfigurationError if the records cannot be read or written. Nothing may be spent then.

    Args:
        folder: where the records are; created if it does not exist.
        budget_cents: the most that all orders of the ledger may cost, in US cents.
        clock: gives Unix seconds; for tests.
        account: whose orders these are. Several accounts may share a ledger: the same order of two accounts is two.
    """

    def __init__(
        self,
        folder: Path,
        budget_cents: int,
        clock: Callable[[], float] = time.time,
        *,
        account: Account | None = None,
    ) -> None:
        # Behind links: a campaign is known by its folder, which may be in this one.
        self.folder: Path = Path(os.path.realpath(folder))
        self.budget_cents = budget_cents
        self._clock = clock
        self._account = account
        self._owner = _owner(account)

    def key(self, order: Mapping[str, Any]) -> str:
        """The idempotency key of an order: the same order is one at any age, until the person gives it up.
        Raises InvalidArgumentError: a value has no JSON form.
        """
        text = _canonical(order)
        with self._locked() as records:
            keys = (idempotency_key("mcp", self._owner, number, text) for number in count())
            return next(key for key in keys if key not in records or not records[key].forgotten)

    def campaign_key(self, campaign: str) -> str:
        """The key of what is set aside for the campaign in a folder."""
        return idempotency_key("mcp campaign", self._owner, campaign)

    def record(self, key: str) -> OrderRecord | None:
        """The record with this key; None if there is none."""
        with self._locked() as records:
            return records.get(key)

    def others(self, key: str) -> OtherOrders:
        """What the records with other keys say."""
        with self._locked() as records:
            return OtherOrders.of(record for record in records.values() if record.key != key)

    def has_job(self, job_id: str) -> bool:
        """Whether an order of this ledger got the job."""
        with self._locked() as records:
            return any(record.job_id == job_id for record in records.values())

    def left_cents(self) -> int:
        """What may still be spent, in US cents."""
        with self._locked() as records:
            return max(self._left(records), 0)

    def room(self, key: str, cost_cents: int) -> tuple[int, int]:
        """How much more would count if what has this key cost so much, and what is left, in US cents: less than
        nothing if the budget was larger before."""
        with self._locked() as records:
            return cost_cents - _cost(records.get(key)), self._left(records)

    def write(self, record: OrderRecord, most_more: int | None = None) -> None:
        """Write a record. If it has no job yet, it may count more than before only as far as the budget goes.

        Args:
            record: what to write.
            most_more: how much more it may count than before, in US cents; None for no limit but the budget.

        Raises BudgetError: it would exceed the budget.
        """
        with self._locked() as records:
            self._write(record, records, most_more)

    def remove(self, key: str) -> None:
        """Remove the record of an order that was never sent."""
        with self._locked(), self._writing():
            replacing.remove(self._path(key))

    def obstacle(self, key: str) -> BudgetError | None:
        """Why an order that was sent before may not be sent again."""
        with self._locked() as records:
            record, cents_left = records.get(key), self._left(records)
        if record is None or record.is_free or cents_left >= 0:
            return None
        return BudgetError(
            f"this order for {dollars(record.cost_cents)} was sent before, no job shows it so far, and the orders of "
            "this server cost more than its budget by now: nothing was ordered; call again in a minute, so that a job "
            "that was just posted can show, or ask the person to restart the server with a larger --budget-cents",
            cost_cents=record.cost_cents,
            left_cents=0,
        )

    def refused(self) -> list[OrderRecord]:
        """The refused orders of this account that count only until somebody looks for their jobs."""
        with self._locked() as records:
            return [record for record in self._held(records) if self._is_due(record)]

    def looked(self, jobs: Iterable[ShownJob], walk: Walk) -> None:
        """Write down what a whole search, which has found these jobs, says of the refused orders."""
        by_key = {key_of(job): job for job in jobs}
        with self._locked() as records:
            others = OtherOrders.of(records.values())
            for record in self._held(records):
                job = by_key.get(record.key)
                searched = (
                    record.not_found(walk.began, walk.served_at, walk.unmarked, others)
                    if job is None
                    else record.with_job(job)
                )
                if searched != record:
                    self._write(searched, records)

    def allot(self, campaign: str, budget_cents: int, *, most_more: int | None = None) -> None:
        """Set aside what a campaign may cost, before it orders anything. It stays so until the campaign is finished.

        Args:
            campaign: its folder. All sessions that run it share what is set aside.
            budget_cents: what all its orders may cost, in US cents.
            most_more: how much more may be set aside than was before, in US cents; None for no limit but the budget.

        Raises BudgetError: it would exceed the budget.
        """
        key = self.campaign_key(campaign)
        with self._locked() as records:
            if budget_cents > _cost(records.get(key)):
                allotment = OrderRecord(
                    "allotment", key, first_sent_at=self._clock(), account=self._account, cents=budget_cents
                )
                self._write(allotment, records, most_more)

    def give_back(self, campaign: str, spent_cents: int) -> None:
        """Of a campaign that is finished, only what it has spent stays set aside. Whoever calls has its turn."""
        with self._locked() as records:
            allotment = records.get(self.campaign_key(campaign))
            if allotment is not None and spent_cents < allotment.cost_cents:
                self._write(replace(allotment, cents=spent_cents), records)

    def turn(self, key: str) -> FileLock:
        """The lock of whoever sends an order or runs a campaign.

        Without it, a session whose order was refused could free what another one is sending, and one that finishes a
        campaign could give back what another one is about to spend.
        """
        with self._locked():
            return FileLock(self.folder / ROOM / f"{key}.lock", 0o600)

    def _held(self, records: _Records) -> list[OrderRecord]:
        return [
            record
            for record in records.values()
            if record.refused_at is not None
            and record.shows_key
            and not record.is_free
            and _owner(record.account) == self._owner
        ]

    def _is_due(self, record: OrderRecord) -> bool:
        """Whether a search that begins now would show its job."""
        return record.not_found(self._clock(), None).is_free

    def _left(self, records: _Records) -> int:
        return self.budget_cents - sum(map(_cost, records.values()))

    def _write(self, record: OrderRecord, records: _Records, most_more: int | None = None) -> None:
        old_record = records.get(record.key)
        more = record.cost_cents - _cost(old_record)
        if record.job is None and more > 0:
            self._check(more, records)
            if most_more is not None and more > most_more:
                raise FirstHandError(_CHANGED)
        write = replacing.create if old_record is None else replacing.replace
        with self._writing():
            write(self._path(record.key), record.encode(), 0o600)

    def _check(self, more: int, records: _Records) -> None:
        cents_left = max(self._left(records), 0)
        if more <= cents_left:
            return
        held = sum(record.cost_cents for record in self._held(records) if not self._is_due(record))
        beside, hint = "", ""
        if held:
            beside = f", and {held} more are held for a minute by orders that the service refused"
            hint = "call again in a minute, "
        raise BudgetError(
            f"this costs {more} cents, but the budget of this server has {cents_left} of {self.budget_cents} cents left"
            f"{beside}: nothing was ordered; {hint}ask for fewer files or a lower price, or ask the person to restart "
            "the server with a larger --budget-cents",
            cost_cents=more,
            left_cents=cents_left,
        )

    def _path(self, key: str | None) -> Path:
        return self.folder / f"{key}.json"

    @contextmanager
    def _locked(self) -> Generator[_Records]:
        """The records by key, which nobody else changes meanwhile."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            (self.folder / ROOM).mkdir(exist_ok=True, mode=0o700)
        except OSError as error:
            raise ConfigurationError(
                f"could not create the ledger folder {self.folder}: {error.strerror}; nothing was ordered; choose "
                "another folder with --ledger"
            ) from None
        lock = FolderLock(self.folder, WRITER)
        if not taken_within(_LOCK_SECONDS, lock.acquire):
            raise ConfigurationError(
                f"the ledger {self.folder} is locked by another process: nothing was ordered; call again"
            )
        try:
            yield self._read()
        finally:
            lock.release()

    def _read(self) -> _Records:
        refuse_earlier(Local(self.folder))
        records: _Records = {}
        for path in self.folder.glob("*.json"):
            record = read_record(_disk.read(path) or b"", path)
            records[record.key] = record
        return records

    @contextmanager
    def _writing(self) -> Generator[None]:
        try:
            yield
        except OSError as error:
            raise ConfigurationError(
                f"could not write the ledger {self.folder}: {error.strerror}; nothing was ordered; free disk space, or "
                "choose another folder with --ledger"
            ) from None


class OrderInLedger:
    """One order of a ledger, as `order_once` finds and records it.

    Args:
        ledger: where its record is.
        key: its idempotency key.
        most_more: how much more it may count than before, in US cents; None for no limit but the budget.
    """

    def __init__(self, ledger: Ledger, key: str, most_more: int | None) -> None:
        self.path = ledger.folder
        self.is_new = False
        self._ledger = ledger
        self._key = key
        self._most_more = most_more

    def known_order(self) -> tuple[OrderRecord | None, tuple[str, ...]]:
        """Its record; None if there is none."""
        return self._ledger.record(self._key), ()

    def others(self) -> OtherOrders:
        """What the other orders of the ledger say."""
        return self._ledger.others(self._key)

    def create(self, record: OrderRecord) -> None:
        """Record it, which sets its cost aside."""
        self._ledger.write(record, self._most_more)
        self.is_new = True

    def write(self, record: OrderRecord) -> None:
        """Update its record."""
        try:
            self._ledger.write(record, self._most_more)
        except ConfigurationError:
            if record.job is None:
                raise
            # The job is there, and its metadata name the key: the next call finds it.

    def remove(self) -> None:
        """Remove its record."""
        self._ledger.remove(self._key)


def _owner(account: Account | None) -> str:
    return "" if account is None else f"{account.fingerprint} {account.base_url}"


def _cost(record: OrderRecord | None) -> int:
    return 0 if record is None else record.cost_cents


def _canonical(order: Mapping[str, Any]) -> str:
    """An order as text: the same for the same fields. Unlike `idempotency_key`, it takes floats: coordinates."""
    try:
        return json.dumps(order, allow_nan=False, sort_keys=True, separators=(",", ":"))
    except (ValueError, TypeError, RecursionError):
        pass
    raise InvalidArgumentError(
        "location or metadata has a value without a JSON form: a number that is not finite, one of thousands of "
        "digits, or too many levels",
        field="metadata",
    )
