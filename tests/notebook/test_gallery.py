"""Datasets in a notebook: what is read for them, within which bounds."""

from __future__ import annotations

import base64
import hashlib
import os
import re
import struct
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from firsthandapi import Dataset
from firsthandapi._base.thumbnail import pillow
from firsthandapi._core.rows.manifest import COLUMNS, MANIFEST, Record, manifest_line
from firsthandapi._notebook import gallery
from firsthandapi._notebook.cards import LARGEST_CLIP, LARGEST_ORIGINAL, MOST_CARDS, MOST_IN_CELL
from firsthandapi.datasets import _disk
from firsthandapi.testing import MockServer
from markup import check_harmless

from .pictures import picture, png_of

ALL_FORMATS = [
    *("image/jpeg", "image/png", "image/webp", "image/gif"),
    *("audio/mpeg", "audio/wav", "audio/mp4", "video/mp4", "video/quicktime"),
]
SUFFIX = {"image/jpeg": "jpg", "image/png": "png", "audio/wav": "wav", "video/mp4": "mp4", "image/gif": "gif"}


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where temporary directories are made; nothing is left there, nor any thread."""
    place = tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    yield place
    assert list(place.iterdir()) == []


@pytest.fixture
def without_pillow(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where Pillow is not installed."""
    monkeypatch.setitem(sys.modules, "PIL.Image", None)


def wav(size: int) -> bytes:
    return b"RIFF" + struct.pack("<I", size - 8) + b"WAVE" + bytes(size - 12)


def dataset_of(folder: Path, *files: tuple[str, bytes], rows: int = 0) -> Dataset:
    """A dataset of these files, and of `rows` more rows without one."""
    (folder / "data").mkdir(parents=True)
    records: list[Record] = []
    for number, (content_type, content) in enumerate((*files, *((("image/jpeg", b""),) * rows))):
        name = f"data/file_{number}.{SUFFIX.get(content_type, 'bin')}"
        if content:
            (folder / name).write_bytes(content)
        bare: Any = dict.fromkeys(COLUMNS)
        bare |= {
            "ai_star_rating": 4,
            "file_name": name,
            "file_id": f"file_{number}",
            "content_type": content_type,
            "size_bytes": len(content),
            "sha256": hashlib.sha256(content).hexdigest(),
        }
        records.append(Record(**bare))
    (folder / MANIFEST).write_bytes(b"".join(manifest_line(record) for record in records))
    return Dataset.open(folder)


def shown(thing: Any) -> str:
    page = thing._repr_html_()
    assert isinstance(page, str)
    check_harmless(page)
    return page


def media_in(page: str) -> list[str]:
    """The type of what stands in each card, or the words that stand there instead."""
    matches = re.findall(
        r'<div class="fh-media"><(?:div class="fh-none">([^<]*)<|\w+ [^>]*src="data:([^;]*);)', page
    )
    return [words or kind for words, kind in matches]


# ── Datasets ─────────────────────────────────────────────────────────────────────────────────────────────


def test_a_dataset_of_every_kind_is_a_gallery(fresh_server: MockServer, tmp_path: Path) -> None:
    """A small picture for each image, a player for each recording and clip; no path, no URL, no key."""
    with fresh_server.client() as client:
        job_id = client.jobs.create(
            description="Anything at all, in daylight",
            files_needed=9,
            accepted_formats=ALL_FORMATS,
            price_per_file_cents=10,
        ).id
        for content_type in ALL_FORMATS:
            fresh_server.submit(job_id, content_type=content_type, original_filename="<b>x</b>")
        fresh_server.clock.advance(minutes=1)
        dataset = client.files.download_all(job_id, tmp_path / "signs")
    page = shown(dataset)
    assert sorted(media_in(page)) == sorted(["image/jpeg"] * 4 + ALL_FORMATS[4:])
    assert "9 files" in page
    assert page.count("4 of 5 stars") == 2 * 9
    assert "&lt;b&gt;x&lt;/b&gt;" in page
    for secret in (str(tmp_path), fresh_server.url, fresh_server.api_key, "X-Amz"):
        assert secret not in page


def test_no_plain_text_beside_the_gallery_tells_the_way_to_the_folder(tmp_path: Path) -> None:
    """A notebook keeps both; `repr` in a script still has the whole path."""
    pretty = pytest.importorskip("IPython.lib.pretty").pretty
    dataset = dataset_of(tmp_path / "signs", ("image/jpeg", picture()))
    assert pretty(dataset) == "<Dataset ['signs', 1 file, no job]>"
    assert str(tmp_path) in repr(dataset)


def test_ipython_shows_one_at_full_size_as_the_guide_says(tmp_path: Path) -> None:
    """Each call that the guide names, with the path of a file: the file itself is in the output, its place is not."""
    display = pytest.importorskip("IPython.display")
    formatter = pytest.importorskip("IPython.core.formatters").DisplayFormatter()
    files = {
        "Image": ("image/jpeg", picture()),
        "Audio": ("audio/wav", wav(99)),
        "Video": ("video/mp4", b"x" * 99),
    }
    dataset = dataset_of(tmp_path / "d", *files.values())
    guide = (Path(__file__).parents[2] / "docs" / "guides" / "notebooks.md").read_text(encoding="utf-8")
    calls = re.findall(r"`((\w+)\(filename=.*?)`", guide)
    assert {name for _, name in calls} == set(files)
    for call, name in calls:
        path = dataset.path_of(dataset.records[list(files).index(name)])
        shown_by = {"path": path, name: getattr(display, name)}
        data, _ = formatter.format(eval(call, shown_by))
        assert base64.b64encode(files[name][1]).decode() in "".join(str(data).split("\\n"))
        assert str(tmp_path) not in str(data)


def test_without_pillow_small_images_go_in_as_they_are(tmp_path: Path, without_pillow: None) -> None:
    """It is not a dependency; a large image is a card that says so."""
    small, large = png_of(8, 8), b"\xff\xd8\xff" + bytes(LARGEST_ORIGINAL)
    page = shown(dataset_of(tmp_path / "d", ("image/png", small), ("image/jpeg", large)))
    assert pillow() is None
    assert media_in(page) == ["image/png", "too large to show without Pillow"]


def test_what_is_not_as_the_manifest_says_is_not_shown(tmp_path: Path) -> None:
    """Missing, grown, changed at the same size, a link, a pipe, a lie about its type: each card says so."""
    good = picture()
    files = [("image/jpeg", good + bytes([number])) for number in range(6)]
    svg = b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>"
    dataset = dataset_of(
        tmp_path / "d", *files, ("image/png", svg), ("video/mp4", svg), ("image/svg+xml", svg)
    )
    paths = [dataset.path_of(record) for record in dataset]
    paths[1].unlink()
    paths[2].write_bytes(good)
    paths[3].write_bytes(good + b"X")
    outside = tmp_path / "secret.jpg"
    outside.write_bytes(good + bytes([4]))
    paths[4].unlink()
    paths[5].unlink()
    linked = hasattr(os, "mkfifo")  # where a link needs no rights, there are pipes too
    if linked:
        paths[4].symlink_to(outside)
        os.mkfifo(paths[5])
    damaged = "damaged: not the file of the manifest"
    missing = "the file is missing"
    lie = "the file is not what its type says"
    assert media_in(shown(dataset)) == [
        *("image/jpeg", missing, damaged, damaged, missing, missing),
        *(lie, lie, "no preview of this type"),
    ]


def test_a_file_too_large_to_read_is_told_by_its_size(tmp_path: Path) -> None:
    """One that has grown is damaged, not merely large."""
    dataset = dataset_of(tmp_path / "d", ("audio/wav", wav(LARGEST_CLIP + 1)))
    dataset.path_of(dataset.records[0]).write_bytes(wav(LARGEST_CLIP + 2))
    assert media_in(shown(dataset)) == ["damaged: not the file of the manifest"]


def test_a_file_that_cannot_be_read_is_a_card_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that fails costs the picture, not the gallery."""
    dataset = dataset_of(tmp_path / "d", ("image/jpeg", picture()))

    def broken(*_: Any, **__: Any) -> Any:
        raise PermissionError(13, "denied", str(tmp_path))

    monkeypatch.setattr(_disk, "_open", broken)
    assert media_in(shown(dataset)) == ["the file cannot be read"]


def test_a_cell_is_bounded(tmp_path: Path) -> None:
    """Clips go in whole or not at all, and no more than the cell may hold."""
    size = MOST_IN_CELL // 3
    clips = [("audio/wav", wav(size - number)) for number in range(5)]
    page = shown(dataset_of(tmp_path / "d", *clips, ("audio/wav", wav(LARGEST_CLIP + 1))))
    assert media_in(page) == ["audio/wav"] * 3 + ["not shown: this cell is full"] * 2 + [
        "too large to show here"
    ]
    assert len(page) < MOST_IN_CELL * 1.4


def test_a_cell_takes_no_longer_than_it_may(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not read in time is not shown."""
    monkeypatch.setattr(gallery, "MOST_SECONDS", 0.0)
    page = shown(dataset_of(tmp_path / "d", ("image/jpeg", picture())))
    assert media_in(page) == ["not shown: it would take too long"]


def test_a_huge_dataset_is_shown_in_part(tmp_path: Path) -> None:
    """The first files, how many more there are, and where to find them."""
    page = shown(dataset_of(tmp_path / "d", ("image/jpeg", picture()), rows=9_999))
    assert page.count("<figure") == MOST_CARDS
    assert f"{10_000 - MOST_CARDS:,} more files not shown" in page
    assert len(page) < 100_000


def test_an_empty_dataset_is_shown(fresh_server: MockServer, tmp_path: Path) -> None:
    """Before the first file there is the job."""
    with fresh_server.client() as client:
        job = client.jobs.create(
            title="Street signs",
            description="Photos of street signs",
            files_needed=1,
            accepted_formats=["image/jpeg"],
            price_per_file_cents=10,
        )
        page = shown(client.files.download_all(job.id, tmp_path / "d"))
    assert "Street signs" in page
    assert "0 files" in page
    assert "<figure" not in page


def test_pictures_that_take_long_to_make_end_with_the_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dataset of images that are made to hurt costs no more time than any other."""
    now = 0.0

    def slow(*_: Any) -> bytes:
        nonlocal now
        now += 0.6 * gallery.MOST_SECONDS
        return picture()

    monkeypatch.setattr(gallery, "time", SimpleNamespace(monotonic=lambda: now))
    monkeypatch.setattr(gallery, "thumbnail", slow)
    page = shown(dataset_of(tmp_path / "d", *[("image/jpeg", picture())] * 4))
    assert media_in(page) == ["image/jpeg"] * 2 + ["not shown: it would take too long"] * 2


def test_a_bomb_in_a_dataset_is_a_card(tmp_path: Path) -> None:
    """The others are shown all the same."""
    files = [("image/png", png_of(100_000, 100_000)), ("image/jpeg", picture())]
    page = shown(dataset_of(tmp_path / "d", *files))
    assert media_in(page) == ["broken, or too large to show here", "image/jpeg"]


# ── By label ─────────────────────────────────────────────────────────────────────────────────────────────


def with_labels(dataset: Dataset, *labels: str | None) -> Dataset:
    """The dataset with these labels, in its rows alone."""
    records = [replace(record, label=label) for record, label in zip(dataset, labels, strict=True)]
    (dataset.path / MANIFEST).write_bytes(b"".join(map(manifest_line, records)))
    return Dataset.open(dataset.path)


def test_a_gallery_has_a_part_for_each_label(tmp_path: Path) -> None:
    """With its title, its number of files, and its stars; those without a label come last."""
    files = [("image/jpeg", picture(size=(40 + n, 30))) for n in range(4)]
    dataset = with_labels(dataset_of(tmp_path / "signs", *files), "yield", None, "stop", "yield")
    page = dataset._repr_html_() or ""
    check_harmless(page)
    titles = re.findall(r'<strong dir="auto">([^<]+)</strong>', page)
    assert [title.split(" · ")[:2] for title in titles[1:]] == [
        ["stop", "1 file"],
        ["yield", "2 files"],
        ["no label", "1 file"],
    ]
    assert page.count("<figure") == 4


def test_every_label_is_seen(tmp_path: Path) -> None:
    """However many files another one has; each gets an equal share."""
    many = MOST_CARDS + 10
    dataset = with_labels(dataset_of(tmp_path / "signs", rows=many), *["a"] * (many - 1), "b")
    page = dataset._repr_html_() or ""
    assert page.count("<figure") == MOST_CARDS // 2 + 1
    assert f"{many - MOST_CARDS // 2 - 1} more files not shown" in page


def test_a_split_is_shown_as_its_dataset_is(tmp_path: Path) -> None:
    """Under its own name."""
    files = [("image/jpeg", picture(size=(40 + n, 30))) for n in range(3)]
    view = dataset_of(tmp_path / "signs", *files).split(train=1, test=0)["train"]
    page = view._repr_html_() or ""
    check_harmless(page)
    assert '<strong dir="auto">train</strong>' in page
    assert page.count("data:image/") == 3
