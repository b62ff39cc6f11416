"""`files.download`, as a user calls it, over the bundled server."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import anyio
import pytest

from client.support import Connect
from dataset.support import api, completed_job
from firsthandapi import ConfigurationError, DownloadError, FirstHandClient, InvalidArgumentError
from firsthandapi.testing import MockServer
from firsthandapi.types import File


@pytest.fixture
def server() -> Iterator[MockServer]:
    with MockServer(workers=False) as running:
        yield running


def a_file(server: MockServer, client: FirstHandClient) -> File:
    job = client.jobs.create(
        description="Photos of street signs",
        files_needed=1,
        accepted_formats=["image/jpeg"],
        price_per_file_cents=50,
    )
    server.submit(job.id, rating=5)
    server.clock.advance(minutes=1)
    (file,) = client.files.list(job.id)
    return file


def test_a_url_that_has_ended_is_asked_for_anew(server: MockServer, tmp_path: Path) -> None:
    """A file listed a week ago is fetched all the same."""
    with server.client() as client:
        file = a_file(server, client)
        server.clock.advance(days=8)
        place = client.files.download(file, tmp_path)
    assert place == tmp_path / f"{file.id}.jpg"
    assert place.stat().st_size == file.size_bytes


def test_the_async_client_asks_for_it_too(server: MockServer, tmp_path: Path) -> None:
    """The engine's thread has the loop ask."""
    with server.client() as client:
        file = a_file(server, client)
    server.clock.advance(days=8)

    async def main() -> Path:
        async with server.async_client() as client:
            return await client.files.download(file, tmp_path)

    assert anyio.run(main).stat().st_size == file.size_bytes


def test_a_trailing_slash_means_a_directory(server: MockServer, tmp_path: Path) -> None:
    """`download(file, "signs/")` never makes a file called signs."""
    with server.client() as client:
        file = a_file(server, client)
        place = client.files.download(file, f"{tmp_path}/signs/")
        (tmp_path / "taken").write_bytes(b"")
        with pytest.raises(InvalidArgumentError, match="path: could not create the directory"):
            client.files.download(file, f"{tmp_path}/taken/")
    assert place == tmp_path / "signs" / f"{file.id}.jpg"


@pytest.mark.parametrize("file", ["file_1", None, 5])
def test_only_a_file_can_be_downloaded(file: object, tmp_path: Path) -> None:
    """An id in place of a File is answered with how to get one; nothing is sent."""
    with FirstHandClient("fh_test_x", "http://127.0.0.1:9") as client:
        with pytest.raises(
            InvalidArgumentError, match=r"file must be a File, not .*client\.files\.list"
        ) as caught:
            client.files.download(file, tmp_path)  # type: ignore[arg-type]
        assert caught.value.field == "file"
        with pytest.raises(InvalidArgumentError, match="path must be a str or a Path"):
            client.files.download(File(id="file_1"), 5)  # type: ignore[arg-type]


def test_an_approved_submission_leads_to_its_files(connect: Connect, server: MockServer) -> None:
    """By its id, without its job too."""
    job_id = completed_job(server, 3)
    client = connect(server)
    submission = client.submissions.list(job_id).data[1]
    (file,) = client.files.list(job_id, submission_id=submission.id)
    assert file.submission_id == submission.id
    since = len(server.requests)
    for which in (submission.id, submission):  # each response signs its URLs again
        assert [row.id for row in client.files.list(submission_id=which)] == [file.id]
    assert len(api(server, since)) == 3
    with pytest.raises(InvalidArgumentError, match="job_id is required") as refused:
        client.files.list()
    assert refused.value.field == "job_id"


def test_a_file_in_a_bucket(connect: Connect, server: MockServer, tmp_path: Path) -> None:
    """By its whole name, or below a folder."""
    pytest.importorskip("upath", reason="the extra remote is not installed")
    job_id = completed_job(server, 1)
    client = connect(server)
    (file,) = client.files.list(job_id)
    bucket = f"memory://{tmp_path.name}"
    for path, name in (
        ("signs/a.jpg", "signs/a.jpg"),
        ("signs", f"signs/{file.id}.jpg"),
        ("b/", f"b/{file.id}.jpg"),
    ):
        place = client.files.download(file, f"{bucket}/{path}")
        assert str(place) == f"{bucket}/{name}"
        assert sha256(place.read_bytes()).hexdigest() == file.content_hash


def test_paths_that_no_system_has(tmp_path: Path) -> None:
    """A path with a NUL or half of a character is refused by name; a name that is too long is a DownloadError."""
    with FirstHandClient("fh_test_x", "http://127.0.0.1:9") as client:
        file = File(id="file_1", download_url="http://127.0.0.1:9/files/file_1")
        for path in (f"{tmp_path}/a\0b", f"{tmp_path}/\ud83d"):
            with pytest.raises(InvalidArgumentError, match=r"^path contains") as caught:
                client.files.download(file, path)
            assert caught.value.field == "path"
        with pytest.raises(DownloadError):
            client.with_options(max_retries=0).files.download(file, tmp_path / ("x" * 5_000))


def test_a_closed_client_downloads_nothing(server: MockServer, tmp_path: Path) -> None:
    """As for every other method."""
    with server.client() as client:
        file = a_file(server, client)
    with pytest.raises(ConfigurationError, match="closed"):
        client.files.download(file, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_cancelled_task_is_told_at_once(server: MockServer, tmp_path: Path, backend: str) -> None:
    """Cancelling does not wait for a silent storage, and leaves neither a thread nor a file."""
    with server.client() as client:
        file = a_file(server, client)
    server.faults.add(path="/files/*", delay=20)

    async def main() -> None:
        async with server.async_client() as client:
            with anyio.move_on_after(0.3) as scope:
                await client.files.download(file, tmp_path)
            assert scope.cancelled_caught

    started = time.monotonic()
    anyio.run(main, backend=backend)
    assert time.monotonic() - started < 10
    deadline = time.monotonic() + 10
    while list(tmp_path.iterdir()) and time.monotonic() < deadline:
        threading.Event().wait(0.01)
    assert list(tmp_path.iterdir()) == []
