"""Options that were left out."""

from __future__ import annotations

from firsthandapi._core.given import NOT_GIVEN, given_or


def test_not_given() -> None:
    """An option that was left out differs from one that was set to None."""
    assert given_or(NOT_GIVEN, 5) == 5
    assert given_or(None, 5) is None
    assert repr(NOT_GIVEN) == "NOT_GIVEN"
