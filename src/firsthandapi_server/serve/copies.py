"""The copies of one server: it knows where they are, and tells each what happened after it was made.

A server that starts from one erases whom it erased, keeps nothing of those who withdrew, and pays nobody twice.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

from firsthandapi.errors import ConfigurationError, FirstHandError
from firsthandapi_server.contract.text import new_id
from firsthandapi_server.state.keeping import NotKeptError

from . import backup, backup_bucket
from .access import FILE, Access
from .backup import Backup, Mark, check_server

_log = logging.getLogger("firsthandapi.serve")


def back_up(
    folder: Path,
    dest: Path | str,
    on_file: Callable[[int, int], None],
    *,
    at: float,
    keep_days: float | None = None,
) -> Backup:
    """Copy the folder of a server, which may be running, to a folder, or to a bucket by its URL.

    An earlier copy there stays until the new one is complete and verified. Files that it has, or one beside it, are not
    read again. `on_file` is called after each file with how many are done, and how many there are. Copies in folders
    beside it that are older than `keep_days` are removed.

    Raises ConfigurationError: the folder or `dest` cannot be used, or a database is damaged.
    """
    check_server(folder)
    with closing(Access(folder / FILE)) as access:
        mark = Mark(_server(access, at), at)
        place = dest if isinstance(dest, str) else str(dest.resolve())
        # Before it is made: it may be complete when this is killed, and who restores it knows of it.
        _remember(access, [(place, at)], is_new=False)
        if isinstance(dest, str):
            report = backup_bucket.back_up_to(folder, dest, on_file, mark)
        else:
            report = backup.back_up(folder, dest, on_file, mark, keep_days)
        _remember(access, [(place, at)])
        for path in report.expired:
            _forget(access, path)
        tell(access)
    return report


def restore(source: Path | str, target: Path, on_file: Callable[[int, int], None]) -> Backup:
    """Copy a copy to a new folder, verified, from which a server starts.

    Raises ConfigurationError: there is no copy, or one of the places cannot be used.
    """
    if backup.is_taken(target):
        raise ConfigurationError(f"{target} exists and is not empty: pass a new folder")
    if isinstance(source, str):
        return backup_bucket.restore_from(source, target, on_file)
    report, mark = backup.restore(source, target, on_file), backup.mark_of(source)
    if mark is not None:
        with closing(Access(target / FILE)) as access:
            # Those that were made later, too, have whomever the new server erases.
            copies = backup.beside(source, mark.server)
            _remember(access, [(str(folder.resolve()), mark.at) for folder, mark in copies])
    return report


def tell(access: Access) -> None:
    """Have each copy that can be reached know what happened after it was made."""
    for place, at in access.look("SELECT place, made_at FROM backups"):
        news, server = backup.news_since(access, at), _server(access, at)
        try:
            is_there = (
                backup_bucket.tell_bucket(place, server, news)
                if "://" in place
                else backup.tell_folder(Path(place), server, news, at)
            )
        except (OSError, sqlite3.Error, FirstHandError, NotKeptError) as error:
            _log.warning("the backup %s does not know yet what happened after it: %s", place, error)
            continue
        if not is_there:
            _forget(access, place)


def unmark(access: Access) -> None:
    """A server starts from a copy: it is one no longer, and nothing is copied over it."""
    if access.has_value(backup.MARK):
        with access.transaction() as rows:
            rows.execute("DELETE FROM secrets WHERE name = ?", (backup.MARK,))


def _server(access: Access, at: float) -> str:
    """Which server this is, whatever its folder is called."""
    return access.first_value("server", new_id("srv_", at))


def _remember(access: Access, copies: Sequence[tuple[str, float]], *, is_new: bool = True) -> None:
    """Write down where copies are, and of when; unless they are new, an earlier one may be there still."""
    with access.transaction() as rows:
        verb = "REPLACE" if is_new else "INSERT OR IGNORE"
        rows.executemany(f"{verb} INTO backups VALUES (?, ?)", copies)


def _forget(access: Access, place: str) -> None:
    """Write down that a copy is there no longer."""
    with access.transaction() as rows:
        rows.execute("DELETE FROM backups WHERE place = ?", (place,))
