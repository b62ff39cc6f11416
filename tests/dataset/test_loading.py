"""The folder, loaded by Hugging Face `datasets` as its users load it."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import pytest

from firsthandapi import Dataset, FirstHandClient
from firsthandapi._core.files.annotations import unified
from firsthandapi._core.rows.manifest import COLUMNS, MANIFEST, Record, manifest_line
from firsthandapi.testing import MockServer

from .support import JOB, folder_of

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("datasets") is None, reason="datasets is not installed (make test)"
)

# In a process of its own: the library has warnings, threads and caches of its own.
LOAD = """
import json, sys
import datasets
loader, folder, cache = sys.argv[1:]
loaded = datasets.load_dataset(loader, data_dir=folder, cache_dir=cache)
assert list(loaded) == ["train"], loaded
train = loaded["train"]
column = loader.removesuffix("folder")
kind = {"image": datasets.Image, "audio": datasets.Audio, "video": datasets.Video}[column]
paths = [row[column]["path"] for row in train.cast_column(column, kind(decode=False))]
if column == "image":
    assert all(row["image"].size == (row["width"], row["height"]) for row in train)
print(json.dumps({"features": {name: str(value) for name, value in train.features.items()},
                  "rows": list(train.remove_columns(column)), "paths": paths}, default=str))
"""

LOAD_ROWS = """
import json, sys
import datasets
path, cache = sys.argv[1:]
rows = datasets.load_dataset("json", data_files=path, cache_dir=cache)["train"]
print(json.dumps({"rows": list(rows)}, default=str))
"""


def load(loader: str, folder: Path, cache: Path, *, check_images: bool = True) -> Any:
    """What `datasets` makes of a folder."""
    script = LOAD if check_images else LOAD.replace('if column == "image":', "if False:")
    return run(script, loader, str(folder), str(cache))


def run(script: str, *arguments: str) -> Any:
    """What a script prints, as JSON; its last argument is a folder for caches."""
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "HF_HOME": arguments[-1]},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_images_load_with_all_their_columns(
    client: FirstHandClient, server: MockServer, tmp_path: Path
) -> None:
    """Ratings as numbers, annotations as structs, whatever shape each file's came in; every image opens."""
    formats = ["image/jpeg", "image/png", "image/webp", "image/gif"]
    job_id = client.jobs.create(**{**JOB, "accepted_formats": formats}, files_needed=12).id
    shapes: list[Any] = [
        "made up",
        None,
        {"type": "image"},
        {
            "type": "image",
            "objects": [{"label": "cup", "confidence": 0.9, "box": [1, 2]}],
            "color_palette": [],
            "text_extraction": "STOP",  # where all texts are dates, the library takes them for times
        },
        {"type": "image", "objects": ["cup", "tree"], "text_extraction": "2024-05-01"},
        {"type": "panorama", "objects": 5, "scene": "kitchen"},
    ]
    for n in range(12):
        server.submit(job_id, content_type=formats[n % 4], rating=3 + n % 3, annotations=shapes[n % 6])
    server.clock.advance(minutes=1)
    dataset = client.files.download_all(job_id, tmp_path / "signs")
    loaded = load("imagefolder", dataset.path, tmp_path / "cache")
    assert set(loaded["features"]) == {"image", *COLUMNS} - {"file_name"}
    assert loaded["features"]["ai_star_rating"] == "Value('int64')"
    assert "'confidence': Value('float64')" in loaded["features"]["annotations"]
    by_id = {record.file_id: record for record in dataset}
    assert len(loaded["rows"]) == 12
    for row, path in zip(loaded["rows"], loaded["paths"], strict=True):
        record = by_id[row["file_id"]]
        assert Path(path) == dataset.path_of(record)
        assert row["ai_star_rating"] == record.ai_star_rating
        assert row["annotations"] == record.annotations
        assert row["sha256"] == record.sha256


@pytest.mark.slow
def test_a_mixed_job_loads_a_kind_at_a_time(
    client: FirstHandClient, server: MockServer, tmp_path: Path
) -> None:
    """Each of its folders is one that its loader takes; the media are what they say."""
    kinds = {"image": "image/png", "audio": "audio/wav", "video": "video/mp4"}
    formats = [*kinds.values(), "audio/mpeg", "audio/mp4", "video/quicktime"]
    job_id = client.jobs.create(**{**JOB, "accepted_formats": formats}, files_needed=12).id
    for content_type in formats * 2:
        server.submit(job_id, content_type=content_type)
    server.clock.advance(minutes=1)
    dataset = client.files.download_all(job_id, tmp_path / "mixed")
    for kind, expected in (("image", 2), ("audio", 6), ("video", 4)):
        if kind == "audio" and importlib.util.find_spec("torchcodec") is None:
            # The library reads no audio at all without it; the rows it reads all the same.
            loaded = run(LOAD_ROWS, str(dataset.path / kind / MANIFEST), str(tmp_path / "cache"))
        else:
            loaded = load(f"{kind}folder", dataset.path / kind, tmp_path / "cache")
        assert len(loaded["rows"]) == expected
        assert all(row["annotations"] for row in loaded["rows"])
    for record in dataset:
        kind = (record.content_type or "").partition("/")[0]
        with av.open(dataset.path_of(record)) as media:
            assert next(media.decode(**{"audio" if kind == "audio" else "video": 0}), None) is not None


@pytest.mark.slow
def test_a_folder_loads_at_every_moment(client: FirstHandClient, server: MockServer, tmp_path: Path) -> None:
    """While it is written and after a crash: only what has a row comes, and nothing else disturbs."""
    job_id = client.jobs.create(**JOB, files_needed=6).id
    for _ in range(4):
        server.submit(job_id, annotations=None)
    server.clock.advance(minutes=1)
    dataset = client.files.download_all(job_id, tmp_path / "test")  # a name that could pass for a split
    first, *rest = (dataset.path / MANIFEST).read_bytes().splitlines(keepends=True)
    (dataset.path / MANIFEST).write_bytes(b"".join(rest))
    for name in (
        "data/.file_1.jpg.0123.part",
        ".metadata.jsonl.0123.part",
        ".firsthandapi/orders/.order.json.0123.part",
    ):
        (dataset.path / name).write_bytes(b"half of")
    loaded = load("imagefolder", dataset.path, tmp_path / "cache")
    assert {row["file_id"] for row in loaded["rows"]} == {
        record.file_id for record in Dataset.open(dataset.path)
    }
    assert len(loaded["rows"]) == 3
    # A manifest comes into being with its first row: before it there are files alone.
    (dataset.path / MANIFEST).unlink()
    assert first
    assert len(load("imagefolder", dataset.path, tmp_path / "other", check_images=False)["paths"]) == 4


@pytest.mark.slow
def test_rows_of_many_blocks_make_one_table(client: FirstHandClient, tmp_path: Path) -> None:
    """Types are guessed from the rows: thousands of nulls and empty lists before the first value do no harm."""
    folder = tmp_path / "many"
    (folder / "data").mkdir(parents=True)
    nothing = Record(**{**dict.fromkeys(COLUMNS), "size_bytes": 1, "sha256": "0" * 64})
    something: dict[str, Any] = {
        "objects": ["cup"], "scene": {"indoor": True}, "text_extraction": "x" * 500, "color_palette": ["#fff"],
    }  # fmt: skip
    with (folder / MANIFEST).open("wb") as manifest:
        for n in range(2_400):
            annotations = None if n < 600 else unified({} if n < 1_800 else something, "image")
            times = (
                None if n < 1_000 else "2026-11-25T01:02:03Z" if n < 2_000 else "2026-11-25T01:02:03.500000Z"
            )
            row = replace(
                nothing,
                file_name=f"data/file_{n}.jpg",
                file_id=f"file_{n}",
                annotations=annotations,
                captured_at=times,
                width=None if n < 1_200 else n,
            )
            manifest.write(manifest_line(row))
    for n in range(2_400):
        (folder / "data" / f"file_{n}.jpg").touch()
    rows = load("imagefolder", folder, tmp_path / "cache", check_images=False)["rows"]
    assert rows[0]["annotations"] is None
    assert rows[2_399]["annotations"] == unified(something, "image")
    assert rows[2_399]["width"] == 2_399


DECIDED = """
import json, sys
from pathlib import Path
import datasets
root, cache = sys.argv[1:]
found = {}
for kind in ("image", "video"):  # audiofolder is the same builder, and needs torchcodec
    for name, options in ((kind, {}), (f"{kind}/data", {}), (f"{kind}-labels", {"drop_labels": False})):
        folder = str(Path(root, name.removesuffix("-labels")))
        train = datasets.load_dataset(f"{kind}folder", data_dir=folder, cache_dir=cache, **options)["train"]
        media = {"image": datasets.Image, "video": datasets.Video}[kind]
        rows = train.cast_column(kind, media(decode=False))
        labels = [train.features["label"].int2str(n) if isinstance(n, int) else n for n in train["label"]]
        found[name] = sorted([Path(row[kind]["path"]).stem, label] for row, label in zip(rows, labels))
print(json.dumps(found))
"""


@pytest.mark.slow
def test_loaders_of_folders_obey_decisions(tmp_path: Path) -> None:
    """By the manifest and by the names of folders, of each kind: what is excluded is not there, and what was given
    another label has it; a label whose files are gone is no class."""
    expected = [["file_a1", "b"], ["file_b0", "b"], ["file_c1", "c"]]
    for kind, content_type in (("image", "image/jpeg"), ("video", "video/mp4")):
        parts = {}
        for label, files in (("a", 2), ("b", 1), ("c", 2), ("d", 1)):
            ids = [f"file_{label}{n}" for n in range(files)]
            content = [f"{kind}{label}{n}".encode() for n in range(files)]
            types = [content_type] * files
            parts[label] = folder_of(tmp_path / kind / label, content, file_id=ids, content_type=types)
        dataset = Dataset.merge(parts, tmp_path / "all" / kind)
        dataset.exclude(["file_a0", "file_c0", "file_d0"])
        dataset.relabel("file_a1", "b")
        assert sorted([row.file_id, row.label] for row in dataset) == expected
        assert sorted(dataset.to_pandas()["file_id"]) == ["file_a1", "file_b0", "file_c1"]
        assert dataset.to_huggingface().features["label"].names == ["b", "c"]
    output = run(DECIDED, str(tmp_path / "all"), str(tmp_path / "cache"))
    assert output == dict.fromkeys(output, expected)
    assert len(output) == 6
