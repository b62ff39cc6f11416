"""Write a file under a temporary name, flush it, and rename it."""

from __future__ import annotations

import contextlib
import errno
import os
import threading
from collections.abc import Generator
from pathlib import Path

from firsthandapi._base.host import replacing
from firsthandapi._base.masking import mask_secrets

# A full disk is full for the next file as well.
_FULL = frozenset({errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)})
# The system writes a file to the disk in portions while it arrives: small portions first, so that a file of a few
# megabytes gains from it; larger ones later, since each portion has a cost.
_FIRST_PORTION = 1024 * 1024
_LAST_PORTION = 4 * 1024 * 1024


class DiskError(Exception):
    """The file cannot be written. `full`: the disk is full, so no other file can be written."""

    def __init__(self, error: OSError, problem: str) -> None:
        self.full = error.errno in _FULL
        hint = "; free some space" if self.full else ""
        super().__init__(f"{problem}: {mask_secrets(error.strerror or type(error).__name__)}{hint}")


class Part:
    """An unfinished file, `.<name>.<random>.part` beside its target."""

    def __init__(self, target: Path) -> None:
        # Strings, because the methods of Path take a twentieth of the time of a small file.
        self._target = os.fspath(target)
        self.directory, self._name = os.path.split(self._target)
        # Cut, because the target's name may have the maximum length. Of the system, because `random` repeats itself
        # where the caller seeds it: after a kill, the file that is left would be in the way.
        name = f".{self._name[:50]}.{os.urandom(8).hex()}.part"
        self.path = os.path.join(self.directory, name)  # noqa: PTH118 # see above
        self._placed = False
        self._lock = threading.Lock()  # the descriptor is used or closed, not both
        self._size = 0
        self._flushing = 0  # bytes that the system has started to write to the disk
        self._portion = _FIRST_PORTION
        try:
            self._fd = os.open(self.path, replacing.NEW, 0o666)
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
        # On Linux this starts writing to the disk while more bytes arrive, so that the final flush is short. Despite
        # the name of the advice, pages that are being written stay in memory.
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
        """Flush the file, and rename it to its target."""
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
        """Close and remove it, unless `put` has renamed it."""
        with self._lock, contextlib.suppress(OSError):
            self._close()
        if not self._placed:
            with contextlib.suppress(OSError):
                replacing.remove(self.path)

    def take_away(self) -> None:
        """Remove it while its thread is stuck; what the thread does with it later raises `DiskError`."""
        # Windows removes no open file. During a write it stays open, and its thread removes it.
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
    """The unfinished files of a run; cancelling it removes those of stuck threads."""

    def __init__(self) -> None:
        self._parts: set[Part] = set()  # add and discard are atomic

    @contextlib.contextmanager
    def open(self, target: Path) -> Generator[Part, None, None]:
        """Open a part, and remove it at the end unless `put` has renamed it."""
        part = Part(target)
        self._parts.add(part)
        try:
            yield part
        finally:
            part.discard()
            self._parts.discard(part)

    def unlink(self) -> None:
        """Remove all of them."""
        for part in list(self._parts):
            with contextlib.suppress(OSError):
                part.take_away()
