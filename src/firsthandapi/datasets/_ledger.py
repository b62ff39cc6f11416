"""The records of a campaign's orders in its folder."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from firsthandapi._core.campaigns.ledger import CampaignLedger, CampaignOrder, campaign_of, ledger_of
from firsthandapi._core.orders.record import OrderRecord, OtherOrders, ShownJob

from ._local import Local
from ._manifest import all_manifests
from ._orders import OrderRecords
from ._store import store_at


class LedgerFolder:
    """The ledger of a campaign, a record for each order. The caller locks the folder before writing.

    Attributes:
        path: the folder.
        ledger: the ledger as it is known now.
    """

    def __init__(self, dest: str | os.PathLike[str]) -> None:
        self._store = store_at(dest, "dest")
        self._writer = self._store.writer()
        self._orders = OrderRecords(self._store)
        self.path = self._store.root
        self.ledger = CampaignLedger("")
        # The records as they were last read or written.
        self._written: dict[Path, OrderRecord] = {}

    def read(self) -> CampaignLedger | None:
        """The ledger; None if the folder has no order of a campaign.
        Raises ConfigurationError: a record is damaged, or the folder is of an earlier version.
        """
        self._written = self._orders.all()
        ledger = ledger_of(self._written.values())
        self.ledger = ledger or CampaignLedger("")
        return ledger

    def location(self) -> str:
        """The absolute path or URL of the folder, which identifies a campaign without a name."""
        return str(self.path.resolve() if isinstance(self._store, Local) else self.path)

    def rows_of(self) -> frozenset[str]:
        """The ids of the jobs in the rows of the folder."""
        manifests = [manifest for manifest in all_manifests(self._store) if manifest.read()]
        return frozenset(str(record.job_id) for manifest in manifests for record in manifest.records.values())

    def recorded(self) -> frozenset[str]:
        """The ids of the campaigns' jobs that the folder has records of, but not of their orders, as after a merge."""
        jobs = [record.job for record in self._orders.all().values() if record.job is not None]
        return frozenset(str(job["id"]) for job in jobs if campaign_of(job) is not None)

    def is_of_one_job(self) -> bool:
        """Whether the folder is that of one job, without labels."""
        return self._store.exists(self._orders.main)

    def write(self, ledger: CampaignLedger) -> None:
        """Write the orders that have changed since they were last read or written, each in one step.
        Raises ConfigurationError: one cannot be written.
        """
        self.ledger = ledger
        for number, order in enumerate(ledger.orders):
            path = self._path_of(ledger, number)
            if (record := self._written.get(path)) is not order.record and record != order.record:
                self._write(path, order.record)

    def _write(self, path: Path, record: OrderRecord, *, is_new: bool = False) -> None:
        (self._orders.create if is_new else self._orders.write)(path, record, self._writer)
        self._written[path] = record

    def _path_of(self, ledger: CampaignLedger, number: int) -> Path:
        """The record of an order; of a second job with one key, by its job's id."""
        order = ledger.orders[number]
        by_key = self._orders.path_of_key(order.key)
        if (job_id := order.record.job_id) is None:
            return by_key
        by_job = self._orders.path_of_job(job_id)
        for path in (by_key, by_job):
            written = self._written.get(path)
            if written is not None and (written.key, written.job_id) == (order.key, job_id):
                return path
        return by_key if ledger.keys[order.key] == number else by_job

    def put(self, number: int, order: CampaignOrder, *, is_new: bool = False) -> None:
        """Write one order, a new one before anything is bought.
        Raises ConfigurationError: it cannot be written, or another program has created it.
        """
        ledger = self.ledger.with_order(number, order)
        self._write(self._path_of(ledger, number), order.record, is_new=is_new)
        self.ledger = ledger

    def take_out(self, number: int) -> None:
        """Remove an order whose key was never sent."""
        path = self._path_of(self.ledger, number)
        self._orders.remove(path)
        self._written.pop(path, None)
        self.ledger = self.ledger.with_order(number, None)


def spent_in(path: str | os.PathLike[str]) -> tuple[int, frozenset[str]]:
    """The US cents that the campaign of a folder has spent, minus refunds, and the jobs; 0 without a campaign.
    Raises ConfigurationError: a record is damaged.
    """
    ledger = LedgerFolder(path).read() or CampaignLedger("")
    return ledger.spent_cents, ledger.job_ids


def note_in_ledger(path: str | os.PathLike[str], job: ShownJob) -> None:
    """Record a job as last seen, if the folder is that of a campaign. The caller holds the lock."""
    folder = LedgerFolder(path)
    if (ledger := folder.read()) is not None:
        folder.write(ledger.with_jobs([job]))


class OrderBook:
    """One order of a campaign, as `order_once` records it."""

    def __init__(self, folder: LedgerFolder, number: int, label: str) -> None:
        self.path = folder.path
        self._folder = folder
        self._number = number
        self._label = label

    def known_order(self) -> tuple[OrderRecord | None, tuple[str, ...]]:
        """The order as it was written down, if it was."""
        orders = self._folder.ledger.orders
        return (orders[self._number].record if self._number < len(orders) else None), ()

    def others(self) -> OtherOrders:
        """What the other orders say."""
        orders = self._folder.ledger.orders
        return OtherOrders.of(order.record for n, order in enumerate(orders) if n != self._number)

    def create(self, record: OrderRecord) -> None:
        """Write down a new order."""
        self._folder.put(self._number, CampaignOrder(record), is_new=True)

    def write(self, record: OrderRecord) -> None:
        """Write down its outcome."""
        order = CampaignOrder(replace(record, job=None))  # what is seen of its job first may be a refund
        if record.job is not None:
            order = order.bought(record.job).with_(unseen=record.unseen)
        self._folder.put(self._number, order)

    def remove(self) -> None:
        """Take out an order that was never sent."""
        self._folder.take_out(self._number)
