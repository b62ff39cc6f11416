"""Write a file under a temporary name, flush it, and rename it."""

from __future__ import annotations

import contextlib
import errno
import os
import random
import threading
from collections.abc import Generator
from pathlib import Path

from firsthandapi._host import replacing
from firsthandapi._masking import mask_secrets

# The disk is the same for all files: one that is full is full for the next one too.
_FULL = frozenset({errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)})
# O_BINARY is Windows' alone, and there without it line feeds would grow.
_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)


# A file goes to the disk in portions while it comes in: small ones at first, so that one of a few megabytes
# profits; larger ones later, since a portion costs something by itself.
_FIRST_PORTION = 1024 * 1024
_LAST_PORTION = 4 * 1024 * 1024


class DiskError(Exception):
    """The file cannot be written. `full`: the disk is full, so no other file can be written."""

    def __init__(self, error: OSError, what: str) -> None:
        self.full = error.errno in _FULL
        hint = "; free some space" if self.full else ""
        super().__init__(f"{what}: {mask_secrets(error.strerror or type(error).__name__)}{hint}")


class Part:
    """An unfinished file, `.<name>.<random>.part` beside its target."""

    def __init__(self, target: Path) -> None:
        # Strings: a path's own methods cost a twentieth of a small file's time.
        self._target = os.fspath(target)
        self.directory, self._name = os.path.split(self._target)
        # A name of the caller's may be as long as names can be, and this one is longer. It need not be secret: a file
        # that exists is refused, not replaced.
        name = f".{self._name[:50]}.{random.getrandbits(64):016x}.part"
        self.path = os.path.join(self.directory, name)  # noqa: PTH118 # see above
        self._placed = False
        self._lock = threading.Lock()  # the descriptor is used or closed, not both
        self._size = 0
        self._flushing = 0  # up to here the system has begun to write to the disk
        self._portion = _FIRST_PORTION
        try:
            self._fd = os.open(self.path, _FLAGS, 0o666)
        except OSError as error:
            raise DiskError(error, f"{self.directory or os.curdir} cannot be written to") from None

    def write(self, piece: memoryview) -> None:
        """Append `piece`, all of it."""
        try:
            with self._lock:
                written = os.write(self._fd, piece)
                while written < len(piece):
                    written += os.write(self._fd, piece[written:])
                self._size += len(piece)
                if self._size - self._flushing >= self._portion:
                    self._flush_behind()
        except OSError as error:
            raise DiskError(error, f"{self._name} cannot be written") from None

    def _flush_behind(self) -> None:
        # On Linux this makes the disk begin while bytes still come in, so that the flush at the end finds
        # little to do. Pages on their way to the disk stay in memory, whatever the name of the advice says.
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(self._fd, self._flushing, self._size - self._flushing, os.POSIX_FADV_DONTNEED)
        self._flushing = self._size
        self._portion = min(max(self._size // 4, _FIRST_PORTION), _LAST_PORTION)

    def empty(self) -> None:
        """Start from byte 0."""
        try:
            with self._lock:
                os.ftruncate(self._fd, 0)
                os.lseek(self._fd, 0, os.SEEK_SET)
            self._size, self._flushing, self._portion = 0, 0, _FIRST_PORTION
        except OSError as error:
            raise DiskError(error, f"{self._name} cannot be written") from None

    def put(self) -> None:
        """Flush it to the disk and give it its name, in one step."""
        try:
            with self._lock:
                if self._fd == -1:
                    raise OSError(errno.EBADF, "it was taken away")  # noqa: TRY301 # as of a call
                replacing.flush(self._fd)
                self._close()  # before the rename: Windows does not rename open files
            replacing.rename(self.path, self._target)
            self._placed = True
        except OSError as error:
            raise DiskError(error, f"{self._name} cannot be put in place") from None

    def discard(self) -> None:
        """Remove the rest of it; after `put` nothing is left."""
        with self._lock, contextlib.suppress(OSError):
            self._close()
        if not self._placed:
            with contextlib.suppress(OSError):
                replacing.remove(self.path)

    def take_away(self) -> None:
        """Remove it while its thread is stuck elsewhere; what that does with it later is a `DiskError`."""
        # Windows removes no open file. In the middle of a write it stays open: its thread removes it then.
        if self._lock.acquire(blocking=False):
            try:
                self._close()
            finally:
                self._lock.release()
        os.unlink(self.path)  # noqa: PTH108 # see __init__

    def _close(self) -> None:
        fd, self._fd = self._fd, -1
        if fd != -1:
            os.close(fd)


class Parts:
    """The unfinished files of a run, so that whoever cancels it can remove those of a thread that is stuck."""

    def __init__(self) -> None:
        self._parts: set[Part] = set()  # add and discard are atomic

    @contextlib.contextmanager
    def open(self, target: Path) -> Generator[Part, None, None]:
        """A new one, removed at the end unless it was put in place."""
        part = Part(target)
        self._parts.add(part)
        try:
            yield part
        finally:
            part.discard()
            self._parts.discard(part)

    def unlink(self) -> None:
        """Remove them."""
        for part in list(self._parts):
            with contextlib.suppress(OSError):
                part.take_away()
