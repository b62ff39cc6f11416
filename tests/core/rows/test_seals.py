"""The seal of a manifest."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import replace

import pytest

from core.rows.test_card import ROWS
from firsthandapi._core.rows.decisions import EXCLUDED
from firsthandapi._core.rows.manifest import Record, manifest_line, with_own
from firsthandapi._core.rows.seals import Seal, mark_of, parse_seal, seal_file


def content(*rows: Record) -> bytes:
    return b"".join(map(manifest_line, rows))


def sealed(*contents: list[Record], grows: bool = False, edited: Iterable[str] = ()) -> Seal:
    seal = Seal()
    for rows in contents:
        text = content(*rows)
        marks = b"".join(map(mark_of, rows))
        sha256 = hashlib.sha256(text).hexdigest()
        seal = seal.writing(len(text), sha256, marks=marks, edited=edited, grows=grows)
    return seal


def edited(seal: Seal, *rows: Record) -> set[str]:
    text = content(*rows)
    return {*seal.edited_of(rows, len(text), lambda size: hashlib.sha256(text[:size]).hexdigest())}


ONE, TWO, THREE = (replace(row, file_id=f"file_{number}") for number, row in enumerate(ROWS))
FORGED = replace(TWO, license="CC0-1.0")


def test_only_a_row_that_was_changed_is_edited() -> None:
    """Not one that is lost, in another place, or has columns of the user's own."""
    seal = sealed([ONE, TWO, THREE])
    assert edited(seal, ONE, TWO, THREE) == set()
    assert edited(seal, THREE, with_own(ONE, "split", "train")) == set()
    assert edited(seal, ONE, FORGED, THREE) == {"file_1"}
    assert edited(seal, ONE, replace(TWO, file_id="file_9")) == {"file_9"}
    assert edited(Seal(), FORGED) == set()


def test_an_edit_stays_one() -> None:
    """Whatever is written after it; the row may have gone since."""
    seal = sealed([ONE, FORGED], edited=["file_1"])
    assert edited(seal, ONE, FORGED) == {"file_1"}
    assert edited(seal, FORGED, ONE) == {"file_1"}
    assert edited(seal, ONE) == set()


def test_a_crash_leaves_what_is_known() -> None:
    """Before the newest rows came, or while lines were appended."""
    assert edited(sealed([ONE, TWO], [ONE, FORGED]), ONE, TWO) == set()
    growing = sealed([ONE, TWO], grows=True)
    assert edited(growing, ONE, TWO, THREE) == set()
    assert edited(growing, ONE, FORGED, THREE) == set()  # nothing can be concluded
    assert edited(sealed([ONE, TWO]), ONE, TWO, THREE) == {"file_2"}


def test_few_contents_are_kept() -> None:
    """Each once."""
    seal = sealed(*([replace(ONE, width=number % 20)] for number in range(100)))
    assert len(seal.written) == 8
    assert len(sealed([ONE], [ONE]).written) == 1


def test_a_seal_is_read_as_it_was_written() -> None:
    """From a damaged one, as without one, nothing is concluded. Its marks may contain anything."""
    seal = replace(sealed([ONE, TWO], grows=True, edited=["file_1"]), marks=b"\n" * 16)
    assert parse_seal(seal.encode()) == seal
    for damaged in (None, b"", b"[]", b'{"written": 1}'):
        assert parse_seal(damaged) == Seal()


@pytest.mark.parametrize(
    ("subfolder", "name"),
    [
        ("", "rows.seal"),
        ("image", "rows-image.seal"),
        (EXCLUDED, "rows-excluded.seal"),
        (f"{EXCLUDED}/image", "rows-excluded-image.seal"),
    ],
)
def test_each_manifest_has_its_seal(subfolder: str, name: str) -> None:
    """In the room."""
    assert seal_file(subfolder) == f".firsthandapi/{name}"
