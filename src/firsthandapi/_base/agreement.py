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

    def apart(value: int, peer: int) -> float:
        between = sum(counts[rank] for rank in range(min(value, peer), max(value, peer) + 1))
        return (between - (counts[value] + counts[peer]) / 2) ** 2

    distances = {(value, peer): apart(value, peer) for value in counts for peer in counts}
    seen = sum(distances[value, peer] / (len(unit) - 1) for unit in rated for value in unit for peer in unit)
    chance = sum(counts[value] * counts[peer] * distance for (value, peer), distance in distances.items())
    return 1 - seen * (total - 1) / chance
