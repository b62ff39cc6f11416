"""The splits of a dataset: what the folder remembers of them, and a dataset for each."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import pytest

from firsthandapi import ConfigurationError, Dataset, InvalidArgumentError
from firsthandapi._base.folder_lock import FolderLock
from firsthandapi._base.names import ROOM
from firsthandapi._core.rows import splits as rules
from firsthandapi._core.rows.manifest import MANIFEST, manifest_line
from firsthandapi._core.rows.splits import SPLITS
from firsthandapi.datasets import _splitting
from firsthandapi.datasets._lock import NOTES, WRITER
from firsthandapi.datasets._withdrawing import exports_of

from .support import folder_of, forge


def parts_of(splits: Mapping[str, Any]) -> dict[str, str]:
    return {row.file_id: name for name, view in splits.items() for row in view}


def grown(path: Path, files: int, places: list[int]) -> Dataset:
    """A folder that has so many of 30 files, of 3 labels and 15 workers, in the order of these places."""
    whole = folder_of(
        path.parent / f"{path.name}-{files}",
        [bytes([n]) for n in range(30)],
        label=[("stop", "yield", "halt")[n % 3] for n in range(30)],
        worker_id=[f"wkr_{n // 2}" for n in range(30)],
    )
    rows = [row for row in (whole[place] for place in places) if int(row.file_id[5:]) < files]
    (whole.path / MANIFEST).write_bytes(b"".join(map(manifest_line, rows)))
    shutil.copytree(whole.path, path, dirs_exist_ok=True)
    return Dataset.open(path)


@pytest.mark.parametrize("stratify", [True, False])
def test_growing_moves_no_record(tmp_path: Path, stratify: bool) -> None:
    """Nor does another order of the rows; without the memory, the same rows give the same splits."""
    arguments: Any = {"train": 0.6, "test": 0.4, "stratify": stratify}
    first = parts_of(grown(tmp_path / "signs", 15, [*range(30)]).split(**arguments))
    alone = grown(tmp_path / "alone", 30, [*range(30)]).split(**arguments)
    assert (first.items() <= parts_of(alone).items()) != stratify  # a hash alone needs no memory
    dataset = grown(tmp_path / "signs", 30, [*range(30)])
    splits = dataset.split(**arguments)
    assert first.items() <= parts_of(splits).items()
    shutil.copytree(dataset.path, tmp_path / "elsewhere")
    new_splits = grown(tmp_path / "elsewhere", 30, [*reversed(range(30))]).split(**arguments)
    assert parts_of(new_splits) == parts_of(splits)
    assert [row.file_id for row in new_splits["train"]] == [row.file_id for row in splits["train"]][::-1]
    backwards = grown(tmp_path / "backwards", 30, [*reversed(range(30))])
    assert parts_of(backwards.split(**arguments)) == parts_of(alone)


def test_what_is_remembered_is_written_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By several processes too; where it cannot be, the same splits are made, and a WARNING says so."""
    dataset = grown(tmp_path / "signs", 15, [*range(30)])
    splits = parts_of(dataset.split())
    content = (dataset.path / SPLITS).read_bytes()
    assert parts_of(dataset.split()) == splits
    assert (dataset.path / SPLITS).read_bytes() == content
    read: Any = dataset._store.read

    def late(path: Path, *arguments: Any) -> bytes | None:
        """As read just before another process wrote it."""
        if path.name != "splits.jsonl":
            return cast("bytes", read(path, *arguments))
        monkeypatch.undo()
        return None

    monkeypatch.setattr(type(dataset._store), "read", staticmethod(late))
    assert parts_of(dataset.split()) == splits
    assert (dataset.path / SPLITS).read_bytes() == content
    (dataset.path / SPLITS).write_bytes(b"{}\n")
    with pytest.raises(ConfigurationError, match=r"splits\.jsonl, line 1: not a split"):
        dataset.split()


@pytest.mark.parametrize("why", ["locked", "large"])
def test_a_memory_that_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, why: str
) -> None:
    """Costs no split; a WARNING says so."""
    dataset = grown(tmp_path / "signs", 30, [*range(30)])
    expected = parts_of(grown(tmp_path / "other", 30, [*range(30)]).split())
    caplog.clear()
    lock = FolderLock(dataset.path, NOTES)
    if why == "locked":
        monkeypatch.setattr("firsthandapi.datasets._lock._NOTES_SECONDS", 0.0)
        assert lock.acquire()
    else:
        monkeypatch.setattr(_splitting, "LARGEST_SPLITS", 10)
    assert parts_of(dataset.split()) == expected
    (line,) = caplog.messages
    assert line.startswith("this split is not remembered, so later files may change it: ")
    assert not (dataset.path / SPLITS).exists()
    lock.release()


def test_a_split_without_a_label_is_a_warning(four_signs: Dataset, caplog: pytest.LogCaptureFixture) -> None:
    """And so are files in no split."""
    four_signs.split(train=0.5, test=0.5)
    (record,) = caplog.records
    assert (record.levelname, record.name) == ("WARNING", "firsthandapi")
    assert "has no file of 'yield'" in record.message
    with pytest.raises(InvalidArgumentError, match="stratify must be True or False"):
        four_signs.split(stratify=1)  # type: ignore[arg-type] # what is tested


def test_a_view_is_split_as_its_dataset_was(tmp_path: Path) -> None:
    """By its memory, and by that of workers whose rows are elsewhere or excluded."""
    dataset = grown(tmp_path / "signs", 30, [*range(30)])
    splits = parts_of(dataset.split(train=0.5, test=0.5))
    some = dataset.filter(lambda row: int(row.file_id[5:]) % 4 < 2)
    assert parts_of(some.split(train=0.5, test=0.5)).items() <= splits.items()
    fresh = grown(tmp_path / "fresh", 30, [*range(30)])
    odd = parts_of(fresh.filter(lambda row: int(row.file_id[5:]) % 2).split(train=0.5, test=0.5))
    fresh.exclude([*odd])
    even = parts_of(fresh.split(train=0.5, test=0.5))
    assert all(even[f"file_{n}"] == odd[f"file_{n + 1}"] for n in range(0, 30, 2))


def test_each_split_becomes_a_dataset(four_signs: Dataset, tmp_path: Path) -> None:
    """With all columns; the same call again copies what is missing, and files of another split are refused."""
    forge(four_signs.path, weather="rain")
    four_signs = Dataset.open(four_signs.path)
    parts = four_signs.split(train=0.5, test=0.5, seed=1)
    root = parts.copy_to(tmp_path / "parts")
    for name, view in parts.items():
        copy = Dataset.open(root / name)
        assert ([*copy], [row.extra for row in copy]) == ([*view], [row.extra for row in view])
        assert copy.verify()
        assert {path.relative_to(root).as_posix() for path in (root / name).rglob("*.jpg")} == {
            f"{name}/data/{row.label}/{row.file_id}.jpg" for row in view
        }
    assert {*exports_of(four_signs._store, ["file_stop0"])} in ({str(root / "train")}, {str(root / "test")})
    path = next(root.rglob("*.jpg"))
    path.unlink()
    assert parts.copy_to(root) == root
    assert path.exists()
    swap = {"train": parts["test"], "test": parts["train"]}
    with pytest.raises(ConfigurationError, match="would leak"):
        type(parts)(swap).copy_to(root)
    four_signs.exclude(parts["train"][0])
    parts.copy_to(root)
    assert [*Dataset.open(root / "train")] == [*parts["train"]]
    lock = FolderLock(root / "train", WRITER)
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


@pytest.mark.parametrize("name", ["../out", "a/b", "..", "", "con"])
def test_a_split_is_copied_nowhere_else(four_signs: Dataset, tmp_path: Path, name: str) -> None:
    """Its name is that of one folder."""
    parts = four_signs.split(train=0.5, test=0, **{name: 0.5})
    with pytest.raises(InvalidArgumentError, match="cannot name the folder of a split"):
        parts.copy_to(tmp_path / "parts")
    assert not (tmp_path / "parts").exists()
    assert not (tmp_path / "out").exists()


def test_a_split_without_files_is_a_dataset_of_its_jobs(four_signs: Dataset, tmp_path: Path) -> None:
    """Where no job is recorded, as in a copy without hidden files, there is none."""
    four_signs.split(train=1, test=0).copy_to(tmp_path / "parts")
    assert len(Dataset.open(tmp_path / "parts" / "test")) == 0
    shutil.rmtree(four_signs.path / ROOM)
    Dataset.open(four_signs.path).split(train=1, test=0).copy_to(tmp_path / "alone")
    assert [path.name for path in (tmp_path / "alone").iterdir()] == ["train"]


def test_splits_in_a_bucket(four_signs: Dataset, tmp_path: Path) -> None:
    """Remembered there, and copied there."""
    memory = pytest.importorskip("fsspec.implementations.memory").MemoryFileSystem()
    url = f"memory://{tmp_path.name}/signs"
    memory.put(str(four_signs.path), f"/{tmp_path.name}/signs", recursive=True)
    splits = Dataset.open(url).split(train=0.5, test=0.5)
    assert rules.parse_splits(
        memory.cat(f"/{tmp_path.name}/signs/{SPLITS}"), rules.Rule({"train": 0.5, "test": 0.5})
    ) == parts_of(splits)
    root = splits.copy_to(f"memory://{tmp_path.name}/parts")
    assert {name: len(Dataset.open(root / name)) for name in splits} == {k: len(v) for k, v in splits.items()}
