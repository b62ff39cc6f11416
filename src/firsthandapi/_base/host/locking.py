"""A lock on a file, between processes and threads. It ends with its process, however that ends."""

from __future__ import annotations

import errno
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

# The errors for a lock that another one holds, on each platform.
BUSY = frozenset({errno.EAGAIN, errno.EACCES, errno.EDEADLK})
# A process that somebody waits for holds its lock for milliseconds.
_EVERY = 0.002


def taken_within(seconds: float, take: Callable[[], bool]) -> bool:
    """Call `take`, which takes a lock if it is free, until it has; return whether it has within so many seconds."""
    ends = time.monotonic() + seconds
    while not take():
        if time.monotonic() > ends:
            return False
        time.sleep(_EVERY)
    return True


class NoLocksError(OSError):
    """The file system has no locks."""


class FileLock:
    """An exclusive lock, on a file of its own: on Windows nobody can read what is locked.

    Args:
        path: the file; created if it does not exist, and never removed: two could lock two files of one name.
        mode: the permissions that it is created with.
    """

    def __init__(self, path: Path, mode: int = 0o644) -> None:
        self._path = path
        self._mode = mode
        self._fd = -1

    def acquire(self) -> bool:
        """Take the lock if it is free. It never waits.
        Raises NoLocksError: the file system has none.
        Raises OSError: the file cannot be opened, or is a link.
        """
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), self._mode)
        try:
            _lock(fd)
        except OSError as error:
            os.close(fd)
            if error.errno in BUSY:
                return False
            raise NoLocksError(*error.args) from None
        self._fd = fd
        return True

    def release(self) -> None:
        """Give it back, if it was taken."""
        fd, self._fd = self._fd, -1
        if fd != -1:
            _unlock(fd)
            os.close(fd)


if sys.platform == "win32":  # pragma: no cover # tests/windows.py runs it
    import msvcrt

    def _lock(fd: int) -> None:
        msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)

    def _unlock(fd: int) -> None:
        msvcrt.locking(fd, msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def _lock(fd: int) -> None:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _unlock(fd: int) -> None:
        # Closing is not enough where a forked process has a copy of the descriptor.
        fcntl.flock(fd, fcntl.LOCK_UN)
