"""Copy a file from one dataset into another."""

from __future__ import annotations

from pathlib import Path
from secrets import token_hex

from firsthandapi._core.rows.manifest import Record
from firsthandapi.errors import ConfigurationError

from . import _disk
from ._store import Store


def copied(store: Store, path: Path, record: Record, target: Path) -> None:
    """Copy a file of a store to this machine; it gets its name only once it is complete and verified.
    Raises ConfigurationError: the file is missing or mismatched, or cannot be written.
    """
    size = store.size_of(path)
    part = target.with_name(f".{target.name}.{token_hex(8)}.part")
    try:
        if size is None or _disk.write_pieces(part, store.pieces(path, size)) != record.sha256:
            raise ConfigurationError(
                f"{path} is missing or mismatched; run repair on its dataset, then merge again"
            )
        _disk.put(part, target)
    finally:
        _disk.remove(part)
