"""The spend limit."""

from __future__ import annotations

from typing import Any

import pytest

from firsthandapi._core.calls.spend import check_limit, check_spend
from firsthandapi.errors import InvalidArgumentError, SpendLimitError


@pytest.mark.parametrize("limits", [(100,), (None, 100), (100, None), (100, 5000), (5000, 100)])
def test_the_smallest_limit_wins(limits: tuple[int | None, ...]) -> None:
    """A job may cost as much as the smallest limit, and not a cent more."""
    check_spend(10, 10, *limits)
    with pytest.raises(SpendLimitError, match="Nothing was sent") as caught:
        check_spend(10, 11, *limits)
    assert caught.value.cost_cents == 110
    assert caught.value.limit_cents == 100


def test_no_limit() -> None:
    """Without a limit nothing is checked, known or not."""
    check_spend(10_000, 50_000, None, None)
    check_spend("many", None, None)


def test_zero_is_a_limit() -> None:
    """A limit of 0 lets nothing through that costs anything."""
    with pytest.raises(SpendLimitError):
        check_spend(1, 1, 0, None)


@pytest.mark.parametrize(("files", "price"), [("5", 10), (5, None), (5.0, 10), (5, [10])])
def test_a_cost_that_cannot_be_told(files: Any, price: Any) -> None:
    """With a limit to hold, what has no known cost is refused."""
    with pytest.raises(InvalidArgumentError, match="extra_body"):
        check_spend(files, price, 100)


@pytest.mark.parametrize("value", [-1, 1.0, "5", True])
def test_bad_limits(value: Any) -> None:
    """A limit is a whole number of cents."""
    with pytest.raises(InvalidArgumentError) as caught:
        check_limit(value)
    assert caught.value.field == "max_spend_cents"
    assert check_limit(0) == 0
    assert check_limit(None) is None
