"""The hashes of images that a folder keeps: lines of one length, each of which ends with the SHA-256 of its image."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING

from firsthandapi._base.names import ROOM
from firsthandapi._core.rows.manifest import MOST_ROWS
from firsthandapi.errors import ConfigurationError

from ._store import append

if TYPE_CHECKING:
    from ._store import Store

# The hashes of the whole of an image and of its parts, 8 bytes each, and its pixels in small. Whoever changes how they
# are made gives the file another number.
PARTS, PIXELS = 28, 32
HASHES = f"{ROOM}/hashes-1.bin"
_SHA256 = 32
_LINE = PARTS * 8 + PIXELS * PIXELS + _SHA256


def lines_in(store: Store) -> dict[str, memoryview]:
    """The lines, by SHA-256; none if the file cannot be read. What a crash has cut off at its end is none."""
    try:
        content = memoryview(store.read(store.root / HASHES, MOST_ROWS * _LINE) or b"")
    except ConfigurationError:
        return {}
    lines = (content[start : start + _LINE] for start in range(0, len(content) - _LINE + 1, _LINE))
    return {line[-_SHA256:].hex(): line for line in lines}


def add_lines(store: Store, lines: Iterable[bytes]) -> None:
    """Add lines. The caller holds the lock of notes.
    Raises ConfigurationError: the folder cannot be written to.
    """
    path, content = store.root / HASHES, b"".join(lines)
    # Half a line becomes one of no file.
    if not append(store, path, bytes(-(store.size_of(path) or 0) % _LINE) + content):
        store.replace(path, b"".join([*lines_in(store).values(), content]))


def erase_lines(store: Store, hashes: Collection[str]) -> None:
    """Erase the lines of these files, by their SHA-256, and half a line. The caller holds the lock of notes.
    Raises ConfigurationError: the folder cannot be written to.
    """
    path = store.root / HASHES
    lines = [line for sha256, line in lines_in(store).items() if sha256 not in hashes]
    if store.size_of(path) not in (None, len(lines) * _LINE):
        store.replace(path, b"".join(lines))
