"""Splits through which nothing leaks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.rows.test_manifest import row_of
from firsthandapi._core.rows.manifest import Record
from firsthandapi._core.rows.splits import check_parts, check_seed, split_rows
from firsthandapi.errors import InvalidArgumentError

PARTS = {"train": 0.7, "test": 0.3}
BASE = row_of()


def rows_of(drawn: list[Any]) -> tuple[list[Record], list[tuple[int, int]]]:
    """Rows, and the pairs of them that are near duplicates."""
    rows = [
        replace(
            BASE,
            file_id=f"file_{n}",
            sha256=f"{content:064x}",
            submission_id=None if submission == 0 else f"sub_{submission}",
            worker_id=None if worker is None else f"wkr_{worker}",
        )
        for n, (worker, content, submission, _) in enumerate(drawn)
    ]
    near = [(n, other) for n, (_, _, _, others) in enumerate(drawn) for other in others if other < n]
    return rows, near


def parts_of(rows: Mapping[str, list[Record]]) -> dict[str, str]:
    return {row.file_id: name for name, part in rows.items() for row in part}


def random_rows(seed: int) -> list[Any]:
    """Few workers and few contents, so that both meet in every way; some rows do not know their worker."""
    random = Random(seed)
    return [
        (
            random.choice([None, *range(7)]),
            random.randrange(9),
            random.randrange(10),
            [random.randrange(31) for _ in range(random.randrange(3))],
        )
        for _ in range(random.randrange(41))
    ]


@settings(max_examples=settings.default.max_examples * 5)
@given(st.integers(0, 2**32), st.integers(0, 40))
def test_nothing_leaks_and_nothing_moves(seed: int, before: int) -> None:
    """In many random sets no worker and no duplicate, exact or near, is in two splits; each row is in one at most,
    the same in the set that it grew from; and a row is left out only for an earlier duplicate."""
    rows, near = rows_of(random_rows(seed))
    pairs = [*near, *((a, b) for b in range(len(rows)) for a in range(b) if rows[a].sha256 == rows[b].sha256)]
    split = split_rows(rows, PARTS, seed, near)
    part_of = parts_of(split)
    assert len(part_of) == sum(map(len, split.values()))
    for column in ("worker_id", "sha256"):
        parts: dict[str, set[str]] = {}
        for row in rows:
            value = getattr(row, column)
            if row.file_id in part_of and value is not None:
                parts.setdefault(value, set()).add(part_of[row.file_id])
        assert all(len(names) == 1 for names in parts.values())
    for one, other in near:
        assert len({part_of.get(rows[one].file_id), part_of.get(rows[other].file_id)} - {None}) < 2
    left_out = {row.file_id for row in rows} - part_of.keys()
    assert left_out <= {rows[max(pair)].file_id for pair in pairs}
    # As it was when fewer rows had come.
    early = split_rows(rows[:before], PARTS, seed, [pair for pair in near if max(pair) < before])
    assert parts_of(early).items() <= part_of.items()
    assert {row.file_id for row in rows[:before]} & part_of.keys() == parts_of(early).keys()


def test_the_seed_chooses() -> None:
    """The same one gives the same splits, on every machine; others give others."""
    rows, _ = rows_of([(n, n, 0, []) for n in range(20)])
    splits = [tuple(sorted(parts_of(split_rows(rows, PARTS, seed)).items())) for seed in range(10)]
    assert len(set(splits)) == 10
    assert [row.file_id for row in split_rows(rows, {"a": 0.5, "b": 0.5}, 0)["b"]] == [
        f"file_{n}" for n in [0, 1, 4, 6, 7, 8, 9, 10, 14, 18, 19]
    ]


def test_shares_are_of_workers() -> None:
    """With many of them they come close, for any number of splits."""
    rows, _ = rows_of([(n, n, 0, []) for n in range(3_000)])
    split = split_rows(rows, {"train": 0.8, "validation": 0.0, "test": 0.2}, 0)
    assert len(split["train"]) == pytest.approx(2_400, abs=100)
    assert split["validation"] == []


def test_a_worker_is_known_by_the_submission_otherwise() -> None:
    """A submission has one worker; a row without one stands alone."""
    rows, _ = rows_of([(None, n, 3, []) for n in range(30)])
    assert len(set(parts_of(split_rows(rows, PARTS, 0)).values())) == 1
    alone, _ = rows_of([(None, n, 0, []) for n in range(30)])
    assert len(set(parts_of(split_rows(alone, PARTS, 0)).values())) == 2


def test_rounding_loses_no_row() -> None:
    """What is left of 1 belongs to the last split that has a share."""
    rows, _ = rows_of([(n, n, 0, []) for n in range(5)])
    split = split_rows(rows, {"a": 1e-12, "b": 1e-12, "c": 0.0}, 0)
    assert [len(part) for part in split.values()] == [0, 5, 0]


@pytest.mark.parametrize(
    ("parts", "field"),
    [
        ({"train": 0.8, "test": 0.1}, "train"),
        ({"train": 1.5, "test": -0.5}, "train"),
        ({"train": 0.5, "test": "0.5"}, "test"),
        ({"train": True, "test": 0}, "train"),
        ({"train": float("nan"), "test": 1}, "train"),
        ({"train": 10**400, "test": 0}, "train"),
    ],
)
def test_shares_must_add_up(parts: dict[str, Any], field: str) -> None:
    """Each is a number from 0 to 1, and together they are the whole."""
    with pytest.raises(InvalidArgumentError) as caught:
        check_parts(parts)
    assert caught.value.field == field


def test_good_shares_are_taken() -> None:
    """Also where they add up to 1 but for rounding."""
    assert check_parts({"train": 0.7, "validation": 0.1, "test": 0.2}) == {
        "train": 0.7,
        "validation": 0.1,
        "test": 0.2,
    }
    assert check_parts({"train": 1, "test": 0}) == {"train": 1, "test": 0}


def test_a_seed_is_an_int() -> None:
    """Any, but no bool."""
    assert check_seed(-5) == -5
    for seed in (True, 1.5, "1", None):
        with pytest.raises(InvalidArgumentError, match="seed must be an int"):
            check_seed(seed)
