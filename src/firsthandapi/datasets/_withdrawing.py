"""What a folder remembers of withdrawn files and of exports."""
# A part of Dataset:
# pyright: reportPrivateUsage=false

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING

from firsthandapi._core.rows.consents import is_withdrawn
from firsthandapi._core.rows.kept import ENDING, LARGEST_KEPT, VERSIONS, parse_kept
from firsthandapi._core.rows.manifest import label_of
from firsthandapi._core.rows.versions import LARGEST_LOCK, LOCK_FILE, without
from firsthandapi._core.rows.withdrawal import (
    EXPORTS,
    LARGEST,
    WITHDRAWN,
    encode_exports,
    encode_ids,
    parse_exports,
    parse_ids,
)
from firsthandapi.errors import ConfigurationError, FirstHandError

from ._consents import consents_in, keep_consents
from ._hashes import erase_lines
from ._lock import taking_notes
from ._opinions import forget_opinions

if TYPE_CHECKING:
    from firsthandapi._core.rows.manifest import Record

    from ._dataset import Dataset
    from ._manifest import Manifest
    from ._store import Store


def withdrawn_ids(store: Store) -> frozenset[str]:
    """The ids of the files that must not come back."""
    return parse_ids(store.read(store.root / WITHDRAWN, LARGEST))


def withdrawn_in(dataset: Dataset) -> frozenset[str]:
    """The ids of the files that must not be published: also those whose workers have withdrawn their consent."""
    consents = consents_in(dataset._store)
    rows = dataset.records if consents else ()
    return withdrawn_ids(dataset._store).union(row.file_id for row in rows if is_withdrawn(row, consents))


def remove(store: Store, manifests: list[Manifest], rows: list[Record]) -> None:
    """Remove files with their rows, those of kept versions too. A crash at any point leaves what the next call removes:
    the ids are remembered first, then the rows of versions and the files go, and the rows of the manifest last.
    Raises ConfigurationError: a file cannot be removed, or the folder cannot be written to.
    """
    ids = {row.file_id for row in rows}
    if not ids:
        return
    with taking_notes(store):
        store.replace(store.root / WITHDRAWN, encode_ids(withdrawn_ids(store) | ids))
        hashes = frozenset(row.sha256 for row in rows)
        erase_lines(store, hashes)
        forget_opinions(store, hashes)
        _forget(store, ids)
    for manifest in manifests:
        gone = [row for row in manifest.records.values() if row.file_id in ids]
        for row in gone:
            path = manifest.file(row)
            store.remove(path)
            if store.exists(path):
                raise ConfigurationError(f"{path} cannot be removed; remove it, then run reconcile again")
        # Loaders would treat an empty one as a class.
        for folder in {manifest.file(row).parent for row in gone if label_of(row) is not None}:
            store.remove_all(folder, ())
        for row in gone:
            del manifest.records[row.file_id]
        if gone:
            manifest.rewrite()
    keep_consents(store, {}, {row.consent_id for manifest in manifests for row in manifest.records.values()})


def _forget(store: Store, ids: Collection[str]) -> None:
    """Remove the rows of these files from all versions, and their hashes from dataset.lock, which keeps their ids."""
    lock = store.root / LOCK_FILE
    locked = store.read(lock, LARGEST_LOCK)
    if locked is not None and (content := without(locked, ids, lock)) is not None:
        store.replace(lock, content)
    folder = store.root / VERSIONS
    store.refuse_link(folder)
    for name in store.names(folder):
        content = store.read(folder / name, LARGEST_KEPT) if name.endswith(ENDING) else None
        if content is not None:
            rest = parse_kept(content, name.removesuffix(ENDING), folder / name).forgetting(ids)
            if rest is not None:
                store.replace(folder / name, rest.encode())


def note_export(store: Store, path: str, rows: Collection[Record], *, adds: bool) -> None:
    """Remember what was exported, as far as the folder can be written to; `adds` to what was at `path` before."""
    ids = {row.file_id for row in rows}
    _change_exports(store, lambda exports: {**exports, path: ids | exports.get(path, ids) if adds else ids})


def note_cleaned(store: Store, path: str, gone: Collection[str]) -> None:
    """Forget that an export has these files."""
    _change_exports(store, lambda exports: {**exports, path: exports.get(path, frozenset()).difference(gone)})


def _change_exports(
    store: Store, change: Callable[[dict[str, frozenset[str]]], dict[str, AbstractSet[str]]]
) -> None:
    with contextlib.suppress(FirstHandError), taking_notes(store):
        exported = store.root / EXPORTS
        exports = change(parse_exports(store.read(exported, LARGEST)))
        content = encode_exports({path: ids for path, ids in exports.items() if ids})
        if len(content) <= LARGEST:
            store.replace(exported, content)


def exports_of(store: Store, ids: Collection[str]) -> dict[str, frozenset[str]]:
    """The exports that contain some of these files, each with those."""
    try:
        exports = parse_exports(store.read(store.root / EXPORTS, LARGEST))
    except ConfigurationError:
        return {}
    held = {path: files.intersection(ids) for path, files in exports.items()}
    return {path: files for path, files in held.items() if files}
