"""Says what a failure of a database means: it is damaged, or could not be written to."""

from __future__ import annotations

import sqlite3

from firsthandapi_server.state.keeping import DamagedError, NotKeptError

_DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def is_damage(error: BaseException) -> bool:
    """Whether pages of a database are not what SQLite wrote."""
    # The lowest byte is the kind; the others say more of it.
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGE


def not_kept(error: sqlite3.Error | OSError) -> NotKeptError:
    """A failure as those see it who call the server."""
    return DamagedError(str(error)) if is_damage(error) else NotKeptError(str(error))
