"""Folders on disk, opened, whoever they come from; and views of them."""

from __future__ import annotations

import gc
import json
import os
import pickle
from importlib.util import find_spec
from pathlib import Path

import pytest

from firsthandapi import (
    ConfigurationError,
    Dataset,
    InvalidArgumentError,
)
from firsthandapi.datasets import DatasetView
from firsthandapi.datasets._folder import Folder

from .support import (
    FILES,
    ORDER,
    differ,
    folder_of,
)


def test_a_dataset_is_a_sequence_of_records(dataset: Dataset) -> None:
    """`len`, iteration, where each file is; its repr says what it is of."""
    assert len(dataset) == len(dataset.records) == FILES
    assert list(dataset) == dataset.records
    assert all(dataset.path_of(record).is_file() for record in dataset)
    assert dataset.job is not None
    assert dataset.job.id in repr(dataset)
    assert "120 files" in repr(dataset)


def test_an_opened_folder_is_the_one_that_was_written(dataset: Dataset) -> None:
    """By str and by Path; without job.json there is no job, and all else is the same."""
    assert Dataset.open(str(dataset.path)).records == dataset.records
    (dataset.path / ORDER).unlink()
    opened = Dataset.open(dataset.path)
    assert opened.records == dataset.records
    assert opened.job is None
    assert "no job" in repr(opened)
    assert opened.verify()


def test_a_relative_path_stays_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program may go to another folder: what was opened, copied, or locked is the same folder as before."""
    folder_of(tmp_path / "signs", [b"x", b"y"])
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    opened = Dataset.open("elsewhere/../signs")
    both = opened, Dataset.merge(["signs"], "merged"), opened.filter(bool).copy_to("copied")
    run = Folder("signs")
    monkeypatch.chdir("elsewhere")
    for twin in both:
        assert twin.path.is_absolute()
        assert twin.verify()
        twin.exclude("file_0")
        assert [twin.path_of(row).read_bytes() for row in (*twin, *twin.excluded)] == [b"y", b"x"]
    assert run.lock()
    run.close()
    assert [path.name for path in tmp_path.glob("elsewhere/*")] == []
    assert repr(both[1]).startswith(f"<Dataset [{str(tmp_path / 'merged')!r}")
    monkeypatch.setattr(os, "getcwd", (tmp_path / "gone").stat)
    with pytest.raises(
        ConfigurationError, match="path is relative, and the current folder cannot be read: No such"
    ):
        Dataset.open("signs")


@pytest.mark.parametrize("name", ["empty", "missing", "nul\0byte"])
def test_what_is_no_dataset_is_refused(tmp_path: Path, name: str) -> None:
    """An empty folder, none, and a name that none can have."""
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigurationError):
        Dataset.open(tmp_path / name)


def test_what_a_stranger_wrote_stays_text_in_the_repr(dataset: Dataset) -> None:
    """No escape code comes through it, and no key."""
    job_file = json.loads((dataset.path / ORDER).read_bytes())
    job_file["job"]["status"] = "\x1b[2J\n" + "fh_live_" + "0" * 32
    (dataset.path / ORDER).write_text(json.dumps(job_file))
    text = repr(Dataset.open(dataset.path))
    assert text.isprintable()
    assert "\\u001b[2J" in text
    assert "0" * 32 not in text


def test_splits_are_views_of_the_folder(tmp_path: Path) -> None:
    """They iterate, know their files, and go to pandas; together they are the whole."""
    pandas = pytest.importorskip("pandas")
    dataset = folder_of(
        tmp_path, [bytes([n]) for n in range(40)], worker_id=[f"wkr_{n // 2}" for n in range(40)]
    )
    parts = dataset.split(train=0.7, test=0.2, validation=0.1)
    assert [*parts] == ["train", "test", "validation"]
    assert sorted(row.file_id for part in parts.values() for row in part) == sorted(
        row.file_id for row in dataset
    )
    train = parts["train"]
    assert isinstance(train, DatasetView)
    assert (train.name, train.dataset, len(train)) == ("train", dataset, len(train.records))
    assert train.path_of(train.records[0]) == dataset.path_of(train.records[0])
    table = train.to_pandas()
    assert list(table["file_id"]) == [record.file_id for record in train]
    assert set(table["worker_id"]).isdisjoint(parts["test"].to_pandas()["worker_id"])
    assert len(pandas.read_parquet(train.to_parquet(tmp_path / "train.parquet"))) == len(train)
    assert repr(train) == f"<DatasetView ['train', {len(train)} files]>"
    assert [record.file_id for record in pickle.loads(pickle.dumps(train))] == list(table["file_id"])
    assert train.duplicates() == []


@pytest.mark.skipif(find_spec("datasets") is None, reason="datasets is not installed (make test)")
@pytest.mark.filterwarnings("ignore")
def test_splits_number_the_labels_in_one_way(tmp_path: Path) -> None:
    """Also where one has no row of some label."""
    labels = ["a", "b"] * 8
    dataset = folder_of(tmp_path, [bytes([n]) for n in range(16)], label=labels, worker_id=labels)
    parts = dataset.split(train=0.5, test=0.5, seed=next(n for n in range(99) if differ(dataset, n)))
    names = {tuple(part.to_huggingface().features["label"].names) for part in parts.values()}
    assert names == {("a", "b")}
    assert sorted(label for part in parts.values() for label in part.labels) == ["a", "b"]


def test_a_split_that_cannot_be_is_refused(tmp_path: Path) -> None:
    """Shares that are not the whole, and a seed that is no int."""
    dataset = folder_of(tmp_path, [b"x"])
    with pytest.raises(InvalidArgumentError, match=r"train=0.8 \+ test=0.2 \+ validation=0.1 is not 1"):
        dataset.split(validation=0.1)
    with pytest.raises(InvalidArgumentError, match="seed"):
        dataset.split(seed="x")  # type: ignore[arg-type] # what is tested


def test_opening_leaves_the_collector_as_it_was(tmp_path: Path) -> None:
    """It is off while rows are parsed, which have no cycles."""
    dataset = folder_of(tmp_path / "signs", [b"a"])
    assert gc.isenabled()
    gc.disable()
    try:
        Dataset.open(dataset.path)
        assert not gc.isenabled()
    finally:
        gc.enable()
    (dataset.path / "metadata.jsonl").write_text("{}\n")
    with pytest.raises(ConfigurationError):
        Dataset.open(dataset.path)
    assert gc.isenabled()
