"""Other people's libraries read a folder in which files were excluded. `make filesystem` installs the heavy ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dataset.support import folder_of
from firsthandapi import Dataset


@pytest.fixture
def signs(tmp_path: Path) -> Dataset:
    """Of three files and two labels, one file of one label is left."""
    parts = {
        "stop": folder_of(tmp_path / "stop", [b"1", b"2"], file_id=["file_stop0", "file_stop1"]),
        "yield": folder_of(tmp_path / "yield", [b"3"], file_id=["file_yield0"]),
    }
    dataset = Dataset.merge(parts, tmp_path / "signs")
    dataset.exclude(["file_stop0", "file_yield0"], reason="dark")
    return dataset


@pytest.mark.parametrize("pattern", ["metadata.jsonl", "**/metadata.jsonl", "../*/metadata.jsonl"])
def test_duckdb_and_polars_read_the_rows_that_are_left(signs: Dataset, pattern: str) -> None:
    """Also by a pattern that looks into every folder."""
    duckdb: Any = pytest.importorskip("duckdb")
    polars: Any = pytest.importorskip("polars")
    for label in ("stop", "yield"):
        (signs.path.parent / label / "metadata.jsonl").unlink()
    path = f"{signs.path}/{pattern}"
    assert duckdb.sql(f"SELECT file_id FROM read_json('{path}')").fetchall() == [("file_stop1",)]  # no input
    assert [*polars.scan_ndjson(path).collect()["file_id"]] == ["file_stop1"]


def test_torchvision_reads_the_classes_that_are_left(signs: Dataset) -> None:
    """By the names of folders alone; a class without a file would be an error of its own."""
    folders: Any = pytest.importorskip("torchvision.datasets")
    folder = folders.ImageFolder(signs.path / "data")
    assert (folder.classes, [Path(path).stem for path, _ in folder.samples]) == (["stop"], ["file_stop1"])
