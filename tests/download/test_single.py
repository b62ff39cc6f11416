"""One file, and the bundled server."""

from __future__ import annotations

import queue
import threading
from pathlib import Path
from typing import Any

import pytest

from firsthandapi import FirstHandClient
from firsthandapi._core.files.download import Wanted
from firsthandapi.datasets._download import part
from firsthandapi.datasets._download.engine import Engine
from firsthandapi.datasets._download.network import Network
from firsthandapi.datasets._download.single import download_file
from firsthandapi.datasets._download.transfer import Outcome
from firsthandapi.errors import DownloadError, IntegrityError
from firsthandapi.testing import MockServer
from firsthandapi.types import File
from raw import response

from .conftest import FakeClock, config_of
from .storage import Storage


def download(storage: Storage, path: Path, **changes: Any) -> Path:
    """Download the storage's file, which gets a URL of its own when it asks for a fresh one."""
    defaults = {
        "id": "file_01JP",
        "content_type": "image/png",
        "download_url": storage.url(),
        "size_bytes": len(storage.content),
        "content_hash": storage.sha256,
    }
    return download_file(
        File.model_validate({**defaults, **changes}),
        path,
        base_url="http://127.0.0.1",
        network=Network(proxy=None, verify=True, timeout=5, stop=threading.Event()),
        max_retries=3,
        refresh=lambda _: (storage.url("/fresh"), None),
        on_attempt=None,
        clock=FakeClock(),
    )


def test_single(storage: Storage, tmp_path: Path) -> None:
    """A file goes to a path, or into a directory under a name of its id and type; cut bodies are continued."""
    storage.script.append(storage.cut(500))
    assert download(storage, tmp_path) == tmp_path / "file_01JP.png"
    assert download(storage, tmp_path / "mine.png") == tmp_path / "mine.png"
    assert [path.read_bytes() for path in sorted(tmp_path.iterdir())] == [storage.content] * 2


def test_single_wrong_hash(storage: Storage, tmp_path: Path) -> None:
    """The wrong bytes are an `IntegrityError`, and nothing stays."""
    with pytest.raises(IntegrityError, match="SHA-256"):
        download(storage, tmp_path, content_hash="0" * 64)
    assert list(tmp_path.iterdir()) == []


def test_single_refresh(storage: Storage, tmp_path: Path) -> None:
    """An expired URL, or none, is no obstacle."""
    storage.script.append(response(status=403))
    download(storage, tmp_path)
    download(storage, tmp_path, download_url=None)
    assert [request.target for request in storage.requests][1:] == ["/fresh", "/fresh"]


def test_single_disk_full(storage: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk is a `DownloadError`."""

    def full(fd: int, data: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(part.os, "write", full)
    with pytest.raises(DownloadError, match="free some space"):
        download(storage, tmp_path)


def test_bundled_server(tmp_path: Path) -> None:
    """Against the bundled server: drops, cut bodies, 503s and expired URLs, and every file whole."""
    with MockServer(workers=False) as server, server.client() as client:
        server.rate_limit = None
        job = client.jobs.create(
            type="data_collection",
            description="Photos of street signs in daylight",
            files_needed=30,
            accepted_formats=["image/png", "audio/wav"],
            price_per_file_cents=10,
            min_star_rating=1,
        )
        for number in range(30):
            server.submit(job.id, content_type=("image/png", "audio/wav")[number % 2])
        server.clock.advance(minutes=1)
        server.faults.add(path="/files", expired_url=True, times=2, after=2)
        server.faults.add(path="/files", cut=100, times=5)
        server.faults.add(path="/files", drop="before", times=3)
        server.faults.add(path="/files", status=503, times=3, retry_after=0)
        outcomes = run(client, server, tmp_path, job.id)
        assert [outcome.error for outcome in outcomes] == [None] * 30
        for outcome in outcomes:
            assert outcome.wanted.target.stat().st_size == outcome.size_bytes
        assert len(list(tmp_path.iterdir())) == 30
        downloads = [request for request in server.requests if request.path.startswith("/files/")]
        assert all("authorization" not in {name.lower() for name in call.headers} for call in downloads)


def run(client: FirstHandClient, server: MockServer, directory: Path, job_id: str) -> list[Outcome]:
    def refresh(file_id: str) -> tuple[str, Any]:
        fresh = client.files.refresh_url(file_id)
        assert fresh.download_url is not None
        return fresh.download_url, fresh.download_url_expires_at

    outcomes: queue.SimpleQueue[Outcome] = queue.SimpleQueue()
    config = config_of(max_retries=20)
    with Engine(config, refresh=refresh, on_done=outcomes.put, clock=FakeClock()) as engine:
        for file in client.files.list(job_id, min_score=1):
            engine.submit(Wanted.of(file, directory / file.id))
    return [outcomes.get() for _ in range(outcomes.qsize())]
