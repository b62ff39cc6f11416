"""A manifest as a Parquet file."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from firsthandapi import Dataset, FirstHandClient
from firsthandapi._core.rows.manifest import COLUMNS
from firsthandapi.errors import ConfigurationError, InvalidArgumentError
from firsthandapi.testing import MockServer

from .support import JOB, folder_of


def test_parquet_comes_back_as_it_was(dataset: Dataset, tmp_path: Path) -> None:
    """Annotations as structs; nothing else is left behind; an old file is replaced."""
    target = tmp_path / "signs.parquet"
    target.write_bytes(b"old")
    assert dataset.to_parquet(target) == target
    rows = pq.read_table(target).to_pylist()
    assert [{name: row[name] for name in COLUMNS} for row in rows] == [vars(record) for record in dataset]
    assert [path.name for path in tmp_path.glob("*.parquet*")] == ["signs.parquet"]
    assert not [*tmp_path.glob(".*")]


@pytest.mark.parametrize(
    "formats", [["image/png"], ["audio/wav"], ["video/mp4"], ["image/png", "audio/wav", "video/mp4"]]
)
def test_parquet_files_of_several_jobs_are_read_together(
    client: FirstHandClient, server: MockServer, tmp_path: Path, formats: list[str]
) -> None:
    """Their types do not hang on the rows: none, without annotations, with an unknown width, or full."""
    files: list[Path] = []
    for come, submitted in (
        ([], {}),
        (formats, {"annotations": None}),
        (formats, {"content": b"?"}),
        (formats, {}),
    ):
        job_id = client.jobs.create(**{**JOB, "accepted_formats": formats}, files_needed=8).id
        for content_type in come:
            server.submit(job_id, content_type=content_type, **submitted)
        server.clock.advance(minutes=1)
        dataset = client.files.download_all(job_id, tmp_path / job_id)
        files.append(dataset.to_parquet(tmp_path / f"{job_id}.parquet"))
    schemas = [pq.read_schema(path) for path in files]
    assert all(schema.equals(schemas[0]) for schema in schemas)
    assert schemas[0].names == [*COLUMNS, *(["text"] if formats != ["image/png"] else []), "path"]
    assert pq.read_table(files).num_rows == 3 * len(formats)


@pytest.mark.parametrize("place", ["missing/x.parquet", "file/x.parquet", "folder"])
def test_parquet_that_cannot_be_written(dataset: Dataset, tmp_path: Path, place: str) -> None:
    """Is an error of ours, and leaves nothing behind."""
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    with pytest.raises(ConfigurationError, match=r"cannot be written|file is a file, not a folder"):
        dataset.to_parquet(tmp_path / place)
    assert not [*tmp_path.rglob("*.part")]


FEATURES = """
import json, sys
import datasets
rows = datasets.load_dataset("parquet", data_files=sys.argv[1], cache_dir=sys.argv[2])["train"]
kind = type(rows.features["image"]).__name__
print(json.dumps({"type": kind, "size": rows[0]["image"].size, "names": [*rows.features]}))
"""


def test_parquet_has_the_bytes(dataset: Dataset, tmp_path: Path) -> None:
    """As Hugging Face writes them: `load_dataset` reads pictures. Own columns come last, and no path of this machine is
    in it."""
    dataset.add_column("q", {dataset[0].file_id: 1})
    target = dataset.to_parquet(tmp_path / "signs.parquet", bytes=True)
    rows = pq.read_table(target).to_pylist()
    assert [row["image"] for row in rows] == [
        {"bytes": dataset.path_of(record).read_bytes(), "path": record.file_name.rpartition("/")[2]}
        for record in dataset
    ]
    assert [{name: row[name] for name in COLUMNS} for row in rows] == [vars(record) for record in dataset]
    assert pq.read_schema(target).names == ["image", *COLUMNS, "q"]
    command = [sys.executable, "-c", FEATURES, str(target), str(tmp_path / "cache")]
    read = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    assert read == {
        "type": "Image",
        "size": [64, 48],
        "names": ["image", *COLUMNS, "q"],
    }


def test_parquet_of_several_kinds_has_a_column_for_each(
    client: FirstHandClient, server: MockServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Null where a file is of another kind; rows are read and written in parts."""
    monkeypatch.setattr("firsthandapi.datasets._parquet._ROWS_WITH_MEDIA", 2)
    formats = ["image/png", "audio/wav", "video/mp4"]
    job_id = client.jobs.create(**{**JOB, "accepted_formats": formats}, files_needed=3).id
    for content_type in formats:
        server.submit(job_id, content_type=content_type)
    server.clock.advance(minutes=1)
    dataset = client.files.download_all(job_id, tmp_path / "all")
    rows = pq.read_table(dataset.to_parquet(tmp_path / "all.parquet", bytes=True)).to_pylist()
    for record, row in zip(dataset, rows, strict=True):
        kind = str(record.content_type).partition("/")[0]
        assert row.pop(kind)["bytes"] == dataset.path_of(record).read_bytes()
        assert [row[column] for column in ("image", "audio", "video") if column != kind] == [None, None]


@pytest.mark.parametrize("content_type", ["image/jpeg", "text/plain"])
def test_parquet_of_a_folder_without_media(tmp_path: Path, content_type: str) -> None:
    """As when all of its files are excluded, or are of no kind."""
    dataset = folder_of(tmp_path / "signs", [b"one"], content_type=[content_type])
    if content_type == "image/jpeg":
        dataset.exclude("file_0")
    for whole in (False, True):
        target = dataset.to_parquet(tmp_path / "signs.parquet", bytes=whole)
        assert pq.read_table(target).num_rows == len(dataset)


def test_parquet_has_no_bytes_that_differ(dataset: Dataset, tmp_path: Path) -> None:
    """Nothing is written."""
    path = dataset.path_of(dataset[0])
    path.write_bytes(b"x" * dataset[0].size_bytes)
    with pytest.raises(ConfigurationError, match=r"missing or mismatched; dataset\.repair"):
        dataset.to_parquet(tmp_path / "signs.parquet", bytes=True)
    path.unlink()
    with pytest.raises(ConfigurationError, match="missing or mismatched"):
        dataset.to_parquet(tmp_path / "signs.parquet", bytes=True)
    with pytest.raises(InvalidArgumentError, match="bytes must be True or False"):
        dataset.to_parquet(tmp_path / "signs.parquet", bytes="yes")
    assert not (tmp_path / "signs.parquet").exists()
