"""What people are owed, what was put together to be paid, and under which reference it was.

The state says what each person has earned, which only grows. What no batch has of that is owed, and a batch takes all
of it. So nobody is paid twice, whoever else makes a batch at the same time, whatever a restored state has forgotten.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import cast

from firsthandapi_server.contract.text import iso, new_id
from firsthandapi_server.sqlite import reading
from firsthandapi_server.sqlite.traces import earned

from .access import Access
from .activity import note, text_of
from .sheets import csv_line

MAX_REFERENCE = 200
TERMS = "terms"  # the name under which a server keeps those of its study
_TAKEN = "SELECT worker_id, sum(files), sum(cents) FROM batch_rows GROUP BY worker_id"
_ROWS = """
SELECT worker_id, files, cents, currency, batch, made_at, reference FROM batch_rows JOIN batches ON batches.id = batch
WHERE made_at >= ? AND made_at < ? ORDER BY made_at, batch_rows.rowid
"""
_RECEIPTS = """
SELECT files, cents, currency, batch, made_at, paid_at, reference FROM batch_rows JOIN batches ON batches.id = batch
WHERE worker_id = ? ORDER BY made_at DESC
"""
_BATCHES = """
SELECT id, made_at, currency, paid_at, reference, count(*), sum(cents) FROM batches JOIN batch_rows ON batch = id
GROUP BY id ORDER BY made_at DESC, id DESC
"""


@dataclass(frozen=True, slots=True)
class Payout:
    """What one person gets, or has got: a row of the CSV.

    Attributes:
        worker_id: their id.
        name: that on their token; empty for whoever was erased.
        files: how many files it is for.
        cents: hundredths of the currency.
        currency: its code.
        batch: the id of the batch; None for what is in none.
        date: the day on which the batch was made, in UTC.
        reference: under which it was paid; None until then.
    """

    worker_id: str
    name: str
    files: int
    cents: int
    currency: str
    batch: str | None = None
    date: str | None = None
    reference: str | None = None


COLUMNS = tuple(column.name for column in fields(Payout))


@dataclass(frozen=True, slots=True)
class Receipt:
    """What one person gets from a batch, as their own page shows it."""

    files: int
    cents: int
    currency: str
    batch: str
    made_at: float
    paid_at: float | None
    reference: str | None


@dataclass(frozen=True, slots=True)
class Batch:
    """What was put together to be paid; `paid_at` and `reference` are None until it is."""

    id: str
    made_at: float
    currency: str
    paid_at: float | None
    reference: str | None
    people: int
    cents: int


class Payouts:
    """The payouts of a server, in the database of people, beside a server that runs as well."""

    def __init__(self, access: Access, folder: Path) -> None:
        self._access = access
        self._folder = folder

    def rows(self, since: float = 0.0, until: float = math.inf) -> list[Payout]:
        """All payouts: first those of batches that were made in a time, then what was approved in it and is owed."""
        return [*self._batched(since, until), *self.owed(since, until)]

    def owed(self, since: float = 0.0, until: float = math.inf) -> list[Payout]:
        """What was approved in a time and is in no batch. What was approved first is paid first."""
        taken = {worker: (files, cents) for worker, files, cents in self._access.look(_TAKEN)}
        earlier = dict(_less(self._earned(0.0, since), taken)) if since > 0 else {}
        until_then = _less(self._earned(0.0, until), taken)
        names, currency = self._names(), self.currency
        return [
            Payout(worker, names(worker), files, cents, currency)
            for worker, (files, cents) in _less(((worker, *owed) for worker, owed in until_then), earlier)
        ]

    def in_batch(self, batch: str) -> list[Payout]:
        """The payouts of a batch."""
        return [payout for payout in self._batched(0.0, math.inf) if payout.batch == batch]

    def _batched(self, since: float, until: float) -> Iterator[Payout]:
        names = self._names()
        for worker, files, cents, currency, batch, at, reference in self._access.look(_ROWS, since, until):
            yield Payout(worker, names(worker), files, cents, currency, batch, iso(at)[:10], reference)

    @property
    def _terms(self) -> dict[str, str]:
        return cast("dict[str, str]", json.loads(self._access.remembered(TERMS, "{}")))

    @property
    def is_paid(self) -> bool:
        """Whether people are paid at all."""
        return self._terms.get("pay") != "none"

    @property
    def currency(self) -> str:
        """The currency of what is earned now."""
        return self._terms.get("currency", "USD")

    def of(self, worker: str) -> list[Receipt]:
        """What one person gets from batches, the latest first."""
        return [Receipt(*row) for row in self._access.look(_RECEIPTS, worker)]

    def batches(self) -> list[Batch]:
        """All batches, the latest first."""
        return [Batch(*row) for row in self._access.look(_BATCHES)]

    def make(self, at: float, by: str) -> str | None:
        """Put all that is owed into a new batch; its id, or None if nothing is. `by` makes it, for the log."""
        earned, currency, batch = self._earned(0.0, math.inf), self.currency, new_id("batch_", at)
        with self._access.transaction() as rows:
            # Read here, so that of two who make a batch the second finds what the first took.
            taken = {worker: (files, cents) for worker, files, cents in rows.execute(_TAKEN)}
            owed = [*_less(earned, taken)]
            if not owed:
                return None
            rows.execute("INSERT INTO batches VALUES (?, ?, ?, NULL, NULL)", (batch, at, currency))
            rows.executemany(
                "INSERT INTO batch_rows VALUES (?, ?, ?, ?)",
                [(batch, worker, files, cents) for worker, (files, cents) in owed],
            )
            total = sum(cents for _, (_, cents) in owed)
            note(rows, "payout.batched", at, by, batch, people=len(owed), cents=total)
        return batch

    def pay(self, reference: str, at: float, by: str, batches: Sequence[str] | None = None) -> list[str]:
        """Mark batches as paid, or all that are not yet; the ids of those that were not.
        Raises ValueError: this is no reference.
        """
        reference = reference.strip()
        if not (1 <= len(reference) <= MAX_REFERENCE and reference.isprintable()):
            raise ValueError(f"must have 1 to {MAX_REFERENCE} characters, on one line")
        with self._access.transaction() as rows:
            unpaid = [
                id for (id,) in rows.execute("SELECT id FROM batches WHERE paid_at IS NULL ORDER BY made_at")
            ]
            marked = [id for id in unpaid if batches is None or id in batches]
            for batch in marked:
                rows.execute(
                    "UPDATE batches SET paid_at = ?, reference = ? WHERE id = ?", (at, reference, batch)
                )
                note(rows, "payout.paid", at, by, batch)
        return marked

    def _earned(self, since: float, until: float) -> list[tuple[str, int, int]]:
        if not self.is_paid:
            return []
        with reading(self._folder) as query:  # a connection of its own: it holds up nobody
            return earned(query, since, until)

    def _names(self) -> Callable[[str], str]:
        # A reviewer's files carry the same id with the prefix of workers.
        tokens = self._access.look("SELECT id, name FROM tokens")
        names = {id.partition("_")[2]: text_of(name) for id, name in tokens}
        return lambda worker: names.get(worker.partition("_")[2], "")


def _less(
    earned: Iterable[tuple[str, int, int]], taken: dict[str, tuple[int, int]]
) -> Iterator[tuple[str, tuple[int, int]]]:
    """What is left of what people have earned; nothing of whoever got more, which a restored state may not know."""
    for worker, files, cents in earned:
        taken_files, taken_cents = taken.get(worker, (0, 0))
        if cents > taken_cents:
            yield worker, (max(0, files - taken_files), cents - taken_cents)


def lines(payouts: Iterable[Payout]) -> Iterator[str]:
    """Payouts as CSV."""
    yield csv_line(COLUMNS)
    for payout in payouts:
        yield csv_line(astuple(payout))
