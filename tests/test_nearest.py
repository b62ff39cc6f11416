"""The name that somebody meant who wrote another."""

from __future__ import annotations

import pytest

from firsthandapi._nearest import nearest

FIELDS = ("description", "files_needed", "accepted_formats", "price_per_file_cents", "min_star_rating")


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("files_neded", "files_needed"),
        ("Description", "description"),
        ("price", "price_per_file_cents"),
        ("price_cents", "price_per_file_cents"),
        ("files", "files_needed"),
        ("format", "accepted_formats"),
        ("stars", "min_star_rating"),
        ("zzz", None),
        ("___", None),
        ("x" * 10_000_000, None),
    ],
)
def test_a_name_is_known_by_its_letters_or_by_its_words(written: str, meant: str | None) -> None:
    """Letters first: they are what people mistype. Of an endless one only the beginning counts."""
    assert nearest(written, FIELDS) == meant


def test_of_nothing_nothing_is_meant() -> None:
    """No name is known."""
    assert nearest("files", ()) is None
