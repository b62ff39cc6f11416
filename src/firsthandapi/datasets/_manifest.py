"""The manifest of a folder: its rows, when each is written, and where the files are that they name."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from firsthandapi._core.files.kinds import KINDS, is_mixed
from firsthandapi._core.files.names import disk_key, file_name_on_disk
from firsthandapi._core.rows.decisions import EXCLUDED, EXCLUDED_ROWS
from firsthandapi._core.rows.manifest import (
    DATA,
    LARGEST_MANIFEST,
    MANIFEST,
    Record,
    columns_of_file,
    completed,
    data_folder,
    in_place_of,
    label_of,
    lacks_columns,
    manifest_line,
    parse_manifest,
    record_of,
)
from firsthandapi.errors import ConfigurationError

from ._store import Store, Writer

if TYPE_CHECKING:
    from firsthandapi.types.file import File

# Where manifests may be: beside job.json, or in a folder for each kind of media.
PLACES = ("", *KINDS, "other")
# Where a manifest can only be rewritten: once it lists a tenth of the files too few, or after this time.
_REWRITE_SHARE = 10
_REWRITE_SECONDS = 300.0


@dataclass(frozen=True)
class Source:
    """Where files come from, and where they go.

    Attributes:
        job_id: the job that they are of.
        mixed: whether the folder has a folder for each kind of media.
        label: what they are labeled, or None.
    """

    job_id: str
    mixed: bool
    label: str | None = None


class Manifest:
    """`metadata.jsonl` and the `data/` beside it: a row for each verified file."""

    def __init__(self, store: Store, subfolder: str) -> None:
        self.subfolder = subfolder
        self.folder = folder = store.root / subfolder if subfolder else store.root
        self._store = store
        self.path = folder / (EXCLUDED_ROWS if subfolder.startswith(EXCLUDED) else MANIFEST)
        self.data = folder / DATA
        self.records: dict[str, Record] = {}
        # The file that has a name, by the names that any disk distinguishes.
        self._names: dict[str, str] = {}
        self._end = store.appender(self.path)
        # Rows that wait to be written, where nothing can be appended to; and when that was last done.
        self._waiting = 0
        self._written_at = time.monotonic()
        # Whether the rows must be rewritten: a crash cut the last one, or two writers wrote some twice.
        self._untidy = False
        # The files whose rows an earlier version wrote, and nobody has completed since.
        self._partial: set[str] = set()
        # Of what the rows were read from or written to: a file that has not changed is not read row by row again.
        self._digest = b""
        # The folders of files that can be written to.
        self._ready: set[Path] = set()

    def read(self) -> bool:
        """Read the rows, each checked; False if there is no manifest.

        Raises:
            ConfigurationError: a row, or the way to its file, is not one of ours.
        """
        # The folder of the whole dataset is the user's own word, and may be a link.
        for folder in ([self.folder] if self.subfolder else []) + [self.data]:
            self._store.refuse_link(folder)
        content = self._store.read(self.path, LARGEST_MANIFEST)
        if content is None:
            self.records = {}
            return False
        digest = hashlib.sha256(content).digest()
        if digest == self._digest:
            return True
        self._digest = digest
        self.records = {record.file_id: record for record in parse_manifest(content, str(self.path))}
        self._partial = {record.file_id for record in self.records.values() if lacks_columns(record)}
        for folder in self.folders()[1:]:
            self._store.refuse_link(folder)
        self._names = {disk_key(record.file_name): record.file_id for record in self.records.values()}
        self._untidy = not content.endswith(b"\n") or content.count(b"\n") != len(self.records)
        return True

    def refuse_links(self) -> None:
        """Make sure that every file is in the folder itself.

        Raises:
            ConfigurationError: one is a link, which a program that reads the files would follow.
        """
        for folder in self.folders():
            self._store.refuse_links_in(folder)

    def folders(self) -> list[Path]:
        """Where files may be: `data/`, then the folder of each label in it."""
        labels = {label_of(record) for record in self.records.values()} - {None}
        return [self.data, *(self.folder / data_folder(label) for label in sorted(map(str, labels)))]

    def file(self, record: Record) -> Path:
        """Where the file of a row is."""
        return self.folder / record.file_name

    def prepare(self, writer: Writer) -> None:
        """Make the folders, and clear what a process that died has left half-done. The lock is held.

        Raises:
            ConfigurationError: the folder cannot be written to.
        """
        self.open_folder(self.data, writer)
        if self._untidy:
            self.rewrite()

    def open_folder(self, data: Path, writer: Writer) -> None:
        """Make a folder of files ready to be written to: `data/`, or that of a label in it.

        Raises:
            ConfigurationError: it is a link, or cannot be made.
        """
        if data not in self._ready:
            self._store.refuse_link(data)
            writer.prepare(self.folder, data)
            self._ready.add(data)

    def has(self, file: File, writer: Writer) -> bool:
        """Whether the folder has `file` as the service describes it; the size is enough, since it was verified once.
        The row of an earlier version gains the columns that it lacks."""
        record = self.records.get(file.id)
        if (
            record is None
            or file.content_hash not in (None, record.sha256, record.sha256.upper())
            or file.size_bytes not in (None, record.size_bytes)
            or self.size_of(self.file(record), writer) != record.size_bytes
        ):
            return False
        if file.id in self._partial:
            self.keep(completed(record, columns_of_file(file)))
        return True

    def adopt(self, file: File, source: Source, writer: Writer) -> bool:
        """Take in a file that a process put in place without living to write its row."""
        path = self.path_of(file, source.label)
        size = self.size_of(path, writer)
        if size is None or file.content_hash is None or file.size_bytes not in (None, size):
            return False
        sha256 = self._store.sha256_of(path, size)
        if sha256 != file.content_hash.lower():
            return False
        self.add(self.row(file, path, source, size_bytes=size, sha256=sha256))
        return True

    def size_of(self, path: Path, writer: Writer) -> int | None:
        """The size of a file of the manifest; None if it is not there. The lock is held."""
        self.open_folder(path.parent, writer)
        return writer.size_of(path)

    def row(self, file: File, path: Path, source: Source, *, size_bytes: int, sha256: str) -> Record:
        """The row for `file`, which is at `path`."""
        label = None if path.parent == self.data else path.parent.name
        return record_of(
            file, path.name, size_bytes=size_bytes, sha256=sha256, job_id=source.job_id, label=label
        )

    def path_of(self, file: File, label: str | None) -> Path:
        """Where `file` is to be."""
        return self.location_of(file.id, file.content_type, label)

    def location_of(self, file_id: str, content_type: str | None, label: str | None) -> Path:
        """Where a file is to be: beside the one that it replaces, under a name that no other file has, whatever the
        case of its letters."""
        former = self.records.get(file_id)
        folder = data_folder(label if former is None else label_of(former))
        name = file_name_on_disk(file_id, content_type)
        if self._names.setdefault(disk_key(f"{folder}/{name}"), file_id) != file_id:
            name = file_name_on_disk(file_id, content_type, plain=False)
        return self.folder / folder / name

    def add(self, record: Record) -> None:
        """Write a row; where nothing can be appended to, with others after it.

        Raises:
            ConfigurationError: it cannot be written.
        """
        former = self.records.get(record.file_id)
        first = not self.records
        self.records[record.file_id] = in_place_of(record, former)
        if former is None and (first or self._end is not None):
            try:
                if first or self._end is None:
                    # Loaders refuse an empty manifest, so it comes into being with a row.
                    self.rewrite()
                else:
                    self._end.add(manifest_line(record))
            except BaseException:
                # Known, but on no disk, it would pass for done when its file is tried again.
                del self.records[record.file_id]
                raise
        elif former != record:
            self._waiting += 1
            self.catch_up()

    def keep(self, record: Record) -> None:
        """Have a row written by `close`, with all others."""
        self.records[record.file_id] = in_place_of(record, self.records.get(record.file_id))
        self._waiting += 1

    def unknown_submissions(self, job_id: str, *, old: bool) -> set[str]:
        """The submissions of a job of which rows know too little; `old`: those of rows of an earlier version alone."""
        return {
            row.submission_id
            for row in self.records.values()
            if row.job_id == job_id
            and row.submission_id is not None
            and (row.file_id in self._partial or (row.worker_id is None and not old))
        }

    def note_submissions(self, known: Mapping[str, Mapping[str, Any]]) -> None:
        """Complete the rows of these submissions; `close` writes them."""
        for row in list(self.records.values()):
            columns = known.get(row.submission_id or "")
            if columns is None:
                continue
            new = completed(row, columns)
            if new != row or row.file_id in self._partial:
                self._partial.discard(row.file_id)
                self.keep(new)

    def set_columns(self, known: Mapping[str, Mapping[str, Any]]) -> None:
        """Write columns of files, by their ids; `close` writes the rows."""
        for file_id in known.keys() & self.records.keys():
            row = self.records[file_id]
            if (new := replace(row, **known[file_id])) != row:
                self.records[file_id] = in_place_of(new, row)
                self._waiting += 1

    def move_label(self, old: str, new: str) -> None:
        """Move the files and rows of a label to another. The lock is held.

        A crash at any point leaves each row with its file: the files are in both folders until the rows are written.

        Raises:
            ConfigurationError: they cannot be written.
        """
        folder, target = self.folder / data_folder(old), self.folder / data_folder(new)
        self._store.refuse_link(folder)
        self._store.refuse_link(target)
        rows = [row for row in self.records.values() if label_of(row) == old]
        if rows:
            self._store.copy_into(folder, [self.file(row).name for row in rows], target)
            for row in rows:
                name = f"{data_folder(new)}/{self.file(row).name}"
                self.records[row.file_id] = in_place_of(replace(row, file_name=name, label=new), row)
            self.rewrite()
        here = {row.file_name for row in self.records.values()}
        names = [name for name in self._store.names(folder) if f"{data_folder(new)}/{name}" in here]
        if names:
            self._store.remove_all(folder, names)

    def catch_up(self) -> None:
        """Write the rows that wait, if they are many or have waited for long.

        Raises:
            ConfigurationError: they cannot be written.
        """
        many = self._waiting * _REWRITE_SHARE >= len(self.records)
        if self._waiting and (many or time.monotonic() - self._written_at >= _REWRITE_SECONDS):
            self.rewrite()

    def rewrite(self) -> None:
        """Rewrite all rows, in one step.

        Raises:
            ConfigurationError: they cannot be written.
        """
        if self._end is not None:
            self._end.close()
        if self.records:
            content = b"".join(map(manifest_line, self.records.values()))
            self._store.replace(self.path, content)
            self._digest = hashlib.sha256(content).digest()
        else:
            self._store.remove(self.path)
        self._waiting, self._written_at = 0, time.monotonic()

    def remove_empty(self) -> None:
        """Remove the folders of labels that have no file: loaders would take each for a class."""
        for folder in self._ready - {self.data}:
            self._store.remove_all(folder, ())

    def close(self) -> None:
        """Write the rows that wait, and flush them to the disk.

        Raises:
            ConfigurationError: that failed.
        """
        if self._waiting:
            self.rewrite()
        if self._end is not None:
            self._end.close()


def place_named(name: str) -> str:
    """`name` if a manifest may be there: beside job.json, or in the folder of a kind of media.

    Raises:
        ConfigurationError: no manifest is there.
    """
    if name not in PLACES:
        raise ConfigurationError(
            f"file_name: must begin with {DATA}/ or with a kind of media, as image/{DATA}/"
        )
    return name


def manifests_of(store: Store, formats: list[str] | None) -> list[Manifest]:
    """The manifests that a folder may have, unread."""
    folders = PLACES if formats is None or is_mixed(formats) else ("",)
    return [Manifest(store, name) for name in folders]
