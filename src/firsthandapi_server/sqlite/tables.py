"""Maps the attributes of objects to columns, and their values to those of SQLite."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import KW_ONLY, astuple, dataclass, field, fields
from types import UnionType
from typing import TYPE_CHECKING, Any, cast, get_args, get_origin, get_type_hints

from firsthandapi_server.state import ledger, model
from firsthandapi_server.state.state import OpenPurchase
from firsthandapi_server.state.storage import StoredSource

if TYPE_CHECKING:
    from .kept import KeptState


@dataclass(frozen=True, slots=True)
class Column:
    """Converts the value of an attribute to one of SQLite, and back."""

    write: Callable[[KeptState, Any], Any]
    read: Callable[[KeptState, Any], Any]


def _text(_state: KeptState, value: str | None) -> str | bytes | None:
    """Untrusted text may contain lone surrogates, which SQLite takes as bytes only."""
    if value is None or value.isascii():
        return value
    try:
        value.encode()
    except UnicodeEncodeError:
        return value.encode("utf-8", "surrogatepass")
    return value


def _text_again(_state: KeptState, value: str | bytes | None) -> str | None:
    return value.decode("utf-8", "surrogatepass") if isinstance(value, bytes) else value


PLAIN = Column(lambda _state, value: value, lambda _state, value: value)
TEXT = Column(_text, _text_again)
BOOL = Column(lambda _state, value: int(value), lambda _state, value: bool(value))


def _json(make: Callable[[KeptState, Any], Any], restore: Callable[[KeptState, Any], Any]) -> Column:
    return Column(
        lambda state, value: None if value is None else json.dumps(make(state, value), separators=(",", ":")),
        lambda state, value: None if value is None else restore(state, json.loads(value)),
    )


JSON = _json(lambda _state, value: value, lambda _state, value: value)
TUPLE = _json(lambda _state, value: [*value], lambda _state, value: tuple(value))


def _file_ids(state: KeptState, files: Iterable[model.File]) -> list[str]:
    ids: list[str] = []
    for file in files:
        state.adopt(file)
        ids.append(file.id)
    return ids


def _escrow(_state: KeptState, escrow: ledger.Escrow) -> dict[str, Any]:
    pieces = [[lot.id, amount] for lot, amount in escrow.pieces]
    return {"total": escrow.total, "paid": escrow.paid, "refunded": escrow.refunded, "pieces": pieces}


def _escrow_again(state: KeptState, record: dict[str, Any]) -> ledger.Escrow:
    pieces = tuple((state.load(TABLES["lots"], lot), amount) for lot, amount in record["pieces"])
    return ledger.Escrow(record["total"], pieces, record["paid"], record["refunded"])


def _source(_state: KeptState, source: model.Source) -> dict[str, Any]:
    stored = cast("StoredSource", source)
    parts = (stored.facts(), stored.details())
    return {
        "name": stored.name,
        **{field.name: getattr(item, field.name) for item in parts for field in fields(item)},
    }


def _source_again(state: KeptState, record: dict[str, Any]) -> StoredSource:
    name = record.pop("name")
    facts = model.Facts(**{field.name: record.pop(field.name) for field in fields(model.Facts)})
    return StoredSource(state.storage, name, facts, model.Details(**record))


def _ref(kind: type) -> Column:
    return Column(lambda _state, item: item.id, lambda state, key: state.load(_BY_KIND[kind], key))


# How values are kept that no row of their own has.
_WITHIN: dict[Any, Column] = {
    ledger.Escrow: _json(_escrow, _escrow_again),
    model.Location: _json(lambda _state, value: astuple(value), lambda _state, parts: model.Location(*parts)),
    model.Source: _json(_source, _source_again),
    tuple[model.DeliveryAttempt, ...]: _json(
        lambda _state, value: [astuple(attempt) for attempt in value],
        lambda _state, attempts: tuple(model.DeliveryAttempt(*attempt) for attempt in attempts),
    ),
    tuple[model.File, ...]: _json(
        _file_ids, lambda state, ids: tuple(state.load(TABLES["files"], id) for id in ids)
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
        within: what lists are searched for and is in a column, by the name of the attribute.
    """

    name: str
    kind: type
    _: KW_ONLY
    lists: Mapping[str, Owned] = field(default_factory=dict[str, "Owned"])
    left_out: Iterable[str] = ()
    soft: Collection[str] = ()
    is_pinned: bool = False
    is_fixed: bool = False
    within: Mapping[str, str] = field(default_factory=dict[str, str])

    def __post_init__(self) -> None:
        hints, elsewhere = get_type_hints(self.kind), {*self.lists, *self.left_out}
        if unknown := elsewhere - hints.keys():
            raise TypeError(f"{self.kind.__name__} has no {unknown}")
        names = sorted(
            (field.name for field in fields(self.kind) if field.name not in elsewhere),
            key=lambda at: at != "id",
        )
        self.columns: Mapping[str, Column] = {name: _column(hints[name]) for name in names}
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
        lists={name: Owned(name, "account", "account_number") for name in _ACCOUNT_LISTS},
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
    Table("checkouts", OpenPurchase),
    Table(
        "jobs",
        model.Job,
        lists={
            "submissions": Owned("submissions", "job", "job_number"),
            "approved": Owned("files", "job", "approved_number"),
        },
        # Random numbers restart from the seed and the time: they need not be the same after a restart.
        left_out=["chance", "listeners"],
        within={"type": "json_extract(fields, '$.type')"},
    ),
    Table("submissions", model.Submission),
    Table("files", model.File, left_out=["_facts"]),
    Table("appeals", model.Appeal),
    Table("assignments", model.Assignment),
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
