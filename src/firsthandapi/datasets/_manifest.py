"""The manifest of a folder: its rows, the time when each is written, and the paths of their files."""

from __future__ import annotations

import gc
import hashlib
import json
import time
from collections.abc import Collection, Generator, Iterable, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from firsthandapi._base.names import disk_key, file_name_on_disk
from firsthandapi._core.files.kinds import PLACES
from firsthandapi._core.rows.decisions import EXCLUDED, EXCLUDED_ROWS
from firsthandapi._core.rows.manifest import (
    DATA,
    LARGEST_MANIFEST,
    MANIFEST,
    USUAL_ROW,
    Record,
    RowOrigin,
    check_room,
    completed,
    data_folder,
    in_place_of,
    label_of,
    manifest_line,
    parse_manifest,
    record_of,
    with_own,
)
from firsthandapi._core.rows.opinions import with_opinions
from firsthandapi._core.rows.seals import LARGEST_SEAL, Seal, mark_of, parse_seal, seal_file
from firsthandapi.errors import ConfigurationError, FirstHandError

from ._store import Store, Writer, sha256_of

if TYPE_CHECKING:
    from firsthandapi.types.file import File

# If the manifest can only be rewritten: when it lacks a tenth of the files, or after this time.
_REWRITE_SHARE = 10
_REWRITE_SECONDS = 300.0
# So much of the manifest is parsed at a time.
_PIECE = 1 << 20
# So many new objects are worth keeping from the collector.
_MANY = 50_000


@dataclass(frozen=True)
class Source:
    """The origin and the destination of files.

    Attributes:
        job_id: the id of their job.
        mixed: whether the folder has a subfolder for each kind of media.
        origin: the service that they come from, and the environment of the API key.
        label: their label, or None.
    """

    job_id: str
    mixed: bool
    origin: RowOrigin
    label: str | None = None


class Manifest:
    """`metadata.jsonl`, with a row for each verified file, and the folder `data/` next to it."""

    def __init__(self, store: Store, subfolder: str) -> None:
        self.subfolder = subfolder
        self.folder = folder = store.root / subfolder if subfolder else store.root
        self._store = store
        self.path = folder / (EXCLUDED_ROWS if subfolder.startswith(EXCLUDED) else MANIFEST)
        self.data = folder / DATA
        self.records: dict[str, Record] = {}
        # By name, the id of its file. Names that some disk does not distinguish are the same here.
        self._names: dict[str, str] = {}
        self._end = store.appender(self.path)
        # Rows to write, if nothing can be appended; and the time of the last write.
        self._waiting = 0
        self._written_at = time.monotonic()
        # Whether to rewrite the rows, because a crash cut the last one or two writers wrote some twice.
        self._untidy = False
        # The hash of the file as last read or written: an unchanged file is not parsed again.
        self._digest = b""
        # Its length.
        self._size = 0
        # The folders that are ready for writing.
        self._ready: set[Path] = set()
        # The ids of files whose rows somebody else has changed.
        self.edited: set[str] = set()
        self._seal_path = store.root / seal_file(subfolder)
        # The marks of the other rows, as far as they are known; and whether the seal says that lines follow.
        self._marks: bytearray | None = None
        self._grows = False

    def read(self) -> bool:
        """Read the rows, each checked; False if there is no manifest.
        Raises ConfigurationError: a row, or the path to its file, is not one of ours.
        """
        # The folder of the dataset itself may be a link, because the user passed it.
        for folder in ([self.folder] if self.subfolder else []) + [self.data]:
            self._store.refuse_link(folder)
        content = self._store.read(self.path, LARGEST_MANIFEST)
        if content is None:
            self.records, self._digest, self._size = {}, b"", 0
            self.edited, self._marks, self._grows = set(), None, False
            return False
        digest = hashlib.sha256(content).digest()
        if digest == self._digest:
            self._find_edits()  # their owner may have accepted them
            return True
        size = len(content)
        lines = content.count(b"\n") if content.endswith(b"\n") else -1
        # What was parsed is dropped: memory holds the rows, but not the text of all beside them.
        pieces = [content[start : start + _PIECE] for start in reversed(range(0, len(content), _PIECE))]
        del content
        with no_collector():
            parsed = parse_manifest((pieces.pop() for _ in range(len(pieces))), str(self.path))
            self.records = {record.file_id: record for record in parsed}
        for folder in self.folders()[1:]:
            self._store.refuse_link(folder)
        self._names = {disk_key(record.file_name): record.file_id for record in self.records.values()}
        self._untidy = lines != len(self.records)
        self._digest, self._size = digest, size
        self._find_edits()
        return True

    def refuse_links(self) -> None:
        """Check that no file is a link.
        Raises ConfigurationError: a file is a link, which a program that reads the files would follow.
        """
        for folder in self.folders():
            self._store.refuse_links_in(folder)

    def folders(self) -> list[Path]:
        """The folders that may contain files: `data/`, then the folder of each label in it."""
        labels = {label_of(record) for record in self.records.values()} - {None}
        return [self.data, *(self.folder / data_folder(label) for label in sorted(map(str, labels)))]

    def file(self, record: Record) -> Path:
        return self.folder / record.file_name

    def prepare(self, writer: Writer) -> None:
        """Create the folders, and remove incomplete files of dead processes. The caller holds the lock."""
        self.open_folder(self.data, writer)
        if self._untidy:
            self.rewrite()

    def open_folder(self, data: Path, writer: Writer) -> None:
        """Prepare a folder for writing: `data/`, or that of a label in it.
        Raises ConfigurationError: the folder is a link, or cannot be created.
        """
        if data not in self._ready:
            self._store.refuse_link(data)
            writer.prepare(data)
            self._ready.add(data)

    def has(self, file: File, writer: Writer) -> bool:
        """Whether the folder has `file` as the service describes it; the size is enough, since it was verified once."""
        record = self.records.get(file.id)
        return (
            record is not None
            and file.content_hash in (None, record.sha256, record.sha256.upper())
            and file.size_bytes in (None, record.size_bytes)
            and self.size_of(self.file(record), writer) == record.size_bytes
        )

    def adopt(self, file: File, source: Source, writer: Writer) -> bool:
        """Add the row of a file that a process put in place before it died."""
        path = self.path_of(file.id, file.content_type, source.label)
        size = self.size_of(path, writer)
        if size is None or file.content_hash is None or file.size_bytes not in (None, size):
            return False
        sha256 = sha256_of(self._store, path, size)
        if sha256 != file.content_hash.lower():
            return False
        self.add(self.row(file, path, source, size_bytes=size, sha256=sha256))
        return True

    def size_of(self, path: Path, writer: Writer) -> int | None:
        """The size of a file of the manifest; None if it is missing. The caller holds the lock."""
        self.open_folder(path.parent, writer)
        return writer.size_of(path)

    def row(self, file: File, path: Path, source: Source, *, size_bytes: int, sha256: str) -> Record:
        label = None if path.parent == self.data else path.parent.name
        return record_of(
            file,
            path.name,
            job_id=source.job_id,
            origin=source.origin,
            label=label,
            size_bytes=size_bytes,
            sha256=sha256,
        )

    def path_of(self, file_id: str, content_type: str | None, label: str | None) -> Path:
        """The path for a file: next to the one that it replaces, with a name that no other file has, ignoring case."""
        former = self.records.get(file_id)
        folder = data_folder(label if former is None else label_of(former))
        name = file_name_on_disk(file_id, content_type)
        if self._names.setdefault(disk_key(f"{folder}/{name}"), file_id) != file_id:
            name = file_name_on_disk(file_id, content_type, plain=False)
        return self.folder / folder / name

    def add(self, record: Record, *, is_edited: bool = False) -> None:
        """Write a row. If nothing can be appended, write it later, with others. `is_edited`: whether somebody else has
        changed it; else it comes from the service."""
        former = self.records.get(record.file_id)
        (self.edited.add if is_edited else self.edited.discard)(record.file_id)
        first = not self.records
        self.records[record.file_id] = in_place_of(with_opinions(record, former), former)
        if former is None and (first or self._end is not None):
            try:
                if first or self._end is None:
                    # Loaders refuse an empty manifest, so create it with a row.
                    self.rewrite()
                else:
                    line = manifest_line(record)
                    self.check_room(0, len(line))
                    self._open_seal()
                    if self._marks is not None and not is_edited:
                        self._marks += mark_of(record, line)
                    self._end.add(line)
                    self._size += len(line)
            except BaseException:
                # A row that is not on disk must not stay known, or a retry of its file would skip it.
                del self.records[record.file_id]
                raise
        elif former != record:
            self._waiting += 1
            self.catch_up()

    def check_room(self, rows: int, size: int | None = None) -> None:
        """Check that the manifest can still be read with more rows, of `size` bytes; by default of the usual size.
        Raises ConfigurationError: it would be too large.
        """
        row_count = len(self.records)
        if size is None:
            size = rows * max(USUAL_ROW, self._size // max(1, row_count))
        check_room(str(self.path), row_count + rows, self._size + size)

    def keep(self, record: Record) -> None:
        """Let `close` write a row with all others."""
        self.records[record.file_id] = in_place_of(record, self.records.get(record.file_id))
        self._waiting += 1

    def unknown_submissions(self, job_ids: Collection[str]) -> dict[str, set[str]]:
        """By job, of these, the submissions of the rows without a worker."""
        unknown: dict[str, set[str]] = {}
        for row in self.records.values():
            job_id = row.job_id or ""
            if row.worker_id is None and row.submission_id is not None and job_id in job_ids:
                unknown.setdefault(job_id, set()).add(row.submission_id)
        return unknown

    def note_submissions(self, columns: Mapping[str, Mapping[str, Any]]) -> None:
        """Complete the rows of these submissions; `close` writes them."""
        for row in list(self.records.values()):
            if (new := completed(row, columns.get(row.submission_id or "", {}))) != row:
                self.keep(new)

    def set_columns(self, columns: Mapping[str, Mapping[str, Any]]) -> None:
        """Write columns of files, by their ids; `close` writes the rows."""
        for file_id in columns.keys() & self.records.keys():
            row = self.records[file_id]
            if (new := replace(row, **columns[file_id])) != row:
                self.keep(new)

    def set_own(self, name: str, values: Mapping[str, Any]) -> None:
        """Write a column of the user's own in every row, null where nothing is given; `close` writes the rows."""
        new = {row.file_id: with_own(row, name, values.get(row.file_id)) for row in self.records.values()}
        changed = [row for row in new.values() if row.extra != self.records[row.file_id].extra]
        self.check_room(0, sum(len(json.dumps({name: row.extra[name]})) for row in changed))
        self.records.update({row.file_id: row for row in changed})
        self._waiting += len(changed)

    def move_label(self, old: str, new: str) -> None:
        """Move the files and rows of a label to another. The lock is held.

        A crash at any point leaves each row with its file: the files are in both folders until the rows are written.
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
        file_names = {row.file_name for row in self.records.values()}
        names = [name for name in self._store.names(folder) if f"{data_folder(new)}/{name}" in file_names]
        if names:
            self._store.remove_all(folder, names)

    def catch_up(self) -> None:
        """Write the waiting rows if there are many or they have waited for a long time."""
        many = self._waiting * _REWRITE_SHARE >= len(self.records)
        if self._waiting and (many or time.monotonic() - self._written_at >= _REWRITE_SECONDS):
            self.rewrite()

    def rewrite(self) -> None:
        if self._end is not None:
            self._end.close()
        if self.records:
            lines = [*map(manifest_line, self.records.values())]
            self._marks = self._marks_of(lines)
            content = b"".join(lines)
            del lines
            check_room(str(self.path), len(self.records), len(content))
            digest = hashlib.sha256(content)
            # Before the rows: after a crash between the two, those of before are still known.
            self._write_seal(len(content), digest.hexdigest())
            self._store.replace(self.path, content)
            self._digest, self._size = digest.digest(), len(content)
        else:
            self._store.remove(self.path)
            self._digest, self._size = b"", 0
        self._waiting, self._written_at = 0, time.monotonic()

    def remove_empty(self) -> None:
        """Remove the empty folders of labels, because loaders would treat each as a class."""
        for folder in self._ready - {self.data}:
            self._store.remove_all(folder, ())

    @property
    def is_written(self) -> bool:
        """Whether no row waits to be written."""
        return not self._waiting

    def close(self) -> None:
        """Write the waiting rows, and flush them to the disk."""
        if self._waiting:
            self.rewrite()
        if self._end is not None:
            self._end.close()
        size = self._store.size_of(self.path) if self._grows else None
        if size is not None:
            with suppress(FirstHandError):  # as on a full disk: then lines may still follow what is known
                self._write_seal(size, sha256_of(self._store, self.path, size))

    # ── Edits by others ─────────────────────────────────────────────────────────────────────────────────

    def accept_edits(self) -> None:
        """Make the rows as they were read those that this package wrote."""
        self.edited = set()
        self.rewrite()

    def _find_edits(self) -> None:
        """Compare the rows that were read with the seal."""
        seal = self._seal()
        self.edited = {*seal.edited_of(self.records.values(), self._size, self._sha256_of_first)}
        is_current = seal.has_written(self._size, self._digest.hex())
        self._marks = bytearray(seal.marks) if is_current else None
        self._grows = False

    def _seal(self) -> Seal:
        return parse_seal(self._store.read(self._seal_path, LARGEST_SEAL))

    def _sha256_of_first(self, size: int) -> str:
        if size == self._size:
            return self._digest.hex()
        return hashlib.sha256((self._store.read(self.path, LARGEST_MANIFEST) or b"")[:size]).hexdigest()

    def _marks_of(self, lines: Iterable[bytes]) -> bytearray:
        rows = zip(self.records.values(), lines, strict=True)
        return bytearray().join(mark_of(row, line) for row, line in rows if row.file_id not in self.edited)

    def _open_seal(self) -> None:
        """Note that lines are appended from now on."""
        if not self._grows:
            if self._marks is None:
                rows = [row for row in self.records.values() if row.file_id not in self.edited]
                self._marks = bytearray().join(map(mark_of, rows))
            self._write_seal(self._size, self._digest.hex(), grows=True)

    def _write_seal(self, size: int, sha256: str, *, grows: bool = False) -> None:
        edited = self.edited & self.records.keys()
        seal = self._seal().writing(size, sha256, marks=bytes(self._marks or b""), edited=edited, grows=grows)
        self._store.replace(self._seal_path, seal.encode())
        self._grows = grows


@contextmanager
def no_collector() -> Generator[None, None, None]:
    """Turn off Python's collector of cycles for this block: rows have none, and it would look at all of them, often."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            # What was made counts as old: it would look at all of it at once. To count what is frozen takes a while.
            if gc.get_count()[0] > _MANY and not gc.get_freeze_count():
                gc.freeze()
                gc.unfreeze()
            gc.enable()


def place_named(name: str) -> str:
    """Check that a manifest may be in the folder `name`, and return it.
    Raises ConfigurationError: it is neither the dataset's folder nor that of a kind of media.
    """
    if name not in PLACES:
        raise ConfigurationError(
            f"file_name: must begin with {DATA}/ or with a kind of media, as image/{DATA}/"
        )
    return name


def key_of(record: Record) -> tuple[str, str]:
    """The key of a row. A file whose type changed between two runs has a row for each kind of media."""
    return record.file_id, record.file_name


def all_manifests(store: Store) -> list[Manifest]:
    """Every manifest that a folder may have, unread."""
    return [Manifest(store, name) for name in PLACES]
