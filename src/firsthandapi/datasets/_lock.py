"""One writer per folder. The lock ends with its process, however that ends."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path

from firsthandapi.errors import ConfigurationError

NAME = ".firsthandapi.lock"


# The errors for a lock that another process holds, on each platform.
_BUSY = frozenset({errno.EAGAIN, errno.EACCES, errno.EDEADLK})


class FolderLock:
    """An exclusive lock on a folder, for processes and threads alike."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / NAME
        self._fd = -1

    def acquire(self) -> bool:
        """Take the lock if it is free.

        Raises:
            ConfigurationError: the folder cannot be written to.
        """
        try:
            fd = os.open(self._path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o644)
        except OSError as error:
            raise ConfigurationError(f"{self._path.parent} cannot be written to: {error.strerror}") from None
        try:
            _lock(fd)
        except OSError as error:
            os.close(fd)
            if error.errno in _BUSY:
                return False
            raise ConfigurationError(
                f"{self._path.parent} is on a file system without locks ({error.strerror}); use a local folder"
            ) from None
        self._fd = fd
        return True

    def release(self) -> None:
        """Give it back. The file stays: removing it would let two lock two files of one name."""
        fd, self._fd = self._fd, -1
        if fd != -1:
            _unlock(fd)
            os.close(fd)


if sys.platform == "win32":  # pragma: no cover # runs on Windows alone
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
