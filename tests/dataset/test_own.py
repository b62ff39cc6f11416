"""Columns of the user's own, wherever rows go."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from firsthandapi import ConfigurationError, Dataset, InvalidArgumentError
from firsthandapi._base.folder_lock import FolderLock
from firsthandapi.datasets._lock import WRITER

from .support import folder_of

BOXES = [{"label": "sign", "xyxy": [1, 2, 30, 31]}]


@pytest.fixture
def signs(tmp_path: Path) -> Dataset:
    return folder_of(tmp_path / "signs", [b"one", b"two", b"three"], label=["a", "b", "a"])


def own(dataset: Any, name: str = "q") -> list[Any]:
    return [row.extra.get(name) for row in dataset]


def test_a_column_is_in_every_row(signs: Dataset) -> None:
    """Null where nothing is given; again replaces; an excluded file has it when it comes back; the folder verifies."""
    signs.exclude("file_1")
    signs.add_column("q", {"file_0": 1, "file_1": 2}, by="ana")
    assert own(signs) == [1, None]
    signs.include("file_1")
    assert sorted(own(signs), key=str) == [1, 2, None]
    signs.add_column("q", {"file_2": "x"})
    twin = Dataset.open(signs.path)
    assert {row.file_id: row.extra for row in twin} == {
        "file_0": {"q": None},
        "file_1": {"q": None},
        "file_2": {"q": "x"},
    }
    assert twin.verify()
    noted = (signs.path / ".firsthandapi" / "columns.jsonl").read_text("utf-8").splitlines()
    assert [(json.loads(line)["name"], json.loads(line)["by"]) for line in noted] == [
        ("q", "ana"),
        ("q", None),
    ]


def test_tables_have_it_by_the_type_of_its_values(signs: Dataset, tmp_path: Path) -> None:
    """Pandas as it is; Parquet and Hugging Face typed, or as JSON text where no one type fits."""
    pandas = pytest.importorskip("pandas")
    signs.add_column("boxes", dict.fromkeys(["file_0", "file_1"], BOXES))
    signs.add_column("n", {"file_0": 3})
    signs.add_column("odd", {"file_0": "x", "file_1": {"a": 1}})
    signs.add_column("bare", {"file_0": {}})
    signs.add_column("none", {})
    assert signs.to_pandas()["boxes"].tolist() == [BOXES, BOXES, None]
    table = pandas.read_parquet(signs.to_parquet(tmp_path / "signs.parquet"))
    assert table["odd"].tolist()[:2] == ['"x"', '{"a": 1}']
    assert table["bare"].tolist()[0] == "{}"
    assert table["n"].tolist()[0] == 3
    assert [dict(box, xyxy=[*box["xyxy"]]) for box in table["boxes"][0]] == BOXES
    assert table["none"].isna().all()


def test_hugging_face_has_it(signs: Dataset) -> None:
    """With the same types."""
    pytest.importorskip("datasets")
    signs.add_column("boxes", {"file_0": BOXES})
    signs.add_column("odd", {"file_0": 1, "file_1": [1]})
    rows = signs.to_huggingface().remove_columns("image")
    assert rows[0]["boxes"] == BOXES
    assert rows["odd"][:2] == ["1", "[1]"]


def test_copies_and_versions_have_it(signs: Dataset, tmp_path: Path) -> None:
    """A view's copy, a part of a split, a merged folder, and a version; an older version does not."""
    signs.write_lock()
    signs.add_column("q", {"file_0": 1})
    version = signs.write_lock()
    assert own(signs.filter(lambda row: row.file_id == "file_0").copy_to(tmp_path / "copy")) == [1]
    assert own(Dataset.open(signs.path, version=version.number)) == [1, None, None]
    assert own(Dataset.open(signs.path, version="1.0.0")) == [None] * 3
    assert {1, None} == {*own(signs)}


def test_columns_that_fit_no_row_are_refused(signs: Dataset) -> None:
    """However they add up: a longer row could not be read again."""
    signs.correct("file_0", {"text_extraction": "STOP"})
    for name in "abc":
        signs.add_column(name, {"file_0": "x" * 1_048_500})
    with pytest.raises(InvalidArgumentError, match="file_0 would be longer than 4 MiB"):
        signs.add_column("d", {"file_0": "x" * 1_048_500, "file_1": 1})
    twin = Dataset.open(signs.path)
    assert [list(row.extra) for row in twin] == [["a", "b", "c"]] * 3
    assert (twin[0].annotations or {})["text_extraction"] == "STOP"


def test_what_is_refused_changes_nothing(signs: Dataset) -> None:
    """An id of no file, a name of ours, a folder that another run has, and a version."""
    content = (signs.path / "metadata.jsonl").read_bytes()
    with pytest.raises(InvalidArgumentError, match="1 of 2 ids are of no file"):
        signs.add_column("q", {"file_0": 1, "file_9": 2})
    with pytest.raises(InvalidArgumentError, match="by must be a str"):
        signs.add_column("q", {}, by="x" * 2001)
    lock = FolderLock(signs.path, WRITER)
    assert lock.acquire()
    with pytest.raises(ConfigurationError, match="another process is writing"):
        signs.add_column("q", {"file_0": 1})
    lock.release()
    signs.write_lock()
    with pytest.raises(ConfigurationError, match="which only reads"):
        Dataset.open(signs.path, version="1.0.0").add_column("q", {})
    assert (signs.path / "metadata.jsonl").read_bytes() == content
