"""The file of a client's journal: one file, for many processes and threads. `_core/orders/journal.py` has its rules.

Whoever reads or writes holds the lock of the file for that moment. A process that has a POST under way also holds the
lock of its writer's number: an entry whose writer holds no lock is that of a process that has died. The file is never
replaced, since the locks are its own; it is compacted in place.
"""

from __future__ import annotations

import contextlib
import errno
import os
import random
import stat
import threading
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from firsthandapi._core.orders import journal as rules
from firsthandapi._core.orders.journal import Entry
from firsthandapi._host.byte_locks import COUNT, try_lock, unlock
from firsthandapi._host.locking import taken_within
from firsthandapi._host.replacing import flush, sync_directory
from firsthandapi._paths import check_path
from firsthandapi.errors import ConfigurationError, InvalidArgumentError

T = TypeVar("T")
Entries = dict[str, Entry]
IsLive = Callable[[Entry], bool]

# A process holds the lock of the file for milliseconds.
LOCK_SECONDS = 10.0
_THE_FILE = 0
_FLAGS = os.O_RDWR | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)

_files: dict[str, JournalFile] = {}
_files_lock = threading.Lock()


def journal_at(path: str) -> JournalFile:
    """The journal at a path: one object in a process, however many clients have it."""
    path = os.path.realpath(path)
    with _files_lock:
        return _files.setdefault(path, JournalFile(path))


def check_journal(path: str | os.PathLike[str]) -> str:
    """The whole path of a journal, which is created if it does not exist.
    Raises ConfigurationError: it is no path, cannot be written to, or is no journal.
    """
    try:
        text = os.fsdecode(os.fspath(path))
        check_path(text, "journal")
    except (TypeError, InvalidArgumentError):
        raise ConfigurationError("journal must be the path of a file, or None") from None
    if not text:
        raise ConfigurationError("journal must be the path of a file, not an empty one")
    text = str(Path(os.path.expanduser(text)).absolute())  # noqa: PTH111 # that of pathlib raises where there is no home
    journal_at(text).check()
    return text


@dataclass(frozen=True)
class Step(Generic[T]):
    """What is decided: the lines to write, the result, and the entry whose call is made from now on."""

    result: T
    lines: tuple[bytes, ...] = ()
    begins: Entry | None = None


class LockedError(ConfigurationError):
    """Another process has held the lock of the journal all the time."""


class JournalFile:
    """The journal of this process at one path. Its methods block."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._start()

    def _start(self) -> None:
        self._fd = -1
        self._live: set[str] = set()
        # Lines that the disk refused: they are written with the next ones.
        self._owed: list[bytes] = []
        self._new_writer()

    def _new_writer(self) -> None:
        self.writer = random.randrange(1, COUNT)  # noqa: S311 # it hides nothing

    def check(self, *, seconds: float = LOCK_SECONDS) -> None:
        """Create the file if it does not exist, and write the lines that are owed. `seconds`: as for `step`.
        Raises ConfigurationError: it cannot be written to, or is no journal.
        """
        self.step(lambda _, __: Step(None), seconds=seconds)

    def unknown(self) -> list[Entry]:
        """The entries whose outcome is unknown."""
        return self.step(lambda entries, is_live: Step(rules.unknown(entries, is_live)))

    def forget(self, key: str) -> bool:
        """Take out the unknown entries of a key; False if there is none."""

        def decide(entries: Entries, is_live: IsLive) -> Step[bool]:
            found = [entry for entry in rules.unknown(entries, is_live) if entry.key == key]
            return Step(bool(found), tuple(map(rules.ended, found)))

        return self.step(decide)

    def step(self, decide: Callable[[Entries, IsLive], Step[T]], *, seconds: float = LOCK_SECONDS) -> T:
        """Read the journal, decide, and have the lines of the decision on the disk.
        `decide`: gets the entries, and says whether the call of one is still being made. `seconds`: the most to wait
        for another process.
        Raises LockedError: another process has the journal for longer.
        Raises ConfigurationError: the file cannot be read or written, or is no journal. Nothing was written.
        """
        results: list[T] = []

        # The lock of this process is not held meanwhile: it would make other calls wait that may have less time.
        def attempt() -> bool:
            with self._lock:
                try:
                    with self._open() as fd, self._alone(fd) as is_locked:
                        if is_locked:
                            results.append(self._step(fd, decide))
                        return is_locked
                except OSError as error:
                    raise ConfigurationError(
                        f"journal: {self.path} cannot be written to: {error.strerror or error}; nothing was sent; "
                        "free disk space, or choose another path"
                    ) from None
                finally:
                    self._close_if_idle()

        if not taken_within(seconds, attempt):
            raise LockedError(
                f"journal: {self.path} is locked by another process; nothing was sent; run the call again"
            )
        return results[0]

    def leave(self, entry: Entry, line: bytes, *, seconds: float = LOCK_SECONDS) -> None:
        """Write down how a call has ended. A disk that refuses this loses nothing: the line is written later, or the
        call is settled by its key. `seconds`: as for `step`.
        Raises ConfigurationError: it could not be written.
        """
        with self._lock:
            self._live.discard(entry.id)
            self._owed.append(line)
        self.check(seconds=seconds)

    def note(self, line: bytes, *, seconds: float = LOCK_SECONDS) -> None:
        """Write down what a call that continues has learned."""
        with self._lock:
            self._owed.append(line)
        self.check(seconds=seconds)

    def _step(self, fd: int, decide: Callable[[Entries, IsLive], Step[T]]) -> T:
        content = _read(fd)
        if not content or rules.is_torn_header(content):
            _write(fd, 0, rules.HEADER)
            content = rules.HEADER
            sync_directory(Path(self.path).parent)
        entries = rules.read(b"\n".join([content, *self._owed]), self.path)
        step = decide(entries, lambda entry: self._is_live(fd, entry))
        if step.begins is not None and not self._live and not try_lock(fd, self.writer):
            raise OSError(errno.EDEADLK, "another process has the number of this one")  # one in a billion
        size, whole = self._compacted(fd, content, entries)
        if self._owed or step.lines:
            _write(fd, size, (b"" if whole else b"\n") + b"".join([*self._owed, *step.lines]))
            self._owed.clear()
        if step.begins is not None:
            self._live.add(step.begins.id)
        return step.result

    def _is_live(self, fd: int, entry: Entry) -> bool:
        if entry.id in self._live or entry.writer == self.writer:
            return entry.id in self._live
        if not try_lock(fd, entry.writer):
            return True
        unlock(fd, entry.writer)
        return False

    def _compacted(self, fd: int, content: bytes, entries: Entries) -> tuple[int, bool]:
        """The size of the file, made small if that is worth it, and whether its last line is complete."""
        size = len(content)
        short = rules.snapshot(entries.values()) if size > rules.COMPACTED_OVER else content
        if 2 * len(short) > size:
            return size, content.endswith(b"\n")
        # First a copy at the end, then the same at the start: whatever a crash leaves has all entries, and their events
        # in order.
        _write(fd, size, b"\n" + short)
        _write(fd, 0, short)
        os.ftruncate(fd, len(short))
        flush(fd)
        return len(short), True

    @contextlib.contextmanager
    def _open(self) -> Generator[int, None, None]:
        if self._fd >= 0 and not _is_at(self._fd, self.path):
            # Somebody has removed the file: what is under way is in none.
            fd = self._fd
            self._start()
            os.close(fd)
        if self._fd < 0:
            self._fd = _opened(self.path)
        yield self._fd

    def _close_if_idle(self) -> None:
        if not self._live and self._fd >= 0:
            # Wherever Ctrl-C stops this, no number of a closed file stays here, nor a writer whose lock is still held.
            self._new_writer()
            fd, self._fd = self._fd, -1
            os.close(fd)  # it gives back the lock of the writer

    @contextlib.contextmanager
    def _alone(self, fd: int) -> Generator[bool, None, None]:
        if not try_lock(fd, _THE_FILE):
            yield False
            return
        try:
            yield True
        finally:
            unlock(fd, _THE_FILE)

    def after_fork(self) -> None:  # pragma: no cover # it runs in a forked child, which is not measured
        """Let go of what belongs to the parent: its calls are not this process's."""
        if self._fd >= 0:
            os.close(self._fd)
        self._lock = threading.Lock()
        self._start()


def _opened(path: str) -> int:
    try:
        fd = os.open(path, _FLAGS)
    except FileNotFoundError:
        # On Windows the folder of the user decides who may read it.
        fd = os.open(path, _FLAGS | os.O_CREAT, 0o600)
    mode = os.fstat(fd).st_mode
    if not stat.S_ISREG(mode):
        os.close(fd)
        raise OSError(errno.EINVAL, "it is no file")
    if hasattr(os, "fchmod") and mode & 0o077:
        with contextlib.suppress(OSError):  # somebody else's
            os.fchmod(fd, 0o600)
    return fd


def _is_at(fd: int, path: str) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), Path(path).stat())
    except OSError:
        return False


def _read(fd: int) -> bytes:
    os.lseek(fd, 0, os.SEEK_SET)
    chunks: list[bytes] = []
    while chunk := os.read(fd, 1 << 20):
        chunks.append(chunk)
    return b"".join(chunks)


def _write(fd: int, at: int, content: bytes) -> None:
    os.lseek(fd, at, os.SEEK_SET)
    view = memoryview(content)
    while view:
        view = view[os.write(fd, view) :]
    flush(fd)


def _after_fork() -> None:  # pragma: no cover # see above
    global _files_lock  # noqa: PLW0603 # another thread of the parent may have held it
    _files_lock = threading.Lock()
    for each in _files.values():
        each.after_fork()


if hasattr(os, "register_at_fork"):  # pragma: no branch # Windows has no fork
    os.register_at_fork(after_in_child=_after_fork)
