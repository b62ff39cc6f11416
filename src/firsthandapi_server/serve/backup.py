"""A copy of a server's folder, while it runs: the databases at one moment, and each file that their rows name."""

from __future__ import annotations

import hashlib
import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from errno import ENOSPC
from pathlib import Path
from typing import Any

from firsthandapi._base.counts import count_of
from firsthandapi._base.folder_lock import NAME as LOCK
from firsthandapi._base.folder_lock import FolderLock
from firsthandapi._base.host import replacing
from firsthandapi.errors import ConfigurationError
from firsthandapi_server.sqlite import DATABASE, FILES, check_pages, create_for_owner, explained
from firsthandapi_server.state.storage import place

from .access import FILE

# Keys that the owner has saved elsewhere, and what belongs to a process.
_LEFT_OUT = {LOCK, "first-keys.txt"}
_TRIES = 5
# The name and the hash of each file that a row owns; of one that was erased, nothing is left.
_FILES = """
SELECT json_extract(source, '$.name'), json_extract(source, '$.sha256') AS hash FROM files WHERE hash <> ''
ORDER BY position
"""


@dataclass(slots=True)
class Backup:
    """What a backup contains.

    Attributes:
        bucket: where the files stay, if they are not in the folder.
        lost: the files that are missing or differ from their row in the server's folder itself.
    """

    files: int = 0
    bytes: int = 0
    bucket: str | None = None
    lost: list[str] = field(default_factory=list[str])


def back_up(folder: Path, target: Path, on_file: Callable[[int, int], None]) -> Backup:
    """Copy the folder of a server, which may be running, so that a server can start from the copy.

    Nothing is at `target` until all of it is there, verified. `on_file` is called after each file with how many are
    done, and how many there are.

    Raises ConfigurationError: one of the folders cannot be used, or a database is damaged.
    """
    for name in (DATABASE, FILE):
        if not (folder / name).is_file():
            raise ConfigurationError(
                f"{folder} is not the folder of a server: it contains no {name}; pass the DIR of firsthandapi serve DIR"
            )
    if target.resolve().is_relative_to(folder.resolve()):
        raise ConfigurationError(f"{target} is in {folder}: pass a folder elsewhere, best on another disk")
    if target.is_file() or (target.is_dir() and next(target.iterdir(), None) is not None):
        raise ConfigurationError(f"{target} exists and is not empty: pass a new folder")
    part = target.absolute().with_name(f".{target.absolute().name}.part")
    try:
        return _written(folder, target, part, on_file)
    except OSError as error:
        raise ConfigurationError(
            f"could not write the backup: {error.strerror or error}; free some space, or pass another folder"
        ) from error


def _written(folder: Path, target: Path, part: Path, on_file: Callable[[int, int], None]) -> Backup:
    part.parent.mkdir(parents=True, exist_ok=True)
    part.mkdir(mode=0o700, exist_ok=True)
    lock = FolderLock(part)
    if not lock.acquire():
        raise ConfigurationError(
            f"another backup to {target} is running: wait for it, or pass another folder"
        )
    try:
        for left in part.iterdir():  # of a backup that was killed
            if left.name != LOCK:
                shutil.rmtree(left) if left.is_dir() else replacing.remove(left)
        done = _copied(folder, part, on_file)
        for each in sorted(folder.iterdir()):  # settings and a study beside the data
            if each.is_file() and each.name not in _LEFT_OUT and not each.name.startswith((DATABASE, FILE)):
                shutil.copy2(each, part / each.name)
        for each in (part, *part.rglob("*")):
            if each.is_dir():
                replacing.sync_directory(each)
    finally:
        lock.release()
    replacing.remove(part / LOCK)
    if target.is_dir():
        target.rmdir()  # Windows replaces no folder
    replacing.put(part, target)
    return done


def _copied(folder: Path, part: Path, on_file: Callable[[int, int], None]) -> Backup:
    """Copy the databases, then the files that they name, and again if one of these was removed meanwhile."""
    done: dict[str, bool] = {}
    rows: list[tuple[str, str]] = []
    missing: list[str] = []
    for _ in range(_TRIES):
        # People after work: whoever has sent something is known.
        for name in (DATABASE, FILE):
            _snapshot(folder / name, part / name)
        bucket = _look(part / FILE, "SELECT value FROM secrets WHERE name = 'storage'")
        if bucket and bucket[0][0]:
            return Backup(bucket=bytes(bucket[0][0]).decode())
        rows, missing = _look(part / DATABASE, _FILES), []
        for number, (name, digest) in enumerate(rows, 1):
            if name not in done:
                try:
                    done[name] = _copy(place(folder / FILES, name), place(part / FILES, name)) == digest
                except FileNotFoundError:
                    missing.append(name)
            on_file(number, len(rows))
        if not missing:
            break
    names = {name for name, _ in rows}
    for name in done.keys() - names:
        replacing.remove(place(part / FILES, name))
    lost = [*missing, *(name for name, is_good in done.items() if name in names and not is_good)]
    sizes = [place(part / FILES, name).stat().st_size for name in names.intersection(done)]
    return Backup(len(sizes), sum(sizes), None, sorted(lost))


def _snapshot(path: Path, target: Path) -> None:
    """The database as it is at one moment. A server that runs is not held up."""
    try:
        replacing.remove(target)
        create_for_owner(target)
        uri = f"{path.absolute().as_uri()}?mode=rw"
        with (
            closing(sqlite3.connect(uri, uri=True, timeout=10)) as source,
            closing(sqlite3.connect(target)) as copy,
        ):
            source.backup(copy)
            copy.execute("PRAGMA journal_mode = DELETE")  # one file, with nothing beside it
        check_pages(target, path)
        with target.open("r+b") as file:
            replacing.flush(file.fileno())
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
            # The copy's disk: from the other one is only read.
            raise OSError(ENOSPC, os.strerror(ENOSPC)) from error
        raise explained(path, error) from None


def _look(path: Path, sql: str) -> list[Any]:
    with closing(sqlite3.connect(path)) as rows:
        return rows.execute(sql).fetchall()


def _copy(source: Path, target: Path) -> str:
    """Link a file, which never changes, or copy it to another disk. Returns the hash of what is there then."""
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    replacing.link(source, target)
    with target.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def summary(done: Backup, folder: Path, target: Path) -> str:
    """What the command says at the end."""
    if done.bucket:
        return f"{target} has the databases. The files stay in {done.bucket}: back them up there."
    text = (
        f"{target} has the databases and {count_of(done.files)}, verified. Start from it with: firsthandapi serve "
        f"{target}"
    )
    if done.lost:
        names = ", ".join(done.lost[:3]) + (", …" if len(done.lost) > 3 else "")
        text += (
            f"\n{count_of(len(done.lost))} of {folder} are missing or damaged there: {names}; look for them in an "
            "earlier backup"
        )
    return text
