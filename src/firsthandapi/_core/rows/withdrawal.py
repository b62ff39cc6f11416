"""Withdrawn files: find them, remember them in the folder, and find the exports that contain them."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from firsthandapi._base.loose_json import load, strings
from firsthandapi._base.names import ROOM
from firsthandapi.errors import ConfigurationError

WITHDRAWN = f"{ROOM}/withdrawn.json"
EXPORTS = f"{ROOM}/exports.json"
LARGEST = 64 * 1024 * 1024


@dataclass(frozen=True)
class Copy:
    """A copy of withdrawn files.

    Attributes:
        url: its path or URL.
        gone: True if `reconcile` has removed them there, and from the copies of that copy. In a repository of the Hub,
            earlier commits keep their rows, without the bytes. False if some are still
            there; None if it could not be reached, which the next call tries again, or if the service was not asked
            about the jobs of these files.
    """

    url: str
    gone: bool | None


@dataclass(frozen=True)
class Reconciliation:
    """The result of `Dataset.reconcile`.

    Attributes:
        removed: the names of the files that were removed with their rows, relative to the folder.
        file_ids: their ids. The folder remembers them, so that no run downloads them again.
        exports: paths and URLs of what `to_parquet`, `merge`, `copy_to`, and `publish` made that contained their
            rows. The folder does not know of copies that other programs made.
        copies: the same, each with whether the files are gone there. Remove the others, or create them again.
        unsure: the ids of unchanged jobs, for which the service counts more files than it lists, or gives no count;
            run `reconcile` again later.
    """

    removed: tuple[str, ...] = ()
    file_ids: tuple[str, ...] = ()
    exports: tuple[str, ...] = ()
    copies: tuple[Copy, ...] = ()
    unsure: tuple[str, ...] = ()


def withdrawn_of(rows: Collection[str], listed: Collection[str], approved: int | None) -> set[str] | None:
    """The ids of a job's rows that the service has withdrawn; None if that is unknown.

    A list may lag behind. A missing file is withdrawn only if the list shows as many files as the job counts, which was
    read after the list: the count once included that file, so it has decreased (contract §10 "Withdrawn files")."""
    unlisted = {*rows}.difference(listed)
    if unlisted and (approved is None or len(listed) < approved):
        return None
    return unlisted


def parse_ids(content: bytes | None) -> frozenset[str]:
    """The ids in `withdrawn.json`. Raises ConfigurationError: the file is damaged."""
    loaded = _loaded(content)
    ids = None if loaded is None else strings(loaded.get("file_ids", []))
    if ids is None:
        raise ConfigurationError(
            f"{WITHDRAWN} is damaged: restore it from a backup, or withdrawn files could come back"
        )
    return frozenset(ids)


def encode_ids(ids: Iterable[str]) -> bytes:
    return json.dumps({"file_ids": sorted(ids)}, indent=1).encode() + b"\n"


def parse_exports(content: bytes | None) -> dict[str, frozenset[str]]:
    """The exports in `exports.json`: by path or URL, the ids of the files in each. A damaged file counts as empty, so
    that it does not prevent the removal of files."""
    exports = {path: strings(ids) for path, ids in (_loaded(content) or {}).items()}
    return {path: frozenset(ids) for path, ids in exports.items() if ids is not None}


def encode_exports(exports: Mapping[str, Collection[str]]) -> bytes:
    return (
        json.dumps({path: sorted(ids) for path, ids in exports.items()}, ensure_ascii=True).encode() + b"\n"
    )


def _loaded(content: bytes | None) -> dict[str, Any] | None:
    """The JSON object in a file; None if it is damaged, and empty if there is no file."""
    loaded: object = {} if content is None else load(content)
    return cast("dict[str, Any]", loaded) if isinstance(loaded, dict) else None
