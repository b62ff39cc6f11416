"""Withdrawn files: which they are, what a folder remembers of them, and which exports contain them."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from firsthandapi.errors import ConfigurationError

# Kept beside job.json.
WITHDRAWN = "withdrawn.json"
EXPORTS = "exports.json"
LARGEST = 64 * 1024 * 1024


@dataclass(frozen=True)
class Reconciliation:
    """What `Dataset.reconcile` did.

    Attributes:
        removed: the names of the files that were removed with their rows, relative to the folder.
        file_ids: their ids. The folder remembers them, so that no run brings them back.
        exports: paths and URLs of what `to_parquet` and `merge` made of the folder and that contains rows of them.
            Remove these, or make them again; the folder knows nothing of copies that other programs made.
        unsure: the ids of jobs that were left alone, because the service counts more files than it lists, or gives no
            count; run `reconcile` again later.
    """

    removed: tuple[str, ...] = ()
    file_ids: tuple[str, ...] = ()
    exports: tuple[str, ...] = ()
    unsure: tuple[str, ...] = ()


def withdrawn_of(rows: Collection[str], listed: Collection[str], approved: int | None) -> set[str] | None:
    """The ids of the rows of a job that the service has withdrawn; None if that cannot be told.

    A list may lag behind. A file that it does not show is withdrawn only if the list shows as many files as the job
    counts: then the count has fallen, since that file was counted once (contract §10 "Withdrawn files").

    Args:
        rows: the ids of the files that the folder has of the job.
        listed: those that the list shows.
        approved: how many approved files the job counts, read after the list.
    """
    unlisted = {*rows}.difference(listed)
    if unlisted and (approved is None or len(listed) < approved):
        return None
    return unlisted


def parse_ids(content: bytes | None) -> frozenset[str]:
    """The ids that `withdrawn.json` contains.

    Raises:
        ConfigurationError: it is damaged.
    """
    loaded = _loaded(content)
    ids = None if loaded is None else _ids(loaded.get("file_ids", []))
    if ids is None:
        raise ConfigurationError(
            f"{WITHDRAWN} is damaged: restore it from a copy, or withdrawn files could come back"
        )
    return ids


def encode_ids(ids: Iterable[str]) -> bytes:
    """`withdrawn.json` with these ids."""
    return json.dumps({"file_ids": sorted(ids)}, indent=1).encode() + b"\n"


def parse_exports(content: bytes | None) -> dict[str, frozenset[str]]:
    """What `exports.json` contains: by path or URL, the ids of the files in it. What is damaged counts as empty: it
    must not keep a file from being removed."""
    exports = {path: _ids(ids) for path, ids in (_loaded(content) or {}).items()}
    return {path: ids for path, ids in exports.items() if ids is not None}


def encode_exports(exports: Mapping[str, Collection[str]]) -> bytes:
    """`exports.json` with these exports."""
    return (
        json.dumps({path: sorted(ids) for path, ids in exports.items()}, ensure_ascii=True).encode() + b"\n"
    )


def _ids(value: Any) -> frozenset[str] | None:
    """A list of ids; None if it is none."""
    items = cast("list[object]", value) if isinstance(value, list) else [None]
    ids = frozenset(item for item in items if isinstance(item, str))
    return ids if all(isinstance(item, str) for item in items) else None


def _loaded(content: bytes | None) -> dict[str, Any] | None:
    """A JSON object; None if it is damaged, and empty if there is none."""
    try:
        loaded: object = {} if content is None else json.loads(content)
    except (ValueError, RecursionError):
        return None
    return cast("dict[str, Any]", loaded) if isinstance(loaded, dict) else None
