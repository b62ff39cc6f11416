"""HTTP dates."""

from __future__ import annotations

import pytest

from firsthandapi._core.calls.dates import parse_http_date, served_at


@pytest.mark.parametrize(
    ("text", "timestamp"),
    [
        ("Sun, 06 Nov 1994 08:49:37 GMT", 784111777),
        ("Sunday, 06-Nov-94 08:49:37 GMT", 784111777),
        ("Sun Nov  6 08:49:37 1994", 784111777),
        ("Sun, 06 Nov 1994 08:49:37 -0000", 784111777),
        ("Sun, 06 Nov 1994 09:49:37 +0100", 784111777),
        ("", None),
        ("yesterday", None),
        ("Sun, 06 Nov 1994 08:49:37 +9999", None),
        ("Sun, 06 Nov 99999999999999999999 08:49:37 GMT", None),
    ],
)
def test_http_dates(text: str, timestamp: int | None) -> None:
    """The three forms of RFC 9110 are read; what is none of them is None."""
    date = parse_http_date(text)
    assert (None if date is None else date.timestamp()) == timestamp


@pytest.mark.parametrize(
    ("headers", "moment"),
    [
        ({"date": "Sun, 06 Nov 1994 08:49:37 GMT"}, 784111777.0),
        ({"date": "Sun, 06 Nov 1960 08:49:37 GMT"}, None),
        ({"date": "now"}, None),
        ({}, None),
    ],
)
def test_when_a_response_was_sent(headers: dict[str, str], moment: float | None) -> None:
    """By its `Date`; one before 1970 is no time of a clock."""
    assert served_at(headers) == moment
