"""One writer per folder. The lock ends when its process ends for any reason."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from firsthandapi._base.folder_lock import FolderLock
from firsthandapi._base.host.locking import taken_within
from firsthandapi._base.names import ROOM
from firsthandapi.errors import ConfigurationError

from . import _disk

if TYPE_CHECKING:
    from ._store import Store

# In a dataset's folder: for whoever writes files and rows.
WRITER = f"{ROOM}/lock"
# The same for whoever writes a small file in a moment, which runs need not wait for: decisions, exports, or a card.
NOTES = f"{ROOM}/notes.lock"
_NOTES_SECONDS = 30.0


@contextmanager
def taking_notes(store: Store) -> Generator[None, None, None]:
    """Allow one process at a time to write a small file. In a bucket, nothing can be locked."""
    if store.appender(store.root) is None:
        yield
        return
    _disk.make_room(store.root)
    lock = FolderLock(store.root, NOTES)
    if not taken_within(_NOTES_SECONDS, lock.acquire):
        raise ConfigurationError(
            f"another process has kept {store.root / NOTES} for {_NOTES_SECONDS:.0f} seconds; run the same call again"
        )
    try:
        yield
    finally:
        lock.release()
