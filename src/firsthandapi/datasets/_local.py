"""A dataset on this machine. Files are written beside their final name, and renamed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from firsthandapi._core.rows.manifest import MANIFEST, MOST_NAMES

from . import _disk
from ._lock import WRITER, FolderLock

if TYPE_CHECKING:
    from ._store import Writer


class Local:
    """A folder of this machine."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.readers = min(4, os.cpu_count() or 1)

    def writer(self) -> Writer:
        return LocalWriter(self.root)

    def is_no_folder(self, path: Path) -> bool:
        return os.path.lexists(path) and not os.path.isdir(path)  # noqa: PTH112 # unlike pathlib's, neither raises

    def stamp(self, path: Path) -> object:
        try:
            about = path.stat()
        except OSError:
            return None
        return about.st_size, about.st_mtime_ns, about.st_ino

    def pieces(self, path: Path, size: int) -> Iterator[bytes]:  # noqa: ARG002 # a file has an end of its own
        return _disk.pieces(path)

    def names(self, folder: Path) -> list[str]:
        return _disk.names_in(folder, MOST_NAMES)

    def create(self, path: Path, content: bytes) -> None:
        _disk.make_directory(path.parent)
        _disk.create(path, content)

    appender = staticmethod(_disk.Appender)
    refuse_link = staticmethod(_disk.refuse_link)
    refuse_links_in = staticmethod(_disk.refuse_links_in)
    exists = staticmethod(_disk.exists)
    size_of = staticmethod(_disk.size_of)
    read = staticmethod(_disk.read)
    begin_of = staticmethod(_disk.begin_of)
    replace = staticmethod(_disk.replace)
    remove = staticmethod(_disk.remove)
    copy_into = staticmethod(_disk.copy_into)
    remove_all = staticmethod(_disk.remove_all)


class LocalWriter:
    """Files are downloaded beside their final name, so that a rename is all that is left."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._lock = FolderLock(root, WRITER)

    def lock(self) -> bool:
        _disk.make_directory(self._root)
        _disk.make_room(self._root)
        if not self._lock.acquire():
            return False
        for left_over in self._root.glob(f".{MANIFEST}.*.part"):  # others are written without the lock
            _disk.remove(left_over)
        return True

    def prepare(self, folder: Path, data: Path) -> None:
        _disk.make_directory(data)
        for left_over in [*data.glob(".*.part"), *folder.glob(f".{MANIFEST}.*.part")]:
            _disk.remove(left_over)

    def size_of(self, path: Path) -> int | None:
        return _disk.size_of(path)

    def fetch_to(self, path: Path) -> Path:
        return path

    def put(self, path: Path) -> None:
        pass

    def check(self) -> None:
        pass

    def stop(self) -> None:
        pass

    def release(self) -> None:
        self._lock.release()
