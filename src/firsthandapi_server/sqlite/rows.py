"""Lists and indexes over rows: they look like lists and dicts, and keep only the latest items in memory."""

from __future__ import annotations

import json
import operator
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Generic, SupportsIndex, TypeVar, cast

from firsthandapi_server.state.keeping import Condition
from firsthandapi_server.state.state import StatusTally

from .tables import Owned, Table

if TYPE_CHECKING:
    from .kept import KeptState

T = TypeVar("T")

# How many rows are loaded at the same time: a page of a list shows 100 at most.
CHUNK = 128
_END = 1 << 62  # a number after all others


def _walk(
    store: KeptState,
    table: Table,
    number: str,
    where: str,
    values: Iterable[Any],
    start: int,
    *,
    back: bool = True,
) -> Iterator[tuple[int, Any]]:
    """The numbers and objects of the rows before a number, the latest first, or else of those after it."""
    after, order = ("<", "DESC") if back else (">", "")
    while True:
        sql = (
            f"SELECT {number}, {table.selected} FROM {table.name} "
            f"WHERE {where} AND {number} {after} ? ORDER BY {number} {order} LIMIT {CHUNK}"
        )
        rows = store.query(sql, *values, start)
        for start, *row in rows:
            yield start, store.made(table, tuple(row))
        if len(rows) < CHUNK:
            return


class Rows(Generic[T]):
    """A list of rows, by their number. Those that a current act has appended come last."""

    __slots__ = ("_chunk", "_count", "_new", "_owned", "_start", "_store", "_where", "owner", "table")

    def __init__(self, store: KeptState, table: Table, owned: Owned, owner: Any = None) -> None:
        self._store = store
        self.table = table
        self._owned = owned
        self.owner = owner  # stays in memory as long as this list, so that there are never two of it
        self._where = f"{owned.owner} = ?" if owned.owner else "TRUE"
        self._count: int | None = None  # of what is kept
        self._new: list[T] = []
        self._chunk: list[T] = []
        self._start = 0

    @property
    def position(self) -> dict[str, Any]:
        """The columns of an item that is appended now, but for its number."""
        return {self._owned.owner: self.owner.id} if self._owned.owner else {}

    @property
    def number(self) -> str:
        """The column with the number of an item."""
        return self._owned.number

    def append(self, item: T, /) -> None:
        number = self._all()
        self._store.appended(self, item, number)
        self._new.append(item)

    def confirm(self) -> None:
        """The appended items are kept now."""
        self._count = self._kept() + len(self._new)
        self._new.clear()

    def shrink(self) -> None:
        """The appended items are not kept."""
        self._new.clear()

    def __len__(self) -> int:
        return self._all() - self._first()

    def __iter__(self) -> Iterator[T]:
        at = self._first()
        while at < self._all():
            yield self._at(at)
            at += 1

    def __reversed__(self) -> Iterator[T]:
        for at in range(self._all() - 1, self._first() - 1, -1):
            yield self._at(at)

    def __getitem__(self, at: SupportsIndex, /) -> T:
        index = operator.index(at)
        if not -len(self) <= index < len(self):
            raise IndexError("no such item")
        return self._at(index + (self._all() if index < 0 else self._first()))

    def find(self, conditions: Sequence[Condition], before: int | None, most: int) -> list[int]:
        """The indexes of the latest that meet conditions, of those that are kept."""
        first = self._first()
        where, values = self._meeting(conditions)
        sql = (
            f"SELECT {self.number} FROM {self.table.name} WHERE {where} AND {self.number} >= ? AND {self.number} < ? "
            f"ORDER BY {self.number} DESC LIMIT ?"
        )
        end = _END if before is None else first + before
        return [at - first for (at,) in self._store.read(sql, *values, first, end, most)]

    def pick(self, indexes: Sequence[int]) -> list[T]:
        """Those with these indexes, the latest first."""
        first = self._first()
        sql = (
            f"SELECT {self.table.selected} FROM {self.table.name} WHERE {self._where} "
            f"AND {self.number} IN (SELECT value FROM json_each(?)) ORDER BY {self.number} DESC"
        )
        rows = self._store.query(sql, *self._whose(), json.dumps([first + at for at in indexes]))
        return [self._store.made(self.table, row) for row in rows]

    def tally(self, conditions: Sequence[Condition]) -> list[StatusTally]:
        """How many submissions that meet conditions have which status."""
        where, values = self._meeting(conditions)
        sql = (
            "SELECT status, count(*), count(rating), coalesce(sum(rating), 0) "
            f"FROM {self.table.name} WHERE {where} GROUP BY status"
        )
        return [StatusTally(*row) for row in self._store.read(sql, *values)]

    def _meeting(self, conditions: Sequence[Condition]) -> tuple[str, list[Any]]:
        """The WHERE of what is in this list and meets conditions, and its values."""
        table, where = self.table, [self._where]
        values: list[Any] = [*self._whose()]
        for name, comparison, value in conditions:
            where.append(f"{table.within.get(name, name)} {comparison} ?")
            values.append(table.columns[name].write(self._store, value) if name in table.columns else value)
        return " AND ".join(where), values

    def _kept(self) -> int:
        if self._count is None:
            sql = f"SELECT max({self.number}) FROM {self.table.name} WHERE {self._where}"
            last: int | None = self._store.query(sql, *self._whose())[0][0]
            self._count = 0 if last is None else last + 1
        return self._count

    def _all(self) -> int:
        return self._kept() + len(self._new)

    def _first(self) -> int:
        most = self._owned.most
        return 0 if most is None else max(0, self._all() - most)

    def _at(self, at: int) -> T:
        kept_count = self._kept()
        if at >= kept_count:
            return self._new[at - kept_count]
        if not self._start <= at < self._start + len(self._chunk):
            self._start = at - at % CHUNK
            number = self.number
            sql = (
                f"SELECT {self.table.selected} FROM {self.table.name} "
                f"WHERE {self._where} AND {number} >= ? AND {number} < ? ORDER BY {number}"
            )
            rows = self._store.query(sql, *self._whose(), self._start, self._start + CHUNK)
            self._chunk = [self._store.made(self.table, row) for row in rows]
        return self._chunk[at - self._start]

    def _whose(self) -> tuple[Any, ...]:
        return (self.owner.id,) if self._owned.owner else ()


class All(Generic[T]):
    """Every object of a table in order of arrival."""

    def __init__(self, store: KeptState, table: Table, keep: Callable[[T], bool], where: str) -> None:
        self._store = store
        self._table = table
        self._keep = keep
        self._where = where

    def __iter__(self) -> Iterator[T]:
        yield from self._kept(-1, back=False)
        yield from filter(self._keep, cast("list[T]", self._store.fresh(self._table)))

    def __reversed__(self) -> Iterator[T]:
        yield from filter(self._keep, reversed(cast("list[T]", self._store.fresh(self._table))))
        yield from self._kept(_END)

    def before(self, key: str) -> Iterator[T]:
        """Those that are kept and came before the one with this id, in reverse."""
        rows = self._store.query(f"SELECT position FROM {self._table.name} WHERE id = ?", key)
        return self._kept(rows[0][0] if rows else 0)

    def _kept(self, start: int, *, back: bool = True) -> Iterator[T]:
        items = _walk(self._store, self._table, "position", self._where, (), start, back=back)
        return (item for _, item in items if self._keep(item))


class ById(Generic[T]):
    """The objects of a table by their id.

    Args:
        keep: which of them the index has; the rows themselves say it, so adding to the index and removing from it
            only confirms what an attribute says.
        where: the same for the rows.
    """

    def __init__(
        self,
        store: KeptState,
        table: Table,
        keep: Callable[[T], bool] = lambda _item: True,
        where: str = "TRUE",
    ) -> None:
        self._store = store
        self._table = table
        self._keep = keep
        self._where = where

    def get(self, key: str, /) -> T | None:
        item: T | None = self._store.load_or_none(self._table, key)
        return item if item is not None and self._keep(item) else None

    def __getitem__(self, key: str, /) -> T:
        item = self.get(key)
        if item is None:
            raise KeyError(key)
        return item

    def __contains__(self, key: object, /) -> bool:
        return isinstance(key, str) and self.get(key) is not None

    def __setitem__(self, key: str, item: T, /) -> None:
        self._store.adopt(item)

    def __delitem__(self, key: str, /) -> None:
        self[key]

    def __len__(self) -> int:
        sql = f"SELECT count(*) FROM {self._table.name} WHERE {self._where}"
        count: int = self._store.query(sql)[0][0]
        # Objects that the current act has changed count with their old values.
        return count + sum(map(self._keep, self._store.fresh(self._table)))

    def values(self) -> All[T]:
        return All(self._store, self._table, self._keep, self._where)


class KeysByDigest(ById[T]):
    """The API keys, by the hash of their secret."""

    def __init__(self, store: KeptState, table: Table) -> None:
        super().__init__(store, table)
        self._known: dict[str, T] = {}  # of those that are in use: each request asks for one

    def get(self, key: str, /) -> T | None:
        if key not in self._known:
            fresh: list[Any] = self._store.fresh(self._table)
            fresh_key = next((item for item in fresh if item.digest == key), None)
            if fresh_key is not None:
                return cast("T", fresh_key)
            rows = self._store.query("SELECT id FROM keys WHERE digest = ?", key)
            if not rows:
                return None
            self._known[key] = cast("T", self._store.load_or_none(self._table, rows[0][0]))
        return self._known[key]
