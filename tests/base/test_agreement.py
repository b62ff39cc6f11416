"""How far several people agree."""

from __future__ import annotations

import pytest

from firsthandapi._base.agreement import alpha

# The example of Krippendorff (2011), "Computing Krippendorff's Alpha-Reliability", C: four observers, twelve units.
EXAMPLE = [
    [1, 1, 1], [2, 2, 3, 2], [3, 3, 3, 3], [3, 3, 3, 3], [2, 2, 2, 2], [1, 2, 3, 4], [4, 4, 4, 4], [1, 1, 2, 1],
    [2, 2, 2, 2], [5, 5, 5], [1, 1], [3],
]  # fmt: skip


@pytest.mark.parametrize(
    ("units", "expected"),
    [
        (EXAMPLE, 0.8153875038),
        ([[1, 1], [5, 5], [3, 3]], 1.0),
        ([[1, 2, 3], [3, 3], [4, 5, 4, 4], [5, 5], [2]], 0.8601398601),
    ],
)
def test_alpha(units: list[list[int]], expected: float) -> None:
    """For ordinal values, as published; files with one rating do not count."""
    assert alpha(units) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("units", [[], [[4]], [[4, 4], [4, 4]]])
def test_alpha_needs_something_to_compare(units: list[list[int]]) -> None:
    """Two ratings of a file, and two different ones."""
    assert alpha(units) is None
