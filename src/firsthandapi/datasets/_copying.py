"""Copy a file from one dataset into another."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from secrets import token_hex
from typing import Any

from firsthandapi._core.rows.manifest import Record, in_place_of
from firsthandapi.errors import ConfigurationError

from . import _disk
from ._store import Store


def copied(store: Store, path: Path, record: Record, target: Path) -> None:
    """Copy a file of a store to this machine; it gets its name only once it is complete and verified.
    Raises ConfigurationError: the file is missing or mismatched, or cannot be written.
    """
    size = store.size_of(path)
    part = target.with_name(f".{target.name}.{token_hex(8)}.part")
    sha256 = hashlib.sha256()
    try:
        if size is not None:
            _disk.write_pieces(part, _hashed(store.pieces(path, size), sha256))
        if size is None or sha256.hexdigest() != record.sha256:
            raise ConfigurationError(
                f"{path} is missing or mismatched; run repair on its dataset, then merge again"
            )
        _disk.put(part, target)
    finally:
        _disk.remove(part)


def _hashed(pieces: Iterator[bytes], sha256: Any) -> Iterator[bytes]:
    for piece in pieces:
        sha256.update(piece)
        yield piece


def copied_row(record: Record, name: str, label: str | None) -> Record:
    """The row of a copied file."""
    return in_place_of(replace(record, file_name=name, label=label or record.label), record)
