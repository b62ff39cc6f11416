"""Which rows are duplicates."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from core.rows.test_manifest import row_of
from firsthandapi._core.rows.duplicates import NEAR, check_near, groups, same_bytes, stars
from firsthandapi.errors import InvalidArgumentError


def rows(*hashes: str) -> list[Any]:
    return [replace(row_of(id=f"file_{n}"), sha256=sha256 * 64) for n, sha256 in enumerate(hashes)]


def test_rows_of_the_same_bytes_are_found() -> None:
    """Every one of them, with the first."""
    assert same_bytes(rows("a", "b", "a", "c", "b", "a")) == [(0, 2), (1, 4), (0, 5)]


def test_groups_join_by_way_of_others() -> None:
    """In the order of the rows; a row without a duplicate is in none."""
    all_rows = rows(*"abcdefg")
    clusters = groups(all_rows, [(5, 6), (0, 3), (3, 2), (6, 5), (2, 0)])
    assert [[row.file_id for row in group] for group in clusters] == [
        ["file_0", "file_2", "file_3"],
        ["file_5", "file_6"],
    ]
    assert groups(all_rows, [(0, 1), (2, 3), (1, 3)]) == [tuple(all_rows[:4])]
    assert groups([], []) == []


def test_a_group_has_a_center() -> None:
    """It takes its neighbors, but none of theirs. The row with the most links comes first, then the earlier row."""
    assert stars([(0, 1), (1, 2), (2, 3), (3, 4)]) == [(0, 1), (0, 2), (3, 4)]
    assert stars([(4, 0), (4, 1), (4, 2), (2, 3)]) == [(0, 1), (0, 2), (0, 4)]
    assert stars([(5, 6)]) == [(5, 6)]
    assert stars([]) == []


@pytest.mark.parametrize(("near", "bits"), [(None, None), (False, None), (True, NEAR), (0, 0), (20, 20)])
def test_near_is_a_number_of_bits(near: Any, bits: int | None) -> None:
    """True is the number that was chosen on photographs."""
    assert check_near(near) == bits


@pytest.mark.parametrize("near", [-1, 21, 0.5, "10", [1]])
def test_other_values_of_near_are_refused(near: Any) -> None:
    """The message says what is allowed."""
    with pytest.raises(InvalidArgumentError, match="for up to 10 of 64 bits, an int from 0 to 20, or None"):
        check_near(near)
