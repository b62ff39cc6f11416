"""Versions of a folder: dataset.lock, and what differs between two of them. No media are read."""
# A part of Dataset:
# pyright: reportPrivateUsage=false

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from firsthandapi._core.rows.versions import (
    LARGEST_LOCK,
    LOCK_FILE,
    Diff,
    Table,
    Version,
    check_number,
    diff_of,
    encode_lock,
    history_of,
    read_lock,
    table_of,
    version_of,
)
from firsthandapi.errors import ConfigurationError, InvalidArgumentError

from ._lock import taking_notes
from ._rows import Rows
from ._store import store_at
from ._withdrawing import withdrawn_ids

if TYPE_CHECKING:
    from ._dataset import Dataset
    from ._store import Store


def write_lock(dataset: Dataset) -> Version:
    """Write dataset.lock, unless it says the same."""
    dataset._catch_up()
    path = dataset.path / LOCK_FILE
    before = _locked(dataset._store, path)
    version, table = _version(dataset, before)
    if version != before:
        with taking_notes(dataset._store):
            dataset._store.replace(path, encode_lock(version, table))
    return version


def number_of(dataset: Dataset) -> str:
    """The version that `write_lock` would give."""
    return _version(dataset, _locked(dataset._store, dataset.path / LOCK_FILE))[0].number


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
    return None if store.size_of(store.root) is None else _locked(store, store.root)


def diff(one: Dataset | Version, other: Dataset | Version) -> Diff:
    first = _table(one, "a", None)
    return diff_of(first, _table(other, "b", first))


def check_version(dataset: Dataset, wanted: Version | str) -> None:
    """Make sure that a folder has the rows of a version.
    Raises ConfigurationError: it has others, or does not know that version.
    Raises InvalidArgumentError: `wanted` is no version.
    """
    if not isinstance(wanted, Version):
        number = check_number(wanted)
        locked = _locked(dataset._store, dataset.path / LOCK_FILE)
        if locked is None:
            raise ConfigurationError(
                f"{dataset.path} has no {LOCK_FILE}, so its version is unknown; write one with dataset.write_lock()"
            )
        found = [each for each in (locked, *history_of(locked)) if each.number == number]
        if not found:
            raise ConfigurationError(
                f"{dataset.path} has no version {number}: it is {locked.number}; open that, or use another copy"
            )
        wanted = found[0]
    if _of_rows(dataset, None).tree != wanted.tree:
        raise ConfigurationError(
            f"{dataset.path} is not version {wanted}: its rows differ; compare them with Dataset.diff, or use the copy "
            "that was locked"
        )


def _version(dataset: Dataset, before: Version | None) -> tuple[Version, Table]:
    table = _of_rows(dataset, None if before is None else before._table)
    return version_of(table, before), table


def _of_rows(dataset: Dataset, beside: Table | None) -> Table:
    return table_of(
        dataset._by_folder(),
        withdrawn=withdrawn_ids(dataset._store),
        excluded=[record.file_id for record in dataset.excluded],
        beside=beside,
    )


def _locked(store: Store, path: Path) -> Version | None:
    content = store.read(path, LARGEST_LOCK)
    return None if content is None else read_lock(content, path)


def _table(side: Dataset | Version, field: str, beside: Table | None) -> Table:
    if not isinstance(side, Version):
        return _of_rows(side, beside)
    if side._table is None:
        raise InvalidArgumentError(
            f"{field} is version {side} from the {LOCK_FILE} of a later version, which does not list its files; pass "
            f"the {LOCK_FILE} of version {side}, such as one from version control",
            field=field,
        )
    return side._table
