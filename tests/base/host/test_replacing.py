"""Files on the disk: in one step, for good, and although another program has them open."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from firsthandapi._base.host import replacing

Pauses = list[float]
# After each file, where the system can.
FLUSHES_FOLDERS = hasattr(os, "O_DIRECTORY")


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> Pauses:
    """The pauses that were made."""
    lengths: Pauses = []
    monkeypatch.setattr(replacing.time, "sleep", lengths.append)
    return lengths


def open_elsewhere(monkeypatch: pytest.MonkeyPatch, function: str, times: int) -> None:
    """Have a function of os refused that many times, as on Windows while another program has the file open."""
    real, times_left = getattr(os, function), [times]

    def refuse(*args: Any, **kwargs: Any) -> Any:
        if times_left[0]:
            times_left[0] -= 1
            raise PermissionError(errno.EACCES, "used by another process")
        return real(*args, **kwargs)

    monkeypatch.setattr(os, function, refuse)


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def test_a_file_is_replaced_in_one_step(tmp_path: Path) -> None:
    """The old one or the new one, with the permissions asked for, and nothing beside it."""
    replacing.replace(tmp_path / "x", b"one")
    replacing.replace(tmp_path / "x", b"two", 0o600)
    assert (tmp_path / "x").read_bytes() == b"two"
    assert os.name == "nt" or (tmp_path / "x").stat().st_mode & 0o777 == 0o600
    assert names(tmp_path) == ["x"]


def test_a_name_without_a_folder_is_in_this_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As callers write it."""
    monkeypatch.chdir(tmp_path)
    replacing.replace("x", b"one")
    replacing.remove("x")
    assert names(tmp_path) == []


@pytest.mark.parametrize("function", ["write", "fsync", "replace"])
def test_the_old_one_stays_if_the_disk_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, function: str
) -> None:
    """And nothing is left of the new one."""
    replacing.replace(tmp_path / "x", b"one")

    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(os, function, fail)
        with pytest.raises(OSError, match="Input/output error"):
            replacing.replace(tmp_path / "x", b"two")
    assert (tmp_path / "x").read_bytes() == b"one"
    assert names(tmp_path) == ["x"]


def test_a_disk_that_takes_a_part_gets_the_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A short write is no failure."""
    write = os.write

    def written(fd: int, data: memoryview) -> int:
        return write(fd, data[:2])

    monkeypatch.setattr(os, "write", written)
    replacing.replace(tmp_path / "x", b"whole")
    assert (tmp_path / "x").read_bytes() == b"whole"


CHANGES: list[tuple[str, Callable[[Path], object]]] = [
    ("replace", lambda path: replacing.replace(path, b"new")),
    ("replace", lambda path: replacing.rename(path.with_name("y"), path)),
    ("replace", lambda path: replacing.put(path.with_name("y"), path)),
    ("unlink", replacing.remove),
]


@pytest.mark.parametrize(("function", "change"), CHANGES)
def test_a_file_that_another_program_has_open_is_waited_for(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    pauses: Pauses,
    function: str,
    change: Callable[[Path], object],
) -> None:
    """On Windows a scanner, an indexer, or a reader of ours refuses for a moment that it is replaced or removed."""
    (tmp_path / "x").write_bytes(b"old")
    (tmp_path / "y").write_bytes(b"new")
    open_elsewhere(monkeypatch, function, 5)
    change(tmp_path / "x")
    assert pauses == [0.004, 0.008, 0.016, 0.032, 0.064]
    assert function == "unlink" or (tmp_path / "x").read_bytes() == b"new"
    assert (tmp_path / "x").exists() == (function == "replace")


def test_a_file_that_stays_open_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pauses: Pauses
) -> None:
    """After 2 seconds; the old one is still there, and the new one is not left over."""
    (tmp_path / "x").write_bytes(b"old")
    open_elsewhere(monkeypatch, "replace", 100)
    with pytest.raises(PermissionError, match="another process"):
        replacing.replace(tmp_path / "x", b"new")
    assert 2 < sum(pauses) < 2.1
    assert (tmp_path / "x").read_bytes() == b"old"
    assert names(tmp_path) == ["x"]


def test_who_may_not_write_is_told_immediately(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pauses: Pauses
) -> None:
    """A folder without permission to write does not get it in 2 seconds."""
    (tmp_path / "x").touch()
    open_elsewhere(monkeypatch, "unlink", 1)

    def access(path: str, mode: int) -> bool:
        return (path, mode) != (str(tmp_path), os.W_OK)

    monkeypatch.setattr(os, "access", access)
    with pytest.raises(PermissionError):
        replacing.remove(tmp_path / "x")
    assert pauses == []


def test_what_is_not_there_is_removed(tmp_path: Path) -> None:
    """It is what was wanted."""
    replacing.remove(tmp_path / "x")


@pytest.mark.parametrize("links", [True, False])
def test_a_file_is_created_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool) -> None:
    """One that exists is not written over, on a file system without links either."""
    if not links:
        monkeypatch.delattr(os, "link")
    replacing.create(tmp_path / "x", b"one", 0o600)
    with pytest.raises(FileExistsError):
        replacing.create(tmp_path / "x", b"two")
    assert (tmp_path / "x").read_bytes() == b"one"
    assert os.name == "nt" or (tmp_path / "x").stat().st_mode & 0o777 == 0o600
    assert names(tmp_path) == ["x"]


@pytest.mark.parametrize("links", [True, False])
def test_a_file_gets_a_second_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool) -> None:
    """In place of a file that has it, and again without harm; a file system without links copies."""
    if not links:
        monkeypatch.delattr(os, "link")
    (tmp_path / "x").write_bytes(b"one")
    (tmp_path / "y").write_bytes(b"two")
    for _ in range(2):
        replacing.link(tmp_path / "x", tmp_path / "y")
        assert (tmp_path / "y").read_bytes() == b"one"
        assert names(tmp_path) == ["x", "y"]


@pytest.mark.parametrize("links", [True, False])
def test_a_file_is_created_completely_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    """Its name appears when all of it is on the disk: no process that dies, and no full disk, leaves half of it."""
    write, flush = os.write, os.fsync
    seen: list[list[str]] = []

    def written(fd: int, data: memoryview) -> int:
        seen.append(names(tmp_path))
        return write(fd, data[:2])

    def flushed(fd: int) -> None:
        seen.append(names(tmp_path))
        flush(fd)

    monkeypatch.setattr(os, "write", written)
    monkeypatch.setattr(os, "fsync", flushed)
    if not links:
        monkeypatch.delattr(os, "link")
    replacing.create(tmp_path / "x", b"whole")
    assert len(seen) == 4 + FLUSHES_FOLDERS
    assert all("x" not in names for names in seen[:4])
    assert seen[4:] == [["x"]] * FLUSHES_FOLDERS


def test_macos_flushes_the_memory_of_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There fsync alone is not enough; where the file system refuses the other one, it has to do."""
    asked: list[int] = []
    flushed: list[int] = []
    refuses = False

    def control(_: int, command: int) -> int:
        asked.append(command)
        if refuses:
            raise OSError(errno.ENOTSUP, "Operation not supported")
        return 0

    monkeypatch.setattr(replacing, "_FULL", 51)
    monkeypatch.setattr(replacing, "fcntl", SimpleNamespace(fcntl=control), raising=False)
    monkeypatch.setattr(os, "fsync", flushed.append)
    replacing.replace(tmp_path / "x", b"one")
    assert asked == [51] * (1 + FLUSHES_FOLDERS)
    assert flushed == []
    refuses = True
    replacing.replace(tmp_path / "x", b"two")
    assert len(flushed) == 1 + FLUSHES_FOLDERS


def test_a_directory_that_cannot_be_flushed(tmp_path: Path) -> None:
    """It does no harm."""
    replacing.sync_directory(tmp_path / "gone")
