"""One `Dataset.reconcile`: apply the lists of the service to the folder."""
# A part of Dataset:
# pyright: reportPrivateUsage=false

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from firsthandapi._core.calls.integers import int_or_none
from firsthandapi._core.orders.record import dump
from firsthandapi._core.rows.consents import withdrawn_consents
from firsthandapi._core.rows.withdrawal import Copy, Reconciliation, withdrawn_of

from ._consents import consents_in, keep_consents
from ._copies import Cleaning
from ._ledger import note_in_ledger
from ._orders import OrderRecords
from ._store import Writer, writing
from ._withdrawing import exports_of, remove, withdrawn_ids

if TYPE_CHECKING:
    from firsthandapi.types.job import Job

    from ._dataset import Dataset


@contextmanager
def reconciling(dataset: Dataset) -> Generator[Reconciling, None, None]:
    """Lock the folder of a dataset, and read what was written to it since."""
    with writing(dataset._store) as writer:
        dataset._open_again()
        yield Reconciling(dataset, writer)


class Reconciling:
    """One `reconcile`, between the lists of the service and the locked folder."""

    def __init__(self, dataset: Dataset, writer: Writer) -> None:
        self._dataset = dataset
        self._writer = writer
        self._removed: list[str] = []
        self._ids: list[str] = []
        self._unsure: list[str] = []
        # What the service itself lists, and no longer lists: what a folder says removes nothing elsewhere.
        self._gone: set[str] = set()
        # Its files, each with its consent; and those whose consent it calls withdrawn.
        self._listed: dict[str, str | None] = {}
        self._not_consented: set[str] = set()
        self._asked: set[str] = set()
        self._seen: dict[str, Any] = {}

    def note(self, job: Job, listed: Mapping[str, str | None]) -> None:
        """Remove the files of a job that the service no longer lists."""
        dataset = self._dataset
        rows = dataset._rows_of(job)
        approved = int_or_none(job.files_approved)
        withdrawn = withdrawn_of({row.file_id for row in rows}, listed, approved)
        self._listed.update(listed)
        if approved is not None and len(listed) >= approved:
            self._asked.add(job.id)
        # Including those of an earlier call that was interrupted.
        gone = withdrawn_ids(dataset._store).union(withdrawn or ())
        removed = [row for row in rows if row.file_id in gone]
        self._gone.update(withdrawn or ())
        self._removed += [dataset._name_of(dataset.path_of(row)) for row in removed]
        self._ids += [row.file_id for row in removed]
        remove(dataset._store, [*dataset._manifests, *dataset._hidden], removed)
        if withdrawn is None:
            self._unsure.append(job.id)
        else:
            seen = self._seen[job.id] = dump(job)
            OrderRecords(dataset._store).note(job.id, seen, self._writer)
            note_in_ledger(dataset.path, seen)

    def consents(self) -> list[str]:
        """The consents of the folder that may have been withdrawn since they were written down, and those of files that
        a copy still has."""
        store = self._dataset._store
        lines = consents_in(store)
        copied = {self._listed[id_] for files in exports_of(store, self._listed).values() for id_ in files}
        open_lines = lines.keys() - withdrawn_consents(lines)
        return sorted(consent for consent in open_lines | copied if consent is not None)

    def note_consents(self, lines: Mapping[str, Mapping[str, Any]]) -> None:
        """Write them down as they are now."""
        dataset = self._dataset
        rows = (row for place in (*dataset._manifests, *dataset._hidden) for row in place.records.values())
        keep_consents(dataset._store, lines, {row.consent_id for row in rows})
        withdrawn = withdrawn_consents(lines)
        self._not_consented = {file_id for file_id, consent in self._listed.items() if consent in withdrawn}

    def done(self) -> Reconciliation:
        """The result. Updates the dataset to match the folder."""
        store = self._dataset._store
        cleaning = Cleaning(type(self._dataset), str(self._dataset.path.absolute()), self._seen, self._asked)
        withdrawn = withdrawn_ids(store)
        self._gone |= withdrawn - self._listed.keys()  # an earlier call may not have reached a copy
        self._gone |= self._not_consented
        exports = exports_of(store, withdrawn.union(self._ids, self._not_consented))
        copies = [Copy(url, self._is_cleaned(cleaning, url, files)) for url, files in exports.items()]
        self._dataset._open_again()
        return Reconciliation(
            tuple(self._removed), tuple(self._ids), tuple(exports), tuple(copies), tuple(self._unsure)
        )

    def _is_cleaned(self, cleaning: Cleaning, url: str, files: frozenset[str]) -> bool | None:
        """Remove from a copy what this call knows to be withdrawn. Returns whether that were all of these files."""
        mine = files & self._gone
        if not mine:
            return None
        done = cleaning.clean(self._dataset._store, url, mine)
        return done and mine == files
