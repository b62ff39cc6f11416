"""`firsthand://`: other people's tools read a job's files where they are."""

from __future__ import annotations

import hashlib
import io
import pickle
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import fsspec
import pytest

from dataset.support import api, completed_job, downloads
from firsthandapi import ConfigurationError
from firsthandapi.filesystem import FirstHandFileSystem
from firsthandapi.testing import MockServer


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[MockServer]:
    with MockServer(speed=0, workers=False) as server:
        server.rate_limit = server.organization_rate_limit = None
        monkeypatch.setenv("FIRSTHAND_API_KEY", server.api_key)
        monkeypatch.setenv("FIRSTHAND_BASE_URL", server.url)
        yield server


@pytest.fixture
def files(server: MockServer) -> FirstHandFileSystem:
    """By the name that other tools know it by."""
    found = fsspec.filesystem("firsthand", skip_instance_cache=True)
    assert isinstance(found, FirstHandFileSystem)
    return found


def test_a_job_is_a_folder_of_its_files(server: MockServer, files: FirstHandFileSystem) -> None:
    """Names are those of a dataset's folder; sizes, hashes and stars come along; every byte is the right one."""
    job_id = completed_job(server, 3)
    assert files.ls("firsthand://", detail=False) == [job_id]
    listed = files.ls(f"firsthand://{job_id}")
    assert len(listed) == 3
    for entry in listed:
        content = files.cat(f"firsthand://{entry['name']}")
        assert (len(content), hashlib.sha256(content).hexdigest()) == (entry["size"], entry["sha256"])
        assert files.isfile(entry["name"])
    assert files.isdir(job_id)
    assert not files.exists(f"{job_id}/file_01JP0.jpg")
    assert not files.exists("job_01JPNONE")
    assert [*files.glob(f"{job_id}/*.jpg")] == sorted(entry["name"] for entry in listed)
    for missing in (f"{job_id}/file_01JP0.jpg", "job_01JPNONE/x.jpg", "../x/y.jpg", f"{job_id}/a/b"):
        with pytest.raises(FileNotFoundError):
            files.cat_file(missing)


def test_the_first_byte_costs_five_requests_at_most(server: MockServer, files: FirstHandFileSystem) -> None:
    """However many files the job has; all of them cost a request per hundred and ten more."""
    job_id = completed_job(server, 120)
    with server.client() as client:
        name = f"{job_id}/{client.files.list(job_id).data[-1].id}.jpg"
    before = len(server.requests)
    with fsspec.open(f"firsthand://{name}") as file:
        file.read(1)
    assert len(server.requests) - before <= 5
    before = len(server.requests)
    for path in files.ls(job_id, detail=False):
        files.cat_file(path, 0, 10)
    assert len(api(server, before)) <= 2 + 10


def test_ranges_and_seeks(server: MockServer, files: FirstHandFileSystem) -> None:
    """A reader that jumps around gets what is there, and no more is downloaded than it asks for."""
    job_id = completed_job(server, 1)
    (path,) = files.ls(job_id, detail=False)
    whole = files.cat_file(path)
    for start, end in ((0, 1), (5, 50), (-10, None), (None, -5), (7, 7), (len(whole) - 1, None), (3, 10**9)):
        assert files.cat_file(path, start, end) == whole[start:end]
    with files.open(path, block_size=64) as file:
        file.seek(-8, io.SEEK_END)
        assert file.read() == whole[-8:]
        file.seek(10)
        assert file.read(20) == whole[10:30]
    with ThreadPoolExecutor(8) as pool:
        assert {*pool.map(lambda _: files.cat_file(path), range(16))} == {whole}


def test_an_expired_url_is_refreshed_in_mid_read(server: MockServer, files: FirstHandFileSystem) -> None:
    """A week passes between two reads of an open file; a storage that refuses for another reason is named."""
    job_id = completed_job(server, 1)
    (path,) = files.ls(job_id, detail=False)
    with files.open(path, cache_type="none") as file:
        first = file.read(10)
        server.clock.advance(days=8)
        rest = file.read()
    assert first + rest == files.cat_file(path)
    assert any("refresh_url" in call for call in api(server))
    assert len(downloads(server)) >= 2


def test_faults_of_the_storage_cost_time_alone(server: MockServer, files: FirstHandFileSystem) -> None:
    """A dropped connection, a cut body and a 503 are tried again."""
    job_id = completed_job(server, 1)
    (path,) = files.ls(job_id, detail=False)
    whole = files.cat_file(path)
    for fault in ({"drop": "before"}, {"cut": 100}, {"status": 503}):
        server.faults.add(path="/files/*", times=1, **fault)  # type: ignore[arg-type] # of several types
        assert files.cat_file(path) == whole


@pytest.mark.parametrize(
    "change",
    [
        lambda files, path: files.open(path, "wb"),
        lambda files, path: files.rm(path),
        lambda files, path: files.mkdir("x"),
        lambda files, path: files.touch(path),
        lambda files, path: files.pipe(path, b"x"),
        lambda files, path: files.mv(path, "x/y"),
        lambda files, path: files.copy(path, "x/y"),
    ],
)
def test_nothing_can_be_written(server: MockServer, files: FirstHandFileSystem, change: object) -> None:
    """Each way says that files can only be read, and what to do instead."""
    assert callable(change)
    (path,) = files.ls(completed_job(server, 1), detail=False)
    with pytest.raises(io.UnsupportedOperation, match="download_all"):
        change(files, path)


def test_no_key_leaves_with_it(server: MockServer, files: FirstHandFileSystem) -> None:
    """Neither in a pickle, a JSON or a repr; without api_key= a worker process makes its own client."""
    job_id = completed_job(server, 1)
    again = pickle.loads(pickle.dumps(files))
    assert again.ls(job_id, detail=False) == files.ls(job_id, detail=False)
    own = FirstHandFileSystem(api_key=server.api_key, base_url=server.url)
    with pytest.raises(ConfigurationError, match="FIRSTHAND_API_KEY"):
        pickle.dumps(own)
    assert server.api_key not in own.to_json() + repr(own)


def test_pandas_pyarrow_and_hugging_face_read_it(server: MockServer, tmp_path: Path) -> None:
    """By the URL alone, as a stream."""
    import datasets
    import pyarrow.fs

    job_id = completed_job(server, 3)
    files = fsspec.filesystem("firsthand")
    paths = files.ls(job_id, detail=False, refresh=True)
    arrow = pyarrow.fs.PyFileSystem(pyarrow.fs.FSSpecHandler(files))
    with arrow.open_input_file(paths[0]) as file:
        assert file.read() == files.cat_file(paths[0])
    stream = datasets.load_dataset(
        "imagefolder",
        data_files=[f"firsthand://{path}" for path in paths],
        streaming=True,
        split="train",
        cache_dir=str(tmp_path),
    )
    assert [row["image"].size for row in stream] == [(640, 480)] * 3
