"""Other people's libraries read a job where it is, by its URL. `make filesystem` installs the heavy ones."""

from __future__ import annotations

import hashlib
import io
import json
import math
import multiprocessing
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import fsspec
import pytest

from dataset.support import api, completed_job
from firsthandapi.testing import MockServer

FILES = 12


@pytest.fixture(scope="module")
def server() -> Iterator[MockServer]:
    with MockServer(speed=0, workers=False) as server:
        server.rate_limit = server.organization_rate_limit = None
        yield server


@pytest.fixture(scope="module")
def job_id(server: MockServer) -> str:
    return completed_job(server, FILES)


@pytest.fixture
def job(server: MockServer, job_id: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of a job that no file system of this process knows yet."""
    monkeypatch.setenv("FIRSTHAND_API_KEY", server.api_key)
    monkeypatch.setenv("FIRSTHAND_BASE_URL", server.url)
    fsspec.get_filesystem_class("firsthand").clear_instance_cache()
    return f"firsthand://{job_id}"


@pytest.fixture
def hashes(server: MockServer, job_id: str) -> set[str]:
    """What the bytes of the files are."""
    with server.client() as client:
        return {file.content_hash or "" for file in client.files.list(job_id)}


@contextmanager
def few_requests(server: MockServer, processes: int = 1) -> Iterator[None]:
    """A request per hundred files and ten more, for each process that reads."""
    start = len(server.requests)
    yield
    assert len(api(server, start)) <= (math.ceil(FILES / 100) + 10) * processes


def sha256(content: Any) -> str:
    return hashlib.sha256(content).hexdigest()


def test_pandas(server: MockServer, job: str, hashes: set[str]) -> None:
    """The manifest is a table, from which each file is a path away."""
    import pandas

    with few_requests(server):
        table = pandas.read_json(f"{job}/metadata.jsonl", lines=True)
        assert set(table["sha256"]) == hashes
        read = [fsspec.open(f"{job}/{name}").open().read() for name in table["file_name"]]
    assert {sha256(content) for content in read} == hashes


def test_pandas_with_storage_options(server: MockServer, job: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Key and address need not come from the environment."""
    import pandas

    monkeypatch.delenv("FIRSTHAND_API_KEY")
    monkeypatch.delenv("FIRSTHAND_BASE_URL")
    options = {"api_key": server.api_key, "base_url": server.url}
    table = pandas.read_json(f"{job}/metadata.jsonl", lines=True, storage_options=options)
    assert len(table) == FILES


def test_pyarrow(server: MockServer, job: str, hashes: set[str]) -> None:
    """As a file system of its own kind, with its selectors, and as a table."""
    import pyarrow.fs
    import pyarrow.json

    files = fsspec.filesystem("firsthand")
    arrow = pyarrow.fs.PyFileSystem(pyarrow.fs.FSSpecHandler(files))
    job_id = job.removeprefix("firsthand://")
    with few_requests(server):
        listed = arrow.get_file_info(pyarrow.fs.FileSelector(job_id))
        assert len(listed) == FILES + 1
        read = []
        for info in listed:
            if info.extension == "jsonl":
                continue
            with arrow.open_input_file(info.path) as file:
                file.seek(info.size - 2)
                assert len(file.read()) == 2
                file.seek(0)
                read.append(file.read())
        with arrow.open_input_stream(f"{job_id}/metadata.jsonl") as rows:
            table = pyarrow.json.read_json(rows)
    assert {sha256(content) for content in read} == set(table["sha256"].to_pylist()) == hashes


def test_pyarrow_by_uri(server: MockServer, job: str, hashes: set[str]) -> None:
    """pyarrow knows the file systems of fsspec by `fsspec+`; without it, it says that it does not know ours."""
    import pyarrow
    import pyarrow.dataset

    with few_requests(server):
        table = pyarrow.dataset.dataset(f"fsspec+{job}/metadata.jsonl", format="json").to_table()
    assert set(table["sha256"].to_pylist()) == hashes
    with pytest.raises(pyarrow.ArrowInvalid, match="Unrecognized"):
        pyarrow.dataset.dataset(f"{job}/metadata.jsonl", format="json")


def test_polars(server: MockServer, job: str, hashes: set[str]) -> None:
    """From an open file: its readers of URLs are its own, and know no file system of fsspec."""
    polars = pytest.importorskip("polars", reason="Polars is not installed: make filesystem")
    with few_requests(server), fsspec.open(f"{job}/metadata.jsonl") as rows:
        assert {*polars.read_ndjson(rows)["sha256"]} == hashes
    with pytest.raises(FileNotFoundError):
        polars.read_ndjson(f"{job}/metadata.jsonl")


def test_hugging_face_datasets_of_a_folder(server: MockServer, job: str, tmp_path: Path) -> None:
    """A job's files and rows by one pattern; `data_dir` is for datasets a folder of this machine, or of the Hub."""
    import datasets

    options = {"split": "train", "streaming": True, "cache_dir": str(tmp_path)}
    with few_requests(server):
        rows = [*datasets.load_dataset("imagefolder", data_files=f"{job}/**", **options)]
    assert len(rows) == FILES
    assert all(row["annotations"]["objects"] for row in rows)
    with pytest.raises(FileNotFoundError):
        datasets.load_dataset("imagefolder", data_dir=job, **options)


def test_hugging_face_datasets(server: MockServer, job: str, tmp_path: Path) -> None:
    """`imagefolder` streams the pictures, with the columns of the manifest beside each."""
    import datasets

    with few_requests(server):
        stream = datasets.load_dataset(
            "imagefolder",
            data_files=[f"{job}/*.jpg", f"{job}/metadata.jsonl"],
            streaming=True,
            split="train",
            cache_dir=str(tmp_path),
        )
        rows = [*stream]
    assert {row["image"].size for row in rows} == {(640, 480)}
    assert len(rows) == FILES
    assert all(row["annotations"]["objects"] for row in rows)


def test_duckdb(server: MockServer, job: str, hashes: set[str]) -> None:
    """SQL over the manifest, and over the files themselves by a glob."""
    duckdb = pytest.importorskip("duckdb", reason="DuckDB is not installed: make filesystem")
    with duckdb.connect() as database, few_requests(server):
        database.register_filesystem(fsspec.filesystem("firsthand"))
        rows = database.sql(
            f"SELECT file_name, size_bytes FROM read_json('{job}/metadata.jsonl') WHERE ai_star_rating >= 3"
        ).fetchall()
        blobs = database.sql(f"SELECT filename, content FROM read_blob('{job}/*.jpg')").fetchall()
    assert {sha256(content) for _, content in blobs} == hashes
    assert {name: len(content) for name, content in blobs} == {f"{job}/{name}": size for name, size in rows}


def test_dask(server: MockServer, job: str, hashes: set[str]) -> None:
    """Bags over the manifest, blocks of the files, on threads and in processes, which get no key."""
    pytest.importorskip("dask", reason="Dask is not installed: make filesystem")
    import dask
    import dask.bag
    import dask.bytes

    with few_requests(server):
        rows = dask.bag.read_text(f"{job}/metadata.jsonl").map(json.loads)
        assert set(rows.pluck("sha256").compute(scheduler="threads")) == hashes
        _, blocks = dask.bytes.read_bytes(f"{job}/*.jpg", blocksize=None)
        contents = dask.compute(*[block for file in blocks for block in file], scheduler="threads")
        assert {sha256(content) for content in contents} == hashes
    with few_requests(server, processes=3):
        (small,) = dask.bytes.read_bytes(f"{job}/*.jpg", blocksize=None, include_path=False)[1][:1]
        results = dask.compute(*small, scheduler="processes", num_workers=1)
    assert sha256(results[0]) in hashes


class Pictures:
    """What a training script hands to a `DataLoader`: paths, opened where they are needed."""

    def __init__(self, paths: list[str]) -> None:
        self.paths = paths

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[str, tuple[int, int]]:
        from PIL import Image

        with fsspec.open(f"firsthand://{self.paths[index]}") as file:
            content = file.read()
        return sha256(content), Image.open(io.BytesIO(content)).size


@pytest.mark.parametrize("start", ["fork", "spawn"])
@pytest.mark.filterwarnings(
    "ignore:.*fork.*:DeprecationWarning"
)  # of Python 3.12: the server here has threads
def test_pytorch(server: MockServer, job: str, hashes: set[str], start: str) -> None:
    """Two worker processes of a `DataLoader` read every file once, shuffled, however they are started."""
    data = pytest.importorskip("torch.utils.data", reason="PyTorch is not installed: make filesystem")
    if start not in multiprocessing.get_all_start_methods():
        pytest.skip(f"this system does not {start}")
    with few_requests(server, processes=3):
        paths = fsspec.filesystem("firsthand").ls(job, detail=False)
        loader = data.DataLoader(
            Pictures(paths),
            batch_size=None,
            num_workers=2,
            shuffle=True,
            multiprocessing_context=start,
            timeout=300,
        )
        read = [*loader]
    assert len(read) == FILES
    assert {digest for digest, _ in read} == hashes
    assert {(*size,) for _, size in read} == {(640, 480)}
