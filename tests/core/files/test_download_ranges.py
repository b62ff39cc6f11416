"""What a storage's response says to a request for some bytes of a file."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest

from firsthandapi._core.files.download import Hopeless, Redirected, Refused, TryAgain, judge_range


def judged(
    status: int, start: int = 10, end: int | None = 20, length: int | None = 10, **headers: str
) -> Any:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return judge_range(status, named, length=length, start=start, end=end, now=0.0)


@pytest.mark.parametrize(
    ("verdict", "expected"),
    [
        (judged(206, content_range="bytes 10-19/100"), (0, 10, 100)),
        (judged(206, end=200, length=90, content_range="bytes 10-99/100"), (0, 90, 100)),
        (judged(206, end=None, length=90, content_range="bytes 10-99/100"), (0, 90, 100)),
        (judged(200, length=100), (10, 10, 100)),
        (judged(200, end=None, length=100), (10, 90, 100)),
        (judged(200, length=15, content_encoding=" Identity "), (10, 5, 15)),
        (judged(200, length=5), (10, 0, 5)),
        (judged(416, start=0, content_range="bytes */0"), (0, 0, 0)),
        (judged(416, content_range=" BYTES */10 "), (0, 0, 10)),
        (judged(403), Refused()),
        (judged(302, location="https://x/y"), Redirected("https://x/y")),
    ],
)
def test_the_right_part(verdict: Any, expected: Any) -> None:
    """As asked for, up to the end of the file; a storage without ranges sends all, of which the part is read. Beyond
    the end of a file there is nothing."""
    assert verdict == expected


def test_only_the_part_asked_for_is_taken() -> None:
    """Of all parts that a storage could name, and all lengths of their bodies."""
    for start, first, last in product(range(4), repeat=3):
        for end, total, length in product([None, *range(5)], repeat=3):
            span = f"bytes {first}-{last}/{'*' if total is None else total}"
            verdict = judged(206, start, end, length, content_range=span)
            if (
                total is not None
                and start == first <= last == min(total if end is None else end, total) - 1
                and length in (None, last + 1 - first)
            ):
                assert verdict == (0, last + 1 - first, total)
            else:
                assert isinstance(verdict, TryAgain)


def test_another_part_is_asked_for_again() -> None:
    """Where the storage does not say which bytes came, or refuses some that it has."""
    assert isinstance(judged(206), TryAgain)
    assert isinstance(judged(206, content_range="bytes */10"), TryAgain)
    assert isinstance(judged(206, content_range="items 10-19/100"), TryAgain)
    assert isinstance(judged(416, content_range="bytes */100"), TryAgain)


def test_what_cannot_be_read_is_not_tried_again() -> None:
    """A missing file, an encoded body, and one of unknown length; a storage that is busy is asked later."""
    assert isinstance(judged(404), Hopeless)
    assert isinstance(judged(416), Hopeless)
    assert isinstance(judged(200, content_encoding="gzip"), Hopeless)
    assert isinstance(judged(200, length=None), Hopeless)
    assert judged(503, retry_after="7").retry_after == 7.0
