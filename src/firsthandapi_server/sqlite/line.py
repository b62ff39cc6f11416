"""What waits, in order: read a few at a time, and counted up to a bound, since there may be very many."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any

from .traces import Query

MOST_COUNTED = 10_000
# The plus keeps SQLite off the index of the account, in which the line is not in order.
_LIVE = "+account IN (SELECT id FROM accounts WHERE environment = 'live')"


def counted(count: int) -> str:
    """A count in words, such as `12`; `10,000+` for any that is larger."""
    return f"{count:,}" if count <= MOST_COUNTED else f"{MOST_COUNTED:,}+"


class Line:
    """The live submissions with a status, the oldest first.

    Args:
        query: reads the database.
        status: their status. It has indexes of its own.
        job: the only job, or "".
        worker: the only worker, or "".
        own: workers whose work is left out.
        left_out: attempts that are left out, by the id of the submission and the number.
        first: the id of a submission that comes before all others, though it does not wait.
    """

    def __init__(
        self,
        query: Query,
        status: str = "pending_score",
        *,
        job: str = "",
        worker: str = "",
        own: Collection[str] = (),
        left_out: Collection[tuple[str, int]] = (),
        first: str | None = None,
    ) -> None:
        self._query = query
        self._first = [] if first is None else [first]
        self._status = status
        where = [
            f"status = '{status}'",  # no input, and the indexes of this status
            _LIVE,
        ]
        values: list[str] = []
        for column, value in (("job", job), ("worker_id", worker)):
            if value:
                where.append(f"{column} = ?")
                values.append(value)
        for expression, some in (("worker_id", own), ("id || attempt", [f"{id}{at}" for id, at in left_out])):
            if some:
                where.append(f"{expression} NOT IN (SELECT value FROM json_each(?))")
                values.append(json.dumps([*some]))
        self._where = " AND ".join(where)
        self._values = values

    def __len__(self) -> int:
        """How many there are; of more than `MOST_COUNTED`, one more than that."""
        return len(self._first) + self._count("TRUE")

    def __contains__(self, id: object) -> bool:
        return id in self._first or bool(self._ids("id = ?", id, "position", 1))

    def number(self, id: str) -> int:
        """How many come before one, with the same bound."""
        if id in self._first:
            return 0
        return len(self._first) + self._count(
            "position < (SELECT position FROM submissions WHERE id = ?)", id
        )

    def part(self, start: int, most: int) -> list[str]:
        """The ids of some from an index on."""
        first = self._first[start : start + most]
        start = max(0, start - len(self._first))
        return first + self._ids(
            "position > ?", -1, f"position LIMIT {most - len(first)} OFFSET {start}", None
        )

    def after(self, id: str, most: int = 1) -> list[str]:
        """The ids of those that come next after one, which may have left the line."""
        if id in self._first:
            return self.part(1, most)
        return self._ids("position > (SELECT position FROM submissions WHERE id = ?)", id, "position", most)

    def before(self, id: str) -> list[str]:
        """The id of the one that comes before one, if any."""
        if id in self._first:
            return []
        earlier = "position < (SELECT position FROM submissions WHERE id = ?)"
        return self._ids(earlier, id, "position DESC", 1) or self._first

    def attempts(self) -> list[tuple[str, int]]:
        """All, as ids and numbers of attempts."""
        return self._query(
            f"SELECT id, attempt FROM submissions WHERE {self._where} ORDER BY position", *self._values
        )

    def jobs(self, most: int) -> list[str]:
        """The ids of jobs that have some in the line."""
        return self._distinct("job", most)

    def workers(self, most: int) -> list[str]:
        """The ids of workers who have."""
        return self._distinct("worker_id", most)

    def _distinct(self, column: str, most: int) -> list[str]:
        """Each from the end of an index's entries of the one before: what they have many of is skipped."""
        waits = f"FROM submissions WHERE status = '{self._status}'"
        sql = (
            f"WITH RECURSIVE found (id) AS (SELECT min({column}) {waits} UNION ALL "
            f"SELECT (SELECT min({column}) {waits} AND {column} > found.id) FROM found WHERE found.id <> '' LIMIT ?) "
            f"SELECT id FROM found WHERE EXISTS (SELECT 1 {waits} AND {_LIVE} AND {column} = found.id)"
        )
        return [id for (id,) in self._query(sql, most)]

    def _count(self, condition: str, *more: Any) -> int:
        sql = (
            f"SELECT count(*) FROM (SELECT 1 FROM submissions WHERE {self._where} AND {condition} "
            f"LIMIT {MOST_COUNTED + 1})"
        )
        return int(self._query(sql, *self._values, *more)[0][0])

    def _ids(self, condition: str, value: Any, order: str, most: int | None) -> list[str]:
        limit = "" if most is None else f"LIMIT {most}"
        sql = f"SELECT id FROM submissions WHERE {self._where} AND {condition} ORDER BY {order} {limit}"
        return [id for (id,) in self._query(sql, *self._values, value)]
