"""The index of hashes: it finds what a comparison of all would find."""

from __future__ import annotations

from typing import Any

import pytest

from firsthandapi.datasets import _alike

np: Any = pytest.importorskip("numpy")

# With so many, hashes are looked up in bands.
MANY = 200


def tables(number: int) -> tuple[Any, Any]:
    """Hashes of pictures, every third of which has a part that differs from the one before in 0 to 14 bits; and pixels
    that are all alike."""
    random = np.random.default_rng(1)
    table = random.integers(0, 2**64, (number, 28), np.uint64)
    for place in range(2, number, 3):
        flipped = random.choice(64, place // 3 % 15, replace=False)
        mask = sum(1 << int(bit) for bit in flipped)
        table[place, place % 28] = table[place - 1, 0] ^ np.uint64(mask)
    return table, np.repeat(np.arange(1024, dtype=np.uint16).reshape(1, 32, 32), number, 0)


@pytest.mark.parametrize("bits", [0, 1, 2, 7, 10, 11])
def test_every_near_pair_is_found(bits: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever of the two has the part, and in whatever pieces they are looked up; each pair once."""
    table, pixels = tables(MANY)
    distances = np.bitwise_count(table[:, None, :1] ^ table[None]).min(axis=2)
    rows = np.argwhere(np.triu(np.minimum(distances, distances.T) <= bits, 1)).tolist()
    assert len(rows) > bits
    assert _alike.Index(table, bits, np)._bands
    assert sorted(map(list, _alike.close(table, pixels, bits, np))) == rows
    monkeypatch.setattr(_alike, "_CANDIDATES_AT_ONCE", 1)
    assert sorted(map(list, _alike.close(table, pixels, bits, np))) == rows


def test_few_pictures_are_compared_with_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which finds the same."""
    table, pixels = tables(30)
    index = _alike.Index(table, 10, np)
    assert not index._bands
    pairs = [*_alike.close(table, pixels, 10, np)]
    assert pairs == [(place - 1, place) for place in range(2, 30, 3)]
    monkeypatch.setattr(_alike, "_CANDIDATES_AT_ONCE", 1)
    assert [*_alike.close(table, pixels, 10, np)] == pairs


def test_many_similar_pictures_are_few_pairs() -> None:
    """Each is paired with a few; there is one group of them all."""
    table, pixels = tables(1)
    number = 2000
    pairs = [*_alike.close(np.repeat(table, number, 0), np.repeat(pixels, number, 0), 10, np)]
    assert len(pairs) <= 5 * number
    assert {*range(1, number)} <= {second for first, second in pairs if first == 0}


def test_no_pictures_are_no_pairs() -> None:
    """Of an empty table."""
    table, pixels = tables(1)
    assert [*_alike.close(table[:0], pixels[:0], 10, np)] == []
