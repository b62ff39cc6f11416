"""Rows, and tables of them."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from random import Random

import pandas as pd
import pytest

from firsthandapi import (
    ConfigurationError,
    Dataset,
    FirstHandClient,
    InvalidArgumentError,
)
from firsthandapi._core.rows.manifest import COLUMNS

from .support import JOB, folder_of


def test_a_row_of_another_dataset_has_no_path_here(dataset: Dataset) -> None:
    """It is named as the fault."""
    with pytest.raises(InvalidArgumentError, match="row of this dataset, signs"):
        dataset.path_of(replace(dataset.records[0], file_id="file_other"))


def test_a_table_has_a_row_for_each_file(dataset: Dataset) -> None:
    """The manifest's columns, and where the file is."""
    table = dataset.to_pandas()
    assert list(table.columns) == [*COLUMNS, "path"]
    assert list(table["file_id"]) == [record.file_id for record in dataset]
    assert all(Path(path).is_file() for path in table["path"])


def test_a_view_obeys_later_decisions(four_signs: Dataset, tmp_path: Path) -> None:
    """Whatever is made of it: an excluded file is not in it, and comes back; all splits number the same labels."""
    parts = four_signs.split(train=1, test=0)
    view, twice = parts["train"], parts["train"].filter(lambda _: True)
    four_signs.exclude("file_stop0")
    four_signs.relabel("file_stop1", "halt")
    file_ids = {"file_stop1", "file_stop2", "file_yield0"}
    for part in (view, twice):
        assert ({row.file_id for row in part}, len(part)) == (file_ids, 3)
        assert set(part.to_pandas()["file_id"]) == file_ids
        assert part.labels == ["halt", "stop", "yield"]
        assert all(part.path_of(row).is_file() for row in part)
    assert parts["test"]._all_labels() == ["halt", "stop", "yield"]
    assert {path.stem for path in parts.copy_to(tmp_path / "parts").rglob("*.jpg")} == file_ids
    four_signs.include("file_stop0")
    assert len(view) == len(twice) == 4


def test_a_table_of_nothing_is_one(client: FirstHandClient, tmp_path: Path) -> None:
    """With all its columns."""
    job_id = client.jobs.create(**JOB, files_needed=1).id
    empty = client.files.download_all(job_id, tmp_path / "empty")
    assert len(empty.to_pandas()) == 0
    assert list(pd.read_parquet(empty.to_parquet(tmp_path / "x.parquet")).columns) == [*COLUMNS, "path"]


def test_a_missing_extra_is_named(dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the command that installs it."""
    monkeypatch.setattr(pd.DataFrame, "to_parquet", lambda *_, **__: __import__("pyarrow_that_is_not_there"))
    with pytest.raises(ConfigurationError, match=r"firsthandapi\[pandas\]"):
        dataset.to_parquet(tmp_path / "x.parquet")
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ConfigurationError, match=r"firsthandapi\[pandas\]"):
        dataset.to_pandas()


def test_files_of_the_same_bytes_are_found(tmp_path: Path) -> None:
    """All of them, and no file is read for that; `verify` names them, and they do no harm."""
    random = Random(0)
    contents = [random.randbytes(50) for _ in range(40)]
    contents += [random.choice(contents) for _ in range(60)]
    dataset = folder_of(tmp_path / "signs", contents)
    state = dataset.verify()
    for record in dataset.records:
        dataset.path_of(record).unlink()
    groups = {frozenset(record.file_id for record in group) for group in dataset.duplicates()}
    by_content: dict[bytes, set[str]] = {}
    for n, content in enumerate(contents):
        by_content.setdefault(content, set()).add(f"file_{n}")
    assert groups == {frozenset(ids) for ids in by_content.values() if len(ids) > 1}
    assert state.ok
    assert {frozenset(name[5:-4] for name in group) for group in state.duplicates} == groups
