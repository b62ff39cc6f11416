"""Books of orders: a dataset's folder, an agents' ledger, or a client's journal, recognized by what is there."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from firsthandapi._base import loose_json
from firsthandapi._base.host.locking import taken_within
from firsthandapi._base.names import ROOM
from firsthandapi._core.campaigns.ledger import campaign_of
from firsthandapi._core.orders.record import (
    LARGEST_RECORD,
    LARGEST_RECORDS,
    MOST_RECORDS,
    OrderRecord,
    read_record,
)
from firsthandapi._core.rows.manifest import MANIFEST
from firsthandapi.datasets._journal import LOCK_FILE, journal_at
from firsthandapi.errors import ConfigurationError, InvalidArgumentError

from ._disk import too_many
from ._orders import OrderRecords, is_record
from ._store import Store, being_written, store_at

_BOOKS = "pass the folder of a dataset, of a journal, or of an agents' ledger"
# Agents hold the lock of their ledger for milliseconds; a run holds that of its folder until it ends.
_LOCK_SECONDS = 5.0


def read_books(books: Iterable[str | os.PathLike[str]]) -> list[tuple[str, OrderRecord]]:
    """Every record of these books, with the path or URL of its book; each book's oldest first.
    Raises ConfigurationError: a book does not exist, or a record cannot be read.
    """
    pairs: list[tuple[str, OrderRecord]] = []
    for book in books:
        records = _records_of(store_at(book, "books")).values()
        pairs += [(str(book), record) for record in sorted(records, key=_sent_at)]
    return pairs


def forget_order(book: str | os.PathLike[str], key: str) -> None:
    """Give up an order or another POST without a known outcome.

    The record of an order stays, so that its key is known and no other order gets it. A call of a journal is removed.
    Raises InvalidArgumentError: the book has no such order, or its job is known.
    Raises ConfigurationError: the book cannot be read or written, or another process is writing to it.
    """
    store = store_at(book, "book")
    _, record = _forgettable(store, key)  # raises before a lock creates a folder
    if record.kind == "call":
        if not journal_at(str(store.root)).forget(key):
            raise _unknown(store, key)
        return
    writer = store.writer()
    if not taken_within(_LOCK_SECONDS, writer.lock):
        raise being_written(store.root)
    try:
        path, record = _forgettable(store, key)
        orders, place = OrderRecords(store), path
        if path.parent == orders.folder and campaign_of(record.request) is None:
            place = orders.path_of_key(key)  # so that the next call finds no order of its folder or label
        store.replace(place, replace(record, forgotten=True).encode())
        if place != path:
            store.remove(path)
    finally:
        writer.release()


def _sent_at(record: OrderRecord) -> float:
    return record.first_sent_at or 0.0


def _forgettable(store: Store, key: str) -> tuple[Path, OrderRecord]:
    entries = [(path, record) for path, record in _records_of(store).items() if record.key == key]
    for path, record in entries:
        if record.kind == "call" or (record.kind == "order" and record.job is None and not record.forgotten):
            return path, record
    if job := next((record.job for _, record in entries if record.job is not None), None):
        raise InvalidArgumentError(
            f"key {key} has bought {job['id']}, so its order stays; to stop that job, cancel it", field="key"
        )
    raise _unknown(store, key)


def _unknown(store: Store, key: str) -> InvalidArgumentError:
    return InvalidArgumentError(
        f"key {key} is of no order in {store.root} that can be given up: list them with firsthandapi orders list "
        f"{store.root}",
        field="key",
    )


def _records_of(store: Store) -> dict[Path, OrderRecord]:
    orders = OrderRecords(store)
    if records := orders.all():
        return records
    names = store.names(store.root)
    if MANIFEST in names:
        raise ConfigurationError(
            f"{store.root} has files, but no records of their orders in {orders.folder}: run the call that made it "
            "again, which restores them"
        )
    # A ledger has a room for its lock; it and a journal may have no record.
    is_ours = LOCK_FILE in names or ROOM in names
    names = [name for name in names if is_record(name)]
    if not names and not is_ours:
        raise ConfigurationError(f"no orders are recorded in {store.root}: {_BOOKS}")
    if len(names) > MOST_RECORDS:
        raise too_many(store.root, MOST_RECORDS)
    records, bytes_left = dict[Path, OrderRecord](), LARGEST_RECORDS
    for name in names:
        path = store.root / name
        content = store.read(path, min(bytes_left, LARGEST_RECORD))
        if content is not None:  # a journal removes what is finished
            bytes_left -= len(content)
            if not is_ours and "kind" not in loose_json.members(loose_json.load(content)):
                # It may be of another program: nobody is to remove it, as what is damaged of ours.
                raise ConfigurationError(f"{path} is no record of an order, or is damaged: {_BOOKS}")
            records[path] = read_record(content, path)
    return records
