"""How far a program agrees with people, and of which stars it could be trusted alone."""

from __future__ import annotations

from math import comb

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firsthandapi_server.rules.calibration import (
    TOLERATED,
    ProgramStars,
    Trust,
    agreement,
    bands,
    bound,
    calibrations,
    is_wrong,
    kappa,
)

STARS = st.integers(1, 5)
PAIRS = st.lists(st.tuples(STARS, STARS), max_size=60)


@given(st.integers(52, 400), st.floats(0.01, 0.5))
@settings(max_examples=40)
def test_the_bound_covers(pairs: int, share: float) -> None:
    """Whatever the true share of errors is, the bound is below it in few samples: Wilson's is approximate, so in
    at most 7.5 % of them rather than 5 %. Computed, not drawn."""
    covered = sum(
        comb(pairs, wrong) * share**wrong * (1 - share) ** (pairs - wrong)
        for wrong in range(pairs + 1)
        if bound(wrong, pairs) >= share
    )
    assert covered >= 0.925


@given(st.integers(1, 500).flatmap(lambda pairs: st.tuples(st.integers(0, pairs), st.just(pairs))))
def test_the_bound_is_above_what_was_seen(sample: tuple[int, int]) -> None:
    """It rises with each error, falls with each file that is right, and is a share."""
    wrong, pairs = sample
    assert wrong / pairs - 1e-9 <= bound(wrong, pairs) <= 1
    assert bound(wrong, pairs + 1) - 1e-9 <= bound(wrong, pairs) <= bound(wrong + 1, pairs + 1) + 1e-9


def test_the_least_that_is_enough() -> None:
    """52 files without an error; with one, 87."""
    assert (bound(0, 0), bound(0, 51) > TOLERATED >= bound(0, 52)) == (1.0, True)
    assert bound(1, 86) > TOLERATED >= bound(1, 87)


@given(PAIRS)
def test_kappa(pairs: list[tuple[int, int]]) -> None:
    """1 where they always agree, never more, and the same both ways; nothing where no chance could tell."""
    score = kappa(pairs)
    assert score == (
        pytest.approx(kappa([(second, first) for first, second in pairs])) if score is not None else None
    )
    assert score is None or score <= 1
    same = [(stars, stars) for stars, _ in pairs]
    assert kappa(same) == (1 if len({*same}) > 1 else None)
    assert agreement(same) == (1 if same else None)


def test_kappa_of_a_textbook() -> None:
    """Two raters who swap 1 and 5 disagree as far as they can; half right is by chance."""
    assert kappa([(1, 5), (5, 1)]) == -1
    assert kappa([(1, 1), (1, 5), (5, 1), (5, 5)]) == 0


@given(PAIRS, STARS)
def test_bands(pairs: list[tuple[int, int]], bar: int) -> None:
    """Each pair is in the band of the program's stars, and wrong if people put it on the other side of the bar."""
    rows = bands(pairs, bar)
    assert [band.stars for band in rows] == [1, 2, 3, 4, 5]
    assert sum(band.pairs for band in rows) == len(pairs)
    assert sum(band.wrong for band in rows) == sum(
        (first >= bar) != (second >= bar) for first, second in pairs
    )
    assert all(band.decides == (band.bound <= TOLERATED) for band in rows)


def test_each_program_and_kind() -> None:
    """The median of people counts, their own agreement is beside it, and another version begins from nothing."""
    model = "model:m"
    rows = [
        ProgramStars(model, "1", "image", 3, "old", 5),
        ProgramStars(model, "1", "audio", 3, "sound", 5),
        ProgramStars(model, "2", "image", 3, "a", 4),
        ProgramStars(model, "2", "image", 3, "b", 2),
        ProgramStars(model, "2", "image", 4, "c", 4),
        ProgramStars("scorer:s", "", "image", 3, "a", 1),
        ProgramStars(model, "2", "image", 3, "unrated", 1),
    ]
    people = {"old": [1], "sound": [5], "a": [4, 4, 5], "b": [3], "c": [2]}
    results = calibrations(rows, people)
    kinds = [(result.rater, result.media, result.min_star_rating, result.pairs) for result in results]
    assert kinds == [
        (model, "audio", 3, 1),
        (model, "image", 3, 2),
        (model, "image", 4, 1),
        ("scorer:s", "image", 3, 1),
    ]
    assert results[1].agreement == 0.5
    among = results[1].people
    assert among.pairs == 3
    assert among.agreement == pytest.approx(1 / 3)
    assert among.kappa == pytest.approx(-0.5)
    assert [(band.stars, band.pairs, band.wrong) for band in results[1].bands if band.pairs] == [
        (2, 1, 1),
        (4, 1, 0),
    ]


@given(st.lists(st.tuples(STARS, st.just(5)), max_size=400), STARS)
@settings(max_examples=30)
def test_trust(pairs: list[tuple[int, int]], bar: int) -> None:
    """Stars decide alone from a look at which the bound is kept, until the first pair that breaks it; looks are at 52
    pairs and after each 50 more. Pairs of other stars change nothing."""
    trust, expected = Trust(bar), False
    for number, pair in enumerate(pairs, 1):
        trust.add(pair)
        trust.add((1, 4))
        is_kept = bound(sum(is_wrong(pair, bar) for pair in pairs[:number]), number) <= TOLERATED
        expected = is_kept and (expected or number in range(52, 1000, 50))
        assert (5 in trust.deciding) is expected


def test_a_look_that_is_late() -> None:
    """With one error, 87 pairs are enough; the next look is at 102. Once broken, the bound ends it at once."""
    trust = Trust(3)
    for pair in [(1, 5)] + [(5, 5)] * 100:
        trust.add(pair)
    assert trust.deciding == frozenset()
    trust.add((5, 5))
    assert trust.deciding == {5}
    trust.add((1, 5))
    assert trust.deciding == frozenset()


def test_luck_is_not_waited_for() -> None:
    """Of programs that are wrong twice as often as they may be, less than one in fifty ever decides in 400 files.
    Computed, not drawn."""
    share, unlucky = 0.1, {0: 1.0}  # the chance of so many errors, without having decided
    for number in range(1, 401):
        after: dict[int, float] = {}
        for wrong, chance in unlucky.items():
            after[wrong] = after.get(wrong, 0.0) + chance * (1 - share)
            after[wrong + 1] = after.get(wrong + 1, 0.0) + chance * share
        is_look = number in range(52, 401, 50)
        unlucky = {
            errors: chance
            for errors, chance in after.items()
            if not is_look or bound(errors, number) > TOLERATED
        }
    assert 0 < 1 - sum(unlucky.values()) < 0.02
