"""What the disk refuses, and where a file goes."""

from __future__ import annotations

import errno
import os
import queue
import random
from pathlib import Path
from typing import Any

import pytest

from firsthandapi.datasets._download import engine as engine_module
from firsthandapi.datasets._download.part import DiskError, Parts
from firsthandapi.datasets._download.transfer import Outcome
from raw import response

from .conftest import Bench


def test_disk_full(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk ends the run: what waits is not tried, what is added is not either."""

    def full(fd: int, data: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    outcomes: queue.SimpleQueue[Outcome] = queue.SimpleQueue()
    with bench.engine(outcomes, concurrency=1) as engine:
        for number in range(20):
            engine.submit(bench.wanted(number))
        first = outcomes.get(timeout=60)
        assert "No space left on device; free some space" in str(first.error)
        for _ in range(19):
            assert "not tried, because the disk is full" in str(outcomes.get(timeout=60).error)
        engine.submit(bench.wanted(20))
        assert "not tried" in str(outcomes.get(timeout=60).error)
    assert len(bench.storage.requests) == 1
    assert list(bench.directory.iterdir()) == []


@pytest.mark.parametrize("call", ["write", "fsync", "replace", "ftruncate"])
def test_disk_fails(bench: Bench, call: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the disk refuses is an error of ours, and nothing is left."""

    def fail(*args: object, **kwargs: object) -> Any:
        raise OSError(errno.EIO, "Input/output error")

    bench.storage.script.append(response(b"y" * 500, length=1000, then="close"))
    monkeypatch.setattr(os, call, fail)
    assert "Input/output error" in bench.bad()


def test_short_writes(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that takes less than it was given gets the rest."""
    write = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: write(fd, data[:7]))
    bench.good()


def test_directory_missing(bench: Bench) -> None:
    """The directory must exist."""
    message = bench.bad(bench.wanted(target=bench.directory / "no" / "file.jpg"))
    assert "cannot be written to: No such file or directory" in message
    assert bench.storage.requests == []


def test_permission_denied(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory that may not be written to is an error of ours."""

    def denied(*args: object, **kwargs: object) -> int:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "open", denied)
    assert "cannot be written to: Permission denied" in bench.bad()


def test_target_is_a_directory(bench: Bench) -> None:
    """A directory is not replaced."""
    target = bench.directory / "sub"
    target.mkdir()
    outcome = bench.one(bench.wanted(target=target))
    assert "sub cannot be put in place" in str(outcome.error)
    assert bench.left_over() == []


def test_long_name(bench: Bench) -> None:
    """A name as long as names can be gets a temporary one that is not longer."""
    bench.good(bench.wanted(target=bench.directory / ("ä" * 125 + ".jpg")))


def test_a_file_that_is_left_is_in_nobodys_way(tmp_path: Path) -> None:
    """Also where the caller seeds `random`: a program that was killed runs again with the same numbers."""
    names: set[str] = set()
    for _ in range(2):
        random.seed(0)
        with Parts().open(tmp_path / "a.jpg") as part:
            names.add(part.path)
    assert len(names) == 2


def test_directory_is_flushed(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The directory is flushed once for many files, and one that cannot be does no harm."""
    flushed: list[str] = []
    monkeypatch.setattr(engine_module, "sync_directory", flushed.append)
    bench.fetch(*(bench.wanted(n) for n in range(5)))
    assert flushed == [str(bench.directory)]


def test_a_file_of_a_stuck_thread_is_taken_away(tmp_path: Path) -> None:
    """Closed first, since Windows removes no open file; what its thread does with it later is an error of ours."""
    parts = Parts()
    with pytest.raises(DiskError, match="cannot be written"), parts.open(tmp_path / "a.jpg") as part:  # noqa: PT012
        part.write(memoryview(b"one"))
        parts.unlink()
        assert list(tmp_path.iterdir()) == []
        part.write(memoryview(b"two"))
    with pytest.raises(DiskError, match="taken away"), parts.open(tmp_path / "a.jpg") as part:  # noqa: PT012
        parts.unlink()
        part.put()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not hasattr(os, "O_NOFOLLOW"), reason="Windows removes no open file")
def test_a_file_that_is_written_is_taken_away_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To close it in the middle would give its descriptor to another file."""
    parts = Parts()
    write = os.write

    def interrupted(fd: int, data: memoryview) -> int:
        parts.unlink()
        return write(fd, data)

    monkeypatch.setattr(os, "write", interrupted)
    with parts.open(tmp_path / "a.jpg") as part:
        part.write(memoryview(b"one"))
        assert list(tmp_path.iterdir()) == []
