"""Files as a dataset needs them: plain ones only, written in one step, and every failure an error of ours."""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
from pathlib import Path
from secrets import token_hex

from firsthandapi._download.place import sync_directory
from firsthandapi.errors import ConfigurationError

_BINARY = getattr(os, "O_BINARY", 0)
_NO_LINK = getattr(os, "O_NOFOLLOW", 0)
_CHUNK = 1024 * 1024


def cannot(path: Path, what: str, error: Exception) -> ConfigurationError:
    """Our word for a failure of the disk, or for a name that none can have."""
    return ConfigurationError(f"{path} cannot be {what}: {getattr(error, 'strerror', None) or error}")


def size_of(path: Path) -> int | None:
    """The size of a plain file; None for anything else, links included."""
    try:
        status = path.lstat()
    except OSError:
        return None
    return status.st_size if stat.S_ISREG(status.st_mode) else None


def read(path: Path) -> bytes | None:
    """A plain file's content, or None if there is nothing of that name.

    Raises:
        ConfigurationError: it is a link, which may lead anywhere, or a device, or cannot be read.
    """
    try:
        # Looked at first: opening a pipe would wait for ever.
        if not stat.S_ISREG(path.lstat().st_mode):
            raise ConfigurationError(f"{path} is not a plain file")
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise cannot(path, "read", error) from None


def begin_of(path: Path, most: int) -> bytes | None:
    """The first bytes of a file, `most` at most; None if it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(most)
    except OSError:
        return None


def digest(path: Path) -> tuple[int, str]:
    """Size and SHA-256 of a file.

    Raises:
        ConfigurationError: it cannot be read.
    """
    sha256, size = hashlib.sha256(), 0
    try:
        with path.open("rb") as content:
            while chunk := content.read(_CHUNK):
                sha256.update(chunk)
                size += len(chunk)
    except OSError as error:
        raise cannot(path, "read", error) from None
    return size, sha256.hexdigest()


def make_directory(path: Path) -> None:
    """Make a real directory, on the disk before anything is put into it.

    Raises:
        ConfigurationError: it cannot be made, or is something else.
    """
    try:
        if not path.is_dir():
            path.mkdir(parents=True, exist_ok=True)
            sync_directory(path.parent)
    except (OSError, ValueError) as error:
        raise cannot(path, "made", error) from None


def create(path: Path, content: bytes) -> None:
    """Write a file that must not be there, whole or not at all.

    Raises:
        ConfigurationError: it is there, or cannot be written.
    """
    part = _part_of(path)
    try:
        # Whole under another name first: a file that is there is always whole.
        _write(part, content)
        try:
            os.link(part, path)  # fails if the name is taken, where a rename would not
        except FileExistsError:
            raise
        except (OSError, AttributeError):
            _write(path, content)  # a file system without links
    except FileExistsError:
        raise ConfigurationError(
            f"{path} appeared meanwhile: another program writes to this folder"
        ) from None
    except OSError as error:
        raise cannot(path, "written", error) from None
    finally:
        remove(part)
    sync_directory(path.parent)


def replace(path: Path, content: bytes) -> None:
    """Write a file in one step: a reader sees the old or the new one.

    Raises:
        ConfigurationError: it cannot be written; the old one is still there.
    """
    part = _part_of(path)
    try:
        _write(part, content)
        part.replace(path)
    except OSError as error:
        raise cannot(path, "written", error) from None
    finally:
        remove(part)
    sync_directory(path.parent)


def remove(path: Path) -> None:
    """Remove a file if it is there and that can be done."""
    with contextlib.suppress(OSError):
        path.unlink()


class Appender:
    """The end of a file, to which lines are added, each whole or not at all."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd = -1

    def add(self, line: bytes) -> None:
        """Add a line in one write: a reader never sees half of it.

        Raises:
            ConfigurationError: it cannot be written.
        """
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
        """Flush what was added to the disk.

        Raises:
            ConfigurationError: that failed.
        """
        fd, self._fd = self._fd, -1
        if fd != -1:
            try:
                os.fsync(fd)
            except OSError as error:
                raise cannot(self._path, "written", error) from None
            finally:
                os.close(fd)


def _part_of(path: Path) -> Path:
    return path.with_name(f".{path.name}.{token_hex(8)}.part")


def _write(path: Path, content: bytes) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _BINARY, 0o644)
    try:
        view = memoryview(content)
        while view:
            view = view[os.write(fd, view) :]
        os.fsync(fd)
    finally:
        os.close(fd)
