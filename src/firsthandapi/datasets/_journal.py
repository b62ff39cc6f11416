"""The folder of a client's journal, for many processes and threads. `_core/orders/journal.py` has its rules.

It has a record of each unfinished POST: a file whose name is a digest of the call and the number of a lock. Whoever
makes the call holds this lock: a record whose lock is free is that of a call that was stopped, or whose process has
died. All locks are bytes of one file. Its first byte is for whoever looks which are free, since that takes them for a
moment.
"""

from __future__ import annotations

import contextlib
import os
import random
import re
import stat
import threading
from collections.abc import Generator
from pathlib import Path

from firsthandapi._base.host import replacing
from firsthandapi._base.host.byte_locks import COUNT, try_lock, unlock
from firsthandapi._base.host.locking import taken_within
from firsthandapi._base.paths import check_path
from firsthandapi._core.orders import journal as rules
from firsthandapi._core.orders.journal import Entry, Pending
from firsthandapi._core.orders.record import OrderRecord, read_record
from firsthandapi.errors import ConfigurationError, InvalidArgumentError

LOCK_FILE = "journal.lock"
# A process looks for milliseconds.
LOCK_SECONDS = 10.0
_LOOKING = 0
_FLAGS = os.O_RDWR | getattr(os, "O_NOFOLLOW", 0)
# A record; with a dot before it, the beginning of one whose writer may have died.
_NAME = re.compile(r"\.?[0-9a-f]{32}-([0-9a-f]{8})\.json(?:\.[0-9a-f]{16}\.part)?")

_journals: dict[str, JournalFolder] = {}
_journals_lock = threading.Lock()


def journal_at(path: str) -> JournalFolder:
    """The journal at a path: one object in a process, however many clients have it."""
    path = os.path.realpath(path)
    with _journals_lock:
        return _journals.setdefault(path, JournalFolder(path))


def check_journal(path: str | os.PathLike[str]) -> str:
    """The whole path of a journal, which is created if it does not exist.
    Raises ConfigurationError: it is no path, cannot be written to, or is no journal.
    """
    try:
        text = os.fsdecode(os.fspath(path))
        check_path(text, "journal")
    except (TypeError, InvalidArgumentError):
        raise ConfigurationError("journal must be the path of a folder, or None") from None
    if not text:
        raise ConfigurationError("journal must be the path of a folder, or None; it is an empty str")
    text = str(Path(os.path.expanduser(text)).absolute())  # noqa: PTH111 # that of pathlib raises where there is no home
    journal_at(text).check()
    return text


class LockedError(ConfigurationError):
    """Another process has looked into the journal all the time."""


class JournalFolder:
    """The journal of this process at one path. Its methods block.

    They raise ConfigurationError: the folder cannot be read or written, or is no journal.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._start()

    def _start(self) -> None:
        self._lock = threading.Lock()
        self._fd = -1
        # The locks of this process.
        self._held: set[int] = set()

    def check(self) -> None:
        """Create the folder if it does not exist."""
        if self._take(_LOOKING):
            self._give_back(_LOOKING)

    def pending(self) -> list[Pending]:
        """The calls whose outcome is unknown, oldest first."""
        self.check()
        with self.unresolved() as entries:
            return [rules.pending(entry.record) for entry in entries]

    def forget(self, key: str) -> bool:
        """Remove the records of a key whose outcome is unknown; False if there is none."""
        self.check()
        with self.unresolved() as entries:
            forgotten = [entry for entry in entries if entry.record.key == key]
            for entry in forgotten:
                self.end(entry)
        return bool(forgotten)

    @contextlib.contextmanager
    def unresolved(
        self, digest: str = "", *, seconds: float = LOCK_SECONDS
    ) -> Generator[list[Entry], None, None]:
        """Lock the records of a digest whose calls nobody makes, oldest first. Those that the block takes out of the
        list stay locked. `seconds`: the most to wait for another process that looks.
        Raises LockedError: it looks for longer.
        """
        entries: list[Entry] = []
        slots = self._slots(digest)
        if not slots:
            yield entries
            return
        if not taken_within(seconds, lambda: self._take(_LOOKING)):
            raise LockedError(
                f"journal: {self.path} is locked by another process; nothing was sent; run the call again"
            )
        try:
            for name, slot in slots:
                if self._take(slot):
                    entries.append(Entry(name, slot, OrderRecord()))  # so that it is given back
                    entries[-1:] = self._read(name, slot)
            entries.sort(key=lambda entry: entry.record.first_sent_at or 0.0)
            yield entries
        finally:
            for entry in entries:
                self._give_back(entry.slot)
            self._give_back(_LOOKING)

    def begin(self, digest: str, record: OrderRecord) -> Entry:
        """Have the record of a new call on the disk, locked."""
        while not self._take(slot := random.randrange(1, COUNT)):  # noqa: S311 # it hides nothing
            pass
        entry = Entry(f"{digest}-{slot:08x}.json", slot, record)
        try:
            with self._writing():
                replacing.create(self._at(entry.name), record.encode(), 0o600)
        except BaseException:
            with contextlib.suppress(OSError):
                replacing.remove(self._at(entry.name))
            self._give_back(slot)
            raise
        return entry

    def write(self, entry: Entry) -> None:
        """Update a record, which this process has locked, or put it back."""
        with self._writing():
            replacing.replace(self._at(entry.name), entry.record.encode(), 0o600)

    def end(self, entry: Entry) -> None:
        """Remove the record of a finished call, or of one that was never made.
        Raises ConfigurationError: it could not be removed. For this process the call has ended nevertheless.
        """
        path = self._at(entry.name)
        try:
            replacing.remove(path)
        except OSError as error:
            # Its lock stays: to nobody it is a call that was stopped, as long as this process lives.
            raise ConfigurationError(
                f"journal: {path} cannot be removed: {error.strerror or error}; its call has ended; remove the file "
                "before this program ends, or the next equal call returns the same result"
            ) from None
        replacing.sync_directory(self.path)
        self.release(entry)

    def release(self, entry: Entry) -> None:
        """Let others continue a call that was stopped."""
        self._give_back(entry.slot)

    def _slots(self, digest: str) -> list[tuple[str, int]]:
        """The names that begin with a digest, and the numbers of their locks, but those of this process."""
        try:
            names = os.listdir(self.path)  # noqa: PTH208 # with thousands of names it is faster
        except FileNotFoundError:
            return []
        except OSError as error:
            raise self._unusable(error, "read") from None
        matches = map(_NAME.fullmatch, sorted(name for name in names if digest in name))
        slots = [(match[0], int(match[1], 16)) for match in matches if match is not None]
        return [(name, slot) for name, slot in slots if slot not in self._held]

    def _read(self, name: str, slot: int) -> list[Entry]:
        path = self._at(name)
        try:
            if not name.startswith("."):
                _check_plain(path)
                return [Entry(name, slot, read_record(path.read_bytes(), path))]
            replacing.remove(path)
        except FileNotFoundError:  # its call has ended since
            pass
        except OSError as error:
            raise self._unusable(error, "read") from None
        self._give_back(slot)
        return []

    def _take(self, slot: int) -> bool:
        """Take a lock if it is free."""
        with self._lock:
            try:
                fd = self._opened()
                if slot in self._held or not try_lock(fd, slot):
                    return False
                self._held.add(slot)
            except OSError as error:
                raise self._unusable(error) from None
            finally:
                self._close_if_idle()
        return True

    def _give_back(self, slot: int) -> None:
        with self._lock:
            if slot in self._held:
                self._held.discard(slot)
                with contextlib.suppress(OSError):
                    unlock(self._fd, slot)
                self._close_if_idle()

    def _opened(self) -> int:
        path = self._at(LOCK_FILE)
        if self._fd >= 0 and not _is_at(self._fd, path):
            self._close()  # somebody has removed it
        if self._fd < 0:
            self._fd = self._open(path)
            for slot in self._held:
                try_lock(self._fd, slot)
        return self._fd

    def _open(self, path: Path) -> int:
        try:
            fd = os.open(path, _FLAGS)
        except FileNotFoundError:
            with contextlib.suppress(FileExistsError):
                Path(self.path).mkdir(0o700)  # on Windows the folder of the user decides who may read it
                replacing.sync_directory(Path(self.path).parent)
            names = {child.name for child in path.parent.iterdir()} - {LOCK_FILE}
            if not all(map(_NAME.fullmatch, names)):
                raise ConfigurationError(
                    f"journal: {self.path} is not a journal of firsthandapi: it contains other files; choose another "
                    "path"
                ) from None
            fd = os.open(path, _FLAGS | os.O_CREAT, 0o600)
        with contextlib.suppress(OSError):  # somebody else's
            if hasattr(os, "fchmod") and path.parent.stat().st_mode & 0o077:
                path.parent.chmod(0o700)
        return fd

    def _close_if_idle(self) -> None:
        if not self._held and self._fd >= 0:
            self._close()

    def _close(self) -> None:
        # Wherever Ctrl-C stops this, no number of a closed file stays here.
        fd, self._fd = self._fd, -1
        os.close(fd)

    def _at(self, name: str) -> Path:
        return Path(self.path, name)

    @contextlib.contextmanager
    def _writing(self) -> Generator[None, None, None]:
        try:
            yield
        except OSError as error:
            raise self._unusable(error) from None

    def _unusable(self, error: OSError, action: str = "written to") -> ConfigurationError:
        if isinstance(error, NotADirectoryError) and Path(self.path).exists():
            return ConfigurationError(
                f"journal: {self.path} is a file: a journal of an earlier version, or another file; it stays as it is, "
                "and nothing was sent; choose another path"
            )
        return ConfigurationError(
            f"journal: {self.path} cannot be {action}: {error.strerror or error}; nothing was sent; free disk space, "
            "or choose another path"
        )

    def after_fork(self) -> None:  # pragma: no cover # it runs in a forked child, which is not measured
        """Let go of what belongs to the parent: its calls are not this process's."""
        if self._fd >= 0:
            os.close(self._fd)
        self._start()


def _is_at(fd: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), path.stat())
    except OSError:
        return False


def _check_plain(path: Path) -> None:
    if not stat.S_ISREG(path.lstat().st_mode):  # a pipe would be read forever
        raise OSError(f"{path.name} is not a plain file")


def _after_fork() -> None:  # pragma: no cover # see above
    global _journals_lock  # noqa: PLW0603 # another thread of the parent may have held it
    _journals_lock = threading.Lock()
    for journal in _journals.values():
        journal.after_fork()


if hasattr(os, "register_at_fork"):  # pragma: no branch # Windows has no fork
    os.register_at_fork(after_in_child=_after_fork)
