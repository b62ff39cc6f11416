"""The folder that a failed command made."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from dataset.support import folder_of
from firsthandapi._base.folder_lock import FolderLock
from firsthandapi.cli.taking_away import taken_away
from firsthandapi.datasets._folder import Folder
from firsthandapi.datasets._lock import WRITER

from .support import Cli


def fail_in(path: Path, make: Callable[[Path], object]) -> None:
    def fail() -> None:
        with taken_away(str(path)):
            make(path)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()


def enter(path: Path) -> None:
    """As a run does."""
    with Folder(path).writing():
        pass


def test_a_folder_that_a_failed_command_made_is_taken_away(runner: Cli, tmp_path: Path) -> None:
    """And nothing beside it."""
    ran = runner("files", "download", "job_01KBCDEFGHJKMNPQRSTVWXYZ00", "--dest", "signs")
    assert ran.code == 1
    fail_in(tmp_path / "other", enter)
    fail_in(tmp_path / "bare", Path.exists)
    assert [*tmp_path.iterdir()] == []


def test_what_is_in_a_folder_stays(tmp_path: Path) -> None:
    """One that was there, one with a file, such as the record of an order, and one that another process is in."""
    lock = FolderLock(tmp_path / "taken", WRITER)

    def enter_after_another(path: Path) -> None:
        enter(path)
        assert lock.acquire()

    (tmp_path / "old").mkdir()
    fail_in(tmp_path / "old", enter)
    fail_in(tmp_path / "full", lambda path: folder_of(path, [b"1"]))
    fail_in(tmp_path / "taken", enter_after_another)
    lock.release()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["full", "old", "taken"]
    assert len([*(tmp_path / "full" / "data").iterdir()]) == 1


def test_a_command_that_succeeds_keeps_its_folder(tmp_path: Path) -> None:
    """Even an empty one."""
    with taken_away(str(tmp_path / "signs")):
        (tmp_path / "signs").mkdir()
    assert (tmp_path / "signs").is_dir()
