"""Duplicates of a folder, and splits that they do not cross."""

from __future__ import annotations

import hashlib
import io
import pickle
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from random import Random
from typing import Any

import pytest

from firsthandapi import ConfigurationError, Dataset, InvalidArgumentError
from firsthandapi._core.job_file import JobFile
from firsthandapi._core.manifest import MANIFEST, Record, manifest_line
from firsthandapi.datasets import DatasetView

PIXELS = 160
EMPTY = (
    *("ai_star_rating", "original_filename", "width", "height", "duration_seconds", "captured_at"),
    *("worker_region", "created_at", "annotations", "annotations_json"),
)


def folder_of(path: Path, contents: list[bytes], **columns: list[Any]) -> Dataset:
    """A folder of these files, as a run leaves it, each by a worker of its own unless `worker_id` says otherwise."""
    (path / "data").mkdir(parents=True)
    rows = b""
    for n, content in enumerate(contents):
        (path / "data" / f"file_{n}.jpg").write_bytes(content)
        record = Record(
            file_name=f"data/file_{n}.jpg",
            file_id=f"file_{n}",
            job_id="job_1",
            submission_id=f"sub_{n}",
            content_type="image/jpeg",
            size_bytes=len(content),
            sha256=hashlib.sha256(content).hexdigest(),
            worker_id=f"wkr_{n}",
            **dict.fromkeys(EMPTY),
        )
        rows += manifest_line(replace(record, **{name: values[n] for name, values in columns.items()}))
    (path / MANIFEST).write_bytes(rows)
    (path / "job.json").write_bytes(
        JobFile(None, None, None, {"id": "job_1", "status": "completed"}).encode()
    )
    return Dataset.open(path)


def pictures(number: int) -> list[Any]:
    """Pictures that have nothing in common: smooth noise."""
    image = pytest.importorskip("PIL.Image")
    random = Random(7)
    made = []
    for _ in range(number):
        small = image.frombytes("RGB", (6, 6), random.randbytes(108))
        made.append(small.resize((PIXELS, PIXELS), image.Resampling.BICUBIC))
    return made


def jpeg(picture: Any, quality: int = 90) -> bytes:
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=quality)
    return out.getvalue()


def test_files_of_the_same_bytes_are_found(tmp_path: Path) -> None:
    """All of them, and no file is read for that; `verify` names them, and they do no harm."""
    random = Random(0)
    contents = [random.randbytes(50) for _ in range(40)]
    contents += [random.choice(contents) for _ in range(60)]
    dataset = folder_of(tmp_path / "signs", contents)
    state = dataset.verify()
    for record in dataset.records:
        dataset.path_of(record).unlink()
    found = {frozenset(record.file_id for record in group) for group in dataset.duplicates()}
    by_content: dict[bytes, set[str]] = {}
    for n, content in enumerate(contents):
        by_content.setdefault(content, set()).add(f"file_{n}")
    assert found == {frozenset(ids) for ids in by_content.values() if len(ids) > 1}
    assert state.ok
    assert {frozenset(name[5:-4] for name in group) for group in state.duplicates} == found


def test_near_duplicates_are_found(tmp_path: Path) -> None:
    """A recompression, another size, and a crop of an image; other images, and files that are none, are left alone."""
    pytest.importorskip("imagehash")
    first, second, third = pictures(3)
    copies = [
        jpeg(first, 40),
        jpeg(first.resize((PIXELS // 2, PIXELS // 2))),
        jpeg(first.crop((4, 8, PIXELS - 6, PIXELS - 2))),
        jpeg(second, 40),
    ]
    dataset = folder_of(tmp_path, [jpeg(first), jpeg(second), jpeg(third), *copies, b"junk", b"junk"])
    found = [[record.file_id for record in group] for group in dataset.duplicates(near=True)]
    assert found == [["file_0", "file_3", "file_4", "file_5"], ["file_1", "file_6"], ["file_7", "file_8"]]
    assert len(dataset.duplicates(near=0)) < len(found) + 1
    assert [[record.file_id for record in group] for group in dataset.duplicates()] == [["file_7", "file_8"]]


def test_a_folder_without_images_has_no_near_duplicates(tmp_path: Path) -> None:
    """Neither has one whose files are gone."""
    pytest.importorskip("imagehash")
    dataset = folder_of(tmp_path, [b"junk", b"other"])
    assert dataset.duplicates(near=True) == []
    dataset.path_of(dataset.records[0]).unlink()
    assert dataset.duplicates(near=True) == []


def test_an_image_that_claims_to_be_huge_is_not_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would fill the memory."""
    pytest.importorskip("imagehash")
    (picture,) = pictures(1)
    dataset = folder_of(tmp_path, [jpeg(picture), jpeg(picture, 40)])
    assert len(dataset.duplicates(near=True)) == 1
    monkeypatch.setattr("firsthandapi.datasets._near._MOST_PIXELS", PIXELS * PIXELS - 1)
    assert dataset.duplicates(near=True) == []


def test_without_the_extra_the_error_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same bytes are found without it."""
    monkeypatch.setitem(__import__("sys").modules, "imagehash", None)
    dataset = folder_of(tmp_path, [b"x", b"x"])
    assert len(dataset.duplicates()) == 1
    with pytest.raises(ConfigurationError, match=r"pip install 'firsthandapi\[images\]'"):
        dataset.duplicates(near=True)


@pytest.mark.slow
@pytest.mark.skipif(find_spec("skimage") is None, reason="scikit-image is not installed (make soak)")
def test_near_duplicates_of_photographs() -> None:
    """Recall is 95 % or more and precision 99 % or more, with the threshold that `near=True` takes."""
    pytest.importorskip("imagehash")
    from benchmarks.near_duplicates import measure

    recall, precision, _, photographs = measure()
    assert photographs > 100
    assert recall >= 0.95
    assert precision >= 0.99


# ── Splits ───────────────────────────────────────────────────────────────────────────────────────────────


def test_splits_are_views_of_the_folder(tmp_path: Path) -> None:
    """They iterate, know their files, and go to pandas; together they are the whole."""
    pandas = pytest.importorskip("pandas")
    dataset = folder_of(
        tmp_path, [bytes([n]) for n in range(40)], worker_id=[f"wkr_{n // 2}" for n in range(40)]
    )
    parts = dataset.split(train=0.7, test=0.2, validation=0.1)
    assert [*parts] == ["train", "test", "validation"]
    assert sorted(each.file_id for part in parts.values() for each in part) == sorted(
        each.file_id for each in dataset
    )
    train = parts["train"]
    assert isinstance(train, DatasetView)
    assert (train.name, train.dataset, len(train)) == ("train", dataset, len(train.records))
    assert train.path_of(train.records[0]) == dataset.path_of(train.records[0])
    table = train.to_pandas()
    assert list(table["file_id"]) == [record.file_id for record in train]
    assert set(table["worker_id"]).isdisjoint(parts["test"].to_pandas()["worker_id"])
    assert len(pandas.read_parquet(train.to_parquet(tmp_path / "train.parquet"))) == len(train)
    assert repr(train) == f"<DatasetView ['train', {len(train)} files]>"
    assert [record.file_id for record in pickle.loads(pickle.dumps(train))] == list(table["file_id"])
    assert train.duplicates() == []


@pytest.mark.skipif(find_spec("datasets") is None, reason="datasets is not installed (make test)")
@pytest.mark.filterwarnings("ignore")
def test_splits_number_the_labels_in_one_way(tmp_path: Path) -> None:
    """Also where one has no row of some label."""
    labels = ["a", "b"] * 8
    dataset = folder_of(tmp_path, [bytes([n]) for n in range(16)], label=labels, worker_id=labels)
    parts = dataset.split(train=0.5, test=0.5, seed=next(n for n in range(99) if _differ(dataset, n)))
    names = {tuple(part.to_huggingface().features["label"].names) for part in parts.values()}
    assert names == {("a", "b")}
    assert sorted(label for part in parts.values() for label in part.labels) == ["a", "b"]


def _differ(dataset: Dataset, seed: int) -> bool:
    return all(len(part) for part in dataset.split(train=0.5, test=0.5, seed=seed).values())


def test_near_duplicates_cross_no_split(tmp_path: Path) -> None:
    """The later one by another worker is left out; without `near` it is not."""
    pytest.importorskip("imagehash")
    (picture,) = pictures(1)
    dataset = folder_of(tmp_path, [jpeg(picture), jpeg(picture, 40)])
    seed = next(seed for seed in range(99) if _differ(dataset, seed))
    parts = dataset.split(train=0.5, test=0.5, seed=seed, near=True)
    assert [record.file_id for part in parts.values() for record in part] == ["file_0"]


def test_a_split_that_cannot_be_is_refused(tmp_path: Path) -> None:
    """Shares that are not the whole, and a seed that is no int."""
    dataset = folder_of(tmp_path, [b"x"])
    with pytest.raises(InvalidArgumentError, match=r"train=0.8 \+ test=0.2 \+ validation=0.1 is not 1"):
        dataset.split(validation=0.1)
    with pytest.raises(InvalidArgumentError, match="seed"):
        dataset.split(seed="x")  # type: ignore[arg-type] # what is tested
