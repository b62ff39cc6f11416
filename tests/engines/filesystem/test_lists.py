"""Processes that multiprocessing starts share the lists of jobs."""

from __future__ import annotations

import gc
import multiprocessing
import os
import stat
import sys
import tempfile
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dataset.support import api, server_with_job
from firsthandapi.engines.filesystem import FirstHandFileSystem, _account
from firsthandapi.testing import MockServer

_NAMES = "firsthandapi-list-*"


@pytest.fixture(scope="module")
def server_of_many() -> Iterator[tuple[MockServer, str]]:
    """A server with a job of 210 files: three pages, so that parts alone do not list it."""
    yield from server_with_job(210)


@pytest.fixture
def job_id(
    server_of_many: tuple[MockServer, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[str]:
    server, job_id = server_of_many
    monkeypatch.setenv("FIRSTHAND_API_KEY", server.api_key)
    monkeypatch.setenv("FIRSTHAND_BASE_URL", server.url)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(_account, "_accounts", weakref.WeakValueDictionary())
    yield job_id
    server.faults.clear()


@pytest.fixture
def server(server_of_many: tuple[MockServer, str]) -> MockServer:
    return server_of_many[0]


def worker() -> FirstHandFileSystem:
    """A file system that knows no more than one in another process."""
    _account._accounts.clear()
    return FirstHandFileSystem(skip_instance_cache=True)


def test_a_worker_reads_the_list_of_the_process_that_started_it(
    server: MockServer, job_id: str, tmp_path: Path
) -> None:
    """Eight workers that read 160 files of a listed job cost no request. The list is this user's alone, and goes with
    the program."""
    files = worker()
    entries = files.ls(job_id)
    start = len(server.requests)
    workers = [worker() for _ in range(8)]
    for number, reader in enumerate(workers):
        assert [len(reader.cat_file(entry["name"])) for entry in entries[number::8][:20]] == [
            entry["size"] for entry in entries[number::8][:20]
        ]
        assert reader.ls(job_id) == entries
    assert api(server, start) == []
    lists = [*tmp_path.glob(_NAMES)]
    assert lists
    if sys.platform != "win32":
        assert {stat.S_IMODE(path.stat().st_mode) for path in lists} == {0o600}
    assert server.api_key not in "".join(path.read_text(encoding="utf-8") for path in lists)
    del files, reader, workers
    _account._accounts.clear()
    gc.collect()
    assert not [*tmp_path.glob(_NAMES)]


def test_a_spawned_process_reads_that_list(
    server: MockServer, job_id: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It inherits the key of multiprocessing, and nothing else."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    files = worker()
    names = files.ls(job_id, detail=False)[:3]
    start = len(server.requests)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert all(pool.map(files.cat_file, names))
    assert api(server, start) == []


def test_workers_that_begin_at_once_list_once(server: MockServer, job_id: str) -> None:
    """Each waits for the one that lists."""
    workers = [worker() for _ in range(4)]
    start = len(server.requests)
    with ThreadPoolExecutor(4) as pool:
        assert {*pool.map(lambda reader: len(reader.ls(job_id)), workers)} == {210}
    assert len(api(server, start)) == 3


def test_a_list_that_was_forgotten_is_read_again(server: MockServer, job_id: str) -> None:
    """`refresh` and `invalidate_cache` ask the service, and not another process."""
    first = worker()
    first.ls(job_id)
    second = worker()
    for refresh in (False, True):
        start = len(server.requests)
        second.ls(job_id, refresh=refresh)
        assert len(api(server, start)) == 3 * refresh
    second.invalidate_cache(job_id)
    start = len(server.requests)
    second.ls(job_id)
    assert len(api(server, start)) == 3


def test_urls_that_expired_are_listed_again_by_one(server: MockServer, job_id: str) -> None:
    """The second worker takes the URLs that the first has asked for."""
    first = worker()
    names = first.ls(job_id, detail=False)[:20]
    second = worker()
    second.ls(job_id)
    server.clock.advance(days=8)
    for reader, most in ((first, 8 + 3), (second, 8)):
        start = len(server.requests)
        reader.cat(names)
        assert len(api(server, start)) <= most


def test_a_forged_or_broken_list_is_not_believed(server: MockServer, job_id: str, tmp_path: Path) -> None:
    """Whoever could write it could say where files are downloaded from. A folder that cannot be written to costs
    requests alone."""
    files = worker()
    files.ls(job_id)
    (path,) = [file for file in tmp_path.glob(_NAMES) if file.suffix != ".lock"]
    for content in (b"", path.read_bytes().replace(b"127.0.0.1", b"127.0.0.2")):
        path.write_bytes(content)
        start = len(server.requests)
        reader = worker()
        assert reader.ls(job_id) == files.ls(job_id)
        assert len(api(server, start)) == 3
    tempfile.tempdir = str(tmp_path / "missing")
    assert worker().ls(job_id, detail=False)


def test_what_a_killed_program_left_is_removed(server: MockServer, job_id: str, tmp_path: Path) -> None:
    """After a week, when its URLs have expired."""
    old, young = tmp_path / "firsthandapi-list-old", tmp_path / "firsthandapi-list-young"
    for path, seconds in ((old, 8 * 86_400), (young, 86_400)):
        path.write_bytes(b"")
        then = path.stat().st_mtime - seconds
        os.utime(path, (then, then))
    worker().ls(job_id)
    assert (old.exists(), young.exists()) == (False, True)
