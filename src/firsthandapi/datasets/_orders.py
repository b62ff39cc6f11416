"""The records of a folder's orders: a file each in `.firsthandapi/orders/`."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from pathlib import Path

from firsthandapi._core.orders.record import (
    LARGEST_RECORD,
    LARGEST_RECORDS,
    MOST_RECORDS,
    ORDERS,
    OrderRecord,
    ShownJob,
    read_record,
)
from firsthandapi._core.rows.manifest import Record, RowOrigin, label_of
from firsthandapi.errors import ConfigurationError, InvalidArgumentError

from ._disk import too_many
from ._store import Store, Writer, refuse_earlier

_ENDING = ".json"
_KEY = re.compile(r"fh-[0-9a-f]{64}")


class OrderRecords:
    """The records of a folder's orders."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.folder = store.root / ORDERS
        # Whether the folder is there, without what a death has left.
        self._is_ready = False

    @property
    def main(self) -> Path:
        """The record of the one job of a folder without labels."""
        return self.folder / f"order{_ENDING}"

    def path_of_label(self, label: str) -> Path:
        """The record of the order that `collect` made for a label."""
        return self.folder / f"label-{label}{_ENDING}"

    def path_of_job(self, job_id: str) -> Path:
        """The record of a job that is here beside others, and was not ordered here."""
        return self.folder / f"job-{job_id}{_ENDING}"

    def path_of_key(self, key: str) -> Path:
        """The record of an order of a campaign."""
        name = key if _KEY.fullmatch(key) else f"key-{hashlib.sha256(key.encode()).hexdigest()}"
        return self.folder / f"{name}{_ENDING}"

    def read(self, path: Path) -> OrderRecord | None:
        """One record; None if it does not exist.
        Raises ConfigurationError: the record is damaged, too large, or no plain file.
        """
        content = self._store.read(path, LARGEST_RECORD)
        return None if content is None else read_record(content, path)

    def all(self) -> dict[Path, OrderRecord]:
        """All records, in the order of their names.
        Raises ConfigurationError: the folder is that of an earlier version, there are more records than this package
        writes, or one is damaged or no plain file.
        """
        return {path: read_record(content, path) for path, content in self._contents().items()}

    def note(self, job_id: str, job: ShownJob, writer: Writer) -> None:
        """Update the job in each of its records to the job as last seen."""
        for path, record in self.all().items():
            if record.job_id == job_id and record.job != job:
                self.write(path, record.with_job(job), writer)

    def note_origins(self, origins: Mapping[str, AbstractSet[RowOrigin]], writer: Writer) -> None:
        """Record where the service says that the files of these jobs come from."""
        for path, record in self.all().items() if origins else ():
            pairs = origins.get(record.job_id or "", frozenset())
            new = record.with_origins(*zip(*pairs, strict=True)) if pairs else record
            if new != record:
                self.write(path, new, writer)

    def check_room(self, coming: Mapping[Path, OrderRecord]) -> None:
        """Check that the records can be read again with these, before any is written.
        Raises ConfigurationError: they would be too many or too large.
        """
        sizes = {path: len(content) for path, content in self._contents().items()}
        sizes.update((path, len(record.encode())) for path, record in coming.items())
        if len(sizes) > MOST_RECORDS or sum(sizes.values()) > LARGEST_RECORDS:
            raise ConfigurationError(
                f"{self.folder} would have {len(sizes):,} records of jobs and {-(-sum(sizes.values()) >> 20):,} MiB, "
                f"and at most {MOST_RECORDS:,} and {LARGEST_RECORDS >> 20} MiB can be read again; use a different "
                "folder for some of the files"
            )

    def _contents(self) -> dict[Path, bytes]:
        refuse_earlier(self._store)
        self._store.refuse_link(self.folder.parent)
        self._store.refuse_link(self.folder)
        names = [name for name in self._store.names(self.folder) if is_record(name)]
        if len(names) > MOST_RECORDS:
            raise too_many(self.folder, MOST_RECORDS)
        contents: dict[Path, bytes] = {}
        bytes_left = LARGEST_RECORDS
        for name in names:
            content = self._store.read(self.folder / name, min(bytes_left, LARGEST_RECORD))
            if content is not None:
                bytes_left -= len(content)
                contents[self.folder / name] = content
        return contents

    def create(self, path: Path, record: OrderRecord, writer: Writer) -> None:
        """Write a record that must not exist yet.
        Raises ConfigurationError: it exists, or cannot be written.
        Raises InvalidArgumentError: it would be too large to be read again.
        """
        content = record.encode()
        if len(content) > LARGEST_RECORD:
            raise InvalidArgumentError(
                f"metadata is too large: the record of the order could not be read again; use less than "
                f"{LARGEST_RECORD >> 20} MiB",
                field="metadata",
            )
        self._make_room(writer)
        self._store.create(path, content)

    def write(self, path: Path, record: OrderRecord, writer: Writer) -> None:
        """Write a record in one step."""
        self._make_room(writer)
        self._store.replace(path, record.encode())

    def remove(self, path: Path) -> None:
        """Remove the record of an order whose key was never sent."""
        self._store.remove(path)

    def _make_room(self, writer: Writer) -> None:
        if self._is_ready:
            return
        self._store.refuse_link(self.folder.parent)
        self._store.refuse_link(self.folder)
        writer.prepare(self.folder)
        self._is_ready = True


def labels_of(records: Iterable[OrderRecord], rows: Iterable[Record]) -> frozenset[str]:
    labels = {record.label for record in records} | {label_of(row) for row in rows}
    return frozenset(label for label in labels if label is not None)


def is_record(name: str) -> bool:
    """Whether a file in the folder of records is a complete one."""
    return name.endswith(_ENDING) and not name.startswith(".")
