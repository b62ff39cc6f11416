"""`Dataset.to_huggingface`: media and manifest as one of Hugging Face's datasets."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from firsthandapi import Dataset
from firsthandapi._core.files.kinds import KINDS, kind_of
from firsthandapi._core.rows.manifest import COLUMNS, MANIFEST, column_types
from firsthandapi.errors import ConfigurationError, InvalidArgumentError
from firsthandapi.testing import MockServer

from .support import JOB

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("datasets") is None, reason="datasets is not installed (make test)"
)

FORMATS = {
    "image": ["image/jpeg", "image/png", "image/webp", "image/gif"],
    "audio": ["audio/mpeg", "audio/wav", "audio/mp4"],
    "video": ["video/mp4", "video/quicktime"],
}


@pytest.fixture(scope="module")
def hf() -> Any:
    """The library, without its progress bars and their thread."""
    import datasets

    datasets.disable_progress_bars()
    return datasets


def collected(
    server: MockServer, dest: Path, formats: list[str], come: list[str] | None = None, **submitted: Any
) -> Dataset:
    """A dataset of a job that takes `formats`, with a file of each that has come."""
    come = formats if come is None else come
    with server.client() as client:
        job_id = client.jobs.create(**{**JOB, "accepted_formats": formats}, files_needed=8).id
        for content_type in come:
            server.submit(job_id, content_type=content_type, **submitted)
        server.clock.advance(minutes=1)
        return client.files.download_all(job_id, dest)


def undecoded(rows: Any, kind: str) -> Any:
    """The same without decoding, for which audio and video need torchcodec."""
    import datasets

    feature = {"image": datasets.Image, "audio": datasets.Audio, "video": datasets.Video}[kind]
    return rows.cast_column(kind, feature(decode=False))


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_comes_with_media_and_manifest(
    kind: str, hf: Any, server: MockServer, tmp_path: Path
) -> None:
    """A column of media that knows its files, then the manifest's columns, each value as in `records`."""
    dataset = collected(server, tmp_path / "job", FORMATS[kind])
    rows = dataset.to_huggingface()
    assert type(rows) is hf.Dataset
    assert rows.column_names == [kind, *COLUMNS, *([] if kind == "image" else ["text"])]
    assert type(rows.features[kind]).__name__ == kind.title()
    assert len(rows) == len(dataset) == len(FORMATS[kind])
    for row, record in zip(undecoded(rows, kind), dataset, strict=True):
        assert row[kind] == {"path": str(dataset.path_of(record)), "bytes": None}
        assert {name: row[name] for name in COLUMNS} == vars(record)
        assert row["annotations"] is not None
    if kind == "image":
        for row in rows:
            with row["image"] as image:  # an animation stays open
                assert image.size == (row["width"], row["height"])


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_saved_holds_the_bytes(kind: str, hf: Any, server: MockServer, tmp_path: Path) -> None:
    """`save_to_disk` takes the media in, so the copy outlives the folder, and names nothing of this machine."""
    dataset = collected(server, tmp_path / "job", FORMATS[kind])
    dataset.to_huggingface().save_to_disk(tmp_path / "saved")
    for path in dataset.path.rglob("data/*"):
        path.unlink()
    for row in undecoded(hf.load_from_disk(tmp_path / "saved"), kind):
        assert hashlib.sha256(row[kind]["bytes"]).hexdigest() == row["sha256"]
        assert row[kind]["path"] == Path(row["file_name"]).name


def test_a_relative_path_is_read_from_anywhere(
    server: MockServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dataset opened by a relative path is still read after the program has changed its directory."""
    collected(server, tmp_path / "job", ["image/png"])
    monkeypatch.chdir(tmp_path)
    rows = Dataset.open("job").to_huggingface()
    monkeypatch.chdir("/")
    assert rows[0]["image"].size == (rows[0]["width"], rows[0]["height"])


@pytest.mark.parametrize("kind", KINDS)
def test_types_do_not_hang_on_the_rows(kind: str, hf: Any, server: MockServer, tmp_path: Path) -> None:
    """No row, rows without annotations and full rows make the same types, and concatenate."""
    formats = FORMATS[kind]
    parts = [
        collected(server, tmp_path / "none", formats, come=[]).to_huggingface(),
        collected(server, tmp_path / "bare", formats, annotations=None).to_huggingface(),
        collected(server, tmp_path / "empty", formats, annotations={"type": kind}).to_huggingface(),
        collected(server, tmp_path / "full", formats).to_huggingface(),
    ]
    assert [len(part) for part in parts] == [0, *[len(formats)] * 3]
    assert all(part.features == parts[0].features for part in parts)
    assert parts[1]["annotations"][:] == [None] * len(formats)
    whole = hf.concatenate_datasets(parts)
    assert len(whole) == 3 * len(formats)
    flat = undecoded(whole, kind).flatten().features
    keys = set(column_types(kind)["annotations"]) - {"scene"}  # a struct itself, and flattened likewise
    assert {f"annotations.{key}" for key in keys} < set(flat)
    assert flat["size_bytes"] == hf.Value("int64")
    assert flat["duration_seconds"] == hf.Value("float64")


def test_a_mixed_job_gives_a_dataset_for_each_kind(server: MockServer, tmp_path: Path) -> None:
    """Of several kinds one is asked for by name, and the same program works whatever has come so far."""
    formats = ["image/png", "audio/wav", "video/mp4"]
    for name, come in (("all", formats), ("images", ["image/png"])):
        dataset = collected(server, tmp_path / name, formats, come)
        with pytest.raises(InvalidArgumentError, match=r"image and audio and video.*kind='image'") as raised:
            dataset.to_huggingface()
        assert raised.value.field == "kind"
        for kind in KINDS:
            rows = undecoded(dataset.to_huggingface(kind=kind), kind)
            paths = [str(dataset.path_of(r)) for r in dataset if kind_of(r.content_type) == kind]
            assert [row[kind]["path"] for row in rows] == paths
            assert len(paths) == (1 if kind == "image" or name == "all" else 0)


def test_a_file_that_changed_its_kind_keeps_both_places(server: MockServer, tmp_path: Path) -> None:
    """Of two rows with one id, each among its kind, either has its own file."""
    dataset = collected(server, tmp_path / "job", ["image/png", "video/mp4"])
    image, video = sorted(dataset, key=lambda record: record.content_type or "")
    renamed = {**vars(video), "file_id": image.file_id, "file_name": f"data/{image.file_id}.mp4"}
    (dataset.path / "video" / renamed["file_name"]).write_bytes(dataset.path_of(video).read_bytes())
    (dataset.path / "video" / MANIFEST).write_text(json.dumps(renamed) + "\n")
    dataset = Dataset.open(dataset.path)
    for kind in ("image", "video"):
        (row,) = undecoded(dataset.to_huggingface(kind=kind), kind)
        assert hashlib.sha256(Path(row[kind]["path"]).read_bytes()).hexdigest() == row["sha256"]


def test_a_kind_that_the_job_does_not_take_is_refused(server: MockServer, tmp_path: Path) -> None:
    """A slip is an error, not an empty dataset."""
    dataset = collected(server, tmp_path / "job", ["image/png"])
    assert len(dataset.to_huggingface(kind="image")) == 1
    for slip in ("audio", "images", None.__class__, ["image"]):
        with pytest.raises(InvalidArgumentError, match=r"kind must be 'image' for this dataset"):
            dataset.to_huggingface(kind=slip)  # type: ignore[arg-type]


def test_no_media_is_copied(server: MockServer, tmp_path: Path) -> None:
    """The rows refer to the files: what is held does not grow with them."""
    come = ["audio/wav"] * 4
    dataset = collected(server, tmp_path / "job", ["audio/wav"], come, content=bytes(2_000_001))
    assert sum(record.size_bytes for record in dataset) > 8_000_000
    assert dataset.to_huggingface().data.nbytes < 20_000


@pytest.mark.parametrize("is_link", [False, True])
def test_what_is_not_a_file_of_the_folder_is_refused(
    is_link: bool, server: MockServer, tmp_path: Path
) -> None:
    """A missing file is told at once, and a link is not followed: its target would be uploaded with the rest."""
    dataset = collected(server, tmp_path / "job", ["image/png"])
    path = dataset.path_of(dataset.records[0])
    path.unlink()
    if is_link:
        (tmp_path / "private").write_text("secret")
        path.symlink_to(tmp_path / "private")
    with pytest.raises(ConfigurationError, match=r"is missing or is a link.*repair"):
        dataset.to_huggingface()


def test_a_strangers_manifest_costs_an_error_of_ours(server: MockServer, tmp_path: Path) -> None:
    """Text that no table holds is a ConfigurationError; a number too large in an annotation is left out."""
    path = collected(server, tmp_path / "job", ["image/png"]).path
    row = json.loads((path / MANIFEST).read_bytes())
    huge = {"objects": [{"label": "cup", "confidence": 10**400}], "scene": {"indoor": 3}}
    (path / MANIFEST).write_text(json.dumps({**row, "annotations": huge}) + "\n")
    annotations = Dataset.open(path).to_huggingface()[0]["annotations"]
    assert annotations["objects"] == [{"label": "cup", "confidence": None}]
    assert annotations["scene"] == {"setting": None, "indoor": None}
    (path / MANIFEST).write_text(json.dumps({**row, "worker_region": "\ud800"}) + "\n")
    with pytest.raises(ConfigurationError, match="contains values whose types contradict") as raised:
        Dataset.open(path).to_huggingface()
    assert raised.value.__suppress_context__


@pytest.mark.parametrize("module", [None, ModuleType("datasets")], ids=["missing", "a folder of that name"])
def test_without_the_library_the_error_names_the_extra(
    module: ModuleType | None, server: MockServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where a folder `datasets/` beside the script passes for it."""
    dataset = collected(server, tmp_path / "job", ["image/png"])
    monkeypatch.setitem(sys.modules, "datasets", module)
    with pytest.raises(ConfigurationError, match=r"pip install 'firsthandapi\[huggingface\]'"):
        dataset.to_huggingface()


def test_to_open_a_dataset_loads_no_library(server: MockServer, tmp_path: Path) -> None:
    """Who only opens a dataset does not pay for it."""
    path = collected(server, tmp_path / "job", ["image/png"]).path
    script = (
        "import sys; from firsthandapi import Dataset; Dataset.open(sys.argv[1]).verify()\n"
        "assert not {'datasets', 'pyarrow'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script, str(path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_file_in_a_bucket_is_read_by_its_url(server: MockServer, tmp_path: Path) -> None:
    """The rows name the URL, and the library reads from there."""
    upath = pytest.importorskip("upath")
    from firsthandapi.datasets._huggingface import rows_with_media

    dataset = collected(server, tmp_path / "job", ["image/png"])
    record = dataset.records[0]
    place = upath.UPath("memory://bucket/job") / record.file_name
    place.parent.mkdir(parents=True)
    place.write_bytes(dataset.path_of(record).read_bytes())
    rows = rows_with_media("image", [(record, place)])
    assert undecoded(rows, "image")[0]["image"]["path"] == f"memory://bucket/job/{record.file_name}"
    assert rows[0]["image"].size == (record.width, record.height)


def test_what_is_said_is_a_column_of_text(server: MockServer, tmp_path: Path) -> None:
    """For models of speech: the segments in one text; None where nothing was transcribed."""
    segments = [{"start": 0, "end": 1, "text": " turn "}, {"start": 1, "end": 2, "text": "left"}, {"end": 3}]
    sounds = collected(server, tmp_path / "job", ["audio/wav"], annotations={"transcript_segments": segments})
    with server.client() as client:
        assert sounds.job is not None
        server.submit(sounds.job.id, content_type="audio/wav", annotations=None)
        server.clock.advance(minutes=1)
        sounds = client.files.download_all(sounds.job.id, tmp_path / "job")
    assert [record.text for record in sounds] == ["turn left", None]
    assert sounds.to_huggingface().remove_columns("audio")["text"][:] == ["turn left", None]
    assert sounds.to_pandas()["text"][0] == "turn left"
    assert sounds.to_pandas().columns[-1] == "path"
