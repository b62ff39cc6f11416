"""The log of who did what: rows that are only ever added, here and in the audit trail that buyers see, read as one.

A row names people by ids alone, and their names are looked up when it is shown: an erased name is nowhere in the log.
A failed sign-in has the address that it came from, and goes after a while.
"""

from __future__ import annotations

import heapq
import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from firsthandapi_server.contract.text import iso

from .sheets import csv_line

TABLES = """
CREATE TABLE IF NOT EXISTS activity (
    position INTEGER PRIMARY KEY, at REAL NOT NULL, what TEXT NOT NULL, who TEXT, subject TEXT, data TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS activity_by_kind ON activity (what, at);
CREATE TRIGGER IF NOT EXISTS activity_is_kept BEFORE DELETE ON activity WHEN old.what <> 'sign_in.failed'
BEGIN SELECT RAISE(ABORT, 'the log is kept'); END;
CREATE TRIGGER IF NOT EXISTS activity_is_fixed BEFORE UPDATE ON activity
BEGIN SELECT RAISE(ABORT, 'the log is kept as it was written'); END;
"""
FAILURE_DAYS = 30  # how long a failed sign-in stays
# What a filter of the page shows: how the words of its rows begin.
KINDS: Mapping[str, tuple[str, ...]] = {
    "sign-ins": ("sign_",),
    "people": ("token.", "study.", "consent.", "passport."),
    "keys": ("api_key.", "webhook_endpoint."),
    "uploads": ("upload.",),
    "reviews": ("submission.", "review."),
    "jobs": ("job.",),
    "money": ("credits.", "payout."),
    "erasures": ("erasure.", "file."),
    "settings": ("settings.", "server."),
}
COLUMNS = ("at", "what", "who", "name", "subject", "data")
_OWN = "SELECT position, at, what, who, subject, data FROM activity"
# Of the sandbox, only the keys that nobody's own trail has already.
_AUDIT = """
SELECT position, created_at AS at, event_type AS what, actor AS who, job_id AS subject, data FROM audit
WHERE account NOT IN (SELECT id FROM accounts WHERE environment = 'test')
OR (event_type LIKE 'api_key.%' AND actor NOT IN (SELECT keys.id FROM keys JOIN accounts ON accounts.id = account
    WHERE environment = 'live'))
"""
_END = 1 << 62  # a position after all others

# The rows that a query finds.
Query = Callable[..., list[Any]]


def note(
    rows: sqlite3.Connection,
    kind: str,
    at: float,
    who: str | None,
    subject: str | None = None,
    **data: object,
) -> None:
    """Add a row to the log in the database of people, as part of the caller's transaction.

    Args:
        kind: what was done, such as `token.created`; its first word decides in which filter it is shown.
        who: the id of whoever did it, `server`, or `command line`; None for a stranger.
        subject: the id of what it was done to.
        data: what else is worth knowing: no secret, and no name or word of a person.
    """
    sql = "INSERT INTO activity (at, what, who, subject, data) VALUES (?, ?, ?, ?, ?)"
    rows.execute(sql, (at, kind, who, subject, json.dumps(data)))


def forget_failures(rows: sqlite3.Connection, until: float) -> bool:
    """Remove the failed sign-ins before a time. Returns whether there were any."""
    sql = "DELETE FROM activity WHERE what = 'sign_in.failed' AND at < ?"
    return rows.execute(sql, (until,)).rowcount > 0


@dataclass(frozen=True, slots=True)
class Entry:
    """A row of the log, as `note` writes it, with the name that `who` has today."""

    at: float
    what: str
    who: str | None
    name: str | None
    subject: str | None
    data: Mapping[str, Any]

    def as_dict(self) -> dict[str, Any]:
        """The entry as JSON has it."""
        return {"at": iso(self.at), **{name: getattr(self, name) for name in COLUMNS[1:]}}


class Activity:
    """The log, read from the databases of people and of the service, the latest first."""

    def __init__(self, people: Query, audit: Query) -> None:
        self._people = people
        self._audit = audit

    def page(
        self, most: int, kind: str = "", who: str = "", cursor: str | None = None
    ) -> tuple[list[Entry], str | None]:
        """The latest entries of a filter of `KINDS` by `who`, an id or a part of a name, or of all; and what to pass as
        `cursor` for older ones.
        Raises ValueError: `kind` or `cursor` is none.
        """
        names = self._names()
        ids = [ulid for ulid, name in names.items() if who.casefold() in name.casefold()] if who else []
        at = [*_positions(cursor)]
        both: list[list[tuple[int, tuple[Any, ...]]]] = []
        for number, (query, table) in enumerate(((self._people, _OWN), (self._audit, _AUDIT))):
            conditions, values = _where(kind, who, ids, at[number])
            sql = f"SELECT * FROM ({table}) WHERE {conditions} ORDER BY position DESC LIMIT ?"  # noqa: S608 - no input
            both.append([(number, row) for row in query(sql, *values, most + 1)])
        latest = [*heapq.merge(*both, key=lambda row: -row[1][1])][: most + 1]
        entries: list[Entry] = []
        for number, (position, when, event, actor, subject, data) in latest[:most]:
            at[number] = position
            entries.append(Entry(when, event, actor, names.get(_ulid(actor)), subject, json.loads(data)))
        return entries, f"{at[0]}-{at[1]}" if len(latest) > most else None

    def _names(self) -> dict[str, str]:
        """The names of people and keys, by their ids without the kind: a reviewer has the same as a worker."""
        rows = [*self._people("SELECT id, name FROM tokens"), *self._audit("SELECT id, name FROM keys")]
        return {_ulid(id): text_of(name) for id, name in rows if name}

    def lines(self, kind: str, who: str, as_csv: bool) -> Iterator[str]:
        """The whole log as CSV or as JSON lines, many of them at a time."""
        cursor: str | None = None
        if as_csv:
            yield csv_line(COLUMNS)
        while True:
            entries, cursor = self.page(1000, kind, who, cursor)
            rows = [entry.as_dict() for entry in entries]
            if as_csv:
                yield "".join(csv_line({**row, "data": json.dumps(row["data"])}.values()) for row in rows)
            else:
                yield "".join(f"{json.dumps(row)}\n" for row in rows)
            if cursor is None:
                return


def _where(kind: str, who: str, ids: list[str], end: int) -> tuple[str, list[Any]]:
    conditions = ["position < ?"]
    values: list[Any] = [end]
    if kind:
        if kind not in KINDS:
            raise ValueError(f"kind must be one of: {', '.join(KINDS)}")
        conditions.append(f"({' OR '.join('what GLOB ?' for _ in KINDS[kind])})")
        values += [f"{prefix}*" for prefix in KINDS[kind]]
    if who:
        conditions.append(f"(who = ? OR substr(who, instr(who, '_') + 1) IN ({', '.join('?' * len(ids))}))")
        values += [who, *ids]
    return " AND ".join(conditions), values


def _positions(cursor: str | None) -> tuple[int, int]:
    if cursor is None:
        return _END, _END
    people, _, audit = cursor.partition("-")
    is_number = f"{people}{audit}".isascii() and people.isdecimal() and audit.isdecimal() and len(cursor) < 40
    if not is_number or max(int(people), int(audit)) > _END:
        raise ValueError("before must be as a page of the log has it")
    return int(people), int(audit)


def _ulid(id: str | None) -> str:
    return (id or "").partition("_")[2]


def text_of(value: str | bytes) -> str:
    """A text as a database has it: what is no Unicode is there as bytes."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
