"""`firsthand://`: other people's tools read a job's files where they are."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import io
import json
import os
import pickle
import re
import signal
import subprocess
import sys
import tempfile
import threading
import warnings
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any

import fsspec
import httpx
import pytest

from dataset.support import JOB, api, completed_job, downloads, server_with_job
from firsthandapi import ConfigurationError, DownloadError, IntegrityError, InvalidArgumentError
from firsthandapi.engines.filesystem import FirstHandFileSystem, _account
from firsthandapi.testing import MockServer


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MockServer]:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path_factory.mktemp("lists")))
    with MockServer(speed=0, workers=False) as server:
        server.rate_limit = server.organization_rate_limit = None
        monkeypatch.setenv("FIRSTHAND_API_KEY", server.api_key)
        monkeypatch.setenv("FIRSTHAND_BASE_URL", server.url)
        yield server


@pytest.fixture(scope="module")
def server_of_many() -> Iterator[tuple[MockServer, str]]:
    """A server with a job of 120 files."""
    yield from server_with_job(120)


@pytest.fixture
def many(
    server_of_many: tuple[MockServer, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[tuple[MockServer, str, FirstHandFileSystem]]:
    """That server, its job, and a file system that knows nothing yet; a test leaves no fault to the next."""
    server, job_id = server_of_many
    monkeypatch.setenv("FIRSTHAND_API_KEY", server.api_key)
    monkeypatch.setenv("FIRSTHAND_BASE_URL", server.url)
    monkeypatch.setattr(_account, "_accounts", weakref.WeakValueDictionary())
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # where processes share their lists
    yield server, job_id, FirstHandFileSystem(skip_instance_cache=True)
    server.faults.clear()


Many = tuple[MockServer, str, FirstHandFileSystem]


def paths_of(server: MockServer, job_id: str) -> list[str]:
    """Those of all files of a job, newest first, as a worker process gets them."""
    with server.client() as client:
        return [f"{job_id}/{file.id}.jpg" for file in client.files.list(job_id)]


@pytest.fixture
def files(server: MockServer) -> FirstHandFileSystem:
    """By the name that other tools know it by."""
    filesystem = fsspec.filesystem("firsthand", skip_instance_cache=True)
    assert isinstance(filesystem, FirstHandFileSystem)
    return filesystem


@pytest.fixture
def path(server: MockServer, files: FirstHandFileSystem) -> str:
    """The only file of a job."""
    (path,) = files.ls(completed_job(server, 1), detail=False)
    return str(path)


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
        for part in ((), (0, 0), (5, 2)):
            with pytest.raises(FileNotFoundError):
                files.cat_file(missing, *part)


def test_the_first_byte_costs_five_requests_at_most(many: Many) -> None:
    """However many files the job has; all of them cost a request per hundred and ten more."""
    server, job_id, files = many
    name = paths_of(server, job_id)[99]
    start = len(server.requests)
    with fsspec.open(f"firsthand://{name}") as file:
        file.read(1)
    assert len(server.requests) - start <= 5
    start = len(server.requests)
    for path in files.ls(job_id, detail=False):
        files.cat_file(path, 0, 10)
    assert len(api(server, start)) <= 2 + 10


def test_ranges_and_seeks(server: MockServer, files: FirstHandFileSystem, path: str) -> None:
    """A reader that jumps around gets what is there, and no more is downloaded than it asks for."""
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


def test_an_expired_url_is_refreshed_in_mid_read(
    server: MockServer, files: FirstHandFileSystem, path: str
) -> None:
    """A week passes between two reads of an open file; a storage that refuses for another reason is named."""
    with files.open(path, cache_type="none") as file:
        first = file.read(10)
        server.clock.advance(days=8)
        rest = file.read()
    assert first + rest == files.cat_file(path)
    assert any("refresh_url" in call for call in api(server))
    assert len(downloads(server)) >= 2


def test_urls_that_expired_together_cost_another_list(many: Many) -> None:
    """A program that runs for weeks: a request per hundred files and ten more, not one for each file."""
    server, job_id, files = many
    paths = files.ls(job_id, detail=False)
    for _ in range(2):
        server.clock.advance(days=8)
        start = len(server.requests)
        for path in paths:
            files.cat_file(path, 0, 10)
        assert len(api(server, start)) <= 2 + 10


def test_a_path_without_a_job_has_no_file(server: MockServer, files: FirstHandFileSystem, path: str) -> None:
    """Though the service finds a file by its id alone; and of a job nobody knows when it was approved."""
    job_id, _, name = path.partition("/")
    with pytest.raises(FileNotFoundError):
        files.info(f"../{name}")
    assert files.created(job_id) is None
    assert files.created(path) is not None


def test_faults_of_the_storage_cost_time_alone(
    server: MockServer, files: FirstHandFileSystem, path: str
) -> None:
    """A dropped connection, a cut body and a 503 are tried again."""
    whole = files.cat_file(path)
    for fault in ({"drop": "before"}, {"cut": 100}, {"status": 503}):
        server.faults.add(path="/files/*", times=1, **fault)  # type: ignore[arg-type] # of several types
        assert files.cat_file(path) == whole


def test_nothing_can_be_written(
    server: MockServer, files: FirstHandFileSystem, path: str, tmp_path: Path
) -> None:
    """Each way says that files can only be read, and what to do instead."""
    (tmp_path / "x").write_text("x")
    changes: list[Callable[[Any, str, str], Any]] = [
        lambda files, path, local: files.open(path, "wb"),
        lambda files, path, local: files.open(path, "ab"),
        lambda files, path, local: files.open(path, "xb"),
        lambda files, path, local: files.open(path, "r+b"),
        lambda files, path, local: files.open(path, "w"),
        lambda files, path, local: fsspec.open(f"firsthand://{path}", "w").open(),
        lambda files, path, local: files.rm(path),
        lambda files, path, local: files.rm(path, recursive=True),
        lambda files, path, local: files.rm_file(path),
        lambda files, path, local: files.delete(path),
        lambda files, path, local: files.rmdir("x"),
        lambda files, path, local: files.mkdir("x"),
        lambda files, path, local: files.makedir("x"),
        lambda files, path, local: files.makedirs("x/y", exist_ok=True),
        lambda files, path, local: files.mkdirs("x/y"),
        lambda files, path, local: files.touch(path),
        lambda files, path, local: files.pipe(path, b"x"),
        lambda files, path, local: files.pipe({path: b"x"}),
        lambda files, path, local: files.pipe_file(path, b"x"),
        lambda files, path, local: files.write_bytes(path, b"x"),
        lambda files, path, local: files.write_text(path, "x"),
        lambda files, path, local: files.put(local, path),
        lambda files, path, local: files.put_file(local, path),
        lambda files, path, local: files.upload(local, path),
        lambda files, path, local: files.mv(path, "x/y"),
        lambda files, path, local: files.move(path, "x/y"),
        lambda files, path, local: files.rename(path, "x/y"),
        lambda files, path, local: files.copy(path, "x/y"),
        lambda files, path, local: files.cp(path, "x/y"),
        lambda files, path, local: files.cp_file(path, "x/y"),
        lambda files, path, local: files.get_mapper("x").__setitem__("y", b"x"),
    ]
    start = len(server.requests)
    for change in changes:
        with pytest.raises(io.UnsupportedOperation, match="download_all"):
            change(files, path, str(tmp_path / "x"))
    assert {request.method for request in server.requests[start:]} <= {"GET"}


def test_no_key_leaves_with_it(
    server: MockServer, files: FirstHandFileSystem, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither in a pickle, a JSON, nor a repr; a worker process makes its own client from the environment."""
    job_id = path.partition("/")[0]
    copy = pickle.loads(pickle.dumps(files))
    assert copy.ls(job_id, detail=False) == [path]
    fs = FirstHandFileSystem(server.api_key, base_url=server.url)
    for subject in (fs, fs.open(path), fsspec.core.OpenFile(fs, path)):
        pickled = pickle.dumps(subject)
        assert server.api_key.encode() not in pickled
    assert pickle.loads(pickle.dumps(fs)).cat_file(path) == pickle.loads(pickle.dumps(fs.open(path))).read()
    assert server.api_key not in fs.to_json() + repr(fs) + str(fs._fs_token)
    monkeypatch.setenv("FIRSTHAND_API_KEY", "fh_test_another")
    for key in ({"api_key": server.api_key}, {}):
        stranger = FirstHandFileSystem(*key.values(), base_url=server.url)
        if key:
            with pytest.raises(ConfigurationError, match="FIRSTHAND_API_KEY"):
                pickle.dumps(stranger)
        else:
            pickle.dumps(stranger)


def test_a_forked_child_reads_over_connections_of_its_own(
    server: MockServer, files: FirstHandFileSystem
) -> None:
    """Data loaders fork: parent and children read at the same time, and each gets its own bytes."""
    if not hasattr(os, "fork"):
        pytest.skip("this system does not fork")
    hash_by_path = {entry["name"]: entry["sha256"] for entry in files.ls(completed_job(server, 4))}

    def wrong() -> int:
        return sum(
            hashlib.sha256(files.cat_file(path)).hexdigest() != sha256
            for _ in range(10)
            for path, sha256 in hash_by_path.items()
        )

    assert wrong() == 0
    children = []
    for _ in range(2):
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore", DeprecationWarning
            )  # of Python 3.12: the server here has a thread
            child = os.fork()
        if child == 0:
            signal.alarm(60)  # a child that hangs must not hang the test
            try:
                os._exit(min(wrong(), 99))
            except BaseException:
                os._exit(100)
        children.append(child)
    try:
        assert wrong() == 0
    finally:
        assert [os.waitpid(child, 0)[1] for child in children] == [0, 0]


def test_many_files_without_a_list_cost_a_list(many: Many) -> None:
    """A worker process knows paths only: from the ninth file on it lists the job, so 120 files cost ten requests."""
    server, job_id, files = many
    paths = paths_of(server, job_id)
    start = len(server.requests)
    for path in paths:
        files.cat_file(path, 0, 1)
    assert len(api(server, start)) <= 2 + 10


def test_a_large_job_costs_a_request_per_hundred_files(many: Many) -> None:
    """Listing, globbing, and asking for each file costs no more than the list."""
    server, job_id, files = many
    start = len(server.requests)
    assert len(files.glob(f"{job_id}/*.jpg")) == 120
    assert len(files.find(job_id)) == 120 + 1
    assert files.du(job_id) == sum(entry["size"] for entry in files.ls(job_id, manifest=True))
    assert all(files.isfile(path) for path in files.ls(job_id, detail=False))
    assert len(api(server, start)) <= 2 + 10


def test_a_job_has_a_manifest(server: MockServer, files: FirstHandFileSystem) -> None:
    """The rows of a downloaded dataset, with names relative to the job, at the price of two lists."""
    job_id = completed_job(server, 3)
    start = len(server.requests)
    with fsspec.open(f"firsthand://{job_id}/metadata.jsonl", "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    assert len(api(server, start)) == 2
    listed = {entry["name"]: entry for entry in files.ls(job_id)}
    assert {f"{job_id}/{row['file_name']}" for row in rows} == set(listed)
    for row in rows:
        assert row["sha256"] == listed[f"{job_id}/{row['file_name']}"]["sha256"]
        assert row["annotations"]["objects"]
        assert "http" not in json.dumps({**row, "server": None})
        assert (row["server"], row["environment"]) == (server.url, "simulated")
    content = files.cat_file(f"{job_id}/metadata.jsonl")
    assert files.cat_file(f"{job_id}/metadata.jsonl", -5) == content[-5:]
    assert files.size(f"{job_id}/metadata.jsonl") == len(content)
    assert files.created(f"{job_id}/metadata.jsonl") is None
    assert files.created(f"{job_id}/{rows[0]['file_name']}").isoformat()[:19] == rows[0]["created_at"][:19]  # type: ignore[union-attr]
    with pytest.raises(FileNotFoundError):
        files.cat_file("job_01JPNONE/metadata.jsonl")
    files.invalidate_cache()
    assert files.cat_file(f"{job_id}/metadata.jsonl") == content
    assert files.ukey(f"{job_id}/metadata.jsonl") == f"{job_id}/metadata.jsonl {len(content)}"


def test_whoever_walks_a_job_meets_its_manifest(
    server: MockServer, files: FirstHandFileSystem, tmp_path: Path
) -> None:
    """`walk`, `find`, and `glob` say what `info` says; a recursive `get` copies it; `ls` lists what people made."""
    job_id = completed_job(server, 2)
    rows = f"{job_id}/metadata.jsonl"
    for listed in (files.find(job_id, detail=True), files.glob(f"{job_id}/*", detail=True)):
        assert isinstance(listed, dict)
        assert listed[rows] == files.info(rows)
    assert next(iter(files.walk("", topdown=False)))[2][-1] == "metadata.jsonl"
    assert files.glob("job_*/*.jsonl") == files.find(rows) == [rows]
    assert rows not in files.ls(job_id, detail=False)
    files.get(job_id, str(tmp_path / "copy"), recursive=True)
    assert (tmp_path / "copy" / "metadata.jsonl").read_bytes() == files.cat(job_id, recursive=True)[rows]
    assert files.info(rows)["size"] == len(files.cat_file(rows))


def test_a_signed_url_is_fresh(server: MockServer, files: FirstHandFileSystem, path: str) -> None:
    """Whoever has it has the file, for as long as the service says; rows and folders have none."""
    server.clock.advance(days=8)
    assert httpx.get(files.sign(path), timeout=60).content == files.cat_file(path)
    with pytest.raises(InvalidArgumentError, match="ends at"):
        files.sign(path, expiration=10**8)
    with pytest.raises(NotImplementedError, match="cat_file"):
        files.sign(path.partition("/")[0] + "/metadata.jsonl")
    with pytest.raises(FileNotFoundError):
        files.sign(path.partition("/")[0])


def test_a_file_whose_size_the_service_left_out_opens(
    server: MockServer, files: FirstHandFileSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One byte of it tells its size; an empty file reads as empty, and beyond the end there is nothing."""
    with server.client() as client:
        job_id = client.jobs.create(**{**JOB, "files_needed": 1}).id
    server.submit(job_id, content=b"", content_type="image/jpeg")
    server.clock.advance(minutes=1)
    (entry,) = files.ls(job_id)
    with files.open(entry["name"]) as file:
        assert file.read() == b""
    assert files.cat_file(entry["name"]) == b""
    (other_path,) = files.ls(completed_job(server, 1), detail=False)
    whole = files.cat_file(other_path)
    assert files.cat_file(other_path, len(whole) + 5) == b""
    file_by_name = files._account.files(other_path.partition("/")[0])
    for name, record in file_by_name.items():
        file_by_name[name] = record.model_copy(update={"size_bytes": None})
    with files.open(other_path) as file:
        assert file.read() == whole


HOSTILE = (
    *("..", "../../v1/me", "file_..%2f..%2fme.jpg", "file_1\x00.jpg", "file_1\r\nX: y.jpg", "file_1?x=1.jpg"),
    *("\u202efile_1.jpg", "f" * 100_000, "file_1/../file_2.jpg", "{}", "["),
)


@pytest.mark.parametrize("listed", [False, True])
def test_a_hostile_path_is_a_file_that_does_not_exist(
    server: MockServer, files: FirstHandFileSystem, listed: bool
) -> None:
    """Whatever stands in a path, it reaches no other endpoint."""
    job_id = completed_job(server, 1)
    for name in HOSTILE:
        files.invalidate_cache()
        if listed:
            files.ls(job_id)
        start = len(server.requests)
        for path in (f"firsthand://{job_id}/{name}", f"firsthand://{name}/x.jpg"):
            with pytest.raises(FileNotFoundError):
                files.cat_file(path)
            assert not files.exists(path)
            assert not files.isfile(path)
        for request in server.requests[start:]:
            assert re.fullmatch(r"/v1/(files/\w+/refresh_url|jobs/\w+(/files)?)", request.path)


def test_copies_and_caches_of_fsspec(server: MockServer, files: FirstHandFileSystem, tmp_path: Path) -> None:
    """Globs of open_files, get, and each caching layer; what they leave on disk has no key and no signed URL."""
    job_id = completed_job(server, 3)
    content_by_path = {path: files.cat_file(path) for path in files.ls(job_id, detail=False)}
    with fsspec.open_files(f"firsthand://{job_id}/*.jpg") as opened:
        assert sorted(file.read() for file in opened) == sorted(content_by_path.values())
    files.get(job_id, str(tmp_path / "copy"), recursive=True)
    rows = files.cat_file(f"{job_id}/metadata.jsonl")
    assert sorted(path.read_bytes() for path in (tmp_path / "copy").iterdir()) == sorted(
        [*content_by_path.values(), rows]
    )
    for layer in ("simplecache", "filecache"):
        cache = {"cache_storage": str(tmp_path / layer)}
        for _ in range(2):
            for path, content in content_by_path.items():
                start = len(server.requests)
                with fsspec.open(f"{layer}::firsthand://{path}", **{layer: cache}) as file:
                    assert file.read() == content
        assert not downloads(server, start), layer
    assert files.cat(list(content_by_path)) == content_by_path
    assert files.cat_ranges([*content_by_path], 0, 5) == [content[:5] for content in content_by_path.values()]
    assert files.head(path, 5) + files.tail(path, 5) == content_by_path[path][:5] + content_by_path[path][-5:]
    for path in tmp_path.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert server.api_key.encode() not in content
            assert b"X-Amz" not in content
            assert f"{server.url}/".encode() not in content


def test_async_code_reads_through_the_wrapper_of_fsspec(
    server: MockServer, files: FirstHandFileSystem
) -> None:
    """Many files at once, on threads."""
    from fsspec.implementations.asyn_wrapper import AsyncFileSystemWrapper

    job_id = completed_job(server, 3)
    content_by_path = {path: files.cat_file(path) for path in files.ls(job_id, detail=False)}

    async def main() -> None:
        wrapped = AsyncFileSystemWrapper(files, asynchronous=True)
        assert await wrapped._cat([*content_by_path]) == content_by_path
        assert sorted(await wrapped._ls(job_id, detail=False)) == sorted(content_by_path)
        with pytest.raises(io.UnsupportedOperation):
            await wrapped._rm_file(next(iter(content_by_path)))

    asyncio.run(main())


def _portal(server: MockServer, times: int) -> None:
    """A storage that answers 200 with a page of its own."""
    server.faults.add(path="/files/*", garbage=True, times=times)


def _in_parts(file: IO[bytes]) -> bytes:
    return b"".join(iter(lambda: file.read(1000), b""))


def test_the_listed_size_and_hash_bind_a_whole_read(
    server: MockServer, files: FirstHandFileSystem, path: str, tmp_path: Path
) -> None:
    """A captive portal's page, once, costs a second download; twice, it is an error, and leaves no file."""
    whole = files.cat_file(path)
    reads = {
        "cat_file": lambda: files.cat_file(path),
        "cat": lambda: files.cat([path])[path],
        "cat_ranges": lambda: files.cat_ranges([path], 0, None, on_error="raise")[0],
        "part": lambda: files.cat_file(path, 0, 10**9),
        "open": lambda: files.open(path).read(),
        "parts": lambda: _in_parts(files.open(path, block_size=64)),
        "get": lambda: files.get(path, str(tmp_path / "x")) or (tmp_path / "x").read_bytes(),
    }
    for name, read in reads.items():
        _portal(server, 1)
        assert read() == whole, name
        (tmp_path / "x").unlink(missing_ok=True)
        _portal(server, 2)
        with pytest.raises(IntegrityError, match=path.partition("/")[2].partition(".")[0]):
            read()
    assert not [*tmp_path.iterdir()]


@pytest.fixture(params=[_account._MOST_LOOKED, 1], ids=["small", "large"])
def two_pages(request: pytest.FixtureRequest, server: MockServer, monkeypatch: pytest.MonkeyPatch) -> str:
    """A job with pages of ten files, and two of them: more, or not more than are looked at for a file."""
    monkeypatch.setattr(_account, "_MOST_LOOKED", request.param)
    monkeypatch.setattr(_account, "_PAGE", 10)
    monkeypatch.setattr("firsthandapi._sync.calls.LARGEST_PAGE", 10)
    return completed_job(server, 11)


def test_a_whole_read_of_a_path_that_nobody_listed_is_bound_too(
    server: MockServer, two_pages: str, tmp_path: Path
) -> None:
    """A worker process knows a path alone: a captive portal's page does not become the file, of whatever job."""
    path = paths_of(server, two_pages)[9]
    local = tmp_path / "x"
    files = FirstHandFileSystem(skip_instance_cache=True)
    for read in (
        lambda: files.cat_file(path),
        lambda: files.cat_file(path, 0, 10**9),
        lambda: files.cat([path])[path],
        lambda: files.cat_ranges([path], 0, None, on_error="raise")[0],
        lambda: files.open(path).read(),
        lambda: _in_parts(files.open(path, block_size=64)),
        lambda: files.get(path, str(local)) or local.read_bytes(),
        lambda: files.get_file(path, str(local)) or local.read_bytes(),
    ):
        files.invalidate_cache()
        start = len(server.requests)
        _portal(server, 10)
        with pytest.raises(IntegrityError):
            read()
        server.faults.clear()
        assert not local.exists()
        assert len(api(server, start)) <= 2 + 10
        files.invalidate_cache()
        start = len(server.requests)
        with files.open(path) as file:
            first = file.read(1)
            assert len(server.requests) - start <= 5
            assert first + file.read() == read()
        local.unlink(missing_ok=True)


def test_a_path_is_of_its_job_and_its_type(
    server: MockServer, files: FirstHandFileSystem, two_pages: str
) -> None:
    """The service finds a file by its id alone; a path of another job, or with another ending, has no file."""
    job_id, other_job = two_pages, completed_job(server, 11)
    name = paths_of(server, job_id)[9].partition("/")[2]
    for path in (f"{other_job}/{name}", f"job_01JPNONE/{name}", f"{job_id}/{name[:-4]}.png"):
        for read in (files.info, files.cat_file, files.sign, lambda path: files.open(path).read()):
            files.invalidate_cache()
            with pytest.raises(FileNotFoundError):
                read(path)
            files.invalidate_cache()
            assert not files.exists(path)


def test_other_bytes_of_the_same_length_are_found(
    server: MockServer, files: FirstHandFileSystem, path: str
) -> None:
    """In a whole read, and in a file that is read to its end in parts; a part alone proves nothing."""
    job_id = path.partition("/")[0]
    file_by_name = files._account.files(job_id)
    for name, record in file_by_name.items():
        file_by_name[name] = record.model_copy(update={"content_hash": "0" * 64})
    for read in (lambda: files.cat_file(path), lambda: files.open(path).read()):
        with pytest.raises(IntegrityError, match="SHA-256"):
            read()
    with files.open(path, block_size=64) as file:
        assert len(file.read(1000)) == 1000
        with pytest.raises(IntegrityError, match="SHA-256"):
            _in_parts(file)
    with files.open(path, block_size=64) as file:
        file.seek(10)
        assert len(file.read()) == file.size - 10
    assert len(files.cat_file(path, 0, 10)) == 10


Bulk = Callable[[FirstHandFileSystem, list[str], Path], Any]

BULK: dict[str, Bulk] = {
    "cat": lambda files, paths, folder: files.cat(paths),
    "cat_ranges": lambda files, paths, folder: files.cat_ranges(paths, 0, 5, on_error="raise"),
    "get": lambda files, paths, folder: files.get(paths, str(folder)),
}


@pytest.mark.parametrize("bulk", BULK.values(), ids=BULK)
def test_many_files_at_once_cost_a_request_per_hundred(many: Many, tmp_path: Path, bulk: Bulk) -> None:
    """Whether the job was listed or not, and after its URLs have expired together."""
    server, job_id, files = many
    paths = paths_of(server, job_id)
    for _ in range(2):
        start = len(server.requests)
        bulk(files, paths, tmp_path / "x")
        assert len(api(server, start)) <= 2 + 10
        assert {*downloads(server, start)} == {path[len(job_id) + 1 : -4] for path in paths}
        server.clock.advance(days=8)


@pytest.mark.parametrize("bulk", ["cat", "cat_ranges"])
def test_many_files_are_read_side_by_side(
    server: MockServer, files: FirstHandFileSystem, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, bulk: str
) -> None:
    """Thirty-two at once: one waits for the other here."""
    together = threading.Barrier(32, timeout=60)

    def read(*_: object) -> tuple[bytes, int]:
        together.wait()
        return b"12345", 5

    monkeypatch.setattr(files._account, "read", read)
    paths = [f"job_01JP/file_{number}.jpg" for number in range(64)]
    monkeypatch.setattr(files._account, "prepare", lambda _: None)
    assert len(BULK[bulk](files, paths, tmp_path)) == 64


def test_copies_come_whole_or_not_at_all(
    server: MockServer, files: FirstHandFileSystem, tmp_path: Path
) -> None:
    """What cannot be had is raised, returned, or left out; the others are there, and nothing half-done is."""
    paths = sorted(files.ls(completed_job(server, 4), detail=False))
    one_bad = [False, True, False, False]
    server.faults.add(path=f"/files/{paths[1].partition('/')[2].partition('.')[0]}", status=404, times=None)
    target = tmp_path / paths[1].partition("/")[2]
    for on_error in ("raise", "omit", "return"):
        target.write_bytes(b"the old one")
        if on_error == "raise":
            for read in (
                lambda: files.get(paths, str(tmp_path)),
                lambda: files.get_file(paths[1], str(target)),
                lambda: files.cat(paths),
                lambda: files.cat_ranges(paths, 0, 1, on_error="raise"),
            ):
                with pytest.raises(DownloadError):
                    read()
        else:
            errors = files.get(paths, str(tmp_path), on_error=on_error)
            results = files.cat(paths, on_error=on_error)
            if on_error == "return":
                assert [isinstance(error, DownloadError) for error in errors or ()] == one_bad
                assert isinstance(results.pop(paths[1]), DownloadError)
            else:
                assert errors is None
            assert [*results] == [paths[0], *paths[2:]]
        assert target.read_bytes() == b"the old one"
        names = sorted(path.name for path in tmp_path.iterdir())
        assert names == [path.partition("/")[2] for path in paths]
        for path in tmp_path.iterdir():
            path.unlink()
    assert [isinstance(part, DownloadError) for part in files.cat_ranges(paths, 0, 1)] == one_bad


def test_a_job_that_does_not_exist_leaves_no_folder(files: FirstHandFileSystem, tmp_path: Path) -> None:
    """However its copy is asked for."""
    for copy in (
        lambda: files.get("job_01JPNONE", str(tmp_path / "x"), recursive=True),
        lambda: files.get(["job_01JPNONE"], [str(tmp_path / "x")]),
        lambda: files.get_file("job_01JPNONE", str(tmp_path / "x")),
    ):
        with pytest.raises(FileNotFoundError):
            copy()
    assert not [*tmp_path.iterdir()]


def test_an_interrupted_copy_leaves_whole_files(
    server: MockServer, files: FirstHandFileSystem, tmp_path: Path
) -> None:
    """Ctrl-C, here from a callback of fsspec, which is told of each file."""
    job_id = completed_job(server, 6)
    contents = {*map(files.cat_file, files.ls(job_id, detail=False))}

    class Interrupted(fsspec.callbacks.Callback):  # type: ignore[misc] # fsspec ships no types
        def call(self, *_: object, **__: object) -> None:
            if self.value == 2:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        files.get(f"{job_id}/*.jpg", str(tmp_path), callback=Interrupted())
    assert {path.read_bytes() for path in tmp_path.iterdir()} <= contents
    progress = fsspec.callbacks.Callback()
    files.get(f"{job_id}/*.jpg", str(tmp_path), callback=progress)
    assert (progress.size, progress.value) == (6, 6)
    progress = fsspec.callbacks.Callback()
    files.get_file(f"{job_id}/metadata.jsonl", str(tmp_path / "rows"), callback=progress)
    assert progress.value == progress.size == len((tmp_path / "rows").read_bytes())
    buffer = io.BytesIO()
    files.get_file(f"{job_id}/metadata.jsonl", buffer)
    assert buffer.getvalue() == (tmp_path / "rows").read_bytes()


def test_a_withdrawn_file_does_not_exist(
    server: MockServer, files: FirstHandFileSystem, tmp_path: Path
) -> None:
    """However it is read; from then on it is not listed either, nor a row of the manifest."""
    for read in (
        lambda path: files.cat_file(path),
        lambda path: files.cat([path]),
        lambda path: files.cat_ranges([path], 0, 1, on_error="raise"),
        lambda path: files.open(path).read(),
        lambda path: files.get(path, str(tmp_path / "x")),
        lambda path: files.get_file(path, str(tmp_path / "x")),
        lambda path: files.sign(path),
    ):
        job_id = completed_job(server, 2)
        path, other_path = files.ls(job_id, detail=False)
        server.withdraw(path.partition("/")[2].partition(".")[0])
        with pytest.raises(FileNotFoundError, match=path):
            read(path)
        assert files.ls(job_id, detail=False) == [other_path]
        assert not files.exists(path)
        assert len(files.cat_file(f"{job_id}/metadata.jsonl").splitlines()) == 1
        assert files.cat_file(other_path)
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize("on_error", ["raise", "return", "omit"])
@pytest.mark.parametrize("withdrawn", [True, False])
def test_a_copied_manifest_has_a_row_for_each_file_beside_it(
    server: MockServer, files: FirstHandFileSystem, tmp_path: Path, on_error: str, withdrawn: bool
) -> None:
    """Whether the missing one was withdrawn meanwhile or cannot be downloaded, and whatever is done about it."""
    job_id = completed_job(server, 3)
    bad = files.ls(job_id, detail=False)[1].partition("/")[2].partition(".")[0]
    if withdrawn:
        server.withdraw(bad)
    else:
        server.faults.add(path=f"/files/{bad}", status=404, times=None)
    with contextlib.suppress(FileNotFoundError, DownloadError):
        files.get(job_id, str(tmp_path), recursive=True, on_error=on_error)
    rows = (tmp_path / "metadata.jsonl").read_text(encoding="utf-8").splitlines()
    names = sorted(path.name for path in tmp_path.glob("*.jpg"))
    assert sorted(json.loads(row)["file_name"] for row in rows) == names
    assert len(names) == 2


def test_a_storage_that_is_down_costs_few_requests(server: MockServer, files: FirstHandFileSystem) -> None:
    """Whether one file still exists is asked; the answer stands for the others."""
    paths = files.ls(completed_job(server, 30), detail=False)
    server.faults.add(path="/files/*", status=404, times=None)
    start = len(server.requests)
    assert all(isinstance(result, DownloadError) for result in files.cat(paths, on_error="return").values())
    assert len(api(server, start)) == 1


def test_without_fsspec_the_extra_is_named() -> None:
    """As for every other room that needs one."""
    program = "import sys; sys.modules['fsspec'] = None; import firsthandapi.filesystem"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert ran.stderr.rstrip().endswith("needs an extra: pip install 'firsthandapi[remote]'")
