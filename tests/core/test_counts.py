"""Numbers with their nouns."""

from __future__ import annotations

import pytest

from firsthandapi._core.counts import count_of


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0 files"), (1, "1 file"), (2, "2 files"), (2000, "2,000 files")]
)
def test_a_noun_agrees_with_its_number(number: int, text: str) -> None:
    """Only 1 is singular; thousands are separated."""
    assert count_of(number) == text


def test_any_noun_is_counted() -> None:
    """The noun is the caller's."""
    assert (count_of(1, "attempt"), count_of(3, "attempt")) == ("1 attempt", "3 attempts")
