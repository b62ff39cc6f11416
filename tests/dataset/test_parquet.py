"""A manifest as a Parquet file."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from firsthandapi import Dataset, FirstHandClient
from firsthandapi._core.rows.manifest import COLUMNS
from firsthandapi.errors import ConfigurationError
from firsthandapi.testing import MockServer

from .support import JOB


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
