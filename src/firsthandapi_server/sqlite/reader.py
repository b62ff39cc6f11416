"""Reads beside the acts of a state: what is kept, on connections of their own, which nobody waits for."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

_BUSY_SECONDS = 5.0


class Reader:
    """Queries over a database that another connection writes to, from any thread.

    Args:
        path: the database, which is open for writing as long as this.
    """

    def __init__(self, path: Path) -> None:
        self._uri = f"{path.absolute().as_uri()}?mode=ro"
        self._idle: list[sqlite3.Connection] = []
        self._is_closed = False

    def query(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """The rows that a query finds."""
        connection = self._connected()
        try:
            return connection.execute(sql, values).fetchall()
        finally:
            self._idle.append(connection)
            if self._is_closed:
                self.close()

    def _connected(self) -> sqlite3.Connection:
        try:
            return self._idle.pop()  # in one step, whatever other threads do
        except IndexError:
            return sqlite3.connect(self._uri, timeout=_BUSY_SECONDS, uri=True, check_same_thread=False)

    def close(self) -> None:
        """Close the connections; one that is in use, after its query."""
        self._is_closed = True
        while self._idle:
            self._connected().close()
