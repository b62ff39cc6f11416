"""Copies of a server's folder, while it runs: the databases at one moment, and each file that their rows name.

A copy that is made again, or beside an earlier one, takes from there what is verified already. It is marked as a copy
in its own database.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sqlite3
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from errno import ENOSPC
from functools import cache
from pathlib import Path
from typing import Any, Self

from firsthandapi._base.counts import count_of
from firsthandapi._base.folder_lock import NAME as LOCK
from firsthandapi._base.folder_lock import FolderLock
from firsthandapi._base.host import replacing
from firsthandapi.errors import ConfigurationError
from firsthandapi_server.sqlite import DATABASE, FILES, check_pages, create_for_owner, explained
from firsthandapi_server.state.state import DAY
from firsthandapi_server.state.storage import place

from .access import FILE, Access

# Keys that the owner has saved elsewhere, and what belongs to a process.
_LEFT_OUT = {LOCK, "first-keys.txt"}
_TRIES = 5
_AWHILE = 3600.0  # seconds after which nothing moves in a folder any more
MARK = "backup"  # the secret that says of a folder that it is a copy
# The name, the hash, and the size of each file that a row owns; of one that was erased, nothing is left.
_FILES = """
SELECT json_extract(source, '$.name'), json_extract(source, '$.sha256') AS hash, json_extract(source, '$.size')
FROM files WHERE hash <> '' ORDER BY position
"""


@dataclass(slots=True)
class Backup:
    """What a backup contains.

    Attributes:
        copied: how many of the files were copied and hashed now; the others an earlier backup had verified.
        bucket: where the files stay, if they are not in the folder.
        lost: the files that are missing or differ from their row in the server's folder itself.
        expired: the earlier backups that were removed.
    """

    files: int = 0
    bytes: int = 0
    copied: int = 0
    bucket: str | None = None
    lost: list[str] = field(default_factory=list[str])
    expired: list[str] = field(default_factory=list[str])


@dataclass(frozen=True, slots=True)
class Mark:
    """Of what server a copy is, of when, and which files it has not verified."""

    server: str
    at: float
    lost: tuple[str, ...] = ()

    @classmethod
    def read(cls, text: str | bytes) -> Self:
        """The mark in a text."""
        fields = json.loads(text)
        return cls(fields["server"], fields["at"], tuple(fields["lost"]))

    def text(self) -> str:
        """The same as a text."""
        return json.dumps({"server": self.server, "at": self.at, "lost": self.lost})


def mark_of(folder: Path) -> Mark | None:
    """The mark of a folder that is a copy; None of any other."""
    if not (folder / FILE).is_file():
        return None
    with suppress(sqlite3.Error, ValueError, KeyError, TypeError):
        for (text,) in _look(folder / FILE, "SELECT value FROM secrets WHERE name = 'backup'"):
            return Mark.read(bytes(text))
    return None


def hash_of(path: Path) -> str:
    """The SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# --- making -------------------------------------------------------------------------------------------------


def back_up(
    folder: Path,
    target: Path,
    on_file: Callable[[int, int], None],
    mark: Mark,
    keep_days: float | None = None,
) -> Backup:
    """Copy the folder of a server, which may be running, so that a server can start from the copy.

    Nothing is at `target` until all of it is there, verified; an earlier copy there stays until then. Files that it
    has, or one beside it, are linked from there and not read again. `on_file` is called after each file with how many
    are done, and how many there are. Copies beside it that are older than `keep_days` are removed.

    Raises ConfigurationError: one of the folders cannot be used, or a database is damaged.
    """
    if target.resolve().is_relative_to(folder.resolve()):
        raise ConfigurationError(f"{target} is in {folder}: pass a folder elsewhere, best on another disk")
    if is_taken(target) and not _is_copy(target, mark.server):
        raise ConfigurationError(
            f"{target} exists and is not empty, and is no backup of {folder}: pass a new folder"
        )
    try:
        backup = _written(folder, target, on_file, mark)
        _tidy(target)
        if keep_days is not None:
            backup.expired = _expire(target, mark.server, mark.at - keep_days * DAY)
    except OSError as error:
        raise ConfigurationError(
            f"could not write the backup: {error.strerror or error}; free some space, or pass another folder"
        ) from error
    return backup


def restore(source: Path, target: Path, on_file: Callable[[int, int], None]) -> Backup:
    """Copy a copy to a new folder, verified, from which a server starts; it erases first what was erased meanwhile.

    Raises ConfigurationError: one of the folders cannot be used, or a database is damaged.
    """
    check_server(source)
    try:
        return _written(source, target, on_file, None)
    except OSError as error:
        raise ConfigurationError(
            f"could not restore the backup: {error.strerror or error}; free some space, or pass another folder"
        ) from error


def check_server(folder: Path) -> None:
    """Raises ConfigurationError: it is not the folder of a server."""
    for name in (DATABASE, FILE):
        if not (folder / name).is_file():
            raise ConfigurationError(
                f"{folder} is not the folder of a server: it contains no {name}; pass the DIR of firsthandapi serve DIR"
            )


def is_taken(target: Path) -> bool:
    """Whether something is there."""
    return target.is_file() or (target.is_dir() and next(target.iterdir(), None) is not None)


def _is_copy(folder: Path, server: str) -> bool:
    mark = mark_of(folder)
    return mark is not None and mark.server == server


def beside(target: Path, server: str) -> list[tuple[Path, Mark]]:
    """The copies of a server at `target` and beside it, the latest first."""
    places = [place for place in target.absolute().parent.iterdir() if not place.name.endswith(".part")]
    copies = [(place, mark) for place in places if (mark := mark_of(place)) and mark.server == server]
    return sorted(copies, key=lambda copy: copy[1].at, reverse=True)


def _expire(target: Path, server: str, limit: float) -> list[str]:
    expired: list[str] = []
    for path, mark in beside(target, server):
        if mark.at < limit and path != target.absolute():
            expired.append(str(path.resolve()))
            replacing.rename(path, _gone(path))
            shutil.rmtree(_gone(path))
    return expired


def _tidy(target: Path) -> None:
    """Remove what killed backups beside it have left: nobody erases anything there."""
    for part in target.absolute().parent.glob(".*.part"):
        is_ours = part.name.endswith(".gone.part") or (part / LOCK).is_file() or mark_of(part) is not None
        # Of one that runs, the lock is held until the moment when it is put into its place.
        if is_ours and part.is_dir() and part.stat().st_mtime < time.time() - _AWHILE:
            lock = FolderLock(part)
            if lock.acquire():
                lock.release()
                shutil.rmtree(part)


def _gone(folder: Path) -> Path:
    """Where a copy is that makes room for another, or is removed."""
    return folder.absolute().with_name(f".{folder.absolute().name}.gone.part")


def _written(folder: Path, target: Path, on_file: Callable[[int, int], None], mark: Mark | None) -> Backup:
    with whole(target) as part:
        earlier = None if mark is None else next(iter(beside(target, mark.server)), None)
        backup = _copied(folder, part, on_file, earlier)
        with closing(sqlite3.connect(part / FILE)) as rows, rows:
            rows.execute("DELETE FROM secrets WHERE name = ?", (MARK,))
            if mark is not None:
                text = Mark(mark.server, mark.at, tuple(backup.lost)).text()
                rows.execute("INSERT INTO secrets VALUES (?, ?)", (MARK, text.encode()))
        for path in settings_of(folder):
            shutil.copy2(path, part / path.name)
    return backup


@contextmanager
def whole(target: Path) -> Generator[Path]:
    """An empty folder that is put at `target` once it is whole. Raises ConfigurationError: somebody else fills it."""
    part = target.absolute().with_name(f".{target.absolute().name}.part")
    part.parent.mkdir(parents=True, exist_ok=True)
    part.mkdir(mode=0o700, exist_ok=True)
    lock = FolderLock(part)
    if not lock.acquire():
        raise ConfigurationError(
            f"another backup to {target} is running: wait for it, or pass another folder"
        )
    try:
        if _gone(target).is_dir() and not target.exists():  # it was killed before the new one was there
            replacing.rename(_gone(target), target)
        shutil.rmtree(_gone(target), ignore_errors=True)
        for remnant in part.iterdir():  # of a backup that was killed
            if remnant.name != LOCK:
                shutil.rmtree(remnant) if remnant.is_dir() else replacing.remove(remnant)
        yield part
        for path in (part, *part.rglob("*")):
            if path.is_dir():
                replacing.sync_directory(path)
    finally:
        lock.release()
    replacing.remove(part / LOCK)
    if is_taken(target):
        replacing.rename(target, _gone(target))
    elif target.is_dir():
        target.rmdir()  # Windows replaces no folder
    replacing.put(part, target)
    shutil.rmtree(_gone(target), ignore_errors=True)


def settings_of(folder: Path) -> Iterator[Path]:
    """Settings and a study beside the data."""
    for path in sorted(folder.iterdir()):
        if path.is_file() and path.name not in _LEFT_OUT and not path.name.startswith((DATABASE, FILE)):
            yield path


def _copied(
    folder: Path,
    part: Path,
    on_file: Callable[[int, int], None],
    earlier: tuple[Path, Mark] | None,
) -> Backup:
    """Copy the databases, then the files that they name, and again if one of these was removed meanwhile."""
    placed: dict[str, Path | None] = {}

    def move(name: str, size: int) -> Path | None:
        if name not in placed:
            target = place(part / FILES, name)
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            is_verified = earlier is not None and _has(earlier, name, size)
            # A link, as it never changes; to another disk, a copy.
            replacing.link(place((earlier[0] if earlier and is_verified else folder) / FILES, name), target)
            placed[name] = None if is_verified else target
        return placed[name]

    names, backup, hash_once = set[str](), Backup(), cache(hash_of)
    for _ in range(_TRIES):
        if (bucket := snapshots(folder, part)) is not None:
            return Backup(bucket=bucket)
        rows = files_of(part)
        names = {name for name, _, _ in rows}
        backup = transfer(rows, on_file, move, hash_once)
        if names <= placed.keys():
            break
    for name in placed.keys() - names:
        replacing.remove(place(part / FILES, name))
    return backup


def transfer(
    rows: Sequence[tuple[str, str, int]],
    on_file: Callable[[int, int], None],
    move: Callable[[str, int], Path | None],
    hash_of: Callable[[Path], str] = hash_of,
) -> Backup:
    """Move each file of these rows, and verify it. `move` returns where it is then; None if it was verified before."""
    backup = Backup()
    for number, (name, digest, size) in enumerate(rows, 1):
        try:
            if (path := move(name, size)) is not None:
                backup.copied += 1
                if hash_of(path) != digest:
                    backup.lost.append(name)
            backup.files += 1
            backup.bytes += size
        except FileNotFoundError:
            backup.lost.append(name)
        on_file(number, len(rows))
    backup.lost.sort()
    return backup


def snapshots(folder: Path, part: Path) -> str | None:
    """Copy the databases as they are at one moment. Returns the bucket that has the files, if one does."""
    # People after work: whoever has sent something is known.
    for name in (DATABASE, FILE):
        _snapshot(folder / name, part / name)
    bucket = _look(part / FILE, "SELECT value FROM secrets WHERE name = 'storage'")
    return bytes(bucket[0][0]).decode() or None if bucket else None


def files_of(folder: Path) -> list[tuple[str, str, int]]:
    """The name, the hash, and the size of each file that the database of a folder names."""
    return _look(folder / DATABASE, _FILES)


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
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True)) as rows:
        return rows.execute(sql).fetchall()


def _has(earlier: tuple[Path, Mark], name: str, size: int) -> bool:
    """Whether an earlier backup has a file, and has verified it."""
    folder, mark = earlier
    try:
        return name not in mark.lost and place(folder / FILES, name).stat().st_size == size
    except OSError:
        return False


# --- what happened after it ---------------------------------------------------------------------------------


def news_since(access: Access, at: float) -> dict[str, list[Any]]:
    """What a copy of a time must know before a server starts from it: who was erased, which consents ended, and what
    people have got."""
    look, since = access.look, at - DAY  # clocks may have been set; to be told twice does no harm
    later = "SELECT id FROM batches WHERE coalesce(paid_at, made_at) >= ?"
    return {
        "erased": look(
            "SELECT worker_id FROM erasures WHERE coalesce(done_at, ?) >= ? ORDER BY 1", at, since
        ),
        "withdrawn": look(
            "SELECT withdrawn_at, consent_id FROM consents WHERE withdrawn_at >= ? ORDER BY 2", since
        ),
        "batches": look(f"SELECT * FROM batches WHERE id IN ({later}) ORDER BY id", since),  # noqa: S608 - no input
        "payouts": look(f"SELECT * FROM batch_rows WHERE batch IN ({later}) ORDER BY rowid", since),  # noqa: S608
    }


def learn(copy: Access, news: Mapping[str, list[Any]], at: float) -> None:
    """Write the news into a copy."""
    for (subject,) in news["erased"]:
        if not copy.wishes(subject):
            copy.wish(subject, at, "server")
    with copy.transaction() as rows:
        rows.executemany(
            "UPDATE consents SET withdrawn_at = ? WHERE consent_id = ? AND withdrawn_at IS NULL",
            news["withdrawn"],
        )
        rows.executemany(
            "DELETE FROM passports WHERE worker_id IN (SELECT worker_id FROM consents WHERE consent_id = ?)",
            [(consent,) for _, consent in news["withdrawn"]],
        )
        rows.executemany(
            "INSERT INTO batches VALUES (?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE "
            "SET paid_at = excluded.paid_at, reference = excluded.reference WHERE batches.paid_at IS NULL",
            news["batches"],
        )
        rows.executemany("INSERT OR IGNORE INTO batch_rows VALUES (?, ?, ?, ?)", news["payouts"])


def tell_folder(folder: Path, server: str, news: Mapping[str, list[Any]], at: float) -> bool:
    """Write into a copy what happened since. Returns whether the copy is there."""
    if not _is_copy(folder, server):
        # A disk that is not mounted leaves an empty folder, or none: it comes back.
        return not is_taken(folder)
    with closing(Access(folder / FILE)) as copy:
        learn(copy, news, at)
    return True


def summary(backup: Backup, folder: Path, target: str) -> str:
    """What the command says at the end."""
    if backup.bucket:
        return f"{target} has the databases. The files stay in {backup.bucket}: back them up there."
    start = f"server restore {target} DIR" if "://" in target else f"serve {target}"
    text = (
        f"{target} has the databases and {count_of(backup.files)}, verified, of which {backup.copied} are new. Start "
        f"from it with: firsthandapi {start}"
    )
    if backup.expired:
        text += f"\nRemoved because of their age: {', '.join(backup.expired)}"
    if backup.lost:
        names = ", ".join(backup.lost[:3]) + (", …" if len(backup.lost) > 3 else "")
        text += (
            f"\n{count_of(len(backup.lost))} of {folder} are missing or damaged there: {names}; look for them in an "
            "earlier backup"
        )
    return text
