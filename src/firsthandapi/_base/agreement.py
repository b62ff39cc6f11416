"""How far several people agree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence


def alpha(units: Iterable[Sequence[int]]) -> float | None:
    """Krippendorff's alpha for ordinal values: 1 if all agree, about 0 if they agree as if by chance.

    Args:
        units: the values of each file, one a person.

    Returns:
        Alpha; None where no file has two values, or all values are the same.
    """
    rated = [unit for unit in units if len(unit) > 1]
    counts = Counter(value for unit in rated for value in unit)
    total = sum(counts.values())
    if len(counts) < 2:
        return None

    def apart(one: int, other: int) -> float:
        between = sum(counts[each] for each in range(min(one, other), max(one, other) + 1))
        return (between - (counts[one] + counts[other]) / 2) ** 2

    distances = {(one, other): apart(one, other) for one in counts for other in counts}
    seen = sum(distances[one, other] / (len(unit) - 1) for unit in rated for one in unit for other in unit)
    chance = sum(counts[one] * counts[other] * distance for (one, other), distance in distances.items())
    return 1 - seen * (total - 1) / chance
