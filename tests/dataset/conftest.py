"""What the tests of datasets share."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from client.support import Connect
from firsthandapi import Dataset, FirstHandClient
from firsthandapi.testing import MockServer

from .support import FILES, Again, Buyer, completed_job, folder_of
from .world import World


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """One client is generated from the other. With the async one, which takes longer, a module that is `async_slow`
    runs the tests that together reach each line and branch; `make soak` runs the others."""
    for item in items:
        params: dict[str, Any] = getattr(getattr(item, "callspec", None), "params", {})
        is_slow = item.get_closest_marker("async_slow") and not item.get_closest_marker("both")
        if is_slow and params.get("connect") == "async":
            item.add_marker("slow")


@pytest.fixture
def quick_server() -> Iterator[MockServer]:
    """A server whose workers need no patience, without limits."""
    with MockServer(speed=300) as server:
        server.rate_limit = server.organization_rate_limit = None
        yield server
    server.check_books()


@pytest.fixture
def buyer(connect: Connect, quick_server: MockServer, tmp_path: Path) -> Buyer:
    """Of a service whose workers need no patience."""
    return Buyer(connect, quick_server, tmp_path)


@pytest.fixture
def patient(connect: Connect, fresh_server: MockServer, tmp_path: Path) -> Buyer:
    """Of a service whose workers are driven by hand."""
    return Buyer(connect, fresh_server, tmp_path)


@pytest.fixture(scope="session")
def common_server() -> Iterator[MockServer]:
    """A server for all tests, whose workers are driven by hand, without limits."""
    with MockServer(speed=0, workers=False) as server:
        server.rate_limit = server.organization_rate_limit = None
        yield server


@pytest.fixture
def server(common_server: MockServer) -> Iterator[MockServer]:
    """That server; a test leaves no fault to the next."""
    yield common_server
    common_server.faults.clear()


@pytest.fixture
def client(server: MockServer) -> Iterator[FirstHandClient]:
    """A client of `server`, which retries nothing."""
    with server.client(max_retries=0) as client:
        yield client


@pytest.fixture(scope="session")
def job_id(common_server: MockServer) -> str:
    """A completed job of `FILES` files on that server."""
    return completed_job(common_server, FILES)


@pytest.fixture(scope="session")
def downloaded(common_server: MockServer, job_id: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole folder of that job, which every test copies: that takes a tenth of the time of a download."""
    with common_server.client() as client:
        return client.files.download_all(job_id, tmp_path_factory.mktemp("downloaded")).path


@pytest.fixture
def dataset(downloaded: Path, tmp_path: Path) -> Dataset:
    """A whole folder of that job."""
    return Dataset.open(shutil.copytree(downloaded, tmp_path / "signs"))


@pytest.fixture
def rerun(client: FirstHandClient, job_id: str, dataset: Dataset) -> Again:
    """The call that made the folder of `dataset`."""
    return partial(client.files.download_all, job_id, dataset.path)


@pytest.fixture
def world(connect: Connect, tmp_path: Path) -> Iterator[World]:
    """Simulated workers deliver 15 s after an order."""
    with MockServer(speed=0) as server:
        yield World(connect, server, tmp_path / "signs")


@pytest.fixture
def by_hand(connect: Connect, tmp_path: Path) -> Iterator[World]:
    """Workers are driven by hand."""
    with MockServer(speed=0, workers=False) as server:
        yield World(connect, server, tmp_path / "signs")


@pytest.fixture
def slow_files(fresh_server: MockServer) -> MockServer:
    """A server that never answers downloads."""
    fresh_server.faults.add(path="/files/*", delay=30, times=None)
    return fresh_server


@pytest.fixture
def signs(server: MockServer, client: FirstHandClient, tmp_path: Path) -> Dataset:
    """Two files of `stop`, and one of `yield`."""
    client.files.download_all(completed_job(server, 2), tmp_path / "signs", label="stop")
    return client.files.download_all(completed_job(server, 1), tmp_path / "signs", label="yield")


@pytest.fixture
def four_signs(tmp_path: Path) -> Dataset:
    """Four files with two labels, in a folder that was merged: `file_stop0` to `file_stop2`, and `file_yield0`."""
    parts = {
        label: folder_of(
            tmp_path / label,
            [f"{label}{n}".encode() for n in range(files)],
            file_id=[f"file_{label}{n}" for n in range(files)],
        )
        for label, files in (("stop", 3), ("yield", 1))
    }
    return Dataset.merge(parts, tmp_path / "signs")
