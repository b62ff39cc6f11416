"""A dataset on this machine. Files are written beside their final name, and renamed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from firsthandapi._base.folder_lock import FolderLock
from firsthandapi._base.host.replacing import PARTS
from firsthandapi._base.names import ROOM
from firsthandapi._core.files.kinds import PLACES
from firsthandapi._core.orders.record import ORDERS
from firsthandapi._core.rows.decisions import EXCLUDED, EXCLUDED_ROWS
from firsthandapi._core.rows.kept import VERSIONS
from firsthandapi._core.rows.manifest import MANIFEST, MOST_NAMES

from . import _disk
from ._lock import NOTES, WRITER

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

    def sizes_below(self) -> dict[str, int]:
        return _disk.sizes_below(self.root)

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
        try:
            self._tidy()
        except BaseException:
            self._lock.release()
            raise
        return True

    def _tidy(self) -> None:
        """Remove what dead processes have left half written; `prepare` does where there may be many files."""
        root = self._root.resolve()  # the user may have passed a link
        _disk.refuse_link(root / EXCLUDED)
        for place in PLACES:
            _disk.remove_parts(root / place, f".{MANIFEST}.*.part")
            _disk.remove_parts(root / EXCLUDED / place, f".{EXCLUDED_ROWS}.*.part")
        _disk.remove_parts(root / ORDERS)
        _disk.refuse_link(root / VERSIONS)
        notes = [path for folder in (root, root / ROOM, root / VERSIONS) for path in folder.glob(PARTS)]
        lock = FolderLock(root, NOTES)
        if notes and lock.acquire():  # else they may be of whoever has it
            for left_over in notes:
                _disk.remove(left_over)
            lock.release()

    def prepare(self, folder: Path) -> None:
        _disk.make_directory(folder)
        _disk.remove_parts(folder)

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
