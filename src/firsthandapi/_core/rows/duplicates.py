"""Duplicates in a dataset: rows whose files have the same bytes, or similar perceptual hashes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar

from firsthandapi._core.calls.integers import int_or_none
from firsthandapi.errors import InvalidArgumentError

from .manifest import Record

# Bits of a perceptual hash, how many of them may differ between near duplicates by default, and at most:
# benchmarks/near_duplicates.py chose these on real photographs. With more, any two pictures are near duplicates.
HASH_BITS = 64
NEAR = 10
_MOST_BITS = 20

Row = TypeVar("Row")


def check_near(near: object) -> int | None:
    """The number of bits of the hash that may differ; None to compare only bytes.
    Raises InvalidArgumentError: `near` is not an allowed value.
    """
    if near is None or near is False:
        return None
    if near is True:
        return NEAR
    bits = int_or_none(near)
    if bits is None or not 0 <= bits <= _MOST_BITS:
        raise InvalidArgumentError(
            f"near must be True, for up to {NEAR} of {HASH_BITS} bits, an int from 0 to {_MOST_BITS}, or None",
            field="near",
        )
    return bits


def same_bytes(records: Sequence[Record]) -> list[tuple[int, int]]:
    """Pairs of rows, by position, whose files have the same bytes: the first such row with each later one."""
    first: dict[str, int] = {}
    pairs: list[tuple[int, int]] = []
    for number, record in enumerate(records):
        earlier = first.setdefault(record.sha256, number)
        if earlier != number:
            pairs.append((earlier, number))
    return pairs


def stars(links: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """The pairs of groups in which each row is linked to one and the same of them, the center: the first of a group
    with each other one. So a chain of links joins no strangers. The row with the most links is the first center, and
    takes all its neighbors; then the one with the most of those that are left, and so on.
    """
    neighbors: dict[int, list[int]] = {}
    for row, neighbor in links:
        neighbors.setdefault(row, []).append(neighbor)
        neighbors.setdefault(neighbor, []).append(row)
    pairs: list[tuple[int, int]] = []
    taken: set[int] = set()
    for center in sorted(neighbors, key=lambda number: (-len(neighbors[number]), number)):
        if center not in taken:
            first, *rest = sorted({center, *neighbors[center]} - taken)
            pairs += [(first, member) for member in rest]
            taken.update((first, *rest))
    return pairs


def groups(rows: Sequence[Row], pairs: Iterable[tuple[int, int]]) -> list[tuple[Row, ...]]:
    """The groups of rows that pairs join, directly or through other rows; groups and rows in the order of `rows`."""
    leader = list(range(len(rows)))

    def leader_of(number: int) -> int:
        while leader[number] != number:
            leader[number] = leader[leader[number]]
            number = leader[number]
        return number

    for pair in pairs:
        first, second = map(leader_of, pair)
        leader[second] = first
    members: dict[int, list[Row]] = {}
    for number, row in enumerate(rows):
        members.setdefault(leader_of(number), []).append(row)
    return [tuple(group) for group in members.values() if len(group) > 1]
