"""Locks on single bytes of a file."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from firsthandapi._base.host.byte_locks import COUNT, try_lock, unlock
from processes import unmeasured


@pytest.fixture
def fds(tmp_path: Path) -> list[int]:
    """Two opened files at one path, as of two processes."""
    return [os.open(tmp_path / "x", os.O_RDWR | os.O_CREAT) for _ in range(2)]


def test_each_number_is_a_lock(fds: list[int]) -> None:
    """One has it until it gives it back; another number is another lock; the file stays empty."""
    first, second = fds
    assert try_lock(first, 5)
    assert not try_lock(second, 5)
    assert try_lock(second, COUNT - 1)
    unlock(first, 5)
    assert try_lock(second, 5)
    assert os.fstat(first).st_size == 0


def test_another_reader_of_the_file_takes_no_lock_away(fds: list[int], tmp_path: Path) -> None:
    """A program may read the file in the middle of it all."""
    assert try_lock(fds[0], 5)
    (tmp_path / "x").read_bytes()
    assert not try_lock(fds[1], 5)


def test_a_lock_ends_with_its_process(tmp_path: Path) -> None:
    """Killed, a process leaves none."""
    path = tmp_path / "x"
    program = (
        "import os, sys; from firsthandapi._base.host.byte_locks import try_lock\n"
        "assert try_lock(os.open(sys.argv[1], os.O_RDWR | os.O_CREAT), 5)\n"
        "print('locked', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=unmeasured()
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"locked\n"
        fd = os.open(path, os.O_RDWR)
        assert not try_lock(fd, 5)
        process.kill()
        process.wait(60)
    assert try_lock(fd, 5)


def test_a_system_without_locks_says_so() -> None:
    """Such as a pipe has none."""
    with pytest.raises(OSError, match=r"\w"):
        try_lock(os.pipe()[0], 5)
