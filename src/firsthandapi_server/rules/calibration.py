"""How far a program's stars are those that people give, blind, and of which of them it may be trusted alone."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations
from math import sqrt
from statistics import median_low

# A band may be wrong so often, with a confidence of 95 %.
TOLERATED = 0.05
# When it is looked whether they may decide alone: at the fewest that can be enough, and after each so many more.
_FIRST, _NEXT = 52, 50
_Z = 1.6448536269514722

# What people gave, and what a program did.
Pair = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Band:
    """One number of stars of a program.

    Attributes:
        stars: the program's.
        pairs: how many of these files people have rated as well.
        wrong: how many of them people put on the other side of the stars that are approved.
        bound: at most this share is wrong: the upper end of Wilson's one-sided 95 % interval.
        decides: whether that is no more than 5 %.
    """

    stars: int
    pairs: int
    wrong: int
    bound: float
    decides: bool


@dataclass(frozen=True, slots=True)
class People:
    """How far people agree among themselves, on files that several rated.

    Attributes:
        pairs: how many pairs of their ratings there are.
        agreement: the share of pairs with the same stars; None without any.
        kappa: Cohen's kappa with quadratic weights; None where it says nothing.
    """

    pairs: int
    agreement: float | None
    kappa: float | None


@dataclass(frozen=True, slots=True)
class Calibration:
    """A program on one kind of job, compared with people.

    Attributes:
        rater: the program, as `model:NAME` or `scorer:NAME`.
        media: the family of the files' media: `image`, `audio`, or `video`.
        min_star_rating: the stars from which files are approved.
        pairs: how many files both have rated. Of several people, the median counts.
        agreement: the share of files with the same stars; None without any.
        kappa: Cohen's kappa with quadratic weights; None where it says nothing.
        people: the same of people among themselves: no program can be asked for more.
        bands: each number of its stars.
    """

    rater: str
    media: str
    min_star_rating: int
    pairs: int
    agreement: float | None
    kappa: float | None
    people: People
    bands: tuple[Band, ...]


@dataclass(frozen=True, slots=True)
class ProgramStars:
    """The stars that a version of a program gave to a file."""

    rater: str
    version: str
    media: str
    bar: int
    file: str
    stars: int


def bound(wrong: int, pairs: int) -> float:
    """At most how large the share of errors is, from a sample: the upper end of Wilson's one-sided 95 % interval."""
    if not pairs:
        return 1.0
    share, z = wrong / pairs, _Z * _Z
    around = _Z * sqrt(share * (1 - share) / pairs + z / (4 * pairs * pairs))
    return min(1.0, (share + z / (2 * pairs) + around) / (1 + z / pairs))


def kappa(pairs: Sequence[Pair]) -> float | None:
    """Cohen's kappa with quadratic weights: 1 if they always agree, about 0 if as by chance; None where no chance could
    have made a difference."""
    firsts, seconds = Counter(first for first, _ in pairs), Counter(second for _, second in pairs)
    chance = sum(
        firsts[first] * seconds[second] * (first - second) ** 2 for first in firsts for second in seconds
    )
    return 1 - len(pairs) * sum((first - second) ** 2 for first, second in pairs) / chance if chance else None


def agreement(pairs: Sequence[Pair]) -> float | None:
    """The share of pairs with the same stars; None without any."""
    return sum(first == second for first, second in pairs) / len(pairs) if pairs else None


def is_wrong(pair: Pair, bar: int) -> bool:
    """Whether people and a program stand on different sides of the stars that are approved."""
    people, stars = pair
    return (people >= bar) != (stars >= bar)


class Tally:
    """How many files people have rated as well, and how many of these are wrong, by the number of a program's stars,
    where files with `bar` stars or more are approved."""

    def __init__(self, bar: int) -> None:
        self._bar = bar
        self.pairs, self.wrong = Counter[int](), Counter[int]()

    def add(self, pair: Pair) -> None:
        """Take one more file."""
        self.pairs[pair[1]] += 1
        self.wrong[pair[1]] += is_wrong(pair, self._bar)

    def bound(self, stars: int) -> float:
        """At most how large the share of errors is."""
        return bound(self.wrong[stars], self.pairs[stars])


def bands(pairs: Iterable[Pair], bar: int) -> tuple[Band, ...]:
    """What each number of a program's stars is worth, where files with `bar` stars or more are approved."""
    tally = Tally(bar)
    for pair in pairs:
        tally.add(pair)
    bounds = {stars: tally.bound(stars) for stars in range(1, 6)}
    return tuple(
        Band(stars, tally.pairs[stars], tally.wrong[stars], most, most <= TOLERATED)
        for stars, most in bounds.items()
    )


class Trust(Tally):
    """Which of a program's stars decide alone, as people's blind ratings come in.

    Stars begin to decide where the bound is kept at one of a few looks: whoever looked after each pair would find a
    moment of good luck. They end at the first pair that breaks it.

    Attributes:
        deciding: these stars.
    """

    def __init__(self, bar: int) -> None:
        super().__init__(bar)
        self.deciding: frozenset[int] = frozenset()

    def add(self, pair: Pair) -> None:
        super().add(pair)
        stars = pair[1]
        number = self.pairs[stars]
        if self.bound(stars) > TOLERATED:
            self.deciding -= {stars}
        elif number >= _FIRST and (number - _FIRST) % _NEXT == 0:
            self.deciding |= {stars}


def kinds(ratings: Iterable[ProgramStars]) -> dict[tuple[str, str, int], list[ProgramStars]]:
    """What programs gave, the oldest first, by program, media, and bar. Another version begins from nothing."""
    latest: dict[tuple[str, str], str] = {}
    for rating in (ratings := [*ratings]):
        latest[rating.rater, rating.media] = rating.version
    stars: dict[tuple[str, str, int], list[ProgramStars]] = defaultdict(list)
    for rating in ratings:
        if latest[rating.rater, rating.media] == rating.version:
            stars[rating.rater, rating.media, rating.bar].append(rating)
    return stars


def pairs_of(ratings: Iterable[ProgramStars], people: Mapping[str, Sequence[int]]) -> list[Pair]:
    """What people gave to the files that a program rated, and what it did."""
    return [(median_low(people[rating.file]), rating.stars) for rating in ratings if people.get(rating.file)]


def calibrations(ratings: Iterable[ProgramStars], people: Mapping[str, Sequence[int]]) -> list[Calibration]:
    """Each program on each kind of job.

    Args:
        ratings: what programs gave, the oldest first.
        people: what each person gave, by file.
    """
    results: list[Calibration] = []
    for (rater, media, bar), of_kind in sorted(kinds(ratings).items()):
        pairs = pairs_of(of_kind, people)
        # Each two of them both ways: none of them is the one that is compared.
        among = [pair for rating in of_kind for pair in permutations(people.get(rating.file, ()), 2)]
        reached = People(len(among) // 2, agreement(among), kappa(among))
        results.append(
            Calibration(
                rater, media, bar, len(pairs), agreement(pairs), kappa(pairs), reached, bands(pairs, bar)
            )
        )
    return results
