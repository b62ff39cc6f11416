"""Locks on single bytes of one file, between processes: each ends with its process, however that ends.

The bytes lie far beyond the end of the file, so that they keep nobody from reading it, on Windows neither.
"""

from __future__ import annotations

import os
import struct
import sys

from .locking import BUSY

# Windows counts in 31 bits.
FIRST = 1 << 30
COUNT = 1 << 29


def try_lock(fd: int, number: int) -> bool:
    """Take the lock `number`, 0 to `COUNT` - 1, if it is free. It never waits.
    Raises OSError: the file system has no locks.
    """
    try:
        _lock(fd, FIRST + number)
    except OSError as error:
        if error.errno in BUSY:
            return False
        raise
    return True


def unlock(fd: int, number: int) -> None:
    """Give a lock back."""
    _unlock(fd, FIRST + number)


if sys.platform == "win32":  # pragma: no cover # runs on Windows alone
    import msvcrt

    def _lock(fd: int, at: int) -> None:
        os.lseek(fd, at, os.SEEK_SET)
        msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)

    def _unlock(fd: int, at: int) -> None:
        os.lseek(fd, at, os.SEEK_SET)
        msvcrt.locking(fd, msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    # A lock of an open file, not of the process: it stays when another part of the program closes the same file.
    # Only Linux has it in Python; elsewhere such a lock of ours would look like that of a process that was killed.
    _OF_FILE: int | None = getattr(fcntl, "F_OFD_SETLK", None)

    def _lock(fd: int, at: int) -> None:
        if _OF_FILE is None:  # pragma: no cover # macOS
            fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, at)
        else:
            fcntl.fcntl(fd, _OF_FILE, _range(fcntl.F_WRLCK, at))

    def _unlock(fd: int, at: int) -> None:
        if _OF_FILE is None:  # pragma: no cover # macOS
            fcntl.lockf(fd, fcntl.LOCK_UN, 1, at)
        else:
            fcntl.fcntl(fd, _OF_FILE, _range(fcntl.F_UNLCK, at))

    def _range(kind: int, at: int) -> bytes:
        # struct flock: type, whence, start, length, process; the last must be 0.
        return struct.pack("hhqqi0q", kind, os.SEEK_SET, at, 1, 0)
