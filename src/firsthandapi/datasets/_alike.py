"""Pairs of similar images: an index finds those whose hashes are near, and a second look compares their pixels."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from typing import Any

from ._hashes import PIXELS

# An index per band of the hash: where two hashes differ in few bits, they differ in at most a third of them in a band.
_BANDS = ((0, 21), (21, 21), (42, 22))
# How many images are looked up at a time, and fewer if they have more candidates than this: memory stays flat.
_ROWS_AT_ONCE = 128
_CANDIDATES_AT_ONCE = 1 << 21
# An image that is like so many others looks for no more of them: thousands of similar images are few pairs. Where an
# image is near to many, few look at a time, so that the others know.
_ENOUGH, _MANY = 4, 32
# Hashes of strangers are near by chance, the more often the more images there are. So each pair gets a second look: the
# pixels of one are compared with those of these parts of the other, more finely placed, by their correlation.
_FINE = 16
_FINE_SIZES = (1.0, 0.96, 0.92, 0.88, 0.84)
_FINE_STEPS = (0.0, 0.25, 0.5, 0.75, 1.0)
ALIKE = 0.8
# Plain images have no pattern to compare: gray levels by which they may differ.
_PLAIN, _SHADE = 2.0, 8.0
_PAIRS_AT_ONCE = 32


def close(table: Any, pixels: Any, bits: int, np: Any) -> Iterator[tuple[int, int]]:
    """The pairs of images, by position, that are alike, each with the earlier one first. Of an image that is like many
    others, some pairs.
    `table`: the hashes of each image, whole and in parts.
    `pixels`: of each image, in small.
    """
    index, look = Index(table, bits, np), SecondLook(pixels, np)
    degrees = np.zeros(len(table), np.int64)
    asked = np.zeros(len(table), bool)
    starts = range(0, len(table), _ROWS_AT_ONCE)
    waiting = [np.arange(start, min(start + _ROWS_AT_ONCE, len(table))) for start in reversed(starts)]
    while waiting:
        rows = waiting.pop()
        rows = rows[degrees[rows] < _ENOUGH]
        pairs = index.near(rows)
        if pairs is None or len(pairs[0]) > _MANY * len(rows) > _MANY:
            waiting += [rows[len(rows) // 2 :], rows[: len(rows) // 2]]
            continue
        firsts, seconds = pairs
        is_new = ~asked[seconds]
        # Those that are near the other way round were found, and looked at, when it was the other one's turn.
        is_new[~is_new] = index.distances(seconds[~is_new], firsts[~is_new]) > bits
        firsts, seconds = firsts[is_new], seconds[is_new]
        low, high = np.minimum(firsts, seconds), np.maximum(firsts, seconds)
        low, high = np.divmod(np.unique(low * len(table) + high), len(table))
        is_alike = look.are_alike(low, high)
        low, high = low[is_alike], high[is_alike]
        asked[rows] = True
        degrees += np.bincount(np.concatenate([low, high]), minlength=len(table))
        yield from zip(low.tolist(), high.tolist(), strict=True)


class Index:
    """Finds the images of which the whole or a part is near to the whole of another one, in the number of bits in which
    their hashes differ.

    Each band of the hash has a table of all hashes by their bits there. An image looks up its own bits, and those with
    a few of them flipped, in each: a hash that is near must be there.
    """

    def __init__(self, table: Any, bits: int, np: Any) -> None:
        self._np, self._bits = np, bits
        self._parts = table.shape[1]
        self._wholes, self._hashes = np.ascontiguousarray(table[:, 0]), table.reshape(-1)
        # If as many as these differ in each band, and one more in one, more than `bits` do in all.
        least, more = divmod(bits + 1, len(_BANDS))
        flips = [
            np.array(_masks(width, least - (number >= more))) for number, (_, width) in enumerate(_BANDS)
        ]
        # With few images, it is faster to compare each with all.
        few = sum(map(len, flips)) >= len(self._hashes)
        self._bands = (
            []
            if few
            else [self._band(*band, masks) for band, masks in zip(_BANDS, flips, strict=True) if len(masks)]
        )

    def _band(self, start: int, width: int, masks: Any) -> tuple[Any, ...]:
        np = self._np
        keys = self._keys(self._hashes, start, width)
        ends = np.cumsum(np.bincount(keys, minlength=1 << width)).astype(np.int32)
        return (
            start,
            width,
            masks,
            np.concatenate([[0], ends]).astype(np.int32),
            np.argsort(keys, kind="stable").astype(np.int32),
        )

    def _keys(self, hashes: Any, start: int, width: int) -> Any:
        np = self._np
        return ((hashes >> np.uint64(start)) & np.uint64((1 << width) - 1)).astype(np.int64)

    def near(self, rows: Any) -> tuple[Any, Any] | None:
        """Pairs of one of these images and another one, each once in this order. None if these are too many to look
        for together."""
        np = self._np
        if not self._bands:
            if len(rows) * len(self._hashes) > _CANDIDATES_AT_ONCE and len(rows) > 1:
                return None
            distances = np.bitwise_count(self._wholes[rows, None] ^ self._hashes)
            return self._pairs(rows, *np.nonzero(distances <= self._bits))
        buckets: list[Any] = []
        for start, width, masks, ends, order in self._bands:
            keys = (self._keys(self._wholes[rows], start, width)[:, None] ^ masks).ravel()
            first, counts = ends[keys], ends[keys + 1] - ends[keys]
            buckets.append((len(masks), first, counts, order))
        if sum(int(counts.sum()) for _, _, counts, _ in buckets) > _CANDIDATES_AT_ONCE and len(rows) > 1:
            return None
        positions: list[Any] = []
        entries: list[Any] = []
        for masks, first, counts, order in buckets:
            total = counts.sum()
            places = np.arange(total) + np.repeat(first - np.cumsum(counts) + counts, counts)
            position, entry = np.repeat(np.arange(len(counts)) // masks, counts), order[places]
            is_near = np.bitwise_count(self._wholes[rows[position]] ^ self._hashes[entry]) <= self._bits
            positions.append(position[is_near])
            entries.append(entry[is_near])
        return self._pairs(rows, np.concatenate(positions), np.concatenate(entries))

    def _pairs(self, rows: Any, firsts: Any, entries: Any) -> tuple[Any, Any]:
        np, images = self._np, len(self._wholes)
        firsts, seconds = np.divmod(np.unique(rows[firsts] * images + entries // self._parts), images)
        differ = firsts != seconds
        return firsts[differ], seconds[differ]

    def distances(self, firsts: Any, seconds: Any) -> Any:
        """The least numbers of bits in which the whole of each of these differs from the whole or a part of the other
        one."""
        np = self._np
        parts = self._hashes.reshape(-1, self._parts)[seconds]
        return np.bitwise_count(self._wholes[firsts, None] ^ parts).min(axis=1, initial=64)


def _masks(width: int, most: int) -> list[int]:
    """Every number of so many bits of which at most `most` are set."""
    return [
        sum(1 << bit for bit in bits)
        for number in range(most + 1)
        for bits in combinations(range(width), number)
    ]


class SecondLook:
    """Compares pixels, which say more than a hash."""

    def __init__(self, pixels: Any, np: Any) -> None:
        self._pixels, self._np = pixels, np
        # By size of a part, matrices that reduce a side to that part of it, at each step.
        self._parts = [
            np.array([_reducing(size, step, np) for step in (_FINE_STEPS if size < 1 else (0.0,))])
            for size in _FINE_SIZES
        ]

    def are_alike(self, firsts: Any, seconds: Any) -> Any:
        """Whether each of these images is like the other one at its place."""
        np = self._np
        alike = np.zeros(len(firsts), bool)
        for start in range(0, len(firsts), _PAIRS_AT_ONCE):
            pairs = slice(start, start + _PAIRS_AT_ONCE)
            alike[pairs] = self._are_alike(
                *(self._pixels[side[pairs]].astype(np.float32) for side in (firsts, seconds))
            )
        return alike

    def _are_alike(self, firsts: Any, seconds: Any) -> Any:
        np = self._np
        plain = [images.std(axis=(1, 2)) < _PLAIN for images in (firsts, seconds)]
        alike = plain[0] & plain[1] & (abs(firsts.mean(axis=(1, 2)) - seconds.mean(axis=(1, 2))) < _SHADE)
        wholes = [self._patterns(self._parts[0], images) for images in (seconds, firsts)]
        for parts in self._parts:
            for images, whole in zip((firsts, seconds), wholes, strict=True):
                rest = np.flatnonzero(~alike)
                likeness = self._patterns(parts, images[rest]) @ whole[rest].swapaxes(-1, -2)
                alike[rest] = (likeness >= ALIKE).any(axis=(1, 2))
        return alike

    def _patterns(self, parts: Any, images: Any) -> Any:
        """The parts of each image, a row each, less their mean and of length 1: their products are correlations."""
        np = self._np
        reduced = parts[None, :, None] @ images[:, None, None] @ parts.swapaxes(1, 2)[None, None, :]
        rows = reduced.reshape(len(images), len(parts) ** 2, _FINE * _FINE)
        rows = rows - rows.mean(axis=2, keepdims=True)
        return rows / np.maximum(np.linalg.norm(rows, axis=2, keepdims=True), 1e-6)


def _reducing(size: float, step: float, np: Any) -> Any:
    """A matrix that reduces `PIXELS` to the `_FINE` means of a part of them."""
    edges = (step * (1 - size) + size * np.arange(_FINE + 1) / _FINE) * PIXELS
    pixel = np.arange(PIXELS)
    shares = np.minimum(edges[1:, None], pixel + 1) - np.maximum(edges[:-1, None], pixel)
    shares = np.maximum(shares, 0)
    return (shares / shares.sum(axis=1, keepdims=True)).astype(np.float32)
