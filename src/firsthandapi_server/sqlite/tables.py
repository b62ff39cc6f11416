"""Maps the attributes of objects to columns, and their values to those of SQLite."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import KW_ONLY, astuple, dataclass, field, fields
from types import UnionType
from typing import Any, Protocol, cast, get_args, get_origin, get_type_hints

from firsthandapi_server.state import ledger, model, state
from firsthandapi_server.state.storage import Storage, Stored


class Loader(Protocol):
    """Loads other objects while one is loaded, and stores those that are new."""

    @property
    def storage(self) -> Storage: ...

    def load(self, table: Table, id: str) -> Any: ...

    def adopt(self, item: Any) -> None: ...


@dataclass(frozen=True, slots=True)
class Column:
    """Converts the value of an attribute to one of SQLite, and back."""

    write: Callable[[Loader, Any], Any]
    read: Callable[[Loader, Any], Any]


def _text(_loader: Loader, value: str | None) -> str | bytes | None:
    """Untrusted text may contain lone surrogates, which SQLite takes as bytes only."""
    if value is None or value.isascii():
        return value
    try:
        value.encode()
    except UnicodeEncodeError:
        return value.encode("utf-8", "surrogatepass")
    return value


def _text_again(_loader: Loader, value: str | bytes | None) -> str | None:
    return value.decode("utf-8", "surrogatepass") if isinstance(value, bytes) else value


PLAIN = Column(lambda _loader, value: value, lambda _loader, value: value)
TEXT = Column(_text, _text_again)
BOOL = Column(lambda _loader, value: int(value), lambda _loader, value: bool(value))


def _json(make: Callable[[Loader, Any], Any], again: Callable[[Loader, Any], Any]) -> Column:
    return Column(
        lambda loader, value: (
            None if value is None else json.dumps(make(loader, value), separators=(",", ":"))
        ),
        lambda loader, value: None if value is None else again(loader, json.loads(value)),
    )


JSON = _json(lambda _loader, value: value, lambda _loader, value: value)
TUPLE = _json(lambda _loader, value: [*value], lambda _loader, value: tuple(value))


def _file_ids(loader: Loader, files: Iterable[model.File]) -> list[str]:
    ids: list[str] = []
    for file in files:
        loader.adopt(file)
        ids.append(file.id)
    return ids


def _escrow(_loader: Loader, escrow: ledger.Escrow) -> dict[str, Any]:
    pieces = [[lot.id, amount] for lot, amount in escrow.pieces]
    return {"total": escrow.total, "paid": escrow.paid, "refunded": escrow.refunded, "pieces": pieces}


def _escrow_again(loader: Loader, kept: dict[str, Any]) -> ledger.Escrow:
    pieces = tuple((loader.load(TABLES["lots"], lot), amount) for lot, amount in kept["pieces"])
    return ledger.Escrow(kept["total"], pieces, kept["paid"], kept["refunded"])


def _source(_loader: Loader, source: model.Source) -> dict[str, Any]:
    stored = cast("Stored", source)
    known = (stored.facts(), stored.details())
    return {
        "name": stored.name,
        **{each.name: getattr(item, each.name) for item in known for each in fields(item)},
    }


def _source_again(loader: Loader, kept: dict[str, Any]) -> Stored:
    name = kept.pop("name")
    facts = model.Facts(**{each.name: kept.pop(each.name) for each in fields(model.Facts)})
    return Stored(loader.storage, name, facts, model.Details(**kept))


def _ref(kind: type) -> Column:
    return Column(lambda _loader, item: item.id, lambda loader, key: loader.load(_BY_KIND[kind], key))


# How values are kept that no row of their own has.
_WITHIN: dict[Any, Column] = {
    ledger.Escrow: _json(_escrow, _escrow_again),
    model.Location: _json(lambda _loader, value: astuple(value), lambda _loader, kept: model.Location(*kept)),
    model.Source: _json(_source, _source_again),
    tuple[model.DeliveryAttempt, ...]: _json(
        lambda _loader, value: [astuple(each) for each in value],
        lambda _loader, kept: tuple(model.DeliveryAttempt(*each) for each in kept),
    ),
    tuple[model.File, ...]: _json(
        _file_ids, lambda loader, ids: tuple(loader.load(TABLES["files"], id) for id in ids)
    ),
}
_SIMPLE = {
    bool: BOOL,
    int: PLAIN,
    float: PLAIN,
    bytes: PLAIN,
    str: TEXT,
    tuple: TUPLE,
    dict: JSON,
    Mapping: JSON,
}


def _column(hint: Any) -> Column:
    """How the values of an attribute are kept, by its type."""
    (kind,) = {*get_args(hint)} - {type(None)} if isinstance(hint, UnionType) else {hint}
    if kind in _WITHIN:
        return _WITHIN[kind]
    simple = _SIMPLE.get(get_origin(kind) or kind)
    return _ref(kind) if simple is None else simple


@dataclass(frozen=True, slots=True)
class Owned:
    """A list of rows: its owner, and the position of each row."""

    table: str
    owner: str | None  # the column with the id of the owner; None for a list of the state
    number: str
    most: int | None = None  # how many of the latest are shown


@dataclass(eq=False)
class Table:
    """A class of objects, and the table of its rows: every attribute is a column, the id first.

    Args:
        name: the table.
        kind: the class.
        lists: attributes that are lists of other rows.
        left_out: attributes that are computed again, or not needed after a restart.
        soft: attributes whose change alone is not worth a transaction: they are kept with the next one.
        is_pinned: whether objects stay in memory once they are loaded. These are few, and everything refers to them.
        is_fixed: whether they never change.
    """

    name: str
    kind: type
    _: KW_ONLY
    lists: Mapping[str, Owned] = field(default_factory=dict[str, "Owned"])
    left_out: Iterable[str] = ()
    soft: Collection[str] = ()
    is_pinned: bool = False
    is_fixed: bool = False

    def __post_init__(self) -> None:
        hints, elsewhere = get_type_hints(self.kind), {*self.lists, *self.left_out}
        if unknown := elsewhere - hints.keys():
            raise TypeError(f"{self.kind.__name__} has no {unknown}")
        names = sorted(
            (each.name for each in fields(self.kind) if each.name not in elsewhere), key=lambda at: at != "id"
        )
        self.columns: Mapping[str, Column] = {each: _column(hints[each]) for each in names}
        self.selected = ", ".join(self.columns)


_ACCOUNT_LISTS = ("jobs", "submissions", "endpoints", "events", "audit")
_TABLES = (
    Table(
        "organizations",
        model.Organization,
        lists={"keys": Owned("keys", "organization", "organization_number")},
        left_out=["accounts"],
        is_pinned=True,
    ),
    Table(
        "accounts",
        model.Account,
        lists={each: Owned(each, "account", "account_number") for each in _ACCOUNT_LISTS},
        left_out=["book"],
        is_pinned=True,
    ),
    Table("keys", model.Key, soft=["last_used_at"], is_pinned=True),
    Table(
        "books",
        ledger.Book,
        lists={
            "all_lots": Owned("lots", "book", "book_number"),
            "transactions": Owned("transactions", "book", "book_number"),
        },
        left_out=["lots"],
        is_pinned=True,
    ),
    Table("lots", ledger.Lot, is_pinned=True),
    Table("transactions", ledger.Transaction, is_fixed=True),
    Table("checkouts", state.Checkout),
    Table(
        "jobs",
        model.Job,
        lists={
            "submissions": Owned("submissions", "job", "job_number"),
            "approved": Owned("files", "job", "approved_number"),
        },
        # Random numbers restart from the seed and the time: they need not be the same after a restart.
        left_out=["chance", "listeners"],
    ),
    Table("submissions", model.Submission),
    Table("files", model.File, left_out=["_facts"]),
    Table("appeals", model.Appeal),
    # Its secret is kept as it is: the server signs with it, so a hash would not do.
    Table("endpoints", model.Endpoint, is_pinned=True),
    Table(
        "events", model.Event, lists={"deliveries": Owned("deliveries", "event", "event_number", most=100)}
    ),
    Table("deliveries", model.Delivery),
    Table("audit", model.AuditEvent, is_fixed=True),
)
TABLES: dict[str, Table] = {table.name: table for table in _TABLES}
_BY_KIND: dict[type, Table] = {table.kind: table for table in _TABLES}
