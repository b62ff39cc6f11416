"""What a dataset must be to pass."""

from __future__ import annotations

from typing import Any

import pytest

from firsthandapi._core.rows.gate import failed_rules
from firsthandapi._core.rows.manifest import COLUMNS, Record

NO_RULES: dict[str, Any] = {
    "min_files": None,
    "min_mean_stars": None,
    "no_duplicates": False,
    "all_reviewed": False,
}


def rows(*stars: int | None) -> list[Record]:
    columns: dict[str, Any] = dict.fromkeys(COLUMNS)
    entries: list[dict[str, Any]] = [
        {"file_id": f"file_{n}", "ai_star_rating": rating} for n, rating in enumerate(stars)
    ]
    return [Record(**columns | entry) for entry in entries]


@pytest.mark.parametrize(
    ("rule", "stars", "line"),
    [
        ({"min_files": 2}, (4, 4), None),
        ({"min_files": 2}, (4,), "--min-files 2: there are 1 file"),
        ({"min_mean_stars": 3.5}, (3, 4, None), None),
        ({"min_mean_stars": 3.5}, (3, 3, 4), "--min-mean-stars 3.5: the files have 3.33 stars on average"),
        ({"min_mean_stars": 3}, (None,), "--min-mean-stars 3: no file has a rating"),
        ({"no_duplicates": True}, (4, 4), "--no-duplicates: 1 group of files with the same bytes: a and b"),
        ({"all_reviewed": True}, (4,), None),
        ({"all_reviewed": True}, (4, 4, 4), "--all-reviewed: 2 files without a decision: file_1, …"),
    ],
)
def test_a_rule_that_fails_has_a_line(
    rule: dict[str, Any], stars: tuple[int | None, ...], line: str | None
) -> None:
    """It begins with its option; a rule that is not asked for never fails."""
    records = rows(*stars)
    assert failed_rules(records, [("a", "b")], {"file_0"}, **NO_RULES) == []
    lines = failed_rules(records, [("a", "b")], {"file_0"}, **{**NO_RULES, **rule})
    assert lines == ([] if line is None else [line])
