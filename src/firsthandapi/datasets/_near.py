"""Near duplicates among images: crops, other sizes, and recompressions, by perceptual hashes (extra `images`)."""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path
from typing import Any

from firsthandapi._core.files.kinds import kind_of
from firsthandapi._core.rows.manifest import Record
from firsthandapi.errors import ConfigurationError

from ._store import Store

# A crop has another hash than the whole. So besides the whole of each image, these parts of it are hashed: three sizes,
# each at nine positions. One that cuts up to 15 % off each side is close to one of them.
_SIZES = (0.95, 0.89, 0.83)
_STEPS = (0.0, 0.5, 1.0)
PARTS = [
    (left * (1 - size), top * (1 - size), left * (1 - size) + size, top * (1 - size) + size)
    for size in _SIZES
    for left in _STEPS
    for top in _STEPS
]
# Those of jobs. Pillow before 13 writes over memory in rarer ones, such as FlashPix.
_FORMATS = ("JPEG", "PNG", "WEBP", "GIF")
# Of a decoded image, and of the side that hashes are made from. A stranger's image may claim any size.
_MOST_PIXELS = 100_000_000
_SIDE = 256
# A hash is made from so many pixels a side, and says of so many frequencies a side whether each is above their median.
_PIXELS, _FREQUENCIES = 32, 8
# How many images are compared at a time with all before them: memory stays flat, and near the processor.
_ROWS_AT_ONCE = 16
# Hashes of strangers are near by chance, the more often the more images there are. So each pair gets a second look: the
# pixels of one are compared with those of these parts of the other, more finely placed, by their correlation.
_FINE = 16
_FINE_SIZES = (1.0, 0.96, 0.92, 0.88, 0.84)
_FINE_STEPS = (0.0, 0.25, 0.5, 0.75, 1.0)
ALIKE = 0.8
# Plain images have no pattern to compare: gray levels by which they may differ.
_PLAIN, _SHADE = 2.0, 8.0
_PAIRS_AT_ONCE = 32


def near_pairs(
    store: Store, records: Sequence[Record], paths: Sequence[Path], bits: int
) -> list[tuple[int, int]]:
    """Pairs of rows, by position, whose images are alike and differ in at most `bits` bits of their hashes: each row
    with the first row of those that it is near to, so that there are hardly more pairs than rows.

    Files that are no images, or that cannot be decoded, are in no pair.
    Raises ConfigurationError: the extra `images` is not installed.
    """
    np, pil = libraries()
    images = [number for number, record in enumerate(records) if kind_of(record.content_type) == "image"]

    def hashes(number: int) -> Any:
        content = store.begin_of(paths[number], records[number].size_bytes + 1)
        return None if content is None else hashes_of(content, np, pil)

    with ThreadPoolExecutor(max_workers=store.readers) as pool:
        found = [
            (number, each)
            for number, each in zip(images, pool.map(hashes, images), strict=True)
            if each is not None
        ]
    if not found:
        return []
    numbers = [number for number, _ in found]
    table, pixels = (np.array(each) for each in zip(*(each for _, each in found), strict=True))
    return [(numbers[one], numbers[other]) for one, other in close(table, pixels, bits, np)]


def hashes_of(content: bytes, np: Any, pil: Any) -> Any:
    """The hashes of an image, whole and in parts, each an unsigned 64-bit int, and its pixels in small; None if it
    cannot be decoded."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with pil.open(io.BytesIO(content), formats=_FORMATS) as image:
                if image.width * image.height > _MOST_PIXELS:
                    return None
                image.draft("L", (_SIDE, _SIDE))
                small = image.convert("L")
        small.thumbnail((_SIDE, _SIDE))
        width, height = small.size
        boxes = [(0, 0, width, height)]
        boxes += [
            (left * width, top * height, right * width, low * height) for left, top, right, low in PARTS
        ]
        side = (_PIXELS, _PIXELS)
        # `resize` takes a part without copying it.
        parts = np.array([np.asarray(small.resize(side, pil.Resampling.LANCZOS, box=box)) for box in boxes])
        # The lowest frequencies of the discrete cosine transform (DCT-II), a row each.
        waves = np.cos(np.pi * np.outer(np.arange(_FREQUENCIES), 2 * np.arange(_PIXELS) + 1) / (2 * _PIXELS))
        low = (waves @ parts @ waves.T).reshape(len(boxes), -1)
        bits = np.packbits(low > np.median(low, axis=1, keepdims=True), axis=1)
        return [int.from_bytes(each.tobytes()) for each in bits], parts[0]
    except Exception:  # decoders raise anything
        return None


def close(table: Any, pixels: Any, bits: int, np: Any) -> list[tuple[int, int]]:
    """The pairs of images, by position: each with the leader of every earlier image that it is near to. Its own leader
    is the first of these, or itself.
    `table`: the hashes of each image, whole and in parts.
    `pixels`: of each image, in small.
    """
    ways = np.ascontiguousarray(table.astype(np.uint64).T)
    look = SecondLook(pixels, np)
    leaders = np.arange(len(table))
    pairs: list[tuple[int, int]] = []
    for start in range(0, len(table), _ROWS_AT_ONCE):
        end = start + _ROWS_AT_ONCE
        near_rows = least_distances(ways[:, start:end], ways[:, :end], np) <= bits
        for number, near in enumerate(near_rows, start):
            others = np.flatnonzero(near[:number])
            for leader in np.unique(leaders[others]):
                if look.is_alike(number, others[leaders[others] == leader]):
                    pairs.append((int(leader), number))
                    leaders[number] = min(leaders[number], leader)
    return pairs


def least_distances(images: Any, others: Any, np: Any) -> Any:
    """The least number of bits in which the whole of an image differs from the whole or a part of another one, or the
    other way round. Both have a row of hashes for the whole and for each part."""
    least = np.full((images.shape[1], others.shape[1]), 255, np.uint8)
    for part, other in zip(images, others, strict=True):
        np.minimum(least, np.bitwise_count(part[:, None] ^ others[0]), out=least)
        np.minimum(least, np.bitwise_count(images[0][:, None] ^ other), out=least)
    return least


class SecondLook:
    """Compares pixels, which say more than a hash."""

    def __init__(self, pixels: Any, np: Any) -> None:
        self._pixels, self._np = pixels, np
        # By size of a part, matrices that reduce a side to that part of it, at each step.
        self._parts = [
            np.array([_reducing(size, step, np) for step in (_FINE_STEPS if size < 1 else (0.0,))])
            for size in _FINE_SIZES
        ]

    def is_alike(self, one: int, others: Any) -> bool:
        """Whether an image is like one of others."""
        return any(
            self._is_alike(self._pixels[one], self._pixels[others[start : start + _PAIRS_AT_ONCE]])
            for start in range(0, len(others), _PAIRS_AT_ONCE)
        )

    def _is_alike(self, one: Any, others: Any) -> bool:
        np = self._np
        one, others = one.astype(np.float32)[None], others.astype(np.float32)
        shades = abs(one.mean() - others.mean(axis=(1, 2))) < _SHADE
        if (shades & (one.std() < _PLAIN) & (others.std(axis=(1, 2)) < _PLAIN)).any():
            return True
        wholes = self._patterns(self._parts[0], one), self._patterns(self._parts[0], others)
        return any(
            (self._patterns(parts, images) @ whole.swapaxes(-1, -2) >= ALIKE).any()
            for parts in self._parts
            for images, whole in ((one, wholes[1]), (others, wholes[0]))
        )

    def _patterns(self, parts: Any, images: Any) -> Any:
        """The parts of each image, a row each, less their mean and of length 1: their products are correlations."""
        np = self._np
        reduced = parts[None, :, None] @ images[:, None, None] @ parts.swapaxes(1, 2)[None, None, :]
        rows = reduced.reshape(len(images), -1, _FINE * _FINE)
        rows = rows - rows.mean(axis=2, keepdims=True)
        return rows / np.maximum(np.linalg.norm(rows, axis=2, keepdims=True), 1e-6)


def _reducing(size: float, step: float, np: Any) -> Any:
    """A matrix that reduces `_PIXELS` to the `_FINE` means of a part of them."""
    edges = (step * (1 - size) + size * np.arange(_FINE + 1) / _FINE) * _PIXELS
    pixel = np.arange(_PIXELS)
    shares = np.minimum(edges[1:, None], pixel + 1) - np.maximum(edges[:-1, None], pixel)
    shares = np.maximum(shares, 0)
    return (shares / shares.sum(axis=1, keepdims=True)).astype(np.float32)


def libraries() -> tuple[Any, Any]:
    """numpy and Pillow. Raises ConfigurationError: they are not installed."""
    try:
        return import_module("numpy"), import_module("PIL.Image")
    except ImportError:
        raise ConfigurationError(
            "near duplicates need an extra: pip install 'firsthandapi[images]'"
        ) from None
