"""Files on the disk: written in one step, flushed for good, and not given up while another program reads them.

Whatever fails is an `OSError`.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import time
from collections.abc import Callable
from secrets import token_hex
from typing import TypeVar

T = TypeVar("T")
AnyPath = str | os.PathLike[str]

# Seconds, 2 in all. A virus scanner, an indexer, or a reader of ours opens a file for a moment, and Windows lets nobody
# replace, remove, or (while it is replaced) open it then.
_PAUSES = tuple(0.004 * 2**n for n in range(9))
# O_BINARY is Windows' alone, and there without it line feeds would grow.
NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)

# What `part_of` names, as a pattern for `glob`.
PARTS = f".*.{'[0-9a-f]' * 16}.part"

if sys.platform != "win32":
    import fcntl

_FULL: int | None = None if sys.platform == "win32" else getattr(fcntl, "F_FULLFSYNC", None)  # macOS


def flush(fd: int) -> None:
    """Have on the disk what was written to a file."""
    if sys.platform != "win32" and _FULL is not None:
        # On macOS `fsync` leaves the bytes in the memory of the disk, which a power cut takes.
        with contextlib.suppress(OSError):  # a file system that has only the other
            fcntl.fcntl(fd, _FULL)
            return
    os.fsync(fd)


def sync_directory(directory: AnyPath) -> None:
    """Have the names in a folder on the disk, where the platform has that: a rename alone may be lost with the power.

    A file system that refuses has nothing better to offer.
    """
    if not hasattr(os, "O_DIRECTORY"):  # Windows
        return
    with contextlib.suppress(OSError):
        fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            flush(fd)
        finally:
            os.close(fd)


def patiently(action: Callable[[], T], path: AnyPath, access: int = os.W_OK) -> T:
    """Do something again for up to 2 seconds while another program has a file open.

    Args:
        action: what; it raises `PermissionError` then.
        path: what `access` it needs to. A refusal that has to do with permissions is raised immediately.
        access: as `os.access` takes it.
    """
    for pause in _PAUSES:
        try:
            return action()
        except PermissionError:
            if not os.access(path, access):
                raise
        time.sleep(pause)
    return action()


def rename(source: AnyPath, target: AnyPath) -> None:
    """Give a file its name in one step, in place of a file that has it. The name may be lost with the power."""
    patiently(lambda: os.replace(source, target), _folder_of(target))  # noqa: PTH105 # strings are faster


def remove(path: AnyPath) -> None:
    """Remove a file if it exists."""
    with contextlib.suppress(FileNotFoundError):
        patiently(lambda: os.unlink(path), _folder_of(path))  # noqa: PTH108 # see above


def put(source: AnyPath, target: AnyPath) -> None:
    """Give a flushed file its name, for good."""
    rename(source, target)
    sync_directory(_folder_of(target))


def replace(path: AnyPath, content: bytes, mode: int = 0o644) -> None:
    """Write a file in one step: a reader sees the old or the new one, and so does whoever comes after a power cut.

    Args:
        path: the file.
        content: all of it.
        mode: the permissions of the new one.
    """
    part = part_of(path)
    try:
        write(part, content, mode)
        rename(part, path)
    finally:
        _discard(part)
    sync_directory(_folder_of(path))


def create(path: AnyPath, content: bytes, mode: int = 0o644) -> None:
    """Write a file that must not exist, completely or not at all.

    On a file system without links, only a lock of the caller's keeps two from doing so at the same time.
    Raises FileExistsError: it exists.
    """
    part = part_of(path)
    try:
        # Complete under another name first: a file that exists is always complete.
        write(part, content, mode)
        try:
            os.link(part, path)  # fails if the name is taken, where a rename would not
        except FileExistsError:
            raise
        except (OSError, AttributeError):  # a file system without links
            if os.path.lexists(path):
                raise FileExistsError from None
            patiently(lambda: os.rename(part, path), _folder_of(path))  # noqa: PTH104 # on Windows it refuses by itself
    finally:
        _discard(part)
    sync_directory(_folder_of(path))


def link(source: AnyPath, target: AnyPath) -> None:
    """Give a file a second name, in place of a file that has it; on a file system without links it is copied."""
    part = part_of(target)
    try:
        try:
            os.link(source, part)
        except (OSError, AttributeError):
            shutil.copyfile(source, part)
            with open(part, "rb+") as file:  # noqa: PTH123 # see above
                flush(file.fileno())
        rename(part, target)
    finally:
        _discard(part)  # two names of one file stay two


def part_of(path: AnyPath) -> str:
    """A name for what will be `path`, beside it; `PARTS` matches it."""
    folder, name = os.path.split(str(os.fspath(path)))
    return os.path.join(folder, f".{name}.{token_hex(8)}.part")  # noqa: PTH118 # see above


def write(path: AnyPath, content: bytes, mode: int) -> None:
    """Write a file that must not exist, and flush it."""
    fd = os.open(path, NEW, mode)
    try:
        view = memoryview(content)
        while view:
            view = view[os.write(fd, view) :]
        flush(fd)
    finally:
        os.close(fd)


def _discard(part: str) -> None:
    with contextlib.suppress(OSError):
        remove(part)


def _folder_of(path: AnyPath) -> str:
    return os.path.dirname(os.fspath(path)) or os.curdir  # noqa: PTH120 # see above
