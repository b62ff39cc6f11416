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
# How many images are compared at a time with all others: memory stays flat.
_ROWS_AT_ONCE = 64


def near_pairs(
    store: Store, records: Sequence[Record], paths: Sequence[Path], bits: int
) -> list[tuple[int, int]]:
    """The pairs of rows, by position, whose images differ in at most `bits` bits of their hashes.

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
    numbers, table = [number for number, _ in found], np.array([each for _, each in found])
    return [(numbers[one], numbers[other]) for one, other in close(table, bits, np)]


def hashes_of(content: bytes, np: Any, pil: Any) -> Any:
    """The hashes of an image, whole and in parts, each an unsigned 64-bit int; None if it cannot be decoded."""
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
        return [int.from_bytes(each.tobytes()) for each in bits]
    except Exception:  # decoders raise anything
        return None


def close(table: Any, bits: int, np: Any) -> list[tuple[int, int]]:
    """The pairs of rows of a table of hashes whose whole is near the other's whole, or near a part of it."""
    table = table.astype(np.uint64)
    whole = table[:, 0]
    pairs: list[tuple[int, int]] = []
    for start in range(0, len(table), _ROWS_AT_ONCE):
        rows = table[start : start + _ROWS_AT_ONCE]
        least = np.full((len(rows), len(table)), 255, np.uint8)
        for part in range(table.shape[1]):
            np.minimum(least, np.bitwise_count(rows[:, part, None] ^ whole[None, :]), out=least)
            np.minimum(least, np.bitwise_count(rows[:, 0, None] ^ table[None, :, part]), out=least)
        for one, other in np.argwhere(least <= bits):
            if start + one < other:
                pairs.append((int(start + one), int(other)))
    return pairs


def libraries() -> tuple[Any, Any]:
    """numpy and Pillow. Raises ConfigurationError: they are not installed."""
    try:
        return import_module("numpy"), import_module("PIL.Image")
    except ImportError:
        raise ConfigurationError(
            "near duplicates need an extra: pip install 'firsthandapi[images]'"
        ) from None
