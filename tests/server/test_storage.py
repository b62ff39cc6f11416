"""Where the bytes of files are, and how they get there."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from firsthandapi._base.host import replacing
from firsthandapi.errors import ConfigurationError
from firsthandapi_server.state.keeping import NotKeptError
from firsthandapi_server.state.model import Details
from firsthandapi_server.state.storage import (
    CHUNK,
    BucketStorage,
    LocalStorage,
    MemoryStorage,
    Storage,
    StoredSource,
    TooLargeError,
    Upload,
)

DETAILS = Details(1.0, {}, "US-CA", None)
NAME = "blob_01JABCDEFGHJKMNPQRSTVWXYZ0"


@pytest.fixture(params=["memory", "local", "bucket", "s3"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Storage]:
    """Each kind of storage; temporary files of the test are below `tmp_path`."""
    if request.param in ("bucket", "s3"):
        reason = "the extra remote has a Python that it needs, and is not installed"
        pytest.importorskip("fsspec", reason=reason)
        pytest.importorskip("s3fs", reason=reason)
    if request.param == "memory":
        yield MemoryStorage()
    elif request.param == "local":
        yield LocalStorage(tmp_path / "files")
    elif request.param == "bucket":
        yield BucketStorage(f"memory://files-{tmp_path.name}/", tmp_path)
    else:
        from dataset.s3 import ENVIRONMENT, S3

        with closing(S3()) as s3, pytest.MonkeyPatch.context() as patch:
            for name, value in {**ENVIRONMENT, "AWS_ENDPOINT_URL": s3.url}.items():
                patch.setenv(name, value)
            yield BucketStorage(f"s3://{s3.bucket()}/submitted", tmp_path)


def left(tmp_path: Path) -> list[str]:
    """The names of the files that a folder contains."""
    return [path.name for path in tmp_path.rglob("*") if path.is_file()]


def test_upload(storage: Storage) -> None:
    """What was written is read again, also in part; size and hash come from the bytes."""
    content = bytes(range(256)) * 2000
    with Upload(storage, NAME, len(content)) as upload:
        for start in range(0, len(content), 100_000):
            upload.write(content[start : start + 100_000])
        stored = upload.finish(DETAILS, width=640, height=480)
    facts = stored.facts()
    assert (facts.size, facts.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    assert (facts.width, facts.height, facts.duration) == (640, 480, None)
    assert stored.details() is DETAILS
    assert b"".join(stored.read(0, len(content))) == content
    assert b"".join(stored.read(300_000, 300_010)) == content[300_000:300_010]
    if isinstance(storage, LocalStorage):
        assert max(map(len, stored.read(0, len(content)))) == CHUNK
    with pytest.raises(ValueError, match="has ended"):
        upload.write(b"more")
    with pytest.raises(ValueError, match="has ended"):
        upload.finish(DETAILS)


def test_too_large(storage: Storage, tmp_path: Path) -> None:
    """One byte more than allowed ends the upload, and leaves nothing."""
    with Upload(storage, NAME, 10) as upload:
        upload.write(b"0123456789")
        with pytest.raises(TooLargeError, match="larger than 10 bytes"):
            upload.write(b"x")
    assert left(tmp_path) == []


def test_given_up(storage: Storage, tmp_path: Path) -> None:
    """An upload that was not finished, or whose submission was refused, leaves nothing."""
    with Upload(storage, NAME, 10) as upload:
        upload.write(b"half")
    assert left(tmp_path) == []
    upload = Upload(storage, NAME, 10)

    def refuse() -> StoredSource:
        with upload:
            refused.append(upload.finish(DETAILS))
            raise ValueError("refused")

    refused: list[StoredSource] = []
    with pytest.raises(ValueError, match="refused"):
        refuse()
    assert left(tmp_path) == []
    with pytest.raises((KeyError, FileNotFoundError)):
        [*refused[0].read(0, 1)]
    storage.remove(NAME)


@pytest.mark.parametrize("name", ["../blob", "blob_1", NAME.lower(), NAME + "/x", "/etc/passwd"])
def test_names_are_ids(tmp_path: Path, name: str) -> None:
    """No name but an id becomes a path."""
    storage = LocalStorage(tmp_path)
    with pytest.raises(ValueError, match="is an id"):
        storage.open(name)
    with pytest.raises(ValueError, match="is an id"):
        storage.remove(name)
    with pytest.raises(ValueError, match="is an id"):
        [*storage.read(name, 0, 1)]


def test_a_bucket_that_fails(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What a library raises becomes a refusal that quotes nothing of it, and no temporary file stays."""
    pytest.importorskip("fsspec", reason="it comes with the extra remote")
    storage = BucketStorage("memory://failing", tmp_path)

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("with a secret")

    monkeypatch.setattr(storage._files, "put_file", fail)
    with Upload(storage, NAME, 10) as upload:
        upload.write(b"x")
        with pytest.raises(NotKeptError, match=r"failed \(RuntimeError\)") as caught:
            upload.finish(DETAILS)
    assert "secret" not in caught.value.message
    assert left(tmp_path) == []


@pytest.mark.parametrize(
    ("url", "words"), [("nowhere://x", "not a URL"), ("gcs://x", "needs its fsspec package")]
)
def test_no_such_bucket(url: str, words: str, tmp_path: Path) -> None:
    """A URL of nobody, and one whose package is missing, are named."""
    pytest.importorskip("fsspec", reason="it comes with the extra remote")
    with pytest.raises(ConfigurationError, match=words):
        BucketStorage(url, tmp_path)


def test_a_folder_is_flushed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first file in a folder flushes the folder's own name; later ones flush only theirs. A start begins again."""
    flushed: list[Path] = []
    monkeypatch.setattr(replacing, "sync_directory", lambda folder: flushed.append(Path(folder)))
    files = tmp_path / "files"
    for storage in (LocalStorage(files), LocalStorage(files)):
        for name in (NAME, NAME.replace("A", "B")):
            with Upload(storage, name, 10) as upload:
                upload.write(b"x")
                upload.finish(DETAILS)
    folder = files / NAME[-2:]
    assert flushed == [folder, files, folder] * 2
