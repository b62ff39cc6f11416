"""Copy files from one dataset into another."""

from __future__ import annotations

import hashlib
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from firsthandapi._base.host.replacing import sync_directory
from firsthandapi._core.rows.manifest import Record
from firsthandapi.datasets._download.part import DiskError, Parts
from firsthandapi.errors import ConfigurationError

from ._local import Local
from ._store import Store, sha256_of


@contextmanager
def at_once(*stores: Store) -> Generator[ThreadPoolExecutor, None, None]:
    """Threads that copy as many files between these stores at the same time as one of them gains from. After a failure
    they start no other."""
    pool = ThreadPoolExecutor(max_workers=max(store.readers for store in stores))
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def copied(store: Store, path: Path, record: Record, target: Path) -> None:
    """Copy a file of a store to this machine; it gets its name only once it is complete and verified.
    Raises ConfigurationError: the file is missing or mismatched, or cannot be written.
    """
    size = store.size_of(path)
    sha256 = hashlib.sha256()
    try:
        with Parts().open(target) as part:
            for piece in () if size is None else store.pieces(path, size):
                part.write(memoryview(piece))
                sha256.update(piece)
            if size is None or sha256.hexdigest() != record.sha256:
                raise _mismatched(path)
            part.put()
    except DiskError as error:
        raise ConfigurationError(f"{target.parent}: {error}") from None
    sync_directory(target.parent)


def on_this_machine(store: Store, path: Path, record: Record, folder: Path) -> Path:
    """The path of a verified file of a store on this machine: its own, or that of a copy in `folder`.
    Raises ConfigurationError: the file is missing or mismatched, or cannot be written.
    """
    if not isinstance(store, Local):
        target = folder / f"{record.sha256}{path.suffix}"  # no two files differ in case only
        copied(store, path, record, target)
        return target
    if store.size_of(path) != record.size_bytes or sha256_of(store, path, record.size_bytes) != record.sha256:
        raise _mismatched(path)
    return path


def _mismatched(path: Path) -> ConfigurationError:
    return ConfigurationError(
        f"{path} is missing or mismatched; run repair on its dataset, then the same call again"
    )
