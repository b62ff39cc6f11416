"""`campaign.json` in the folder of a campaign, and the records of its orders there."""

from __future__ import annotations

import os
from dataclasses import replace

from firsthandapi._core.campaigns.ledger import (
    LARGEST_LEDGER,
    LEDGER_FILE,
    Ledger,
    Order,
    UnreadableLedger,
    campaign_of,
    read_ledger,
)
from firsthandapi._core.orders.record import JOB_FILE, OrderRecord, ShownJob
from firsthandapi.errors import ConfigurationError

from ._job_files import JobFiles
from ._local import Local
from ._manifest import all_manifests
from ._store import store_at, writing


class LedgerFile:
    """The ledger of a campaign. The caller locks the folder before writing.

    Attributes:
        path: the folder.
        ledger: the ledger as last read or written.
    """

    def __init__(self, dest: str | os.PathLike[str]) -> None:
        self._store = store_at(dest, "dest")
        self.path = self._store.root
        self.ledger = Ledger("")
        self._exists = False

    def read(self) -> Ledger | UnreadableLedger | None:
        """The ledger, or its readable part; None if the file does not exist.
        Raises ConfigurationError: it is too large, or no plain file.
        """
        content = self._store.read(self.path / LEDGER_FILE, LARGEST_LEDGER)
        self._exists = content is not None
        found = None if content is None else read_ledger(content)
        self.ledger = found if isinstance(found, Ledger) else Ledger("")
        return found

    def exists(self) -> bool:
        """Whether the ledger exists, with any content."""
        return self._store.exists(self.path / LEDGER_FILE)

    def location(self) -> str:
        """The absolute path or URL of the folder, which identifies a campaign without a name."""
        return str(self.path.resolve() if isinstance(self._store, Local) else self.path)

    def rows_of(self) -> frozenset[str]:
        """The ids of the jobs in the rows of the folder."""
        manifests = [manifest for manifest in all_manifests(self._store) if manifest.read()]
        return frozenset(str(record.job_id) for each in manifests for record in each.records.values())

    def recorded(self) -> frozenset[str]:
        """The ids of the campaigns' jobs that the folder has records of."""
        records = JobFiles(self._store).labeled().values()
        shown = [each.job for each in records if isinstance(each, OrderRecord) and each.job is not None]
        return frozenset(str(job["id"]) for job in shown if campaign_of(job) is not None)

    def is_of_one_job(self) -> bool:
        """Whether the folder is that of one job, without labels."""
        return self._store.exists(self.path / JOB_FILE)

    def write(self, ledger: Ledger) -> None:
        """Write the ledger in one step, and flush it to the disk before anything is bought.
        Raises ConfigurationError: it cannot be written, or another program has created it.
        """
        content = ledger.encode()
        if len(content) > LARGEST_LEDGER:
            raise ConfigurationError(
                f"{LEDGER_FILE} is full: it would be larger than {LARGEST_LEDGER >> 20} MiB; continue in another folder"
            )
        path = self.path / LEDGER_FILE
        (self._store.replace if self._exists else self._store.create)(path, content)
        self._exists, self.ledger = True, ledger


def spent_in(path: str | os.PathLike[str]) -> tuple[int, frozenset[str]]:
    """The US cents that the campaign of a folder has spent, minus refunds, and the jobs; 0 without a campaign.
    Raises ConfigurationError: the ledger is too large, or no plain file.
    """
    file = LedgerFile(path)
    file.read()
    return file.ledger.spent_cents, frozenset(
        str(order.job["id"]) for order in file.ledger.orders if order.job is not None
    )


def note_in_ledger(path: str | os.PathLike[str], job: ShownJob) -> None:
    """Record a job as last seen, if the folder is that of a campaign. The caller holds the lock."""
    file = LedgerFile(path)
    file.read()
    if file.ledger.orders and (ledger := file.ledger.with_jobs([job])) != file.ledger:
        file.write(ledger)


def forget_order(dest: str | os.PathLike[str], key: str) -> Order:
    """Remove an order whose job is unknown, and return it.
    Raises ConfigurationError: another process runs the campaign, or its ledger cannot be read or written.
    Raises InvalidArgumentError: the order does not exist, or its job is known.
    """
    file = LedgerFile(dest)
    file.read()
    file.ledger.without(key)  # raises before a folder without the order is created
    with writing(store_at(dest, "dest")):
        file.read()
        ledger, order = file.ledger.without(key)
        file.write(ledger)
    return order


class EntryOfLedger:
    """The record of one order in the ledger, like `job.json` in a folder of one job."""

    def __init__(self, file: LedgerFile, number: int, label: str) -> None:
        self._file = file
        self._number = number
        self._label = label

    def known_jobs(self) -> tuple[OrderRecord | None, tuple[str, ...]]:
        """The order as it was written down, if it was."""
        orders = self._file.ledger.orders
        return (orders[self._number].sent if self._number < len(orders) else None), ()

    def create_job(self, job_file: OrderRecord) -> None:
        """Write down a new order."""
        self._put(Order(self._label, job_file))

    def write_job(self, job_file: OrderRecord) -> None:
        """Write down its outcome."""
        order = Order(self._label, replace(job_file, job=None))
        self._put(order if job_file.job is None else order.bought(job_file.job))

    def forget_job(self) -> None:
        """Take out an order that bought nothing."""
        self._put(None)

    def _put(self, order: Order | None) -> None:
        self._file.write(self._file.ledger.with_order(self._number, order))
