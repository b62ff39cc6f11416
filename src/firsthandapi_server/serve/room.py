"""The room for uploads on the disk: what is free, less what stays free, and less what others have announced."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from pathlib import Path

from firsthandapi_server.console.face import PageError

from .bounds import BOUNDS

_FULL = "The server has no space left for files: tell whoever gave you the link."


@dataclass(frozen=True, slots=True)
class _Claim:
    worker: str
    bytes: int
    open: Callable[[], int | None]


class Room:
    """What uploads may write to the disk with `folder`, of which `spare_bytes` stay free for the databases."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._claims: dict[Hashable, _Claim] = {}

    def check(self, more: int) -> None:
        """Check that the disk has space for so many bytes. Raises PageError: it has not."""
        if self._free() < more:
            raise PageError(507, _FULL)

    def claim(self, key: Hashable, worker: str, size: int, open_bytes: Callable[[], int | None]) -> None:
        """Reserve the space of an upload and of its clean copy, until `release`.

        Args:
            key: the upload.
            worker: whose it is. Whoever has others on their way leaves as much space to everybody else as they take.
            size: its bytes in all.
            open_bytes: how many it is still to write, with its clean copy; None if it is gone.

        Raises PageError: the space is not there.
        """
        claims = [*self._claims.values()]  # a copy, since other threads end uploads
        own = sum(each.bytes for each in claims if each.worker == worker and each.open() is not None)
        room, needed = self._free() - sum(each.open() or 0 for each in claims), 2 * size
        if needed > (room - own) / 2 if own else needed > room:
            raise PageError(507, _FULL)
        self.keep(key, worker, size, open_bytes)

    def keep(self, key: Hashable, worker: str, size: int, open_bytes: Callable[[], int | None]) -> None:
        """Reserve the space of an upload that an earlier start has let in."""
        self._claims[key] = _Claim(worker, 2 * size, open_bytes)

    def release(self, key: Hashable) -> None:
        """Let the space of an upload go, whether or not it had any."""
        self._claims.pop(key, None)

    def _free(self) -> int:
        return shutil.disk_usage(self._folder).free - BOUNDS.spare_bytes


def exhausted(error: Exception) -> PageError | None:
    """What to say where the machine had no space, or no more descriptors; None for other errors."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return PageError(507, _FULL)
    if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
        return PageError(503, "The server failed. Try again.")
    return None
