"""Take away the folder that a command made before it failed, if nothing is in it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def taken_away(dest: str) -> Generator[None, None, None]:
    """Take `dest` away if the block creates it and fails, unless a file is in it, or another process is."""
    path = Path(dest)
    was_there = "://" in dest or os.path.lexists(path)
    try:
        yield
    except BaseException:
        if not was_there:
            with suppress(Exception):  # the failure of the command is what people should read
                _take_away(path)
        raise


def _take_away(path: Path) -> None:
    from firsthandapi._base.folder_lock import FolderLock
    from firsthandapi.datasets._lock import NOTES, WRITER

    locks = {path / WRITER, path / NOTES}
    lock = FolderLock(path, WRITER)
    if (path / WRITER).exists() and not lock.acquire():
        return
    try:
        if all(entry in locks or entry.is_dir() for entry in path.rglob("*")):
            shutil.rmtree(path)
    finally:
        lock.release()
