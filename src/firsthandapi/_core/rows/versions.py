"""Versions of a dataset: `dataset.lock`, and the differences between two versions.

A lock has a hash for each row, so neither a lock nor a comparison needs the media. Rows are hashed in canonical form,
independent of their form in the manifest: with sorted keys and without nulls. The user's own columns may have passed
through other programs, which write 1 as 1.0, so there a whole number is an int.
"""
# Of Version:
# pyright: reportPrivateUsage=false

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, cast

from firsthandapi.errors import ConfigurationError, InvalidArgumentError

from .manifest import Record

LOCK_FILE = "dataset.lock"
LARGEST_LOCK = 512 * 1024 * 1024
FIRST = "1.0.0"
_FORMAT = 1
_MOST_EXACT = 2**53
_PLAIN = frozenset({str, int, float, bool})
_NUMBER = re.compile(r"(0|[1-9]\d{0,8})\.(0|[1-9]\d{0,8})\.(0|[1-9]\d{0,8})")


@dataclass(frozen=True)
class Table:
    """The rows of a dataset, as stored in a lock.

    Attributes:
        files: by file id, the SHA-256 of the file and that of its row.
        columns: the columns in which at least one row has a value.
        tree: the SHA-256 over all rows.
        withdrawn: the files that the service has withdrawn.
        excluded: the files that the user has excluded.
        former_columns: the columns of the other version, if they differ.
        former: the hashes of the rows in only those columns: if a hash is equal, its row has only gained columns.
        lost: the files that it had, and that the service has withdrawn since: their rows are gone.
    """

    files: Mapping[str, tuple[str, str]]
    columns: tuple[str, ...]
    tree: str
    withdrawn: frozenset[str] = frozenset()
    excluded: frozenset[str] = frozenset()
    former_columns: tuple[str, ...] | None = None
    former: Mapping[str, str] = field(default_factory=dict[str, str])
    lost: frozenset[str] = frozenset()


@dataclass(frozen=True, eq=False, repr=False)
class Version:
    """A version of a dataset, as `Dataset.write_lock` returns it. It equals its number as a str, and any version with
    the same number and tree.

    Attributes:
        number: MAJOR.MINOR.PATCH, such as `1.2.0`. MAJOR increases if rows were changed or removed, MINOR if rows or
            columns were added, PATCH if the same rows are arranged differently.
        parent: the previous version; None for the first.
        tree: the SHA-256 over all rows.
    """

    number: str
    parent: Version | None
    tree: str
    # The table of a version that has its files, and the store that may have its rows. Not fields, because they are
    # private.
    _table: ClassVar[Table | None] = None
    _store: ClassVar[Any] = None

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Version):
            return (self.number, self.tree) == (other.number, other.tree)
        return self.number == other if isinstance(other, str) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.number)

    def __str__(self) -> str:
        return self.number

    def __repr__(self) -> str:
        parent = None if self.parent is None else self.parent.number
        return f"Version({self.number!r}, parent={parent!r}, tree={self.tree!r})"


@dataclass(frozen=True)
class Change:
    """A value that differs between two versions.

    Attributes:
        file_id: the file.
        column: the column, or your own one.
        old: the value in the first version; None if it has none.
        new: the value in the second version; None if it has none.
    """

    file_id: str
    column: str
    old: Any = field(hash=False)
    new: Any = field(hash=False)


@dataclass(frozen=True)
class Diff:
    """The differences between two versions; truthy if there are any. Each file is in one of the tuples, by its id.

    Attributes:
        added: files that only the second version has.
        removed: files that only the first version has, except for withdrawn and excluded ones.
        bytes_changed: files with different bytes.
        rows_changed: files with the same bytes and a different row.
        withdrawn: files of the first version that the service has withdrawn.
        excluded: files of the first version that were excluded.
        columns: columns that only the second version has. Rows that differ only in these are not in `rows_changed`.
        changes: the values that differ in files of `bytes_changed` and `rows_changed`, except in `columns`. Empty if
            one side is a lock file, or a version, whose rows are not kept.
    """

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    bytes_changed: tuple[str, ...] = ()
    rows_changed: tuple[str, ...] = ()
    withdrawn: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    changes: tuple[Change, ...] = ()

    def __bool__(self) -> bool:
        return any(vars(self).values())


def table_of(
    subfolders: Mapping[str, Sequence[Record]],
    *,
    withdrawn: Collection[str] = (),
    excluded: Collection[str] = (),
    lost: frozenset[str] = frozenset(),
    beside: Table | None = None,
) -> Table:
    """The table of the rows of each manifest, by its folder. `beside`: the version to compare this one with."""
    rows = [(subfolder, record) for subfolder, records in subfolders.items() for record in records]
    files: dict[str, tuple[str, str]] = {}
    lines: list[bytes] = []
    names: set[str] = set()
    for subfolder, record in rows:
        values = _values(record)
        names.update(values)
        line = _encode(values).encode()
        lines.append(subfolder.encode() + b"\0" + line)
        # A file whose type has changed may have rows in two manifests.
        earlier_hash = files.get(record.file_id, ("", ""))[1].encode()
        files[record.file_id] = record.sha256, hashlib.sha256(earlier_hash + line).hexdigest()
    columns = tuple(sorted(names))
    former: dict[str, str] = {}
    if beside is not None and beside.columns != columns:
        for _, record in rows:
            values = _values(record)
            line = _encode({name: values[name] for name in beside.columns if name in values}).encode()
            earlier_hash = former.get(record.file_id, "").encode()
            former[record.file_id] = hashlib.sha256(earlier_hash + line).hexdigest()
    tree = hashlib.sha256(b"\n".join(sorted(lines))).hexdigest()
    return Table(
        files,
        columns,
        tree,
        frozenset(withdrawn).difference(files),
        frozenset(excluded).difference(files),
        beside.columns if former and beside is not None else None,
        former,
        lost,
    )


def diff_of(first: Table, second: Table) -> Diff:
    """The differences of the second table from the first."""
    changed = [
        id_ for id_, (sha256, _) in first.files.items() if second.files.get(id_, (sha256, ""))[0] != sha256
    ]
    had = first.files.keys() | first.lost
    gone = had - second.files.keys() - (first.lost & second.lost)
    withdrawn = gone & (second.withdrawn | second.lost)
    grown: Mapping[str, str] = second.former if second.former_columns == first.columns else {}
    rows = [
        id_
        for id_, (sha256, row) in first.files.items()
        if (entry := second.files.get(id_)) is not None
        and entry[0] == sha256
        and row not in (entry[1], grown.get(id_))
    ]
    return Diff(
        added=tuple(sorted(second.files.keys() - had)),
        removed=tuple(sorted(gone - withdrawn - second.excluded)),
        bytes_changed=tuple(sorted(changed)),
        rows_changed=tuple(sorted(rows)),
        withdrawn=tuple(sorted(withdrawn)),
        excluded=tuple(sorted(gone & second.excluded - withdrawn)),
        columns=tuple(sorted(set(second.columns) - set(first.columns))),
    )


def changes_of(
    diff: Diff, old_side: Mapping[str, Sequence[Record]], new_side: Mapping[str, Sequence[Record]]
) -> tuple[Change, ...]:
    """The values that differ, from the rows of both sides."""
    changed = {*diff.bytes_changed, *diff.rows_changed}
    olds, news = (
        {row.file_id: row for rows in side.values() for row in rows if row.file_id in changed}
        for side in (old_side, new_side)
    )
    changes: list[Change] = []
    for file_id in sorted(changed):
        old, new = olds[file_id], news[file_id]
        old_values, new_values = _values(old), _values(new)
        for column in {**old_values, **new_values}:
            is_new = column in diff.columns
            if not is_new and _encode(old_values.get(column)) != _encode(new_values.get(column)):
                values = ({**vars(row), **row.extra}.get(column) for row in (old, new))
                changes.append(Change(file_id, column, *values))
    return tuple(changes)


def version_of(table: Table, last_version: Version | None) -> Version:
    """The version of these rows that follows the previously locked version."""
    if last_version is None or last_version._table is None:
        return _with(table, Version(FIRST, None, table.tree))
    diff = diff_of(last_version._table, table)
    major, minor, patch = map(int, last_version.number.split("."))
    if diff.removed or diff.bytes_changed or diff.rows_changed or diff.withdrawn or diff.excluded:
        number = f"{major + 1}.0.0"
    elif diff:
        number = f"{major}.{minor + 1}.0"
    elif table.tree != last_version.tree:
        number = f"{major}.{minor}.{patch + 1}"
    else:
        return _with(table, Version(last_version.number, last_version.parent, last_version.tree))
    return _with(table, Version(number, last_version, table.tree))


def _with(table: Table, version: Version) -> Version:
    object.__setattr__(version, "_table", table)
    return version


def _values(record: Record) -> dict[str, Any]:
    extra = record.extra
    return _kept({**vars(record), **_whole(extra)} if extra else vars(record))


def _whole(value: Any) -> Any:
    """The value with an int for each float that is a whole number and exact."""
    if isinstance(value, float):
        return int(value) if value.is_integer() and abs(value) <= _MOST_EXACT else value
    if isinstance(value, dict):
        return {name: _whole(member) for name, member in cast("dict[str, Any]", value).items()}
    return [_whole(item) for item in value] if isinstance(value, list) else value  # pyright: ignore[reportUnknownVariableType] # JSON


def _kept(values: dict[str, Any]) -> dict[str, Any]:
    """The values without nulls, at any depth."""
    return {
        name: value if type(value) in _PLAIN else _kept_in(value)
        for name, value in values.items()
        if value is not None
    }


def _kept_in(value: Any) -> Any:
    if isinstance(value, dict):
        return _kept(cast("dict[str, Any]", value))
    return [_kept_in(item) for item in value] if isinstance(value, list) else value  # pyright: ignore[reportUnknownVariableType] # JSON


_encode = json.JSONEncoder(sort_keys=True, ensure_ascii=True, separators=(",", ":")).encode


# ── The lock ─────────────────────────────────────────────────────────────────────────────────────────────


def encode_lock(version: Version, table: Table) -> bytes:
    """The `dataset.lock` of a version with this table."""
    lock: dict[str, Any] = {
        "lock": _FORMAT,
        "version": version.number,
        "parent": None if version.parent is None else version.parent.number,
        "tree": version.tree,
        "history": [[entry.number, entry.tree] for entry in history_of(version)],
        "columns": table.columns,
        "withdrawn": sorted(table.withdrawn),
        "excluded": sorted(table.excluded),
    }
    if table.lost:
        lock["lost"] = sorted(table.lost)
    if table.former_columns is not None:
        lock["former_columns"] = table.former_columns
    head = json.dumps(lock, ensure_ascii=True, separators=(",", ":"))
    # One line per file, so that version control shows the changes.
    lines = [
        json.dumps({id_: [*table.files[id_], *([table.former[id_]] if id_ in table.former else [])]})[1:-1]
        for id_ in sorted(table.files)
    ]
    files = ",\n".join(lines)
    return f'{head[:-1]},"files":{{\n{files}\n}}}}\n'.encode()


def history_of(version: Version) -> list[Version]:
    """The earlier versions, oldest first."""
    history: list[Version] = []
    while version.parent is not None:
        history.insert(0, version := version.parent)
    return history


def read_lock(content: bytes, path: object) -> Version:
    """The version in a `dataset.lock`.
    Raises ConfigurationError: the file is damaged, or was written by a later version of this package.
    """
    try:
        lock: Any = json.loads(content)
        if lock["lock"] != _FORMAT:
            raise ConfigurationError(
                f"{path} was written by a newer version of firsthandapi; upgrade with pip install -U firsthandapi"
            )
        files: dict[str, list[str]] = lock["files"]
        history: list[list[str]] = lock["history"]
        _check_texts(lock["version"], lock["tree"], *lock["columns"], *lock["withdrawn"], *lock["excluded"])
        _check_texts(*(text for row in (*files.values(), *history) for text in row))
        _check_texts(*(lost := lock.get("lost", [])))
        parent: Version | None = None
        for number, tree in history:
            parent = Version(check_number(number), parent, tree)
        former = lock.get("former_columns")
        table = Table(
            {id_: (row[0], row[1]) for id_, row in files.items()},
            tuple(lock["columns"]),
            lock["tree"],
            frozenset(lock["withdrawn"]),
            frozenset(lock["excluded"]),
            None if former is None else tuple(former),
            {id_: row[2] for id_, row in files.items() if len(row) > 2},
            frozenset(lost),
        )
        return _with(table, Version(check_number(lock["version"]), parent, lock["tree"]))
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        raise ConfigurationError(
            f"{path} is damaged; restore it from a backup, or remove it to start with {FIRST} again"
        ) from None


def without(content: bytes, ids: Collection[str], path: object) -> bytes | None:
    """A `dataset.lock` that keeps only the ids of these files, which the service has withdrawn; None if it has no more
    of them.
    Raises ConfigurationError: the file is damaged, or was written by a later version of this package.
    """
    version = read_lock(content, path)
    table = version._table
    if table is None or table.files.keys().isdisjoint(ids):
        return None
    files = {id_: hashes for id_, hashes in table.files.items() if id_ not in ids}
    former = {id_: row for id_, row in table.former.items() if id_ in files}
    lost = table.lost | (table.files.keys() - files.keys())
    return encode_lock(version, replace(table, files=files, former=former, lost=lost))


def _check_texts(*texts: object) -> None:
    if not all(isinstance(text, str) for text in texts):
        raise TypeError


def check_number(value: object) -> str:
    """The number of a version, checked. Raises InvalidArgumentError: the value is not a version or its number."""
    if not isinstance(value, str) or not _NUMBER.fullmatch(value):
        raise InvalidArgumentError("version must be a Version or a number such as '1.2.0'", field="version")
    return value
