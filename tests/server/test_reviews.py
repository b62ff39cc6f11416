"""What several reviewers say together."""

from __future__ import annotations

import pytest

from firsthandapi_server.rules.reviews import (
    GoldScore,
    gold_score,
    has_room,
    is_gold_turn,
    lacking,
)


@pytest.mark.parametrize(
    ("overlap", "raters", "holders", "expected"),
    [
        (1, [], 0, True),
        (1, [], 1, False),
        (1, ["b"], 0, False),
        (3, ["b"], 1, True),
        (3, ["b"], 2, False),
        (3, ["a"], 0, False),
        (3, ["b", "c", "d"], 0, False),
    ],
)
def test_who_may_rate(overlap: int, raters: list[str], holders: int, expected: bool) -> None:
    """Whoever has not rated it, while fewer than needed have, or look at it."""
    assert has_room(overlap, raters, "a", holders) is expected


@pytest.mark.parametrize(
    ("overlap", "raters", "reviewers", "author", "expected"),
    [
        (3, [], {"a", "b", "c"}, "x", 0),
        (3, [], {"a", "b", "c"}, "a", 1),
        (3, ["a"], {"a", "b"}, "x", 1),
        (3, ["gone", "a"], {"a", "b"}, "x", 0),
        (1, [], {"a"}, "a", 1),
        (1, [], set[str](), "x", 1),
    ],
)
def test_how_many_reviewers_lack(
    overlap: int, raters: list[str], reviewers: set[str], author: str, expected: int
) -> None:
    """Authors rate nothing of theirs, nobody rates twice, and what somebody gave who has left counts."""
    assert lacking(overlap, raters, reviewers, author) == expected


def test_the_score_on_gold() -> None:
    """How many are right, and how far off they are on average."""
    assert gold_score([]) is None
    assert gold_score([(4, 4), (5, 3), (1, 2), (2, 2)]) == GoldScore(4, 2, 0.75)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.3, 0.5, 1.0])
def test_the_share_of_gold_is_kept(share: float) -> None:
    """Of a thousand files, as many as the share says, at other places for others."""
    turns = [[is_gold_turn(share, who, n) for n in range(1000)] for who in ("ana", "ben")]
    for turn in turns:
        assert sum(turn) == pytest.approx(1000 * share, abs=20)
    assert (turns[0] != turns[1]) is (0 < share < 1)
