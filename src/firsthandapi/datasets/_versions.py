"""Versions of a folder: dataset.lock, the rows of each version, and what differs between two. No media are read."""
# A part of Dataset:
# pyright: reportPrivateUsage=false

from __future__ import annotations

import copy
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from firsthandapi._base.counts import count_of
from firsthandapi._core.rows.decisions import Decided
from firsthandapi._core.rows.kept import (
    ENDING,
    LARGEST_KEPT,
    VERSIONS,
    Kept,
    Snapshot,
    damaged,
    kept_of,
    parse_kept,
    snapshot_of,
)
from firsthandapi._core.rows.manifest import Record
from firsthandapi._core.rows.versions import (
    LARGEST_LOCK,
    LOCK_FILE,
    Diff,
    Table,
    Version,
    changes_of,
    check_number,
    diff_of,
    encode_lock,
    history_of,
    read_lock,
    table_of,
    version_of,
)
from firsthandapi._core.rows.withdrawal import LARGEST as LARGEST_IDS
from firsthandapi._core.rows.withdrawal import WITHDRAWN
from firsthandapi.errors import ConfigurationError, InvalidArgumentError

from ._lock import taking_notes
from ._manifest import key_of
from ._rows import Rows
from ._store import store_at
from ._withdrawing import withdrawn_ids

if TYPE_CHECKING:
    from ._dataset import Dataset
    from ._store import Store


def write_lock(dataset: Dataset) -> Version:
    """Write the rows of the version, then dataset.lock, unless they are there: a death between the two leaves the
    version before."""
    store, path = dataset._store, dataset.path / LOCK_FILE
    while True:
        dataset._catch_up()
        seen = _seen(store)
        old_version = locked_in(store)
        snapshot = now_of(dataset)
        version, table = _version(snapshot, old_version)
        chain = [] if old_version is None else _chain_or_none(store, old_version)
        if version == old_version and chain:
            return _at(store, version)
        content = kept_of(version, snapshot, [] if version == old_version else chain).encode()
        with taking_notes(store):
            if _seen(store) == seen:  # else another process has locked, or withdrawn files, meanwhile
                file = _path_of(store, version.number)
                (store.replace if store.exists(file) else store.create)(file, content)
                if version != old_version:
                    store.replace(path, encode_lock(version, table))
                return _at(store, version)


def _seen(store: Store) -> tuple[bytes | None, bytes | None]:
    return store.read(store.root / LOCK_FILE, LARGEST_LOCK), store.read(store.root / WITHDRAWN, LARGEST_IDS)


def number_of(dataset: Dataset) -> str:
    """The version that `write_lock` would give."""
    return _version(now_of(dataset), locked_in(dataset._store))[0].number


def locked_in(store: Store) -> Version | None:
    """The version that dataset.lock names; None without one."""
    version = _locked(store, store.root / LOCK_FILE)
    return None if version is None else _at(store, version)


def versions_in(store: Store) -> tuple[Version, ...]:
    """The versions that dataset.lock names, oldest first."""
    version = locked_in(store)
    return () if version is None else (*history_of(version), version)


def differs_from_lock(dataset: Dataset) -> str | None:
    """How the rows differ from dataset.lock, whatever is kept of its version; None if they do not."""
    locked = _locked(dataset._store, dataset.path / LOCK_FILE)
    if locked is None:
        return f"there is no {LOCK_FILE}; write one with firsthandapi lock"
    table = _table_of(now_of(dataset), locked._table)
    if table.tree == locked.tree:
        return None
    names = [*vars(diff_of(locked._table, table)).items()] if locked._table is not None else []
    files = {file_id for name, ids in names if name != "columns" for file_id in ids}
    summary = (
        f"{count_of(len(files))}, such as {min(files)}"
        if files
        else "their columns, or the folders of their files"
    )
    if gone := dict(names).get("withdrawn"):
        summary += f"; {count_of(len(gone))} {'was' if len(gone) == 1 else 'were'} withdrawn"
    return f"the rows differ from {LOCK_FILE}, version {locked}: {summary}; write a new version with firsthandapi lock"


# ── Two sides ────────────────────────────────────────────────────────────────────────────────────────────


def lock_at(path: str | os.PathLike[str], field: str) -> Version | None:
    """The version of a lock file; None if that is a folder.
    Raises InvalidArgumentError: the path is a view, or no path.
    """
    if isinstance(path, Rows):
        raise InvalidArgumentError(
            f"{field} is a view, which has no version; copy it with copy_to, and compare the copy",
            field=field,
        )
    store = store_at(path, field)
    version = None if store.size_of(store.root) is None else _locked(store, store.root)
    return None if version is None else _at(store_at(store.root.parent, field), version)


def diff(old_side: Dataset | Version, new_side: Dataset | Version) -> Diff:
    old_rows, new_rows = _snapshot(old_side), _snapshot(new_side)
    old_table = _table(old_side, old_rows, "a", None)
    difference = diff_of(old_table, _table(new_side, new_rows, "b", old_table))
    if old_rows is None or new_rows is None:
        return difference
    return replace(difference, changes=changes_of(difference, old_rows.subfolders, new_rows.subfolders))


def _snapshot(side: Dataset | Version) -> Snapshot | None:
    """The rows of a side; None of a version whose rows are not kept."""
    if not isinstance(side, Version):
        return now_of(side)
    return None if side._store is None else _rows_kept(side._store, side)


def _table(side: Dataset | Version, snapshot: Snapshot | None, field: str, beside: Table | None) -> Table:
    if snapshot is not None:
        return _table_of(snapshot, beside)
    if isinstance(side, Version) and side._table is not None:
        return side._table
    raise InvalidArgumentError(
        f"{field} is version {side} from the {LOCK_FILE} of a later version, which does not list its files, and its "
        f"rows are not in {VERSIONS}; pass the {LOCK_FILE} of version {side}, such as one from version control",
        field=field,
    )


def _version(snapshot: Snapshot, old_version: Version | None) -> tuple[Version, Table]:
    table = _table_of(snapshot, None if old_version is None else old_version._table)
    return version_of(table, old_version), table


def _table_of(snapshot: Snapshot, beside: Table | None) -> Table:
    return table_of(
        snapshot.subfolders,
        withdrawn=snapshot.withdrawn,
        excluded=snapshot.excluded,
        lost=snapshot.lost,
        beside=beside,
    )


def now_of(dataset: Dataset) -> Snapshot:
    """The rows of a dataset, as they are once all decisions and withdrawals are carried out; those of the version if it
    was opened as one."""
    if dataset._kept is not None:
        return dataset._kept.snapshot
    withdrawn = withdrawn_ids(dataset._store)
    excluded = [record.file_id for record in dataset.excluded]
    rows = Snapshot(dataset._by_folder(), withdrawn, excluded, len(dataset.decisions))
    return replace(rows.without(withdrawn), lost=frozenset())


def _locked(store: Store, path: Path) -> Version | None:
    content = store.read(path, LARGEST_LOCK)
    return None if content is None else read_lock(content, path)


def _at(store: Store, version: Version) -> Version:
    """The version, and those before it, with the store that may have their rows."""
    for entry in (*history_of(version), version):
        object.__setattr__(entry, "_store", store)
    return version


# ── Versions that open ───────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class KeptRows:
    """What a dataset has that was opened as a version: its rows, and the dataset as it is now, which has the files."""

    version: Version
    snapshot: Snapshot
    now: Dataset
    places: dict[tuple[str, str], str]
    rows_now: dict[str, Record]

    def path_of(self, record: Record) -> Path | None:
        """Where the file of a row is now; None if it is no row of this version."""
        place = self.places.get(key_of(record))
        if place is None:
            return None
        row = self.rows_now.get(record.file_id)
        return self.now.path / place / record.file_name if row is None else self.now.path_of(row)


def at_version(dataset: Dataset, target: Version | str) -> Dataset:
    """A dataset as it was in a version, which only reads.
    Raises ConfigurationError: it does not know that version, or has not kept its rows.
    Raises InvalidArgumentError: `target` is no version.
    """
    store = dataset._store
    version = target if isinstance(target, Version) else _numbered(store, check_number(target))
    snapshot = _rows_kept(store, version)
    if snapshot is None:
        snapshot = now_of(dataset)
        if _table_of(snapshot, None).tree != version.tree:
            raise ConfigurationError(
                f"{dataset.path} is not version {version}: its rows differ, and {VERSIONS} does not have those of that "
                "version; use the copy that was locked, with its hidden files"
            )
    opened = copy.copy(dataset)
    places = {key_of(row): name for name, rows in snapshot.subfolders.items() for row in rows}
    rows_now = {row.file_id: row for row in (*dataset.excluded, *dataset.records)}
    opened._kept = KeptRows(version, snapshot, dataset, places, rows_now)
    opened.records = [row for rows in snapshot.subfolders.values() for row in rows]
    opened.excluded = ()
    decided = Decided()
    for decision in dataset.decisions[: snapshot.decisions]:
        decided.add(decision)
    if not decided.excluded.keys().isdisjoint(row.file_id for row in opened.records):
        decided = Decided()  # decisions.jsonl was edited since
    opened._decided, opened.decisions = decided, tuple(decided.decisions)
    return opened


def _numbered(store: Store, number: str) -> Version:
    versions = versions_in(store)
    if not versions:
        raise ConfigurationError(
            f"{store.root} has no {LOCK_FILE}, so its version is unknown; write one with dataset.write_lock()"
        )
    for version in versions:
        if version.number == number:
            return version
    raise ConfigurationError(
        f"{store.root} has no version {number}, only {', '.join(map(str, versions[-5:]))}; open one of these, or use "
        "another copy"
    )


def _rows_kept(store: Store, version: Version) -> Snapshot | None:
    """The rows of a version, without files that were withdrawn since; None if they are not kept.
    Raises ConfigurationError: they are not those of the version.
    """
    chain = kept_chain(store, version)
    if not chain:
        return None
    path = _path_of(store, version.number)
    snapshot = snapshot_of(chain, path).without(withdrawn_ids(store))
    if not snapshot.lost and _table_of(snapshot, None).tree != version.tree:
        raise damaged(path)
    return snapshot


def kept_chain(store: Store, version: Version) -> list[Kept]:
    """The files of a version and of those that it builds on, oldest first; none if one is missing.
    Raises ConfigurationError: one is damaged.
    """
    store.refuse_link(store.root / VERSIONS)
    chain: list[Kept] = []
    number, room = version.number, LARGEST_KEPT
    while True:
        path = _path_of(store, number)
        content = store.read(path, room)
        if content is None:
            return []
        link = parse_kept(content, number, path)
        room -= len(content)
        if not chain and link.tree != version.tree:  # of another version with this number
            return []
        if chain and link.depth != chain[0].depth - 1:
            raise damaged(path)
        chain.insert(0, link)
        if link.base is None:
            return chain
        number = link.base


def _chain_or_none(store: Store, version: Version) -> list[Kept]:
    """The files of a version, or none if they cannot be built on: then the next version has all rows."""
    store.refuse_link(store.root / VERSIONS)
    try:
        return kept_chain(store, version)
    except ConfigurationError:
        return []


def _path_of(store: Store, number: str) -> Path:
    return store.root / VERSIONS / f"{number}{ENDING}"
