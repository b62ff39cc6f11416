"""Near duplicates of a folder, and splits that they do not cross."""

from __future__ import annotations

import io
from importlib.util import find_spec
from pathlib import Path
from random import Random
from typing import Any, cast

import pytest

from firsthandapi import ConfigurationError, Dataset, InvalidArgumentError
from firsthandapi._core.rows.duplicates import NEAR
from firsthandapi._core.rows.splits import SPLITS
from firsthandapi.datasets import _alike, _near
from firsthandapi.datasets._hashes import HASHES, lines_in
from firsthandapi.datasets._local import Local
from firsthandapi.datasets._withdrawing import remove

from .support import folder_of

PIXELS = 160


def pictures(number: int) -> list[Any]:
    """Pictures that have nothing in common: smooth noise."""
    image = pytest.importorskip("PIL.Image")
    random = Random(7)
    drawings = []
    for _ in range(number):
        small = image.frombytes("RGB", (6, 6), random.randbytes(108))
        drawings.append(small.resize((PIXELS, PIXELS), image.Resampling.BICUBIC))
    return drawings


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
    groups = [[record.file_id for record in group] for group in dataset.duplicates(near=True)]
    assert groups == [["file_0", "file_3", "file_4", "file_5"], ["file_1", "file_6"], ["file_7", "file_8"]]
    assert len(dataset.duplicates(near=0)) < len(groups) + 1
    assert [[record.file_id for record in group] for group in dataset.duplicates()] == [["file_7", "file_8"]]


def test_pictures_whose_hashes_are_near_by_chance_are_not_duplicates(tmp_path: Path) -> None:
    """The finer pattern differs, or the shade of plain ones; plain ones of one shade are alike."""
    np, image = pytest.importorskip("numpy"), pytest.importorskip("PIL.Image")
    (faint,) = (np.asarray(picture.convert("L"), float) * 0.5 for picture in pictures(1))
    fine = 60 + 60 * np.cos(np.pi * 10 * (np.arange(PIXELS) + 0.5) / PIXELS)
    contents = [
        jpeg(image.fromarray(pixels.astype(np.uint8))) for pixels in (faint + fine, faint + fine[:, None])
    ]
    table = np.array([cast("Any", _near.hashes_of(content, np, image))[0] for content in contents])
    first, second = np.array([0]), np.array([1])
    assert _alike.Index(table, NEAR, np).distances(first, second) <= NEAR
    assert folder_of(tmp_path, contents).duplicates(near=True) == []
    plain = np.array([np.full((32, 32), shade, np.uint8) for shade in (10, 12, 200)])
    look = _alike.SecondLook(plain, np)
    assert look.are_alike(np.array([0, 0]), np.array([1, 2])).tolist() == [True, False]


def test_a_chain_of_near_pictures_joins_no_strangers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of a group are near to one and the same picture of it."""
    pytest.importorskip("numpy")
    dataset = folder_of(tmp_path, [jpeg(picture) for picture in pictures(5)])
    chain = [(0, 1), (1, 2), (2, 3), (3, 4)]
    monkeypatch.setattr(_near, "close", lambda *_: chain)
    groups = [[record.file_id for record in group] for group in dataset.duplicates(near=True)]
    assert groups == [["file_0", "file_1", "file_2"], ["file_3", "file_4"]]


def test_hashes_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second call reads no file, and what a crash has cut off is made again. Bytes that have no row are not kept."""
    pytest.importorskip("numpy")
    first, second = pictures(2)
    dataset = folder_of(tmp_path, [jpeg(first), jpeg(first, 40), jpeg(second)])
    (hashes, changed) = (dataset.path / HASHES, dataset.path_of(dataset.records[2]))
    groups = dataset.duplicates(near=True)
    assert len(groups) == 1
    size = hashes.stat().st_size
    assert [*lines_in(dataset._store)] == [record.sha256 for record in dataset]
    reads: list[Path] = []
    begin_of = Local.begin_of
    monkeypatch.setattr(Local, "begin_of", lambda _, path, most: reads.append(path) or begin_of(path, most))
    assert dataset.duplicates(near=True) == groups
    assert not reads
    hashes.write_bytes(hashes.read_bytes()[:-1])
    assert dataset.duplicates(near=True) == groups
    assert len(lines_in(dataset._store)) == 4
    assert reads == [changed]
    hashes.unlink()
    changed.write_bytes(jpeg(second, 41)[: dataset[2].size_bytes])
    assert dataset.duplicates(near=True) == groups
    assert hashes.stat().st_size == size * 2 // 3


def test_a_folder_that_cannot_be_written_to_keeps_no_hashes(tmp_path: Path) -> None:
    """Its duplicates are found all the same."""
    pytest.importorskip("numpy")
    (picture,) = pictures(1)
    dataset = folder_of(tmp_path, [jpeg(picture), jpeg(picture, 40)])
    (dataset.path / HASHES).mkdir(parents=True)
    assert len(dataset.duplicates(near=True)) == 1


def test_hashes_of_a_bucket_are_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing can be appended there."""
    pytest.importorskip("numpy")
    pytest.importorskip("upath")
    (picture,) = pictures(1)
    folder_of(tmp_path / "a", [jpeg(picture), jpeg(picture, 40)])
    dataset = Dataset.merge([tmp_path / "a"], "memory://near/signs")
    groups = dataset.duplicates(near=True)
    assert len(groups) == 1
    monkeypatch.setattr(_near, "hashes_of", None)
    assert dataset.duplicates(near=True) == groups


def test_hashes_of_withdrawn_files_are_erased(tmp_path: Path) -> None:
    """A hash says something of the picture. A call that goes on meanwhile does not keep it either."""
    pytest.importorskip("numpy")
    first, second, third = pictures(3)
    dataset = folder_of(tmp_path, [jpeg(first), jpeg(second), jpeg(third)])
    dataset.duplicates(near=True)
    content = (dataset.path / HASHES).read_bytes()
    gone, survivor, late = dataset.records
    (dataset.path / HASHES).write_bytes(content[:-1])  # half a line may be of anybody
    remove(dataset._store, dataset._manifests, [gone])
    assert [*lines_in(dataset._store)] == [survivor.sha256]
    assert len((dataset.path / HASHES).read_bytes()) == len(content) // 3
    remove(dataset._store, dataset._manifests, [late])
    _near._keep(dataset._store, [(late, content[-len(content) // 3 :])])
    assert [*lines_in(dataset._store)] == [survivor.sha256]


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
    (dataset.path / HASHES).unlink()
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


# ── Two datasets ─────────────────────────────────────────────────────────────────────────────────────────


def test_what_two_datasets_share_is_found(tmp_path: Path) -> None:
    """The same bytes, and near pictures; what only one of them contains twice is not shared."""
    pytest.importorskip("numpy")
    first, second, third, fourth = pictures(4)
    dataset = folder_of(tmp_path / "a", [jpeg(first), jpeg(second), jpeg(third), jpeg(third, 40)])
    peer = folder_of(tmp_path / "b", [jpeg(second, 40), jpeg(first), jpeg(fourth), jpeg(first, 40)])
    assert dataset.duplicates(against=peer) == [((dataset[0],), (peer[1],))]
    assert dataset.duplicates(against=peer, near=True) == [
        ((dataset[0],), (peer[1], peer[3])),
        ((dataset[1],), (peer[0],)),
    ]
    part = dataset.filter(lambda record: record.file_id == "file_1")
    assert part.duplicates(against=peer, near=True) == [((dataset[1],), (peer[0],))]
    assert part.duplicates(against=dataset) == [((dataset[1],), (dataset[1],))]
    with pytest.raises(InvalidArgumentError, match="against must be a Dataset or a view of one"):
        dataset.duplicates(against=cast("Any", tmp_path / "b"))


def test_a_near_picture_of_the_other_dataset_is_reported_even_if_its_group_is_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a test set could leak: the picture in the middle of a chain has a group without it."""
    pytest.importorskip("numpy")
    images = pictures(4)
    dataset = folder_of(tmp_path / "a", [jpeg(picture) for picture in images[:3]])
    peer = folder_of(tmp_path / "b", [jpeg(images[3])])
    monkeypatch.setattr(_near, "close", lambda *_: [(0, 1), (1, 2), (2, 3)])
    assert dataset.duplicates(against=peer, near=True) == [((dataset[0], dataset[1], dataset[2]), (peer[0],))]


# ── Splits ───────────────────────────────────────────────────────────────────────────────────────────────


def test_near_duplicates_cross_no_split(tmp_path: Path) -> None:
    """Whatever the order of the rows; without `near` they do."""
    pytest.importorskip("numpy")
    first, second = pictures(2)
    contents = [jpeg(first), jpeg(first, 40), jpeg(second), jpeg(second, 40)]
    dataset = folder_of(tmp_path / "signs", contents)
    splits = []
    for near in (None, True):
        parts = dataset.split(train=0.5, test=0.5, near=near)
        splits.append(sorted(sorted(record.file_id for record in part) for part in parts.values()))
    assert splits[0] != splits[1] == [["file_0", "file_1"], ["file_2", "file_3"]]
    path = dataset.path / "metadata.jsonl"
    path.write_bytes(b"".join(reversed(path.read_bytes().splitlines(keepends=True))))
    (dataset.path / SPLITS).unlink()
    new_splits = Dataset.open(dataset.path).split(train=0.5, test=0.5, near=True)
    assert {name: {row.file_id for row in part} for name, part in new_splits.items()} == {
        name: {row.file_id for row in part} for name, part in parts.items()
    }
