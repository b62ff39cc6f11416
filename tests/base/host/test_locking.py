"""A lock on a file."""

from __future__ import annotations

import errno
import subprocess
import sys
from pathlib import Path

import pytest

from firsthandapi._base.host import locking
from firsthandapi._base.host.locking import FileLock, NoLocksError, taken_within


def test_one_has_it(tmp_path: Path) -> None:
    """Until it gives it back; giving back what one has not does no harm."""
    first, second = FileLock(tmp_path / "x"), FileLock(tmp_path / "x")
    assert first.acquire()
    assert not second.acquire()
    second.release()
    assert not second.acquire()
    first.release()
    assert second.acquire()
    second.release()


def test_it_is_waited_for_within_bounds(tmp_path: Path) -> None:
    """As long as told, and at least once."""
    first, second = FileLock(tmp_path / "x"), FileLock(tmp_path / "x")
    assert taken_within(0, first.acquire)
    assert not taken_within(0.01, second.acquire)
    tries = iter([False, False, True])
    assert taken_within(60, lambda: next(tries))
    first.release()


def test_it_ends_with_its_process(tmp_path: Path) -> None:
    """However that ends: no lock of a process that was killed is in anybody's way."""
    program = """if True:
        import os, pathlib, sys
        from firsthandapi._base.host.locking import FileLock
        lock = FileLock(pathlib.Path(sys.argv[1]))
        assert lock.acquire()
        sys.stdout.write("locked")
        sys.stdout.flush()
        sys.stdin.read()
        os._exit(9)
    """
    lock = FileLock(tmp_path / "x")
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path / "x")], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.read(6) == b"locked"
        assert not lock.acquire()
        process.communicate(timeout=60)
    assert lock.acquire()
    lock.release()


def test_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some network file systems have none. That is no busy lock, which would be waited for."""

    def no_locks(fd: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(locking, "_lock", no_locks)
    with pytest.raises(NoLocksError, match="No locks available"):
        FileLock(tmp_path / "x").acquire()


def test_where_nothing_can_be_created(tmp_path: Path) -> None:
    """The file of the lock is created, but not its folder."""
    with pytest.raises(FileNotFoundError):
        FileLock(tmp_path / "missing" / "x").acquire()
