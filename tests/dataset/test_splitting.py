"""The splits of a dataset, as folders that loaders read."""

from __future__ import annotations

from pathlib import Path

import pytest

from firsthandapi import ConfigurationError, Dataset, InvalidArgumentError
from firsthandapi._base.folder_lock import FolderLock
from firsthandapi.datasets._lock import WRITER
from firsthandapi.datasets._withdrawing import exports_of


def test_splits_become_folders_for_loaders(four_signs: Dataset, tmp_path: Path) -> None:
    """By split and label; the same call again copies what is missing, and files of another split are refused."""
    parts = four_signs.split(train=0.5, test=0.5, seed=1)
    root = parts.copy_to(tmp_path / "parts")
    files = {path.relative_to(root).as_posix(): path for path in root.rglob("*.jpg")}
    assert files.keys() == {
        f"{name}/{row.label}/{row.file_id}.jpg" for name, view in parts.items() for row in view
    }
    assert exports_of(four_signs._store, ["file_stop0"]) == (str(root),)
    path = next(iter(files.values()))
    path.unlink()
    assert parts.copy_to(root) == root
    assert path.exists()
    others = {"train": parts["test"], "test": parts["train"]}
    with pytest.raises(ConfigurationError, match="would leak"):
        type(parts)(others).copy_to(root)
    lock = FolderLock(root, WRITER)
    assert lock.acquire()
    with pytest.raises(ConfigurationError, match="another process"):
        parts.copy_to(root)
    lock.release()
    empty = four_signs.filter(lambda _: False).copy_to(f"memory://{tmp_path.name}/none").path
    for where in (four_signs.path, tmp_path / "stop", empty):
        with pytest.raises(InvalidArgumentError, match="is a dataset"):
            parts.copy_to(where)
    with pytest.raises(InvalidArgumentError, match="in the folder of the dataset"):
        parts.copy_to(four_signs.path / "data")
    with pytest.raises(InvalidArgumentError, match="folder of a source"):
        parts["train"].copy_to(four_signs.path)
