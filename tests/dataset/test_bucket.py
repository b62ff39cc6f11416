"""Buckets as `dest`: a real S3-compatible server on loopback, and a store of another kind."""

from __future__ import annotations

import asyncio
import hashlib
import importlib.util
import json
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, cast

import fsspec.config
import pandas as pd
import pytest
import s3fs
from fsspec.implementations.memory import MemoryFileSystem
from upath import UPath

from cli.support import Cli
from client.support import Connect
from firsthandapi import Dataset, FirstHandClient
from firsthandapi._base.folder_lock import FolderLock
from firsthandapi._base.names import ROOM
from firsthandapi._core.orders.record import ORDERS
from firsthandapi._core.rows.manifest import MANIFEST, RowOrigin, parse_manifest
from firsthandapi._core.rows.seals import seal_file
from firsthandapi._notebook import gallery
from firsthandapi.datasets import _bucket, _manifest
from firsthandapi.datasets._bucket import Bucket
from firsthandapi.datasets._folder import Folder
from firsthandapi.datasets._ledger import LedgerFolder
from firsthandapi.datasets._manifest import Source
from firsthandapi.errors import ConfigurationError, DownloadError, FirstHandError, InvalidArgumentError
from firsthandapi.testing import MockServer

from .s3 import S3, Asked
from .support import (
    JOB,
    ORDER,
    completed_job,
    downloads,
    in_background,
    jobs_bought,
    our_threads,
    server_with_job,
    wait_until,
)

SEAL = seal_file("")
ORIGIN = RowOrigin("live", "https://api.firsthandapi.com")

FILES = 3
# The smallest part that a store takes.
PART = 5 << 20
LARGE = PART + 123


@pytest.fixture(scope="module")
def store() -> Iterator[S3]:
    store = S3()
    # Its library keeps a session for the same environment: to make one takes as long as ten requests.
    s3fs.S3FileSystem.clear_instance_cache()
    yield store
    s3fs.S3FileSystem.clear_instance_cache()
    store.close()


@pytest.fixture
def s3(store: S3, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[S3]:
    """The server, found by the environment; what passes through the disk passes through `tmp_path`."""
    for name in [name for name in os.environ if name.startswith(("AWS_", "FSSPEC_"))]:
        monkeypatch.delenv(name)
    for name, value in store.environment.items():
        monkeypatch.setenv(name, value)
    stage = tmp_path / "stage"
    stage.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(stage))
    store.requests.clear()
    yield store
    store.faults.clear()
    wait_until(lambda: not our_threads())
    assert [*stage.iterdir()] == []


@pytest.fixture
def new_session() -> Iterator[None]:
    """For what depends on the environment."""
    s3fs.S3FileSystem.clear_instance_cache()
    yield
    s3fs.S3FileSystem.clear_instance_cache()


@pytest.fixture
def bucket(s3: S3) -> str:
    return s3.bucket()


@pytest.fixture
def dest(bucket: str) -> str:
    return f"s3://{bucket}/jobs/signs"


@pytest.fixture(scope="module")
def over() -> Iterator[tuple[MockServer, str]]:
    """A server with a job that is over."""
    yield from server_with_job(FILES)


@pytest.fixture
def client(over: tuple[MockServer, str]) -> Iterator[FirstHandClient]:
    with over[0].client() as client:
        yield client


@pytest.fixture
def job_id(over: tuple[MockServer, str]) -> str:
    return over[1]


Fill = Callable[..., Dataset]


@pytest.fixture
def fill(client: FirstHandClient, job_id: str, dest: str) -> Fill:
    """Download that job into the bucket."""
    return partial(client.files.download_all, job_id, dest)


@pytest.fixture(scope="module")
def downloaded(store: S3, over: tuple[MockServer, str]) -> dict[str, bytes]:
    """The objects of a whole bucket of that job; to copy them takes a tenth of the time of a download."""
    bucket = store.bucket()
    with over[0].client() as client:
        client.files.download_all(over[1], cast("Any", place(store, f"s3://{bucket}/jobs/signs")))
    return store.objects(bucket)


@pytest.fixture
def dataset(downloaded: dict[str, bytes], s3: S3, bucket: str, dest: str) -> Dataset:
    """A whole bucket of that job."""
    for name, content in downloaded.items():
        s3.client.put_object(Bucket=bucket, Key=name, Body=content)
    return Dataset.open(dest)


def place(s3: S3, dest: str) -> UPath:
    """A URL that needs no environment."""
    return UPath(dest, endpoint_url=s3.url, key="AKIAEXAMPLE", secret="aws5ecret")


def large_job(server: MockServer, *sizes: int) -> str:
    """A job of audio files of these sizes that is over."""
    with server.client() as client:
        fields = {**JOB, "accepted_formats": ["audio/wav"], "files_needed": len(sizes)}
        job_id = client.jobs.create(**fields).id
        for number, size in enumerate(sizes):
            server.submit(job_id, content=bytes([number]) * size)
        server.clock.advance(minutes=1)
    return job_id


def names(objects: Any, below: str = "jobs/signs/") -> list[str]:
    return sorted(name.removeprefix(below) for name in objects)


def of_data(method: str = "PUT") -> Callable[[Asked], bool]:
    return lambda asked: asked.method == method and "/data/" in asked.path


def named(name: str, method: str = "PUT") -> Callable[[Asked], bool]:
    return lambda asked: asked.method == method and asked.path.endswith(name)


def damage(s3: S3, bucket: str, dataset: Dataset) -> tuple[str, str, str]:
    """Spoil three objects of a dataset: the names of a mismatched, a missing and an extra one."""
    first, second = dataset.records[0], dataset.records[1]
    prefix = "jobs/signs/"
    s3.client.put_object(Bucket=bucket, Key=prefix + first.file_name, Body=b"x" * first.size_bytes)
    s3.client.delete_object(Bucket=bucket, Key=prefix + second.file_name)
    s3.client.put_object(Bucket=bucket, Key=prefix + "data/mine.txt", Body=b"mine")
    return first.file_name, second.file_name, "data/mine.txt"


# ── The whole way ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("connect", "kind"),
    [("sync", "s3"), ("async", "the root of a bucket"), ("sync", "memory")],
    indirect=["connect"],
)
def test_a_job_becomes_a_bucket(
    connect: Connect, quick_server: MockServer, s3: S3, bucket: str, kind: str, tmp_path: Path
) -> None:
    """Posted, followed, fetched, verified: exactly what was bought is there, and nothing secret."""
    dest = {"s3": f"s3://{bucket}/a/b", "memory": f"memory://{bucket}/a/b"}.get(kind, f"s3://{bucket}")
    reports: list[Any] = []
    dataset = connect(quick_server).jobs.collect(dest, **JOB, files_needed=4, on_progress=reports.append)
    assert len(dataset) == 4
    assert dataset.job is not None
    assert dataset.job.status == "completed"
    assert dataset.verify()
    assert (reports[-1].files_done, reports[-1].bytes_done) == (4, sum(r.size_bytes for r in dataset))
    if kind == "memory":
        objects = {name: MemoryFileSystem().cat_file(name) for name in MemoryFileSystem().find(bucket)}
        below = f"/{bucket}/a/b/"
    else:
        objects, below = s3.objects(bucket), "a/b/" if kind == "s3" else ""
    assert names(objects, below) == sorted([*(r.file_name for r in dataset), ORDER, MANIFEST, SEAL])
    for record in dataset:
        assert hashlib.sha256(objects[below + record.file_name]).hexdigest() == record.sha256
    assert parse_manifest(objects[below + MANIFEST]) == dataset.records
    text = (objects[below + MANIFEST] + objects[below + ORDER]).replace(quick_server.url.encode(), b"")
    for secret in (quick_server.api_key, "aws5ecret", "AKIAEXAMPLE", "signature", "http://"):
        assert secret.encode() not in text
    assert jobs_bought(quick_server) == 1


def test_files_of_a_bucket_are_used_as_those_of_a_folder(dataset: Dataset, dest: str) -> None:
    """Opened by URL and by its own path; a path opens, reads and has a name; all of it survives pickling."""
    assert str(dataset.path) == dest
    assert dest in repr(dataset)
    for opened in (Dataset.open(dest), Dataset.open(dest + "/"), Dataset.open(dataset.path)):
        assert opened.records == dataset.records
        assert opened.job == dataset.job
    copy = pickle.loads(pickle.dumps(dataset))
    assert copy.records == dataset.records
    assert copy.verify()
    record = dataset.records[0]
    path = copy.path_of(record)
    assert f"data/{path.name}" == record.file_name
    with path.open("rb") as file:
        assert hashlib.sha256(file.read()).hexdigest() == record.sha256
    assert (dataset.path / MANIFEST).read_bytes().count(b"\n") == FILES


def test_the_same_call_fetches_what_is_missing_only(
    over: tuple[MockServer, str], dataset: Dataset, fill: Fill, s3: S3, bucket: str
) -> None:
    """Told by one listing, not by a request for each file."""
    _, missing, _ = damage(s3, bucket, dataset)
    since, asked = len(over[0].requests), len(s3.requests)
    refill = fill()
    assert downloads(over[0], since) == [dataset.records[1].file_id]
    assert len([r for r in s3.requests[asked:] if r.method in ("GET", "HEAD") and "/data/" in r.path]) == 0
    assert missing in [record.file_name for record in refill]
    asked = len(s3.requests)
    fill()
    assert not [r for r in s3.requests[asked:] if of_data()(r)]


def test_a_job_of_several_media_gets_a_folder_for_each(
    quick_server: MockServer, s3: S3, bucket: str, dest: str
) -> None:
    """Each with a manifest of its own; opened together, verified together."""
    formats = ["image/jpeg", "audio/wav", "video/mp4"]
    with quick_server.client() as client:
        dataset = client.jobs.collect(dest, **{**JOB, "accepted_formats": formats}, files_needed=6)
    kinds = {name.partition("/")[0] for name in names(s3.objects(bucket))} - {".firsthandapi"}
    assert kinds == {(record.content_type or "").partition("/")[0] for record in dataset} >= {"image"}
    assert Dataset.open(dest).verify()
    assert len(Dataset.open(dest)) == 6


def test_one_process_may_run_several_loops(over: tuple[MockServer, str], s3: S3, bucket: str) -> None:
    """The store's library has a loop of its own, which outlives each."""

    async def download(dest: str) -> Dataset:
        async with over[0].async_client() as client:
            return await client.files.download_all(over[1], dest)

    for number in range(2):
        assert len(asyncio.run(download(f"s3://{bucket}/{number}"))) == FILES


def test_options_may_come_with_a_upath(
    client: FirstHandClient,
    job_id: str,
    s3: S3,
    dest: str,
    monkeypatch: pytest.MonkeyPatch,
    new_session: None,
) -> None:
    """For who has no environment to set: what it was made with holds for all that follows."""
    for name in s3.environment:
        monkeypatch.delenv(name)
    dataset = client.files.download_all(job_id, cast("Any", place(s3, dest)))
    assert dataset.verify()
    assert dataset.repair(client)
    assert dataset.path_of(dataset.records[0]).read_bytes()
    assert "5ecret" not in repr(dataset) + repr(dataset.path)


def test_options_may_come_from_fsspec(
    s3: S3, dataset: Dataset, dest: str, monkeypatch: pytest.MonkeyPatch, new_session: None
) -> None:
    """From its files of configuration, or from `FSSPEC_S3_…`, which it reads when it is loaded."""
    for name in s3.environment:
        monkeypatch.delenv(name)
    settings = {"KEY": "AKIAEXAMPLE", "SECRET": "aws5ecret", "ENDPOINT_URL": s3.url}
    monkeypatch.setattr(fsspec.config, "conf", read := dict[str, Any]())
    fsspec.config.set_conf_env(read, {f"FSSPEC_S3_{name}": value for name, value in settings.items()})
    assert Dataset.open(dest).verify()


# ── Large files ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_bucket, "PART", PART)


def test_a_large_file_goes_up_in_parts(
    fresh_server: MockServer, s3: S3, bucket: str, dest: str, small_parts: None
) -> None:
    """No request holds more than a part, so memory stays flat; it is read back in pieces likewise."""
    job_id = large_job(fresh_server, LARGE, PART, 10)
    with fresh_server.client() as client:
        dataset = client.files.download_all(job_id, dest)
    parts = [asked.size for asked in s3.requests if asked.is_part]
    assert len(parts) == 2
    assert max(asked.size for asked in s3.requests) < PART + 4096  # a chunked body has a frame
    assert s3.half_done(bucket) == []
    since = len(s3.requests)
    assert dataset.verify()
    ranges = [r.headers["range"] for r in s3.requests[since:] if of_data("GET")(r)]
    assert len(ranges) == 2 + 1 + 1
    assert sorted(map(len, s3.objects(bucket).values()))[-2:] == [PART, LARGE]


@pytest.mark.slow
@pytest.mark.parametrize("when", ["the second part", "the completion"])
def test_an_upload_that_fails_leaves_nothing(
    fresh_server: MockServer, s3: S3, bucket: str, dest: str, small_parts: None, when: str
) -> None:
    """It is its file's failure; no half of it is seen, its parts are gone, and the same call brings it."""
    job_id = large_job(fresh_server, LARGE, 10)

    def of(asked: Asked) -> bool:
        completes = asked.method == "POST" and "uploadId=" in asked.query
        return completes if when == "the completion" else "partNumber=2" in asked.query

    s3.fault(of, status=500, times=None)
    with fresh_server.client() as client:
        with pytest.raises(DownloadError, match="1 of 2 files") as caught:
            client.files.download_all(job_id, dest)
        ((_, failure),) = caught.value.failures
        assert dest in str(failure)
        assert "as the test wants it" in str(failure)
        assert [len(v) for k, v in s3.objects(bucket).items() if "/data/" in k] == [10]
        assert s3.half_done(bucket) == []
        assert len(Dataset.open(dest)) == 1
        s3.faults.clear()
        since = len(fresh_server.requests)
        assert client.files.download_all(job_id, dest).verify()
        assert len(downloads(fresh_server, since)) == 1


def test_a_cancelled_run_leaves_no_parts(
    fresh_server: MockServer, s3: S3, bucket: str, dest: str, small_parts: None
) -> None:
    """Ctrl-C in the midst of an upload: nothing of it is seen, its parts are gone, and the same call brings it."""
    job_id = large_job(fresh_server, LARGE)
    begun, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        begun.set()
        go_on.wait(30)

    s3.fault(lambda asked: "partNumber=2" in asked.query, before=hold)

    def interrupt(_: Any) -> None:
        begun.wait(30)
        raise KeyboardInterrupt

    with fresh_server.client() as client:
        with pytest.raises(KeyboardInterrupt):
            client.files.download_all(job_id, dest, on_progress=interrupt)
        assert s3.half_done(bucket) == []
        go_on.set()
        wait_until(lambda: not our_threads())
        assert [name for name in s3.objects(bucket) if "/data/" in name] == []
        assert s3.half_done(bucket) == []
        assert client.files.download_all(job_id, dest).verify()


def test_uploads_wait_for_their_turn(
    fresh_server: MockServer, s3: S3, dest: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each holds a part in memory, so few go up at once; those that wait are given up with the run."""
    monkeypatch.setattr(_bucket, "_FILES_AT_ONCE", 1)
    job_id = completed_job(fresh_server, 4)
    begun, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        begun.set()
        go_on.wait(30)

    held = s3.fault(of_data(), before=hold)

    def interrupt(_: Any) -> None:
        wait_until(lambda: begun.is_set() and len(downloads(fresh_server)) == 4)
        raise KeyboardInterrupt

    with fresh_server.client() as client:
        with pytest.raises(KeyboardInterrupt):
            client.files.download_all(job_id, dest, on_progress=interrupt)
        go_on.set()
        wait_until(lambda: not our_threads())
        assert len([asked for asked in s3.requests if of_data()(asked)]) == len(held.hits) == 1
        since = len(fresh_server.requests)
        assert client.files.download_all(job_id, dest).verify()
        # The one that was on its way got there, and is taken in.
        assert len(downloads(fresh_server, since)) == 3


def test_a_file_that_comes_after_the_end_has_no_row(over: tuple[MockServer, str], bucket: str) -> None:
    """By then another run may write the manifest; the next one takes the file in."""
    with over[0].client() as client:
        file = next(iter(client.files.list(over[1])))
    folder = Folder(f"memory://{bucket}/late")
    assert folder.lock()
    (download,), _ = folder.plan([file], Source(over[1], mixed=False, origin=ORIGIN))
    download.target.write_bytes(b"x")
    put = folder._writer.put

    def put_as_the_run_ends(path: Path) -> None:
        put(path)
        folder.close()

    folder._writer.put = put_as_the_run_ends  # type: ignore[method-assign] # no other way to meet that moment
    folder.add(file, Source(over[1], mixed=False, origin=ORIGIN), size_bytes=1, sha256="0" * 64)
    assert [Path(name).parent.name for name in MemoryFileSystem().find(f"{bucket}/late")] == ["data"]
    with pytest.raises(ConfigurationError, match="not open"):
        folder.plan([file], Source(over[1], mixed=False, origin=ORIGIN))


# ── Stores that fail ─────────────────────────────────────────────────────────────────────────────────────


STUMBLES: list[dict[str, Any]] = [{"status": 500}, {"status": 503, "code": "SlowDown"}, {"cut": True}]


@pytest.mark.slow
@pytest.mark.parametrize("turn", range(3))
def test_a_store_that_stumbles_is_asked_again(fill: Fill, s3: S3, turn: int) -> None:
    """Whatever it was that it did not take, and however: each object meets each fault in one of three turns."""
    faults = STUMBLES[turn:] + STUMBLES[:turn]
    hits = [
        s3.fault(named(name), **fault) for name, fault in zip((ORDER, MANIFEST, ".jpg"), faults, strict=True)
    ]
    assert fill().verify()
    assert all(fault.hits for fault in hits)


def test_a_store_that_refuses_all_ends_the_run(fill: Fill, s3: S3, bucket: str, dest: str) -> None:
    """An error that names the bucket and what to do; not one failure for each file that is fetched in vain."""
    s3.fault(of_data(), status=403, code="AccessDenied", times=None)
    with pytest.raises(
        ConfigurationError, match="must allow listing, reading, writing, and deleting"
    ) as caught:
        fill()
    assert dest in str(caught.value)
    assert caught.value.__cause__ is None
    assert "5ecret" not in str(caught.value)
    assert names(s3.objects(bucket)) == [ORDER]
    s3.faults.clear()
    assert fill().verify()


@pytest.mark.parametrize(("connect", "method"), [("sync", "GET"), ("async", "PUT")], indirect=["connect"])
def test_nothing_is_bought_for_a_bucket_that_is_closed(
    connect: Connect, fresh_server: MockServer, s3: S3, dest: str, method: str
) -> None:
    """To look into it, or to write into it."""
    s3.fault(lambda asked: asked.method == method, status=403, code="AccessDenied", times=None)
    with pytest.raises(ConfigurationError, match="credentials"):
        connect(fresh_server).jobs.collect(dest, **JOB, files_needed=2)
    assert fresh_server.requests == []


@pytest.mark.parametrize("connect", ["sync"], indirect=True)
def test_nothing_is_bought_for_a_bucket_that_is_not_there(
    connect: Connect, fresh_server: MockServer, s3: S3
) -> None:
    """It is named, and not made."""
    with pytest.raises(
        ConfigurationError,
        match=r"s3://no-such-bucket/signs/.firsthandapi/orders/order.json.*create the bucket first",
    ):
        connect(fresh_server).jobs.collect("s3://no-such-bucket/signs", **JOB, files_needed=2)
    assert fresh_server.requests == []
    with pytest.raises(ConfigurationError, match="is not a dataset"):
        Dataset.open("s3://no-such-bucket/signs")


def test_expired_credentials_are_told(dest: str, s3: S3) -> None:
    """Though the answer to a HEAD says no more than that the request is bad."""
    s3.fault(lambda asked: asked.method == "HEAD", status=400, code="ExpiredToken", times=None)
    with pytest.raises(ConfigurationError, match=r"read: Bad Request.*expired"):
        LedgerFolder(dest).is_of_one_job()


@pytest.mark.slow
def test_a_store_that_dies_on_the_way(
    quick_server: MockServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, new_session: None
) -> None:
    """Ends in an error of ours; once it is back, the same call goes on with the same job."""
    monkeypatch.setattr(s3fs.S3FileSystem, "retries", 1)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    s3 = S3()
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)
    dest = f"s3://{s3.bucket()}/signs"
    dead = lambda asked: bool([r for r in s3.requests if of_data()(r)])  # noqa: E731 # it reads as a fault's condition: from the first file on
    s3.fault(dead, cut=True, times=None)
    with quick_server.client() as client:
        with pytest.raises(FirstHandError) as caught:
            client.jobs.collect(dest, **JOB, files_needed=3)
        assert type(caught.value).__module__ == "firsthandapi.errors"
        assert caught.value.__cause__ is None
        s3.faults.clear()
        assert client.jobs.collect(dest, **JOB, files_needed=3).verify()
    s3.close()
    with pytest.raises(
        ConfigurationError, match=r"cannot be read: .*; check the URL, the credentials, and the network$"
    ):
        Dataset.open(dest)
    assert jobs_bought(quick_server) == 1
    assert [*tmp_path.iterdir()] == []


def test_a_manifest_that_cannot_be_written_in_the_end(
    fill: Fill, s3: S3, over: tuple[MockServer, str]
) -> None:
    """Is told; the files are there, and are taken in by the same call, not fetched."""

    def is_last(asked: Asked) -> bool:
        return named(MANIFEST)(asked) and sum(map(of_data(), s3.requests)) == FILES

    s3.fault(is_last, status=500, times=None)
    with pytest.raises((ConfigurationError, DownloadError)):
        fill()
    s3.faults.clear()
    since = len(over[0].requests)
    assert len(fill()) == FILES
    assert downloads(over[0], since) == []


def test_no_temporary_folder(fill: Fill, s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    """Is told before anything is done."""
    monkeypatch.setattr(_bucket, "mkdtemp", lambda **_: (_ for _ in ()).throw(OSError(28, "No space left")))
    with pytest.raises(ConfigurationError, match="temporary folder"):
        fill()
    assert {asked.method for asked in s3.requests} == {"GET"}  # what is there was looked at


# ── The record ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.slow
def test_a_label_moves_in_a_bucket(fill: Fill, dest: str, s3: S3) -> None:
    """Copied by the store, then removed; called again, it moves nothing, and files that are missing stay missing."""
    fill(label="stop")
    UPath(Dataset.open(dest).path_of(Dataset.open(dest).records[0])).unlink()
    for _ in range(2):
        Folder(dest).move_label("stop", "halt")
        dataset = Dataset.open(dest)
        assert dataset.labels == ["halt"]
        state = dataset.verify()
        assert (len(state.missing), state.mismatched, state.extra) == (1, (), ())
    assert sorted(folder.name for folder in (UPath(dest) / "data").iterdir()) == ["halt"]


@pytest.mark.slow
def test_a_record_is_not_written_over(
    connect: Connect, fresh_server: MockServer, s3: S3, bucket: str, dest: str
) -> None:
    """One that appears after the look is another run's: nothing is posted, and it stays as it is."""
    key = f"jobs/signs/{ORDER}"
    s3.fault(named(ORDER), before=lambda: s3.client.put_object(Bucket=bucket, Key=key, Body=b"theirs"))
    with pytest.raises(ConfigurationError, match=r"was just created.*continues the same job"):
        connect(fresh_server).jobs.collect(dest, **JOB, files_needed=2)
    assert fresh_server.requests == []
    assert s3.objects(bucket)[key] == b"theirs"


def test_a_lost_answer_is_not_another_run(quick_server: MockServer, s3: S3, dest: str) -> None:
    """The object that is there already is ours."""
    s3.fault(named(ORDER), handled=True, cut=True)
    with quick_server.client() as client:
        assert client.jobs.collect(dest, **JOB, files_needed=2).verify()
    assert jobs_bought(quick_server) == 1


@pytest.mark.parametrize(
    "refusal", [TypeError("mode"), NotImplementedError(), OSError(38, "not implemented")]
)
def test_a_store_without_exclusive_create_will_do(
    quick_server: MockServer, s3: S3, bucket: str, monkeypatch: pytest.MonkeyPatch, refusal: Exception
) -> None:
    """What is lost is said in the docs."""
    pipe_file = MemoryFileSystem.pipe_file

    def without(self: Any, path: str, value: bytes, **kwargs: Any) -> None:
        if kwargs:
            raise refusal
        pipe_file(self, path, value)

    monkeypatch.setattr(MemoryFileSystem, "pipe_file", without)
    with quick_server.client() as client:
        assert client.jobs.collect(f"memory://{bucket}", **JOB, files_needed=2).verify()


def test_a_bucket_whose_job_file_is_lost_is_restored(
    fill: Fill, client: FirstHandClient, job_id: str, s3: S3, bucket: str, dataset: Dataset, dest: str
) -> None:
    """From its rows, as a folder is; one that belongs to another job is refused."""
    s3.client.delete_object(Bucket=bucket, Key=f"jobs/signs/{ORDER}")
    with pytest.raises(InvalidArgumentError, match="another job"):
        client.files.download_all("job_other", dest)
    assert fill().job.id == job_id


def test_two_runs_at_once_buy_one_job(quick_server: MockServer, s3: S3, dest: str) -> None:
    """There is no lock: both may fetch each file, and in the end all is there and listed."""
    with (
        quick_server.client() as client,
        in_background(client.jobs.collect, dest, **JOB, files_needed=4) as first,
    ):
        wait_until(lambda: [asked for asked in s3.requests if named(ORDER)(asked)])
        second = client.jobs.collect(dest, **JOB, files_needed=4)
    assert isinstance(first[0], Dataset)
    assert second.verify()
    assert len(Dataset.open(dest)) == 4
    assert Dataset.open(dest).verify()
    assert jobs_bought(quick_server) == 1


@pytest.mark.slow
def test_rows_that_another_run_wrote_over_are_returned(fill: Fill, s3: S3, bucket: str, dest: str) -> None:
    """What this run verified is there, whatever a manifest of another run lists meanwhile."""
    key = f"jobs/signs/{MANIFEST}"

    def write_over() -> None:
        first = s3.objects(bucket)[key].splitlines(keepends=True)[0]
        s3.client.put_object(Bucket=bucket, Key=key, Body=first)

    written: list[Asked] = []

    def at_the_end(asked: Asked) -> bool:
        written.append(asked)
        return named(ORDER, "GET")(asked) and any(map(named(MANIFEST), written))

    s3.fault(at_the_end, before=write_over)
    dataset = fill()
    assert len(dataset) == FILES
    assert dataset.verify()
    assert len(Dataset.open(dest)) == 1
    assert len(fill()) == len(Dataset.open(dest)) == FILES


# ── The manifest ─────────────────────────────────────────────────────────────────────────────────────────


def test_the_manifest_is_written_in_batches(
    fresh_server: MockServer, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An object cannot be appended to, and to write it for each row would take the square of them."""
    written: list[str] = []
    replace = Bucket.replace
    monkeypatch.setattr(
        Bucket, "replace", lambda self, path, *rest: (written.append(path.name), replace(self, path, *rest))
    )
    job_id = completed_job(fresh_server, 60)
    with fresh_server.client() as client:
        assert len(client.files.download_all(job_id, f"memory://{bucket}/batches")) == 60
    assert 10 < written.count(MANIFEST) < 35


def test_rows_do_not_wait_for_ever(
    over: tuple[MockServer, str], bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However few they are, a manifest that is read meanwhile lags behind for some minutes at most."""
    with over[0].client() as client:
        files = list(client.files.list(over[1]))
    monkeypatch.setattr(_manifest, "_REWRITE_SHARE", 0)
    dest = f"memory://{bucket}/slow"
    folder = Folder(dest)
    folder.lock()
    downloads, _ = folder.plan(files, Source(over[1], mixed=False, origin=ORIGIN))
    for file, download in zip(files, downloads, strict=True):
        download.target.write_bytes(b"x")
        folder.add(file, Source(over[1], mixed=False, origin=ORIGIN), size_bytes=1, sha256="0" * 64)
    folder.catch_up()
    assert len(Dataset.open(dest)) == 1
    monkeypatch.setattr(_manifest, "_REWRITE_SECONDS", 0.0)
    folder.catch_up()
    assert len(Dataset.open(dest)) == FILES
    folder.close()


def test_rows_are_written_when_a_run_is_cut_short(fill: Fill, s3: S3, dest: str) -> None:
    """By an error, or by Ctrl-C: what was verified is listed."""

    def interrupt(progress: Any) -> None:
        if progress.files_done == FILES:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fill(on_progress=interrupt)
    assert len(Dataset.open(dest)) == FILES


def test_a_store_that_hangs_is_waited_for_once(
    fill: Fill, s3: S3, dest: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that ends does not have each row tried in turn: one write brings all that were verified."""
    begun, go_on = threading.Event(), threading.Event()
    put, stop = _bucket.BucketWriter.put, _bucket.BucketWriter.stop
    # All are in their place before the first row is written.
    all_there = threading.Barrier(FILES, timeout=30)
    monkeypatch.setattr(_bucket.BucketWriter, "put", lambda self, path: (put(self, path), all_there.wait()))
    monkeypatch.setattr(_bucket.BucketWriter, "stop", lambda self: (stop(self), go_on.set()))
    s3.fault(named(MANIFEST), before=lambda: (begun.set(), go_on.wait(30)))

    def interrupt(_: Any) -> None:
        begun.wait(30)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fill(on_progress=interrupt)
    assert go_on.is_set()
    assert len([asked for asked in s3.requests if named(MANIFEST)(asked)]) == 2
    assert len(Dataset.open(dest)) == FILES


def test_a_bucket_that_leads_outside_is_refused(fill: Fill, dataset: Dataset, dest: str, s3: S3) -> None:
    """Before any other object is touched."""
    first, *rest = (dataset.path / MANIFEST).read_bytes().splitlines(keepends=True)
    since = len(s3.requests)
    row = json.dumps({**json.loads(first), "file_name": "s3://other/x"}).encode() + b"\n"
    (dataset.path / MANIFEST).write_bytes(b"".join([row, *rest]))
    with pytest.raises(ConfigurationError, match="line 1"):
        Dataset.open(dest)
    with pytest.raises(ConfigurationError, match="line 1"):
        fill()
    # Only objects of the folder itself were read, and the bucket listed.
    folders = {asked.path.rpartition("/")[0] for asked in s3.requests[since:]}
    folder = f"/{dest.removeprefix('s3://')}"
    assert folders <= {"", folder, f"{folder}/{ROOM}", f"{folder}/{ORDERS}"}


# ── Processes that die ───────────────────────────────────────────────────────────────────────────────────

DEATHS = [
    "an object is written",
    *(
        pytest.param(step, marks=pytest.mark.slow)
        for step in ("the job is written down", "an object is listed", "a manifest is written")
    ),
]


@pytest.mark.skipif(sys.platform == "win32", reason="kill -9 is a POSIX signal")
@pytest.mark.parametrize("step", DEATHS)
def test_a_death_costs_nothing(
    quick_server: MockServer, s3: S3, bucket: str, dest: str, step: str, tmp_path: Path
) -> None:
    """One job is paid; what was there is taken in by its hash, and every other file fetched once more at most."""
    options = {
        "api_key": quick_server.api_key, "base_url": quick_server.url, "dest": dest, "die_before": step,
        "calls": 1 if step == "the job is written down" else FILES - 1, "job": {**JOB, "files_needed": FILES},
    }  # fmt: skip
    died = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("collector.py")), json.dumps(options)],
        capture_output=True, text=True, timeout=60,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "TMPDIR": str(tmp_path)},
    )  # fmt: skip
    assert died.returncode == -signal.SIGKILL, died.stderr
    old_ids = {Path(name).stem for name in s3.objects(bucket) if "/data/" in name}
    since = len(quick_server.requests)
    with quick_server.client() as client:
        dataset = client.jobs.collect(dest, **JOB, files_needed=FILES)
    assert dataset.verify()
    assert len(dataset) == FILES
    fetched = downloads(quick_server, since)
    assert not old_ids & {*fetched}
    assert len(fetched) == len({*fetched}) == FILES - len(old_ids)
    assert s3.half_done(bucket) == []
    assert jobs_bought(quick_server) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="links need a right there")
def test_what_a_killed_process_has_fetched_is_cleared(fill: Fill, s3: S3, tmp_path: Path) -> None:
    """By the next run, whatever bucket that is for; not what lives, is young, or leads elsewhere."""
    stage, mine = tmp_path / "stage", tmp_path / "mine"
    folders = [stage / f"{_bucket._STAGE}{name}" for name in ("dead", "alive", "young", "link")]
    dead, alive, young, link = folders
    for folder in (dead, alive, young, mine):
        folder.mkdir()
        (folder / "file_1.jpg").write_bytes(b"x")
    link.symlink_to(mine)
    lock = FolderLock(alive)
    assert lock.acquire()
    for folder in (dead, alive, link):
        os.utime(folder, (0, 0), follow_symlinks=False)
    fill()
    assert [folder for folder in folders if folder.exists()] == [alive, young, link]
    assert [*mine.iterdir()] == [mine / "file_1.jpg"]
    lock.release()
    fill()
    assert not alive.exists()
    link.unlink()
    (young / "file_1.jpg").unlink()
    young.rmdir()


# ── What can be done with it ─────────────────────────────────────────────────────────────────────────────


def test_verify_and_repair(
    over: tuple[MockServer, str], client: FirstHandClient, dataset: Dataset, s3: S3, bucket: str
) -> None:
    """A mismatched, a missing and an extra object are told; only the bad ones are fetched."""
    mismatched, missing, extra = damage(s3, bucket, dataset)
    s3.client.put_object(Bucket=bucket, Key="jobs/signs/data/", Body=b"")  # as a console makes a folder
    state = dataset.verify()
    assert (state.mismatched, state.missing, state.extra) == ((mismatched,), (missing,), (extra,))
    assert not state
    since = len(over[0].requests)
    assert dataset.repair(client).extra == (extra,)
    assert {f"data/{file_id}.jpg" for file_id in downloads(over[0], since)} == {mismatched, missing}
    assert Dataset.open(dataset.path).verify()


def test_a_bucket_that_is_emptied_is_told(dataset: Dataset, s3: S3, bucket: str) -> None:
    """Every file is missing, and that is no error."""
    for name in s3.objects(bucket):
        s3.client.delete_object(Bucket=bucket, Key=name)
    assert len(dataset.verify().missing) == FILES


def test_what_cannot_be_read(client: FirstHandClient, dataset: Dataset, s3: S3, bucket: str) -> None:
    """Is an error of ours, not a file that is missing."""
    damage(s3, bucket, dataset)
    for method in ("HEAD", "GET"):
        s3.faults.clear()
        s3.fault(
            lambda asked, method=method: asked.method == method, status=403, code="AccessDenied", times=None
        )
        with pytest.raises(ConfigurationError, match="cannot be read"):
            dataset.repair(client)


def test_tables_of_a_bucket(dataset: Dataset, s3: S3, bucket: str, dest: str) -> None:
    """`path` is a URL that pandas and others read; a Parquet file may be an object, too."""
    table = dataset.to_pandas()
    assert list(table["path"]) == [f"{dest}/{record.file_name}" for record in dataset]
    target = dataset.to_parquet(f"s3://{bucket}/tables/signs.parquet")
    assert str(target) == f"s3://{bucket}/tables/signs.parquet"
    assert list(pd.read_parquet(str(target))["file_id"]) == [record.file_id for record in dataset]
    s3.fault(named(".parquet"), status=403, code="AccessDenied", times=None)
    with pytest.raises(ConfigurationError, match="cannot be written"):
        dataset.to_parquet(f"s3://{bucket}/tables/signs.parquet")


ROWS = """
import sys
from firsthandapi import Dataset
rows = Dataset.open(sys.argv[1]).to_huggingface()
print(sorted(row["image"].size[0] == row["width"] for row in rows))
"""


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("datasets") is None, reason="datasets is not installed")
def test_a_bucket_loads(dataset: Dataset, dest: str, tmp_path: Path) -> None:
    """Rows refer to objects by their URL, which decode with the environment's credentials."""
    done = subprocess.run(
        [sys.executable, "-c", ROWS, dest],
        capture_output=True, text=True, timeout=120,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "HF_HOME": str(tmp_path)},
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, f"{[True] * FILES}\n"), done.stderr


def test_a_gallery_of_a_bucket(
    dataset: Dataset, s3: S3, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is there is shown, what is not has words, and a store that hangs does not keep the notebook."""
    damage(s3, bucket, dataset)
    page = dataset._repr_html_() or ""
    assert page.count("<img") == FILES - 2
    assert "damaged" in page
    assert "missing" in page
    s3.fault(of_data("GET"), status=403, code="AccessDenied", times=None)
    assert (dataset._repr_html_() or "").count("the file cannot be read") == FILES - 1
    s3.faults.clear()
    s3.fault(of_data("HEAD"), status=403, code="AccessDenied", times=None)
    assert (dataset._repr_html_() or "").count("the file cannot be read") == FILES
    s3.faults.clear()
    go_on = threading.Event()
    s3.fault(of_data("HEAD"), before=lambda: go_on.wait(30), times=None)
    monkeypatch.setattr(gallery, "MOST_SECONDS", 0.1)
    assert (dataset._repr_html_() or "").count("it would take too long") == FILES
    go_on.set()


def test_the_root_of_a_bucket_has_a_name(s3: S3, bucket: str, client: FirstHandClient, job_id: str) -> None:
    """In a notebook, where a folder is called by its last part."""
    dataset = client.files.download_all(job_id, f"s3://{bucket}")
    (dataset.path / ORDER).unlink()
    assert bucket in (Dataset.open(dataset.path)._repr_html_() or "")


def test_the_command_line(
    quick_server: MockServer,
    s3: S3,
    bucket: str,
    dest: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """`collect`, `files download` and `verify` take a URL; a damaged bucket is exit code 1."""
    cli = Cli(monkeypatch, capsys).at(quick_server)
    spec = tmp_path / "job.json"
    spec.write_text(json.dumps({**JOB, "files_needed": 3}))
    ran = cli("collect", "--spec", str(spec), "--dest", dest)
    assert ran.code == 0, ran.err
    assert f"3 files in {dest}, all verified" in ran.out
    dataset = Dataset.open(dest)
    assert dataset.job is not None
    ran = cli("files", "download", dataset.job.id, "--dest", f"s3://{bucket}/again", "--json")
    assert json.loads(ran.out)["path"] == f"s3://{bucket}/again"
    assert cli("verify", dest).code == 0
    mismatched, _, _ = damage(s3, bucket, dataset)
    ran = cli("verify", dest)
    assert ran.code == 1
    assert mismatched in ran.out
    assert not (Path.cwd() / "s3:").exists()


# ── What is no bucket of ours ────────────────────────────────────────────────────────────────────────────


def test_a_missing_extra_is_named(
    connect: Connect, shared_server: MockServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ours, and for other stores their own package; before anything is sent."""
    since = len(shared_server.requests)
    client = connect(shared_server)
    with pytest.raises(InvalidArgumentError, match="unknown kind, foo://") as caught:
        client.jobs.collect("foo://bucket/signs", **JOB, files_needed=2)
    assert caught.value.field == "dest"
    monkeypatch.setitem(sys.modules, "gcsfs", None)
    with pytest.raises(ConfigurationError, match="pip install 'gcsfs'"):
        client.jobs.collect("gs://bucket/signs", **JOB, files_needed=2)
    with monkeypatch.context() as patch:
        registry = sys.modules["fsspec.registry"]
        patch.setattr(registry, "get_filesystem_class", lambda _: (_ for _ in ()).throw(ImportError))
        with pytest.raises(ConfigurationError, match=r"pip install 'firsthandapi\[remote\]'"):
            Dataset.open("s3://bucket/signs")
    monkeypatch.setitem(sys.modules, "upath", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'firsthandapi\[remote\]'"):
        client.files.download_all("job_1", "s3://bucket/signs")
    assert len(shared_server.requests) == since


def test_a_bucket_tells_whose_fault_it_is(
    s3: S3, bucket: str, monkeypatch: pytest.MonkeyPatch, new_session: None
) -> None:
    """Without credentials, the library's own words say so."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    with pytest.raises(ConfigurationError, match="Unable to locate credentials"):
        Dataset.open(f"s3://{bucket}")
    assert (
        Bucket("memory", f"memory://{bucket}", {}, "dest").names(cast("Path", UPath(f"memory://{bucket}/no")))
        == []
    )


@pytest.mark.slow
def test_a_publication_in_a_bucket(fill: Fill, s3: S3, bucket: str) -> None:
    """From one bucket into another place of it; again, no object is written."""
    pytest.importorskip("pyarrow")
    dataset = fill()
    dest = f"s3://{bucket}/public/signs"
    assert dataset.publish(dest).url == dest
    names = [name for name in s3.objects(bucket) if name.startswith("public/signs/")]
    assert len(names) == FILES + len(
        {"README.md", "croissant.json", "dataset.lock", MANIFEST, "metadata.parquet"}
    )
    since = len(s3.requests)
    assert dataset.publish(dest).files == 0
    assert not [asked for asked in s3.requests[since:] if asked.method == "PUT" and "/public/" in asked.path]
    assert Dataset.open(dest).verify()
