"""The records of a folder's jobs: `job.json`, or with labels a file for each job in `jobs/`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from firsthandapi._core.orders.record import (
    JOB_FILE,
    JOBS,
    LARGEST_JOBS,
    LARGEST_RECORD,
    MOST_JOBS,
    OrderRecord,
    ShownJob,
    UnreadableRecord,
    parse_record,
    read_record,
)
from firsthandapi._core.rows.manifest import Record, label_of
from firsthandapi.errors import ConfigurationError, InvalidArgumentError

from ._disk import too_many
from ._store import Store, Writer

_ENDING = ".json"


class JobFiles:
    """The records of a folder's jobs."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._main = store.root / JOB_FILE
        self._folder = store.root / JOBS

    def path_of(self, name: str | None) -> Path:
        """The path of the record of a label or a job; without a name, `job.json`."""
        return self._main if name is None else self._folder / f"{name}{_ENDING}"

    def read(self, path: Path) -> OrderRecord | UnreadableRecord | None:
        """One record, or its readable part; None if it does not exist.
        Raises ConfigurationError: the record is too large, or is not a plain file.
        """
        content = self._store.read(path)
        return None if content is None else read_record(content)

    def labeled(self) -> dict[Path, OrderRecord | UnreadableRecord]:
        """The records of the jobs with labels, in the order of their names.
        Raises ConfigurationError: there are more records than this package writes, or one is not a plain file.
        """
        return {path: read_record(content) for path, content in self._contents().items()}

    def note(self, job_id: str, job: ShownJob, writer: Writer) -> None:
        """Update the job in each of its records to the job as last seen."""
        for path in (self._main, *self._contents()):
            record = self.read(path)
            if isinstance(record, OrderRecord) and record.job_id == job_id and record.job != job:
                self.write(path, record.with_job(job), writer)

    def all(self) -> list[OrderRecord]:
        """The records of all jobs, each checked. Raises ConfigurationError: one is not ours, or cannot be read."""
        content = self._store.read(self._main)
        contents = {**({} if content is None else {self._main: content}), **self._contents()}
        return [parse_record(each, str(path)) for path, each in contents.items()]

    def check_room(self, coming: Mapping[str, OrderRecord]) -> None:
        """Check that the records can be read again with those of these jobs, before any is written.
        Raises ConfigurationError: they would be too many or too large.
        """
        sizes = {path: len(content) for path, content in self._contents().items()}
        sizes.update((self.path_of(name), len(each.encode())) for name, each in coming.items())
        if len(sizes) > MOST_JOBS or sum(sizes.values()) > LARGEST_JOBS:
            raise ConfigurationError(
                f"{self._folder} would have {len(sizes):,} records of jobs and {-(-sum(sizes.values()) >> 20):,} MiB, "
                f"and at most {MOST_JOBS:,} and {LARGEST_JOBS >> 20} MiB can be read again; use a different folder for "
                "some of the files"
            )

    def _contents(self) -> dict[Path, bytes]:
        self._store.refuse_link(self._folder)
        names = [name for name in self._store.names(self._folder) if is_record(name)]
        if len(names) > MOST_JOBS:
            raise too_many(self._folder, MOST_JOBS)
        contents: dict[Path, bytes] = {}
        left = LARGEST_JOBS
        for name in names:
            content = self._store.read(self._folder / name, min(left, LARGEST_RECORD))
            if content is not None:
                left -= len(content)
                contents[self._folder / name] = content
        return contents

    def create(self, path: Path, job_file: OrderRecord, writer: Writer) -> None:
        """Write a record that must not exist yet.
        Raises ConfigurationError: it exists, or cannot be written.
        Raises InvalidArgumentError: it would be too large to be read again.
        """
        content = job_file.encode()
        if len(content) > LARGEST_RECORD:
            raise InvalidArgumentError(
                f"metadata is too large: {JOB_FILE} could not be read again; use less than "
                f"{LARGEST_RECORD >> 20} MiB",
                field="metadata",
            )
        self._make_room(path, writer)
        self._store.create(path, content)

    def write(self, path: Path, job_file: OrderRecord, writer: Writer) -> None:
        self._make_room(path, writer)
        self._store.replace(path, job_file.encode())

    def remove(self, path: Path) -> None:
        """Remove the record of an order that bought nothing."""
        self._store.remove(path)

    def _make_room(self, path: Path, writer: Writer) -> None:
        if path.parent == self._folder:
            self._store.refuse_link(self._folder)
            writer.prepare(self._store.root, self._folder)


def labels_of(records: Iterable[OrderRecord], rows: Iterable[Record]) -> frozenset[str]:
    labels = {each.label for each in records} | {label_of(row) for row in rows}
    return frozenset(label for label in labels if label is not None)


def is_record(name: str) -> bool:
    """Whether a file in `jobs/` is a complete record."""
    return name.endswith(_ENDING) and not name.startswith(".")


def with_label(job_file: OrderRecord, label: str | None) -> OrderRecord:
    return job_file if label is None else replace(job_file, label=label)
