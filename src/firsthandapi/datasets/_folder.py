"""Reading and writing a dataset's folder. Every step leaves it good for whoever comes next."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from secrets import token_hex
from typing import Any

from firsthandapi._core.dataset import (
    DATA,
    JOB_FILE,
    KINDS,
    MANIFEST,
    JobFile,
    Record,
    folder_of,
    is_mixed,
    manifest_line,
    parse_job_file,
    parse_manifest,
    record_of,
)
from firsthandapi._core.download import Wanted
from firsthandapi._core.files import file_name_on_disk
from firsthandapi._download.place import sync_directory
from firsthandapi.errors import ConfigurationError

from ._lock import FolderLock

_CHUNK = 1024 * 1024


class Manifest:
    """`metadata.jsonl` and the `data/` beside it: a row for each file that is there, verified."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / MANIFEST
        self.data = folder / DATA
        self.records: dict[str, Record] = {}
        self._fd = -1
        # Whether the last row has no line break: a crash cut it.
        self._torn = False

    def read(self) -> None:
        """Read the rows, each checked.

        Raises:
            ConfigurationError: a row, or the way to its file, is not one of ours.
        """
        if self.data.is_symlink():
            raise ConfigurationError(f"{self.data} is a link, which may lead anywhere; use a real folder")
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            content = b""
        except OSError as error:
            raise ConfigurationError(f"{self.path} cannot be read: {error.strerror}") from None
        self._torn = bool(content) and not content.endswith(b"\n")
        self.records = {record.file_id: record for record in parse_manifest(content)}

    def file(self, record: Record) -> Path:
        """Where the file of a row is."""
        return self.folder / record.file_name

    def prepare(self) -> None:
        """Make the folders, and clear what a process that died has left half-done. The lock is held."""
        try:
            self.data.mkdir(parents=True, exist_ok=True)
            for left_over in self.data.glob(".*.part"):
                left_over.unlink(missing_ok=True)
            if self._torn:
                self.rewrite()
        except OSError as error:
            raise ConfigurationError(f"{self.folder} cannot be written to: {error.strerror}") from None

    def has(self, file: Any) -> bool:
        """Whether `file` is there as the service describes it; told by its size, since it was verified once."""
        record = self.records.get(file.id)
        if record is None or (file.content_hash is not None and file.content_hash.lower() != record.sha256):
            return False
        if file.size_bytes is not None and file.size_bytes != record.size_bytes:
            return False
        return size_of(self.file(record)) == record.size_bytes

    def adopt(self, file: Any, job_id: str) -> bool:
        """Take in a file that a process put in place without living to write its row."""
        path = self.data / file_name_on_disk(file.id, file.content_type)
        if (
            file.content_hash is None
            or size_of(path) is None
            or size_of(path) != (file.size_bytes or size_of(path))
        ):
            return False
        size, sha256 = digest(path)
        if sha256 != file.content_hash.lower():
            return False
        self.add(record_of(file, size_bytes=size, sha256=sha256, job_id=job_id))
        return True

    def add(self, record: Record) -> None:
        """Write a row. One write a row: a reader never sees half of it."""
        if record.file_id in self.records:
            self.records[record.file_id] = record
            self.rewrite()
            return
        self.records[record.file_id] = record
        if self._fd == -1:
            self._fd = os.open(
                self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0), 0o644
            )
        os.write(self._fd, manifest_line(record))

    def drop(self, file_ids: set[str]) -> None:
        """Take out the rows of files that are not there, or not as they were."""
        if file_ids & self.records.keys():
            self.records = {key: record for key, record in self.records.items() if key not in file_ids}
            self.rewrite()

    def rewrite(self) -> None:
        """Write all rows anew, in one step."""
        self.close()
        replace(self.path, b"".join(manifest_line(record) for record in self.records.values()))

    def close(self) -> None:
        """Flush the rows to the disk."""
        fd, self._fd = self._fd, -1
        if fd != -1:
            try:
                os.fsync(fd)
            finally:
                os.close(fd)


class Folder:
    """A dataset's folder while it is written to. One writer at a time: `lock` first."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = FolderLock(path)
        self._manifests: dict[str, Manifest] = {}

    def prepare(self) -> None:
        """Make the folder.

        Raises:
            ConfigurationError: it cannot be made.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigurationError(f"dest: {self.path} cannot be made: {error.strerror}") from None

    def lock(self) -> bool:
        """Take the folder if no other writer has it."""
        return self._lock.acquire()

    def close(self) -> None:
        """Flush, and let the next writer in."""
        try:
            for manifest in self._manifests.values():
                manifest.close()
        finally:
            self._lock.release()

    # ── job.json ─────────────────────────────────────────────────────────────────────────────────────────

    def read_job(self) -> JobFile | None:
        return read_job_file(self.path)

    def create_job(self, job_file: JobFile) -> None:
        """Write `job.json`, which must not be there yet, and have it on the disk before anything is bought.

        Raises:
            ConfigurationError: it is there, or cannot be written.
        """
        target = self.path / JOB_FILE
        part = self.path / f".{JOB_FILE}.{token_hex(8)}.part"
        try:
            # Whole under another name first: a file that is there is always whole.
            write_new(part, job_file.encode())
            try:
                if hasattr(os, "link"):
                    os.link(part, target)  # fails if the name is taken, where a rename would not
                else:  # pragma: no cover # platforms without links; there a rename fails likewise
                    part.rename(target)
            finally:
                part.unlink(missing_ok=True)
        except FileExistsError:
            raise ConfigurationError(
                f"{target} appeared meanwhile: another program writes to this folder"
            ) from None
        except OSError as error:
            raise ConfigurationError(f"{target} cannot be written: {error.strerror}") from None
        sync_directory(self.path)

    def write_job(self, job_file: JobFile) -> None:
        replace(self.path / JOB_FILE, job_file.encode())

    def forget_job(self) -> None:
        """Remove a `job.json` that bought nothing."""
        (self.path / JOB_FILE).unlink(missing_ok=True)

    # ── Files ────────────────────────────────────────────────────────────────────────────────────────────

    def manifest_for(self, file: Any, *, mixed: bool) -> Manifest:
        """The manifest that `file` belongs to, read and ready."""
        name = folder_of(file.content_type, mixed=mixed)
        manifest = self._manifests.get(name)
        if manifest is None:
            manifest = Manifest(self.path / name if name else self.path)
            if manifest.folder.is_symlink():
                raise ConfigurationError(
                    f"{manifest.folder} is a link, which may lead anywhere; use a real folder"
                )
            manifest.read()
            manifest.prepare()
            self._manifests[name] = manifest
        return manifest

    def plan(self, files: list[Any], *, mixed: bool, job_id: str) -> tuple[list[Wanted], list[Any]]:
        """What of `files` is to be fetched, and what is there already."""
        wanted: list[Wanted] = []
        there: list[Any] = []
        for file in files:
            manifest = self.manifest_for(file, mixed=mixed)
            if manifest.has(file) or manifest.adopt(file, job_id):
                there.append(file)
                continue
            # A row without its file must not stand while the file is fetched.
            manifest.drop({file.id})
            wanted.append(
                Wanted(
                    file_id=file.id,
                    url=file.download_url,
                    expires_at=file.download_url_expires_at,
                    size_bytes=file.size_bytes,
                    sha256=None if file.content_hash is None else file.content_hash.lower(),
                    target=manifest.data / file_name_on_disk(file.id, file.content_type),
                )
            )
        return wanted, there

    def add(self, done: list[tuple[Any, int, str]], *, mixed: bool, job_id: str) -> None:
        """Write the rows of files that were fetched."""
        for file, size, sha256 in done:
            record = record_of(file, size_bytes=size, sha256=sha256, job_id=job_id)
            self.manifest_for(file, mixed=mixed).add(record)


def manifests_in(path: Path, formats: list[str] | None) -> Iterator[Manifest]:
    """The manifests of a finished folder, read."""
    names = ["", *KINDS, "other"] if is_mixed(formats) or not (path / MANIFEST).exists() else [""]
    for name in names:
        manifest = Manifest(path / name if name else path)
        if manifest.path.exists():
            if manifest.folder.is_symlink() and name:
                raise ConfigurationError(f"{manifest.folder} is a link, which may lead anywhere")
            manifest.read()
            yield manifest


def read_job_file(path: Path) -> JobFile | None:
    """`job.json`, checked, or None if there is none."""
    try:
        content = (path / JOB_FILE).read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigurationError(f"{path / JOB_FILE} cannot be read: {error.strerror}") from None
    return parse_job_file(content)


def write_new(path: Path, content: bytes) -> None:
    """Write a file that must not be there, flushed to the disk."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o644)
    try:
        view = memoryview(content)
        while view:
            view = view[os.write(fd, view) :]
        os.fsync(fd)
    finally:
        os.close(fd)


def replace(path: Path, content: bytes) -> None:
    """Write a file in one step: a reader sees the old or the new one."""
    part = path.with_name(f".{path.name}.{token_hex(8)}.part")
    try:
        write_new(part, content)
        part.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            part.unlink()
        raise ConfigurationError(f"{path} cannot be written: {error.strerror}") from None
    sync_directory(path.parent)


def size_of(path: Path) -> int | None:
    """The size of a plain file; None for anything else, links included."""
    try:
        status = path.lstat()
    except OSError:
        return None
    return status.st_size if path.is_file() and not path.is_symlink() else None


def digest(path: Path) -> tuple[int, str]:
    """Size and SHA-256 of a file."""
    sha256, size = hashlib.sha256(), 0
    with path.open("rb") as content:
        while chunk := content.read(_CHUNK):
            sha256.update(chunk)
            size += len(chunk)
    return size, sha256.hexdigest()
