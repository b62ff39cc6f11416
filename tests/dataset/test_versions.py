"""Versions of a folder."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from firsthandapi import ConfigurationError, Dataset, InvalidArgumentError
from firsthandapi._core.rows.withdrawal import WITHDRAWN
from firsthandapi.datasets import Version
from firsthandapi.datasets._folder import Folder

from .support import folder_of, forge

CONTENTS = [b"one", b"two", b"three"]


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    return folder_of(tmp_path / "signs", CONTENTS, ai_star_rating=[4, 4, 5])


def test_a_folder_is_locked_without_its_media(dataset: Dataset) -> None:
    """By its manifest alone; unchanged rows keep their version and their lock."""
    for path in (dataset.path / "data").iterdir():
        path.unlink()
    first = dataset.write_lock()
    lock = dataset.path / "dataset.lock"
    assert (first.number, first.parent) == ("1.0.0", None)
    assert json.loads(lock.read_bytes())["tree"] == first.tree
    before = lock.stat().st_mtime_ns
    assert Dataset.open(dataset.path).write_lock() == first
    assert lock.stat().st_mtime_ns == before
    forge(dataset.path, ai_star_rating=2)
    second = Dataset.open(dataset.path).write_lock()
    assert (second.number, second.parent) == ("2.0.0", first)


def test_a_version_is_opened_or_refused(dataset: Dataset) -> None:
    """By its number or as a Version, by its rows."""
    with pytest.raises(ConfigurationError, match=r"has no dataset\.lock"):
        Dataset.open(dataset.path, version="1.0.0")
    first = dataset.write_lock()
    assert (
        len(Dataset.open(dataset.path, version="1.0.0"))
        == len(Dataset.open(dataset.path, version=first))
        == 3
    )
    rows = (dataset.path / "metadata.jsonl").read_bytes()
    forge(dataset.path, ai_star_rating=2)
    for version in ("1.0.0", first):
        with pytest.raises(ConfigurationError, match=r"is not version 1\.0\.0: its rows differ"):
            Dataset.open(dataset.path, version=version)
    second = Dataset.open(dataset.path).write_lock()
    assert Dataset.open(dataset.path, version=second)
    with pytest.raises(ConfigurationError, match=r"has no version 3\.0\.0: it is 2\.0\.0"):
        Dataset.open(dataset.path, version="3.0.0")
    with pytest.raises(InvalidArgumentError, match=r"^version must be"):
        Dataset.open(dataset.path, version="latest")
    # A lock knows the versions before.
    (dataset.path / "metadata.jsonl").write_bytes(rows)
    assert Dataset.open(dataset.path, version="1.0.0")


def test_two_versions_are_compared(dataset: Dataset, tmp_path: Path) -> None:
    """Folders, datasets, versions, and lock files, in any mixture."""
    first = dataset.write_lock()
    shutil.copytree(dataset.path, tmp_path / "before")
    forge(dataset.path, ai_star_rating=2)
    second = Dataset.open(dataset.path).write_lock()
    olds: list[Any] = [
        first,
        tmp_path / "before",
        Dataset.open(tmp_path / "before"),
        tmp_path / "before" / "dataset.lock",
    ]
    news: list[Any] = [
        second,
        str(dataset.path),
        Dataset.open(dataset.path),
        str(dataset.path / "dataset.lock"),
    ]
    for old, new in zip(olds, reversed(news), strict=True):
        diff = Dataset.diff(old, new)
        assert diff.rows_changed == ("file_0",)
        assert diff == Dataset.diff(new, old)
        assert not Dataset.diff(old, old)
    remembered = Dataset.open(dataset.path).write_lock().parent
    assert remembered is not None
    assert remembered == first
    with pytest.raises(InvalidArgumentError, match="does not list its files"):
        Dataset.diff(remembered, second)
    with pytest.raises(InvalidArgumentError, match=r"^b is a view, .* copy_to"):
        Dataset.diff(first, Dataset.open(dataset.path).filter(bool))  # type: ignore[arg-type]
    with pytest.raises(InvalidArgumentError, match=r"^a must be"):
        Dataset.diff(5, second)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="is not a dataset"):
        Dataset.diff(first, tmp_path)


def test_what_is_gone_has_a_reason(dataset: Dataset) -> None:
    """Excluded, withdrawn, or removed; an excluded file that comes back was added."""
    first = dataset.write_lock()
    dataset.exclude("file_0", reason="blurred")
    (dataset.path / WITHDRAWN).write_text('{"file_ids": ["file_1"]}', "utf-8")
    manifest = dataset.path / "metadata.jsonl"
    manifest.write_bytes(manifest.read_bytes().splitlines(keepends=True)[-1])
    second = Dataset.open(dataset.path).write_lock()
    diff = Dataset.diff(first, second)
    assert (diff.excluded, diff.withdrawn, diff.removed) == (("file_0",), ("file_1",), ())
    lock = json.loads((dataset.path / "dataset.lock").read_bytes())
    assert (lock["version"], lock["withdrawn"], [*lock["files"]]) == ("2.0.0", ["file_1"], ["file_2"])
    opened = Dataset.open(dataset.path)
    opened.include("file_0")
    third = Dataset.open(dataset.path).write_lock()
    assert (third.number, Dataset.diff(second, third).added) == ("2.1.0", ("file_0",))


@pytest.mark.parametrize("locked", [False, True])
def test_the_same_decisions_are_the_same_version_while_a_run_has_the_folder(
    four_signs: Dataset, locked: bool
) -> None:
    """The rows are as the run will leave them, in the lock, the card, and the metadata; with a card of before, `verify`
    finds them changed."""
    if locked:
        four_signs.write_lock()
    run = Folder(four_signs.path)
    assert run.lock()
    four_signs.exclude(["file_stop0", "file_stop1"])
    four_signs.relabel("file_stop2", "yield")
    card = four_signs.write_card()
    version = four_signs.write_lock()
    assert "2 files by" in card.path.read_text("utf-8")
    (files,) = json.loads(card.croissant.read_bytes())["distribution"][1:2]
    assert files["description"].startswith("2 files,")
    assert four_signs.verify()
    run.close()
    after = Dataset.open(four_signs.path, version=version)
    assert (after.write_lock(), after.verify().altered) == (version, ())
    four_signs.include("file_stop0")
    assert Dataset.open(four_signs.path).verify().altered == ("metadata.jsonl",)


def test_a_folder_in_a_bucket_has_versions_too(dataset: Dataset, tmp_path: Path) -> None:
    """The same tree; a lock there is compared with one here."""
    memory = pytest.importorskip("fsspec.implementations.memory").MemoryFileSystem()
    first = dataset.write_lock()
    memory.put(str(dataset.path), f"/{tmp_path.name}/signs", recursive=True)
    url = f"memory://{tmp_path.name}/signs"
    assert Dataset.open(url, version="1.0.0").write_lock() == first
    memory.rm(f"/{tmp_path.name}/signs/dataset.lock")
    assert Dataset.open(url).write_lock() == first
    forge(dataset.path, ai_star_rating=2)
    assert Dataset.diff(f"{url}/dataset.lock", dataset.path).rows_changed == ("file_0",)
    assert Dataset.diff(url, dataset.path).rows_changed == ("file_0",)


def test_the_papers_carry_the_version(dataset: Dataset) -> None:
    """The one that the rows have, locked or to be locked next."""

    def said() -> tuple[str, bool]:
        card = Dataset.open(dataset.path).write_card()
        number = json.loads(card.croissant.read_bytes())["version"]
        return number, f"Version {number}." in card.path.read_text("utf-8")

    assert said() == ("1.0.0", True)
    first = dataset.write_lock()
    assert isinstance(first, Version)
    forge(dataset.path, ai_star_rating=2)
    assert said() == ("2.0.0", True)
    assert Dataset.open(dataset.path).write_lock() == "2.0.0"
    assert said() == ("2.0.0", True)
