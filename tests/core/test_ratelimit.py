"""What the service says about its rate limit."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firsthandapi import RateLimit
from firsthandapi._core.ratelimit import hold_back, parse_rate_limit

NOW = 1_800_000_000.0
GOOD = {"x-ratelimit-limit": "100", "x-ratelimit-remaining": "7", "x-ratelimit-reset": "1800000030"}


def limit(remaining: int, reset: float) -> RateLimit:
    return RateLimit(100, remaining, datetime.fromtimestamp(reset, UTC))


def test_the_three_headers() -> None:
    """The three headers make a rate limit, its reset an aware datetime."""
    assert parse_rate_limit(GOOD) == limit(7, NOW + 30)


@pytest.mark.parametrize("name", list(GOOD))
@pytest.mark.parametrize("value", [None, "", "many", "nan", "inf", "9" * 400, "1,2"])
def test_missing_and_junk_headers(name: str, value: str | None) -> None:
    """Without any one of the three, or with junk in it, there is no rate limit."""
    headers = {**GOOD, name: value} if value is not None else {k: v for k, v in GOOD.items() if k != name}
    result = parse_rate_limit(headers)
    # A count of 400 digits is absurd, but it is a number.
    assert result is None or (value == "9" * 400 and name != "x-ratelimit-reset")


def test_truth() -> None:
    """A rate limit is true while a call may be made."""
    assert limit(1, NOW)
    assert not limit(0, NOW)


@pytest.mark.parametrize(
    ("remaining", "reset_in", "seconds"),
    [(1, 30, 0), (0, 30, 30), (0, 0, 0), (0, -5, 0), (0, 60, 60), (0, 61, 60), (0, 10**6, 60), (-1, 30, 30)],
)
def test_hold(remaining: int, reset_in: float, seconds: float) -> None:
    """With nothing left the next request waits for the reset, 0 to 60 s; with something left it does not."""
    headers = {"date": formatdate(NOW, usegmt=True)}
    # A local clock a day off changes nothing: the response's own Date counts.
    for now in (NOW, NOW + 86_400, NOW - 86_400):
        assert hold_back(limit(remaining, NOW + reset_in), headers, now=now) == seconds


@pytest.mark.parametrize("headers", [{}, {"date": "junk"}])
def test_hold_without_a_date(headers: dict[str, str]) -> None:
    """Without a `Date` the local clock stands in."""
    assert hold_back(limit(0, NOW + 30), headers, now=NOW) == 30


def test_no_limit_no_hold() -> None:
    """A response that says nothing holds nothing back."""
    assert hold_back(None, {}, now=NOW) == 0


@given(st.dictionaries(st.sampled_from([*GOOD, "date"]), st.text(max_size=30)))
def test_nothing_raises(headers: dict[str, str]) -> None:
    """Whatever stands in these headers, the hold is 0 to 60 s."""
    assert 0 <= hold_back(parse_rate_limit(headers), headers, now=NOW) <= 60
