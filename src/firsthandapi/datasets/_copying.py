"""Copy a file from one dataset into another."""

from __future__ import annotations

import hashlib
from pathlib import Path

from firsthandapi._base.host.replacing import sync_directory
from firsthandapi._core.rows.manifest import Record
from firsthandapi.datasets._download.part import DiskError, Parts
from firsthandapi.errors import ConfigurationError

from ._store import Store


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
                raise ConfigurationError(
                    f"{path} is missing or mismatched; run repair on its dataset, then merge again"
                )
            part.put()
    except DiskError as error:
        raise ConfigurationError(f"{target.parent}: {error}") from None
    sync_directory(target.parent)
