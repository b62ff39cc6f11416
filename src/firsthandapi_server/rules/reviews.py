"""Several reviewers together: who may rate what, and how well."""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence
from dataclasses import dataclass


def has_room(overlap: int, raters: Collection[str], reviewer: str, holders: int) -> bool:
    """Whether a reviewer may rate a submission.

    Args:
        overlap: how many reviewers rate it.
        raters: who has rated it.
        reviewer: who would.
        holders: how many others look at it now.
    """
    return reviewer not in raters and len(raters) + holders < overlap


def lacking(overlap: int, raters: Collection[str], reviewers: Collection[str], author: str) -> int:
    """How many more reviewers a submission needs than there are.

    Args:
        overlap: how many reviewers rate it.
        raters: who has rated it.
        reviewers: all reviewers.
        author: the one of them whose work it is, if it is one's.
    """
    candidates = {reviewer for reviewer in reviewers if reviewer != author and reviewer not in raters}
    return max(0, overlap - len(raters) - len(candidates))


@dataclass(frozen=True, slots=True)
class GoldScore:
    """How a reviewer rated files whose rating is known.

    Attributes:
        total: how many.
        right: how many as known.
        distance: the mean distance in stars.
    """

    total: int
    right: int
    distance: float


def gold_score(pairs: Sequence[tuple[int, int]]) -> GoldScore | None:
    """The score of a reviewer, from pairs of given and known stars; None without any."""
    if not pairs:
        return None
    apart = [abs(rating - gold) for rating, gold in pairs]
    return GoldScore(len(apart), apart.count(0), sum(apart) / len(apart))


def is_gold_turn(share: float, reviewer: str, count: int) -> bool:
    """Whether the next file of a reviewer should be one whose rating is known: at a random place in each 1/share files.

    Args:
        share: the share of such files.
        reviewer: who rates; others have other turns.
        count: how many ratings the reviewer has given.
    """
    if not share:
        return False
    first = int(count * share)
    places = (
        int((number + random.Random(f"{reviewer} {number}").random()) / share)  # noqa: S311 - no secret
        for number in (first, first + 1)
    )
    return count in places
