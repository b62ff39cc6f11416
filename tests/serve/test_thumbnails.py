"""Pages show pictures small: drawn once, for whoever may see the file, gone with it."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from firsthandapi_server.media.bounded import BoundedError
from firsthandapi_server.state import thumbnails
from firsthandapi_server.state.model import Details, File
from firsthandapi_server.state.storage import BucketStorage, LocalStorage, Storage, StoredSource, Upload
from firsthandapi_server.state.thumbnails import Thumbnails

from .conftest import Team
from .phones import Phone

NAME = "blob_01JABCDEFGHJKMNPQRSTVWXYZ0"


def noise(width: int = 800, height: int = 600, format: str = "JPEG", **options: Any) -> bytes:
    """A picture that is not light."""
    out = io.BytesIO()
    Image.effect_noise((width, height), 90).convert("RGB").save(out, format, **options)
    return out.getvalue()


def size_of(content: bytes) -> tuple[int, int]:
    with Image.open(io.BytesIO(content)) as image:
        assert image.format == "JPEG"
        return image.size


def kept(storage: Storage, content: bytes, content_type: str = "image/jpeg") -> File:
    """A file in a storage."""
    with Upload(storage, NAME, 1 << 30) as upload:
        upload.write(content)
        return File("file_1", content_type, upload.finish(Details(1.0, {}, None, None)), "a.jpg", 1.0)


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("kind", ["folder", "bucket"])
def test_a_thumbnail_is_drawn_once_and_goes_with_its_file(tmp_path: Path, kind: str) -> None:
    """It is in the folder wherever the files are, and whoever removes a file removes it."""
    if kind == "bucket":
        pytest.importorskip(
            "fsspec", reason="the extra remote has a Python that it needs, and is not installed"
        )
    where = (
        LocalStorage(tmp_path / "files") if kind == "folder" else BucketStorage("memory://small", tmp_path)
    )
    storage = Thumbnails(where, tmp_path / "thumbnails")
    file = kept(storage, noise())
    assert storage.of(file, "small") is None
    drawn = storage.draw(file, "small")
    assert size_of(drawn) == (400, 300)
    assert storage.of(file, "small") == storage.draw(file, "small") == drawn
    assert storage.of(file, "large") is None
    assert left(tmp_path / "thumbnails") == [NAME]
    storage.remove(NAME)
    assert left(tmp_path) == []
    with pytest.raises(FileNotFoundError):
        storage.draw(file, "small")


@pytest.mark.parametrize("why", ["too hard", "no picture"])
def test_what_cannot_be_drawn_is_tried_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    """It is shown as it is from then on."""
    asked: list[str] = []

    def draw(_content: bytes, content_type: str, _side: int) -> bytes | None:
        asked.append(content_type)
        if why == "too hard":
            raise BoundedError
        return None

    monkeypatch.setattr(thumbnails, "_draw", draw)
    storage = Thumbnails(LocalStorage(tmp_path / "files"), tmp_path / "thumbnails")
    file = kept(storage, bytes(200_000))
    assert storage.draw(file, "small") == storage.draw(file, "small") == b""
    assert asked == ["image/jpeg"]


@pytest.mark.parametrize(("content", "kind"), [(bytes(1000), "image/png"), (bytes(200_000), "video/mp4")])
def test_light_pictures_and_clips_have_none(tmp_path: Path, content: bytes, kind: str) -> None:
    """They are shown as they are, and cost no process."""
    storage = Thumbnails(LocalStorage(tmp_path / "files"), tmp_path / "thumbnails")
    assert storage.of(kept(storage, content, kind), "small") == b""


def test_a_file_that_goes_while_it_is_drawn_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Erased bytes are nowhere on the disk."""
    storage = Thumbnails(LocalStorage(tmp_path / "files"), tmp_path / "thumbnails")
    file = kept(storage, noise())

    def draw(*_: object) -> bytes:
        storage.remove(NAME)
        return b"small"

    monkeypatch.setattr(thumbnails, "_draw", draw)
    assert storage.draw(file, "small") == b"small"
    assert left(tmp_path) == []


def test_what_a_killed_server_left_half_is_drawn_again(tmp_path: Path) -> None:
    """A part of a thumbnail stands in nobody's way."""
    storage = Thumbnails(LocalStorage(tmp_path / "files"), tmp_path / "thumbnails")
    file = kept(storage, noise())
    part = tmp_path / "thumbnails" / "small" / "Z0" / f"{NAME}.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"half")
    assert storage.draw(file, "small") == storage.of(file, "small")
    assert left(tmp_path / "thumbnails") == [NAME]


def test_whoever_may_see_a_file_sees_it_small(team: Team, tmp_path: Path) -> None:
    """Its worker, reviewers, and operators, with an ETag and in their own browser only. Replaced, it goes."""
    job = team.job()
    link = team.path(job)
    phone = Phone(team.service.port, link)
    phone.open()
    assert phone.shot(noise(1800, 1200)).status_code == 200
    (submission,) = job.submissions
    place = f"{submission.id}/{submission.files[0].id}"
    mine = f"{link}/media/{place}?size=small"
    assert mine in phone.open()
    answer = phone.send("GET", mine)
    assert size_of(answer.content) == (400, 267)
    assert answer.headers["cache-control"].startswith("private")
    etag = answer.headers["etag"]
    reply = phone.send("GET", mine, if_none_match=etag)
    assert (reply.status_code, reply.content) == (304, b"")
    assert phone.send("GET", mine.partition("?")[0], if_none_match=etag).status_code == 200
    reviewer = team.visit("reviewer")
    large = f"/review/media/{place}?size=large"
    assert large in reviewer.get("/review").text
    assert size_of(reviewer.get(large).content) == (1600, 1067)
    assert size_of(team.visit("operator").get(f"/console/media/{place}?size=small").content) == (400, 267)
    drawn = tmp_path / "data" / "thumbnails"
    assert len(left(drawn)) == 2
    team.score(submission.id, 2)
    phone.open(f"{link}?retry={submission.id}")
    assert phone.shot(noise()).status_code == 200
    assert left(drawn) == []
    assert phone.send("GET", mine).status_code == 404
    mine = f"{link}/media/{submission.id}/{submission.files[0].id}?size=small"
    source = submission.files[0].source
    assert isinstance(source, StoredSource)
    team.world.state.storage.remove(source.name)
    assert phone.send("GET", mine).status_code == 404
    assert team.visit("worker").get(mine).status_code == 404
