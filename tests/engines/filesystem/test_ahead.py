"""How much is downloaded of a file that is read in parts."""

from __future__ import annotations

import io
import pickle
import random
from collections.abc import Iterator

import pytest

from firsthandapi.engines.filesystem import FirstHandFile, FirstHandFileSystem
from firsthandapi.testing import MockServer

SIZE = 30_000_000


@pytest.fixture(scope="module")
def content() -> bytes:
    return random.Random(1).randbytes(SIZE)


@pytest.fixture(scope="module")
def video(content: bytes) -> Iterator[tuple[MockServer, str]]:
    """A server, and the path of its video."""
    with MockServer(speed=0, workers=False) as server:
        server.rate_limit = None
        with server.client() as client:
            job = client.jobs.create(
                description="Videos of street signs in daylight",
                files_needed=1,
                accepted_formats=["video/mp4"],
                price_per_file_cents=10,
            )
            server.submit(job.id, rating=5, content=content)
            server.clock.advance(minutes=5)
            (file,) = client.files.list(job.id)
        yield server, f"{job.id}/{file.id}.mp4"


@pytest.fixture
def path(video: tuple[MockServer, str], monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("FIRSTHAND_API_KEY", video[0].api_key)
    monkeypatch.setenv("FIRSTHAND_BASE_URL", video[0].url)
    return video[1]


@pytest.fixture
def parts(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes of what was downloaded."""
    sizes: list[int] = []
    fetch = FirstHandFile._fetch_range

    def counted(self: FirstHandFile, start: int, end: int) -> bytes:
        part = fetch(self, start, end)
        sizes.append(len(part))
        return part

    monkeypatch.setattr(FirstHandFile, "_fetch_range", counted)
    return sizes


def test_parts_of_a_video_cost_parts(path: str, content: bytes, parts: list[int]) -> None:
    """Ten parts of 1,000 bytes of a video cost less than 1 MB, also of a file that was pickled."""
    places = [random.Random(2).randrange(SIZE - 1000) for _ in range(10)]
    with FirstHandFileSystem().open(path) as file, pickle.loads(pickle.dumps(file)) as copy:
        for reader in (file, copy):
            parts.clear()
            for place in (*places, SIZE - 500):
                reader.seek(place)
                assert reader.read(1000) == content[place : place + 1000]
            assert sum(parts) <= 1_000_000


def test_a_video_that_is_read_in_order_costs_few_downloads(
    path: str, content: bytes, parts: list[int]
) -> None:
    """What is read ahead grows, up to a block."""
    with FirstHandFileSystem().open(path) as file:
        assert b"".join(iter(lambda: file.read(50_000), b"")) == content
    assert (sum(parts), len(parts) <= 10) == (SIZE, True), parts


def test_a_small_file_comes_at_once(path: str, content: bytes, parts: list[int]) -> None:
    """One that fits into a block; a reader that wants no more than it asks for gets that."""
    with FirstHandFileSystem().open(path, block_size=SIZE) as file:
        file.read(10)
        file.seek(-10, io.SEEK_END)
        assert file.read() == content[-10:]
    assert parts == [SIZE]
    parts.clear()
    with FirstHandFileSystem().open(path, cache_type="none") as file:
        file.read(10)
    assert parts == [10]
