"""Near duplicates of a folder, and splits that they do not cross."""

from __future__ import annotations

import io
from importlib.util import find_spec
from pathlib import Path
from random import Random
from typing import Any

import pytest

from firsthandapi import ConfigurationError, Dataset
from firsthandapi._core.rows.duplicates import NEAR
from firsthandapi._core.rows.splits import SPLITS
from firsthandapi.datasets import _near

from .support import folder_of

PIXELS = 160


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


def test_near_duplicates_are_found(tmp_path: Path) -> None:
    """A recompression, another size, and a crop of an image; other images, and files that are none, are left alone."""
    pytest.importorskip("numpy")
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


def test_pictures_whose_hashes_are_near_by_chance_are_not_duplicates(tmp_path: Path) -> None:
    """The finer pattern differs, or the shade of plain ones; plain ones of one shade are alike."""
    np, image = pytest.importorskip("numpy"), pytest.importorskip("PIL.Image")
    (faint,) = (np.asarray(each.convert("L"), float) * 0.5 for each in pictures(1))
    fine = 60 + 60 * np.cos(np.pi * 10 * (np.arange(PIXELS) + 0.5) / PIXELS)
    contents = [
        jpeg(image.fromarray(each.astype(np.uint8))) for each in (faint + fine, faint + fine[:, None])
    ]
    ways = np.array([_near.hashes_of(each, np, image)[0] for each in contents], np.uint64).T
    assert _near.least_distances(ways[:, :1], ways[:, 1:], np) <= NEAR
    assert folder_of(tmp_path, contents).duplicates(near=True) == []
    plain = np.array([np.full((32, 32), shade, np.uint8) for shade in (10, 12, 200)])
    look = _near.SecondLook(plain, np)
    assert [look.is_alike(0, np.array([other])) for other in (1, 2)] == [True, False]


def test_many_alike_pictures_are_few_pairs() -> None:
    """Each is paired with the first that it is near to, or with the first of each group that it joins."""
    np = pytest.importorskip("numpy")
    a, b, between, like_b = 0, 0xFFF, 0x3F, 0xFFF ^ 0x3F000000
    hashes = [[each] * 28 for each in (a, b, between, like_b, *[a] * 20)]
    pixels = np.array([np.arange(1024).reshape(32, 32)] * len(hashes))
    pairs = _near.close(np.array(hashes), pixels, 6, np)
    assert pairs == [(0, 2), (1, 2), (1, 3), *((0, number) for number in range(4, 24))]


def test_a_folder_without_images_has_no_near_duplicates(tmp_path: Path) -> None:
    """Neither has one whose files are gone."""
    pytest.importorskip("numpy")
    dataset = folder_of(tmp_path, [b"junk", b"other"])
    assert dataset.duplicates(near=True) == []
    dataset.path_of(dataset.records[0]).unlink()
    assert dataset.duplicates(near=True) == []


def test_an_image_that_claims_to_be_huge_is_not_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would fill the memory."""
    pytest.importorskip("numpy")
    (picture,) = pictures(1)
    dataset = folder_of(tmp_path, [jpeg(picture), jpeg(picture, 40)])
    assert len(dataset.duplicates(near=True)) == 1
    monkeypatch.setattr("firsthandapi.datasets._near._MOST_PIXELS", PIXELS * PIXELS - 1)
    assert dataset.duplicates(near=True) == []


def test_only_the_formats_of_jobs_are_decoded(tmp_path: Path) -> None:
    """Whatever a file is called: the decoders of other formats have seen less."""
    pytest.importorskip("numpy")
    (picture,) = pictures(1)
    out = io.BytesIO()
    picture.save(out, "BMP")
    dataset = folder_of(tmp_path, [jpeg(picture), jpeg(picture, 40), out.getvalue()])
    assert [[record.file_id for record in group] for group in dataset.duplicates(near=True)] == [
        ["file_0", "file_1"]
    ]


def test_without_the_extra_the_error_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same bytes are found without it."""
    monkeypatch.setitem(__import__("sys").modules, "numpy", None)
    dataset = folder_of(tmp_path, [b"x", b"x"])
    assert len(dataset.duplicates()) == 1
    with pytest.raises(ConfigurationError, match=r"pip install 'firsthandapi\[images\]'"):
        dataset.duplicates(near=True)


@pytest.mark.slow
@pytest.mark.skipif(find_spec("skimage") is None, reason="scikit-image is not installed (make soak)")
def test_near_duplicates_of_photographs() -> None:
    """Recall is 95 % or more and precision 99 % or more, with the threshold that `near=True` takes."""
    pytest.importorskip("numpy")
    from benchmarks.near_duplicates import measure

    recall, precision, _, photographs = measure()
    assert photographs > 100
    assert recall >= 0.95
    assert precision >= 0.99


# ── Splits ───────────────────────────────────────────────────────────────────────────────────────────────


def test_near_duplicates_cross_no_split(tmp_path: Path) -> None:
    """Whatever the order of the rows; without `near` they do."""
    pytest.importorskip("numpy")
    one, other = pictures(2)
    contents = [jpeg(one), jpeg(one, 40), jpeg(other), jpeg(other, 40)]
    dataset = folder_of(tmp_path / "signs", contents)
    splits = []
    for near in (None, True):
        parts = dataset.split(train=0.5, test=0.5, near=near)
        splits.append(sorted(sorted(record.file_id for record in part) for part in parts.values()))
    assert splits[0] != splits[1] == [["file_0", "file_1"], ["file_2", "file_3"]]
    path = dataset.path / "metadata.jsonl"
    path.write_bytes(b"".join(reversed(path.read_bytes().splitlines(keepends=True))))
    (dataset.path / SPLITS).unlink()
    again = Dataset.open(dataset.path).split(train=0.5, test=0.5, near=True)
    assert {name: {row.file_id for row in part} for name, part in again.items()} == {
        name: {row.file_id for row in part} for name, part in parts.items()
    }
