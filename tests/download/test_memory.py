"""Whole files in memory: the same attempts and checks as on disk."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from dataset.support import completed_job, downloads
from firsthandapi import DownloadError, IntegrityError
from firsthandapi._core.files.download import Wanted
from firsthandapi._download.memory import FileReader
from firsthandapi.testing import MockServer


@pytest.fixture
def server() -> Iterator[MockServer]:
    with MockServer(speed=0, workers=False) as server:
        server.rate_limit = server.organization_rate_limit = None
        yield server


def wanted_of(server: MockServer) -> list[Wanted]:
    with server.client() as client:
        files = [*client.files.list(completed_job(server, 2))]
    return [
        Wanted(file.id, file.download_url, None, file.size_bytes, file.content_hash, Path()) for file in files
    ]


def test_faults_cost_time_alone(server: MockServer) -> None:
    """A dropped connection, a cut body, and an expired URL are tried again; each byte is the promised one."""
    first, second = wanted_of(server)
    fresh: list[str] = []

    def refresh(file_id: str) -> tuple[str, None]:
        fresh.append(file_id)
        with server.client() as client:
            return client.files.refresh_url(file_id).download_url or "", None

    reader = FileReader(base_url=server.url, refresh=refresh)
    server.faults.add(path="/files/*", drop="before")
    server.faults.add(path="/files/*", cut=700)
    for wanted in (first, second):
        content, outcome = reader.read(wanted)
        assert hashlib.sha256(content).hexdigest() == outcome.sha256 == wanted.sha256
        assert len(content) == outcome.size_bytes == wanted.size_bytes
    server.clock.advance(days=8)
    assert reader.read(first)[1].sha256 == first.sha256
    assert fresh == [first.file_id]
    reader.close()


def test_wrong_bytes_are_refused(server: MockServer) -> None:
    """Once more, then an IntegrityError; a file that the storage has lost is named."""
    wanted, _ = wanted_of(server)
    reader = FileReader(base_url=server.url, refresh=lambda file_id: ("", None))
    with pytest.raises(IntegrityError, match=wanted.file_id):
        reader.read(replace(wanted, sha256="0" * 64))
    assert len(downloads(server)) == 2
    server.faults.add(path="/files/*", status=404)
    with pytest.raises(DownloadError, match=wanted.file_id):
        reader.read(wanted)
    reader.close()
