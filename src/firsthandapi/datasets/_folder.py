"""A dataset's folder. Every step leaves it in order for the next reader or writer."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from firsthandapi._core.download import Wanted
from firsthandapi._core.files import disk_key, file_name_on_disk
from firsthandapi._core.job_file import (
    JOB_FILE,
    LARGEST_JOB_FILE,
    JobFile,
    UnreadableJobFile,
    differing,
    parse_job_file,
    read_job_file,
)
from firsthandapi._core.kinds import KINDS, folder_of, is_mixed
from firsthandapi._core.manifest import (
    DATA,
    LARGEST_MANIFEST,
    MANIFEST,
    Record,
    in_place_of,
    manifest_line,
    parse_manifest,
    record_of,
)
from firsthandapi.errors import ConfigurationError, InvalidArgumentError

from ._store import store_at

if TYPE_CHECKING:
    from firsthandapi.types.file import File

    from ._store import Store, Writer

# Where manifests may be: beside job.json, or in a folder for each kind of media.
_FOLDERS = ("", *KINDS, "other")
# Where a manifest can only be rewritten: once it lists a tenth of the files too few, or after this time.
_REWRITE_SHARE = 10
_REWRITE_SECONDS = 300.0


class Manifest:
    """`metadata.jsonl` and the `data/` beside it: a row for each verified file."""

    def __init__(self, store: Store, place: str) -> None:
        self.folder = folder = store.root / place if place else store.root
        self._store = store
        self._inside = bool(place)
        self.path = folder / MANIFEST
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

    def read(self) -> bool:
        """Read the rows, each checked; False if there is no manifest.

        Raises:
            ConfigurationError: a row, or the way to its file, is not one of ours.
        """
        # The folder of the whole dataset is the user's own word, and may be a link.
        for folder in ([self.folder] if self._inside else []) + [self.data]:
            self._store.refuse_link(folder)
        content = self._store.read(self.path, LARGEST_MANIFEST)
        if content is None:
            return False
        self.records = {record.file_id: record for record in parse_manifest(content)}
        self._names = {disk_key(record.file_name): record.file_id for record in self.records.values()}
        self._untidy = not content.endswith(b"\n") or content.count(b"\n") != len(self.records)
        return True

    def refuse_links(self) -> None:
        """Make sure that every file is in the folder itself.

        Raises:
            ConfigurationError: one is a link, which a program that reads the files would follow.
        """
        self._store.refuse_links_in(self.data)

    def file(self, record: Record) -> Path:
        """Where the file of a row is."""
        return self.folder / record.file_name

    def prepare(self, writer: Writer) -> None:
        """Make the folders, and clear what a process that died has left half-done. The lock is held.

        Raises:
            ConfigurationError: the folder cannot be written to.
        """
        writer.prepare(self.folder, self.data)
        if self._untidy:
            self.rewrite()

    def has(self, file: File, writer: Writer) -> bool:
        """Whether the folder has `file` as the service describes it; the size is enough, since it was verified once."""
        record = self.records.get(file.id)
        return (
            record is not None
            and file.content_hash in (None, record.sha256, record.sha256.upper())
            and file.size_bytes in (None, record.size_bytes)
            and writer.size_of(self.file(record)) == record.size_bytes
        )

    def adopt(self, file: File, job_id: str, writer: Writer) -> bool:
        """Take in a file that a process put in place without living to write its row."""
        path = self.place_of(file)
        size = writer.size_of(path)
        if size is None or file.content_hash is None or file.size_bytes not in (None, size):
            return False
        sha256 = self._store.sha256_of(path, size)
        if sha256 != file.content_hash.lower():
            return False
        self.add(record_of(file, path.name, size_bytes=size, sha256=sha256, job_id=job_id))
        return True

    def place_of(self, file: File) -> Path:
        """Where `file` is to be: under a name that no other file has, whatever the case of its letters."""
        name = file_name_on_disk(file.id, file.content_type)
        if self._names.setdefault(disk_key(f"{DATA}/{name}"), file.id) != file.id:
            name = file_name_on_disk(file.id, file.content_type, plain=False)
        return self.data / name

    def add(self, record: Record) -> None:
        """Write a row; where nothing can be appended to, with others after it.

        Raises:
            ConfigurationError: it cannot be written.
        """
        former = self.records.get(record.file_id)
        first = not self.records
        self.records[record.file_id] = in_place_of(record, former)
        if first:
            # Loaders refuse an empty manifest, so it comes into being with a row.
            self.rewrite()
        elif former is None and self._end is not None:
            self._end.add(manifest_line(record))
        elif former != record:
            self._waiting += 1
            self.catch_up()

    def keep(self, record: Record) -> None:
        """Have a row written by `close`, with all others."""
        self.records[record.file_id] = in_place_of(record, self.records.get(record.file_id))
        self._waiting += 1

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
            self._store.replace(self.path, b"".join(map(manifest_line, self.records.values())))
        else:
            self._store.remove(self.path)
        self._waiting, self._written_at = 0, time.monotonic()

    def close(self) -> None:
        """Write the rows that wait, and flush them to the disk.

        Raises:
            ConfigurationError: that failed.
        """
        if self._waiting:
            self.rewrite()
        if self._end is not None:
            self._end.close()


class Folder:
    """A dataset's folder while it is written to. One writer at a time: `lock` first."""

    def __init__(self, dest: str | os.PathLike[str]) -> None:
        self._store = store_at(dest, "dest")
        self._writer = self._store.writer()
        self.path = self._store.root
        self._manifests: dict[str, Manifest] = {}
        # Rows are written by the threads that download.
        self._rows = threading.Lock()
        self._stopped = self._closed = False

    def lock(self) -> bool:
        """Lock the folder if no other writer has it; create it if necessary.

        Raises:
            ConfigurationError: it cannot be created or written to.
        """
        return self._writer.lock()

    def stop(self) -> None:
        """Give up the files that are not yet in the folder. `close` writes the rows of the others in one step."""
        self._stopped = True
        self._writer.stop()

    def close(self) -> None:
        """Flush, and let the next writer in."""
        try:
            with self._rows:
                self._closed = True
                for manifest in self._manifests.values():
                    manifest.close()
        finally:
            self._writer.release()

    @property
    def manifests(self) -> list[Manifest]:
        """Those that this run has written to, in the order in which they are read."""
        return [self._manifests[name] for name in _FOLDERS if name in self._manifests]

    # ── job.json ─────────────────────────────────────────────────────────────────────────────────────────

    def known_jobs(self) -> tuple[JobFile | UnreadableJobFile | None, tuple[str, ...]]:
        """What `job.json` says, and where it does not, the jobs that the rows name.

        Raises:
            ConfigurationError: it contains files whose job is unknown.
        """
        content = self._store.read(self.path / JOB_FILE)
        job_file = None if content is None else read_job_file(content)
        if isinstance(job_file, JobFile):
            return job_file, ()
        named = [] if job_file is None or job_file.job_id is None else [job_file.job_id]
        for manifest in manifests_of(self._store, None):
            if not manifest.read():
                continue
            for record in manifest.records.values():
                if record.job_id is None:
                    raise ConfigurationError(
                        f"{self.path} contains {MANIFEST} but no {JOB_FILE}, so its job is unknown; restore "
                        f"{JOB_FILE}, or use a different folder"
                    )
                named.append(record.job_id)
        return job_file, tuple(dict.fromkeys(named))

    def has_job_for(self, request: Mapping[str, Any]) -> bool:
        """Whether the job that `request` asks for was bought for this folder. The lock need not be held."""
        content = self._store.read(self.path / JOB_FILE)
        found = None if content is None else read_job_file(content)
        return (
            isinstance(found, JobFile)
            and found.request is not None
            and found.job is not None
            and not differing(found.request, request)
        )

    def create_job(self, job_file: JobFile) -> None:
        """Write `job.json`, which must not exist yet, and have it on the disk before anything is bought.

        Raises:
            ConfigurationError: it exists, or cannot be written.
            InvalidArgumentError: it would be too large to be read again.
        """
        content = job_file.encode()
        if len(content) > LARGEST_JOB_FILE:
            raise InvalidArgumentError(
                f"metadata is too large: {JOB_FILE} could not be read again; use less than "
                f"{LARGEST_JOB_FILE >> 20} MiB",
                field="metadata",
            )
        self._store.create(self.path / JOB_FILE, content)

    def write_job(self, job_file: JobFile) -> None:
        """Replace `job.json`.

        Raises:
            ConfigurationError: it cannot be written.
        """
        self._store.replace(self.path / JOB_FILE, job_file.encode())

    def forget_job(self) -> None:
        """Remove a `job.json` that bought nothing."""
        self._store.remove(self.path / JOB_FILE)

    def check(self, formats: list[str]) -> None:
        """Find whatever would prevent the downloads of a job, before it is posted.

        Raises:
            ConfigurationError: a manifest, or what has the name of its folder, is not one of ours.
        """
        for name in {folder_of(content_type, mixed=is_mixed(formats)) for content_type in formats}:
            manifest = Manifest(self._store, name)
            manifest.read()
            for folder in (manifest.folder, manifest.data):
                if self._store.size_of(folder) is not None:
                    raise ConfigurationError(
                        f"{folder} is a file, where the dataset needs a folder; move it away"
                    )

    # ── Files ────────────────────────────────────────────────────────────────────────────────────────────

    def plan(
        self, files: list[File], *, mixed: bool, job_id: str, anew: bool = False
    ) -> tuple[list[Wanted], list[File]]:
        """The files to download, and those that the folder has. A row stays until its successor is in place.

        With `anew`, download every file whose bytes differ from those of the service, whatever its row says.

        Raises:
            ConfigurationError: the folder cannot be read or written to, or is not one of ours.
        """
        wanted: list[Wanted] = []
        there: list[File] = []
        with self._rows:
            for file in files:
                manifest = self._manifest_for(file, mixed=mixed)
                there_already = not anew and manifest.has(file, self._writer)
                if there_already or manifest.adopt(file, job_id, self._writer):
                    there.append(file)
                    continue
                wanted.append(
                    Wanted(
                        file_id=file.id,
                        url=file.download_url,
                        expires_at=_believable(file.download_url_expires_at),
                        size_bytes=file.size_bytes,
                        sha256=file.content_hash,
                        target=self._writer.fetch_to(manifest.place_of(file)),
                    )
                )
        return wanted, there

    def add(self, file: File, *, size_bytes: int, sha256: str, mixed: bool, job_id: str) -> None:
        """Take in a downloaded and verified file: put it into the folder, write its row. Any thread may call this.

        Raises:
            FirstHandError: the file or its row could not be written.
        """
        with self._rows:
            manifest = self._manifest_for(file, mixed=mixed)
        path = manifest.place_of(file)
        record = record_of(file, path.name, size_bytes=size_bytes, sha256=sha256, job_id=job_id)
        self._writer.put(path)
        with self._rows:
            # One that came too late is taken in by the next run: by now this one has another writer.
            if self._stopped and not self._closed:
                manifest.keep(record)
            elif not self._closed:
                manifest.add(record)

    def catch_up(self) -> None:
        """Write the rows that have waited for long.

        Raises:
            ConfigurationError: they cannot be written, or no file can be written any more.
        """
        self._writer.check()
        # Whoever has it is writing, and in a store that hangs is at it for minutes.
        if self._rows.acquire(blocking=False):
            try:
                for manifest in self._manifests.values():
                    manifest.catch_up()
            finally:
                self._rows.release()

    def _manifest_for(self, file: File, *, mixed: bool) -> Manifest:
        name = folder_of(file.content_type, mixed=mixed)
        manifest = self._manifests.get(name)
        if manifest is None:
            manifest = Manifest(self._store, name)
            manifest.read()
            manifest.prepare(self._writer)
            self._manifests[name] = manifest
        return manifest


def manifests_of(store: Store, formats: list[str] | None) -> list[Manifest]:
    """The manifests that a folder may have, unread."""
    folders = _FOLDERS if formats is None or is_mixed(formats) else ("",)
    return [Manifest(store, name) for name in folders]


def job_file_of(store: Store) -> JobFile | None:
    """`job.json`, checked, or None if there is none.

    Raises:
        ConfigurationError: it is not one of ours, or cannot be read.
    """
    content = store.read(store.root / JOB_FILE)
    return None if content is None else parse_job_file(content)


def _believable(expires_at: datetime | None) -> datetime | None:
    """When a URL just listed ends; None if our clock says that was before: then it is the clock that is wrong."""
    return None if expires_at is None or expires_at.timestamp() <= time.time() else expires_at
