"""Where a dataset is kept, behind one seam: a folder of this machine, or a bucket."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Protocol

from firsthandapi._core.job_file import JOB_FILE
from firsthandapi._core.manifest import MANIFEST
from firsthandapi.errors import ConfigurationError

from . import _disk
from ._lock import FolderLock


class Writer(Protocol):
    """One run's hand on the place. `lock` first, `release` last."""

    def lock(self) -> bool:
        """Take the place if no other writer has it; it is made if need be.

        Raises:
            ConfigurationError: it cannot be made or written to.
        """
        ...

    def prepare(self, folder: Path, data: Path) -> None:
        """Make the folders of a manifest, and clear what a process that died has left half-done there.

        Raises:
            ConfigurationError: they cannot be made.
        """
        ...

    def size_of(self, path: Path) -> int | None:
        """The size of a file, as `Store.size_of` tells it; quick enough to be asked of each."""
        ...

    def fetch_to(self, path: Path) -> Path:
        """The name under which a file is fetched that is to be at `path`."""
        ...

    def put(self, path: Path) -> None:
        """Bring a file that was fetched and verified to `path`. Any thread may.

        Raises:
            FirstHandError: it is not there.
        """
        ...

    def check(self) -> None:
        """Tell of what makes going on useless.

        Raises:
            ConfigurationError: no file can be brought to its place any more.
        """
        ...

    def stop(self) -> None:
        """Give up what is on its way to its place."""
        ...

    def release(self) -> None:
        """Let the next writer in."""
        ...


class Store(Protocol):
    """A place, read and written; every failure is an error of ours. It has no state, and can be pickled."""

    @property
    def root(self) -> Path:
        """The dataset's folder."""
        ...

    @property
    def readers(self) -> int:
        """How many files are best read at once."""
        ...

    def writer(self) -> Writer:
        """A hand to write with."""
        ...

    def appender(self, path: Path) -> _disk.Appender | None:
        """The end of a file; None where nothing can be appended to."""
        ...

    def refuse_link(self, folder: Path) -> None:
        """Make sure that a folder is not elsewhere.

        Raises:
            ConfigurationError: it is a link.
        """
        ...

    def exists(self, path: Path) -> bool:
        """Whether there is anything of that name."""
        ...

    def size_of(self, path: Path) -> int | None:
        """The size of a plain file; None for anything else."""
        ...

    def read(self, path: Path) -> bytes | None:
        """A file's content, or None if there is nothing of that name.

        Raises:
            ConfigurationError: it cannot be read.
        """
        ...

    def begin_of(self, path: Path, most: int) -> bytes | None:
        """The first bytes of a file, `most` at most; None if it cannot be read."""
        ...

    def sha256_of(self, path: Path, size: int) -> str:
        """The SHA-256 of a file of `size` bytes, in hex.

        Raises:
            ConfigurationError: it cannot be read.
        """
        ...

    def names(self, folder: Path) -> list[Path]:
        """What is in a folder, in order.

        Raises:
            ConfigurationError: it cannot be read.
        """
        ...

    def create(self, path: Path, content: bytes) -> None:
        """Write a file that must not be there, whole or not at all.

        Raises:
            ConfigurationError: it is there, or cannot be written.
        """
        ...

    def replace(self, path: Path, content: bytes) -> None:
        """Write a file in one step: a reader sees the old or the new one.

        Raises:
            ConfigurationError: it cannot be written; the old one is still there.
        """
        ...

    def remove(self, path: Path) -> None:
        """Remove a file if it is there and that can be done."""
        ...


class Disk:
    """A folder of this machine."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.readers = min(4, os.cpu_count() or 1)

    def writer(self) -> Writer:
        return _DiskWriter(self.root)

    def appender(self, path: Path) -> _disk.Appender | None:
        return _disk.Appender(path)

    def refuse_link(self, folder: Path) -> None:
        if folder.is_symlink():
            raise ConfigurationError(f"{folder} is a link, which may lead anywhere; use a real folder")

    def exists(self, path: Path) -> bool:
        return path.exists()

    def size_of(self, path: Path) -> int | None:
        return _disk.size_of(path)

    def read(self, path: Path) -> bytes | None:
        return _disk.read(path)

    def begin_of(self, path: Path, most: int) -> bytes | None:
        return _disk.begin_of(path, most)

    def sha256_of(self, path: Path, size: int) -> str:  # noqa: ARG002 # a file has an end of its own
        return _disk.digest(path)[1]

    def names(self, folder: Path) -> list[Path]:
        try:
            return sorted(folder.iterdir()) if folder.is_dir() else []
        except OSError as error:
            raise _disk.cannot(folder, "read", error) from None

    def create(self, path: Path, content: bytes) -> None:
        _disk.create(path, content)

    def replace(self, path: Path, content: bytes) -> None:
        _disk.replace(path, content)

    def remove(self, path: Path) -> None:
        _disk.remove(path)


class _DiskWriter:
    """Files are fetched beside their place, so that a rename puts them there: all else is done by then."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._lock = FolderLock(root)

    def lock(self) -> bool:
        _disk.make_directory(self._root)
        if not self._lock.acquire():
            return False
        for left_over in self._root.glob(f".{JOB_FILE}.*.part"):
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
