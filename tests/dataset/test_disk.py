"""Files on a disk that fails, or that another program changes."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from firsthandapi import Dataset
from firsthandapi.datasets import _disk
from firsthandapi.datasets._local import Local
from firsthandapi.datasets._store import sha256_of
from firsthandapi.errors import ConfigurationError

from .support import ORDER, Buyer, failing, posix_only, whole


@posix_only
@pytest.mark.parametrize("kind", ["link", "pipe"])
def test_what_takes_a_file_s_place_is_not_followed(dataset: Dataset, tmp_path: Path, kind: str) -> None:
    """Between the look at a file and its opening, another program may put a link there, or a pipe."""
    path = dataset.path_of(dataset.records[0])
    path.rename(tmp_path / "outside")
    path.symlink_to(tmp_path / "outside") if kind == "link" else os.mkfifo(path)
    with pytest.raises(ConfigurationError) if kind == "link" else contextlib.nullcontext():
        assert sha256_of(Local(tmp_path), path, 0) == hashlib.sha256().hexdigest()
    assert not _disk.begin_of(path, 9)


def test_what_the_system_does_not_show_is_an_error_of_ours(
    signs: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the folder of a label, in a `data/` that only somebody else may enter."""
    look = Path.lstat

    def refuse(path: Path) -> os.stat_result:
        if path.name == "stop":
            raise PermissionError(errno.EACCES, "Permission denied")
        return look(path)

    monkeypatch.setattr(Path, "lstat", refuse)
    with pytest.raises(ConfigurationError, match="stop cannot be read: Permission denied"):
        Dataset.open(signs.path)
    with pytest.raises(ConfigurationError, match="stop cannot be read: Permission denied"):
        _disk.exists(signs.path / "data" / "stop")
    assert not _disk.exists(signs.path / "nothing")


def test_half_a_row_is_taken_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk takes a part of the line: it would make the whole manifest unreadable."""
    path = tmp_path / "x"
    path.write_bytes(b"one\n")
    end = _disk.Appender(path)
    write = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: write(fd, data[:2]))
    with pytest.raises(ConfigurationError, match="disk is full"):
        end.add(b"two\n")
    monkeypatch.undo()
    end.add(b"three\n")
    end.close()
    assert path.read_bytes() == b"one\nthree\n"


def test_every_failure_of_the_disk_is_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading, hashing, appending, flushing and replacing."""
    path = tmp_path / "x"
    path.write_bytes(b"one\n")
    with pytest.raises(ConfigurationError, match="cannot be read"):
        sha256_of(Local(tmp_path), tmp_path / "missing", 0)
    with pytest.raises(ConfigurationError, match="x is a file, not a folder"):
        _disk.read(path / "below", 9)
    with pytest.raises(ConfigurationError, match=r"cannot be read: .*; use a different name$"):
        _disk.read(tmp_path / "a\0b", 9)
    with pytest.raises(ConfigurationError, match="cannot be written"):
        _disk.Appender(tmp_path / "missing").add(b"x\n")
    with pytest.raises(ConfigurationError, match="cannot be written"):
        _disk.replace(tmp_path / "missing" / "x", b"")
    with pytest.raises(ConfigurationError, match="was just created"):
        _disk.create(path, b"two\n")
    end = _disk.Appender(path)
    end.add(b"two\n")
    failing(monkeypatch, "fsync", "")
    with pytest.raises(ConfigurationError, match="cannot be written"):
        end.close()
    with pytest.raises(ConfigurationError, match="cannot be written"):
        _disk.replace(path, b"three\n")
    assert path.read_bytes() == b"one\ntwo\n"
    assert [entry.name for entry in tmp_path.iterdir()] == ["x"]


def test_a_file_system_without_links_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A memory stick has none; a file that is there is still not written over."""
    failing(monkeypatch, "link", "", errno.EPERM)
    _disk.create(tmp_path / "x", b"one")
    assert (tmp_path / "x").read_bytes() == b"one"
    with pytest.raises(ConfigurationError, match="was just created"):
        _disk.create(tmp_path / "x", b"two")
    assert [entry.name for entry in tmp_path.iterdir()] == ["x"]


def test_a_file_that_cannot_be_copied_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is missing stays missing, and a folder with other files stays."""
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "a").write_bytes(b"a")
    (tmp_path / "old" / "mine").write_bytes(b"mine")
    _disk.copy_into(tmp_path / "old", ["a", "b"], tmp_path / "new")
    _disk.remove_all(tmp_path / "old", ["a", "b"])
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")) == [
        "new",
        "new/a",
        "old",
        "old/mine",
    ]
    failing(monkeypatch, "replace", ".part")
    with pytest.raises(ConfigurationError, match="mine cannot be written: No space left"):
        _disk.copy_into(tmp_path / "old", ["mine"], tmp_path / "new")


def test_a_program_that_opens_our_files_ends_no_run(buyer: Buyer, monkeypatch: pytest.MonkeyPatch) -> None:
    """On Windows no file is replaced or removed while a scanner, an indexer, or a reader has it open for a moment."""
    refused: set[str] = set()

    def once(function: Callable[..., None]) -> Callable[..., None]:
        def call(*paths: Any, **more: Any) -> None:
            name = os.fspath(paths[-1])
            if name not in refused:
                refused.add(name)
                raise PermissionError(errno.EACCES, "The file is being used by another process")
            function(*paths, **more)

        return call

    for function in ("replace", "unlink"):
        monkeypatch.setattr(os, function, once(getattr(os, function)))
    dataset = buyer.collect(3)
    assert {record.file_name for record in dataset} < {os.path.relpath(name, buyer.dest) for name in refused}
    assert str(buyer.dest / ORDER) in refused
    assert whole(buyer.dest)
    assert not list(buyer.dest.rglob("*.part"))
