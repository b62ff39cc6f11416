"""What `Store` asks for, on a disk: only plain files, written in one step; every failure is our error. A function
without a docstring does what the method of its name there does."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from firsthandapi._base.host import replacing
from firsthandapi._base.names import ROOM
from firsthandapi._core.orders.record import LARGEST_RECORD
from firsthandapi.errors import ConfigurationError

_BINARY = getattr(os, "O_BINARY", 0)
_NO_LINK = getattr(os, "O_NOFOLLOW", 0)
_NO_WAIT = getattr(os, "O_NONBLOCK", 0)
_CHUNK = 1024 * 1024


def cannot(path: Path, verb: str, error: Exception) -> ConfigurationError:
    """Our error for a failure of the disk, for an impossible file name, or for a file in place of a folder."""
    in_the_way = isinstance(error, (FileExistsError, NotADirectoryError))
    files = [place for place in (path, *path.parents) if in_the_way and place.is_file()]
    if files:
        return ConfigurationError(f"{files[0]} is a file, not a folder; choose a different folder")
    why = getattr(error, "strerror", None)
    reason = f"{error}; use a different name" if why is None else f"{why}; check its permissions and the disk"
    return ConfigurationError(f"{path} cannot be {verb}: {reason}")


def exists(path: Path) -> bool:
    return _mode_of(path) is not None


def refuse_link(path: Path) -> None:
    mode = _mode_of(path)
    if mode is not None and stat.S_ISLNK(mode):
        raise _link_refused(path)


def _mode_of(path: Path) -> int | None:
    try:
        return path.lstat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        raise cannot(path, "read", error) from None


def size_of(path: Path) -> int | None:
    try:
        status = path.lstat()
    except OSError:
        return None
    return status.st_size if stat.S_ISREG(status.st_mode) else None


def read(path: Path, most: int = LARGEST_RECORD) -> bytes | None:
    """A plain file's content, or None if there is nothing of that name.
    Raises ConfigurationError: it is a link, which may lead anywhere, or a device, or has more than `most` bytes, or
    cannot be read.
    """
    try:
        # Checked first, because opening a pipe would block forever.
        if not stat.S_ISREG(path.lstat().st_mode):
            raise ConfigurationError(
                f"{path} is not a plain file; replace it with the file itself, or move it away"
            )
        with _open(path) as file:
            size = os.fstat(file.fileno()).st_size
            # One more byte shows whether the file has grown.
            content = b"" if size > most else file.read(size + 1)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise cannot(path, "read", error) from None
    if max(size, len(content)) > most:
        raise too_large(path, most)
    return content


def too_large(path: Path, most: int) -> ConfigurationError:
    """Our error for a file that is too large for memory."""
    return ConfigurationError(
        f"{path} cannot be read: it is larger than {most >> 20} MiB, the most that firsthandapi writes; open only "
        "folders that you trust"
    )


def too_many(folder: Path, most: int) -> ConfigurationError:
    """Our error for a folder with more names than firsthandapi writes."""
    return ConfigurationError(
        f"{folder} cannot be read: it contains more than {most:,} files; move away those that do not "
        "belong to the dataset"
    )


def begin_of(path: Path, most: int) -> bytes | None:
    try:
        with _open(path) as file:
            return file.read(most)
    except OSError:
        return None


def names_in(folder: Path, most: int) -> list[str]:
    """The names in a folder, in order; none if there is no such folder.
    Raises ConfigurationError: it has more than `most`, or cannot be read.
    """
    try:
        with os.scandir(folder) as entries:
            names = sorted(entry.name for entry in islice(entries, most + 1))
    except (FileNotFoundError, NotADirectoryError, ValueError):  # a path with a NUL is none
        return []
    except OSError as error:
        raise cannot(folder, "read", error) from None
    if len(names) > most:
        raise too_many(folder, most)
    return names


def sizes_below(root: Path) -> dict[str, int]:
    def fail(error: OSError) -> None:
        if not isinstance(error, FileNotFoundError):
            raise cannot(root, "read", error) from None

    sizes: dict[str, int] = {}
    for folder, folders, names in os.walk(root, onerror=fail):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            path = Path(folder, name)
            size = None if name.startswith(".") else size_of(path)
            if size is not None:
                sizes[path.relative_to(root).as_posix()] = size
    return sizes


def refuse_links_in(folder: Path) -> None:
    """Check that no file of a folder is a link. The listing shows links, so no file is touched.
    Raises ConfigurationError: a file is a link, or the folder cannot be read.
    """
    try:
        with os.scandir(folder) as entries:
            link = next((entry.name for entry in entries if entry.is_symlink()), None)
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise cannot(folder, "read", error) from None
    if link is not None:
        raise _link_refused(folder / link)


def _link_refused(path: Path) -> ConfigurationError:
    return ConfigurationError(
        f"{path} is a link, which may lead anywhere; replace it with what it links to, or remove it"
    )


def pieces(path: Path) -> Iterator[bytes]:
    try:
        with _open(path) as content:
            while chunk := content.read(_CHUNK):
                yield chunk
    except OSError as error:
        raise cannot(path, "read", error) from None


def make_directory(path: Path) -> None:
    """Create a directory that is not a link, and flush it to the disk.
    Raises ConfigurationError: it cannot be created, or is not a folder.
    """
    try:
        if not path.is_dir():
            path.mkdir(parents=True, exist_ok=True)
            replacing.sync_directory(path.parent)
    except (OSError, ValueError) as error:
        raise cannot(path, "created", error) from None


def make_room(folder: Path) -> None:
    """Create the room in a dataset's folder, which exists. Raises ConfigurationError: it cannot be created."""
    room = folder / ROOM
    refuse_link(room)
    try:
        if not room.is_dir():
            room.mkdir(exist_ok=True)
            replacing.sync_directory(folder)
    except OSError as error:
        raise cannot(room, "written to", error) from None


def create(path: Path, content: bytes) -> None:
    try:
        replacing.create(path, content)
    except FileExistsError:
        raise ConfigurationError(
            f"{path} was just created by another program; run the same call again"
        ) from None
    except OSError as error:
        raise cannot(path, "written", error) from None


def replace(path: Path, content: bytes) -> None:
    mode = _mode_of(path) or 0
    try:
        # A record of an agents' ledger stays for its owner alone.
        replacing.replace(path, content, stat.S_IMODE(mode) if stat.S_ISREG(mode) else 0o644)
    except OSError as error:
        raise cannot(path, "written", error) from None


def remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        replacing.remove(path)


def remove_parts(folder: Path, pattern: str = ".*.part") -> None:
    """Remove files that dead processes have left half written. Nobody else may write such files now."""
    if not folder.is_symlink():  # which may lead anywhere
        for left_over in folder.glob(pattern):
            remove(left_over)


def copy_into(folder: Path, names: Iterable[str], target: Path) -> None:
    """Give files of a folder the same names in another folder as well. Skips missing files, and removes incomplete
    copies that a crash has left.
    """
    make_directory(target)
    remove_parts(target)
    for name in names:
        try:
            if size_of(folder / name) is not None:
                replacing.link(folder / name, target / name)
        except OSError as error:
            raise cannot(target / name, "written", error) from None
    replacing.sync_directory(target)


def remove_all(folder: Path, names: Iterable[str]) -> None:
    for name in names:
        remove(folder / name)
    with contextlib.suppress(OSError):
        folder.rmdir()


class Appender:
    """Appends lines to a file, each completely or not at all."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd = -1

    def add(self, line: bytes) -> None:
        """Add a line in one write: a reader never sees half of it."""
        try:
            if self._fd == -1:
                self._fd = os.open(self._path, os.O_WRONLY | os.O_APPEND | _BINARY | _NO_LINK)
            size = os.fstat(self._fd).st_size
            if os.write(self._fd, line) < len(line):
                # The disk is full. Half a line would make the whole file unreadable.
                os.ftruncate(self._fd, size)
                raise ConfigurationError(f"{self._path} cannot be written: the disk is full")
        except OSError as error:
            raise cannot(self._path, "written", error) from None

    def close(self) -> None:
        """Flush the added lines to the disk."""
        fd, self._fd = self._fd, -1
        if fd != -1:
            try:
                replacing.flush(fd)
            except OSError as error:
                raise cannot(self._path, "written", error) from None
            finally:
                os.close(fd)


def _open(path: Path) -> BinaryIO:
    # Do not follow a link, or wait for a pipe, that has replaced the file since the check.
    flags = os.O_RDONLY | _BINARY | _NO_LINK | _NO_WAIT
    return os.fdopen(replacing.patiently(lambda: os.open(path, flags), path, os.R_OK), "rb")
