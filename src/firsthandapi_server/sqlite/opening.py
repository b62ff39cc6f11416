"""Opens a folder that keeps a service, for one process at a time."""

from __future__ import annotations

import contextlib
import os
import secrets
import sqlite3
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

from firsthandapi._base.folder_lock import FolderLock
from firsthandapi.errors import ConfigurationError
from firsthandapi_server.rules.world import World
from firsthandapi_server.state.keeping import DamagedError, NotKeptError
from firsthandapi_server.state.state import Timekeeper
from firsthandapi_server.state.storage import LocalStorage, Storage
from firsthandapi_server.state.thumbnails import Thumbnails

from .damage import is_damage
from .kept import KeptState
from .migrations import migrate
from .reader import Reader

DATABASE = "state.db"
FILES = "files"
BUSY_SECONDS = 10.0  # how long a start or a checkpoint waits for another


def open_world(
    directory: Path,
    clock: Timekeeper,
    *,
    storage: Storage | None = None,
    left: str | None = None,
) -> World:
    """Open a service that is kept in a folder; create it if necessary.

    Set `events.send`, `jobs.workforce`, and `jobs.jury`, then call `resume`, and in the end `close`.

    Args:
        directory: the folder. Only its owner may enter it: the secrets of webhooks are in it.
        clock: the time.
        storage: where the bytes of files are; by default in the folder.
        left: the traces of an earlier start in the folder, such as "files"; then a database without an organization
            is not a new one.

    Returns:
        The service.

    Raises ConfigurationError: another process has opened the folder, a newer version has written it, it is damaged, its
    database was lost, or it cannot be written to.
    """
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(f"{directory} cannot be created: {error.strerror}") from None
    lock = FolderLock(directory)
    if not lock.acquire():
        raise ConfigurationError(
            f"{directory} is in use by another process: stop that server first, or use another folder"
        )
    path, journal = directory / DATABASE, directory / f"{DATABASE}-wal"
    connection: sqlite3.Connection | None = None
    try:
        _check_found(path, left, any(file.is_file() and file.stat().st_size for file in (path, journal)))
        connection = _connected(path)
        migrate(connection, path)
        row = connection.execute("SELECT 1 FROM organizations LIMIT 1").fetchone()
        _check_found(path, left, row is not None)
        _found(connection)
        storage = Thumbnails(storage or LocalStorage(directory / FILES), directory / "thumbnails")
        _tidy(connection, storage)
        world = World(clock, state=KeptState(clock, connection, Reader(path), storage, lock.release))
    except BaseException as error:
        if connection is not None:
            connection.close()
        lock.release()
        if isinstance(error, (sqlite3.Error, OSError, NotKeptError)):
            raise explained(path, error) from None
        raise
    return world


def checkpoint(directory: Path, *more: str) -> None:
    """Flush everything into the database files themselves, so that a copy of the folder is complete.

    A server may be running.

    Args:
        directory: the folder.
        more: the names of other databases in it, if they exist.

    Raises ConfigurationError: the folder is not that of a server, or a database is busy or damaged.
    """
    _write_all(_database(directory))
    for name in more:
        if (directory / name).is_file():
            _write_all(directory / name)


def _write_all(path: Path) -> None:
    try:
        is_written = write_journal(path)
    except sqlite3.Error as error:
        raise explained(path, error) from None
    if not is_written:
        raise ConfigurationError(f"{path} is busy: another program reads it; try again")


def write_journal(path: Path) -> bool:
    """Write the journal of a database into it, and leave nothing in the journal. A server that runs hardly waits.

    Returns:
        Whether it is done; otherwise another program reads the database for too long.
    """
    with contextlib.closing(_connected(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(PASSIVE)")  # most of it, while others write
        connection.execute("PRAGMA busy_timeout = 50")
        until = time.monotonic() + BUSY_SECONDS
        while True:
            (is_busy, _, _) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            if not is_busy or time.monotonic() > until:
                return not is_busy
            time.sleep(0.05)  # so that whoever writes has a turn


@contextlib.contextmanager
def reading(directory: Path) -> Generator[Callable[..., list[Any]]]:
    """Queries over a folder that keeps a service. A server may be running; nothing that is kept is changed.

    Args:
        directory: the folder.

    Raises ConfigurationError: the folder is not that of a server, or the database is busy or damaged.
    """
    path = _database(directory)
    try:
        with contextlib.closing(_connected(path)) as connection:
            migrate(connection, path)  # as the next start would
            connection.execute("PRAGMA query_only = ON")

            def query(sql: str, *values: Any) -> list[Any]:
                return connection.execute(sql, values).fetchall()

            yield query
    except sqlite3.Error as error:
        raise explained(path, error) from None


def _database(directory: Path) -> Path:
    path = directory / DATABASE
    if not path.is_file():
        raise ConfigurationError(
            f"{directory} is not the folder of a server: it contains no {DATABASE}; check the path"
        )
    return path


def _connected(path: Path) -> sqlite3.Connection:
    create_for_owner(path)
    connection = sqlite3.connect(
        path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False, cached_statements=500
    )
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        # Money: a transaction is on disk before any response, even if the power fails.
        connection.execute("PRAGMA synchronous = FULL")
        flush_for_good(connection)
        erase_for_good(connection)
        connection.execute("PRAGMA foreign_keys = ON")
        # Pages of 4 KB, so 32 MB: after a checkpoint, a busy server leaves the database file alone while it is copied.
        connection.execute("PRAGMA wal_autocheckpoint = 8192")
    except BaseException:
        connection.close()
        raise
    return connection


def check_pages(path: Path, original: Path | None = None) -> None:
    """Read every page of a database, or of the copy of an `original`.
    Raises ConfigurationError: one of them is damaged.
    """
    try:
        with contextlib.closing(sqlite3.connect(path, timeout=BUSY_SECONDS)) as connection:
            (result,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
    except sqlite3.Error as error:
        raise explained(original or path, error) from None
    if result != "ok":
        raise explained(original or path, DamagedError(result))


def create_for_owner(path: Path) -> None:
    """Create the file of a database if it does not exist: SQLite would give it the permissions of any file.

    The files beside it get those of this one. One that exists is not opened: to close it again would drop the locks
    that SQLite has on it in this process.
    """
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))


def flush_for_good(connection: sqlite3.Connection) -> None:
    """Make every flush reach the disk itself, not only its cache: macOS needs this; other systems ignore it."""
    connection.execute("PRAGMA fullfsync = ON")
    connection.execute("PRAGMA checkpoint_fullfsync = ON")


def erase_for_good(connection: sqlite3.Connection) -> None:
    """Make whatever is deleted or replaced be overwritten with zeros."""
    connection.execute("PRAGMA secure_delete = ON")


def _found(connection: sqlite3.Connection) -> None:
    """The values that are decided once."""
    values: dict[str, Any] = {"seed": 0, "url_secret": secrets.token_bytes(32)}
    connection.execute("BEGIN IMMEDIATE")
    connection.executemany("INSERT OR IGNORE INTO meta VALUES (?, ?)", [*values.items()])
    connection.execute("COMMIT")


def _tidy(connection: sqlite3.Connection, storage: Storage) -> None:
    """Remove the bytes that no row owns: uploads in which a process died, and files that were replaced."""
    names = [name for (name,) in connection.execute("SELECT name FROM loose")]
    for name in names:
        storage.remove(name)
    if names:
        connection.execute("DELETE FROM loose")


def _check_found(path: Path, remains: str | None, is_found: bool) -> None:
    if remains is None or is_found:
        return
    state = "is empty" if path.is_file() else "is missing"
    raise ConfigurationError(
        f"{path.parent} contains the {remains} of an earlier start, but {path.name}, which keeps its jobs and money, "
        f"{state}: put {path.name} back from a backup, or use another folder"
    )


def explained(path: Path, error: BaseException) -> ConfigurationError:
    """Why a database cannot be used, and what to do."""
    if is_damage(error) or isinstance(error, DamagedError):
        why = error.why if isinstance(error, DamagedError) else error
        return ConfigurationError(f"{path} is damaged ({why}): restore the folder from a backup")
    return ConfigurationError(
        f"{path} cannot be opened ({error}): check the permissions of the folder and the free disk space"
    )
