"""Near duplicates among images: crops, other sizes, and recompressions, by perceptual hashes (extra `images`)."""

from __future__ import annotations

import contextlib
import hashlib
import io
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

from firsthandapi._core.files.kinds import kind_of
from firsthandapi._core.rows.duplicates import stars
from firsthandapi._core.rows.manifest import Record
from firsthandapi.errors import ConfigurationError, FirstHandError

from ._alike import close
from ._hashes import HASHES, PARTS, PIXELS, add_lines, lines_in
from ._lock import taking_notes
from ._store import Store
from ._withdrawing import withdrawn_ids

# A crop has another hash than the whole. So besides the whole of each image, parts of it are hashed: three sizes, each
# at nine positions. One that cuts up to 15 % off each side is close to one of them.
# Of a side of the image, where a part begins, and its length.
_INTERVALS = [
    (0.0, 1.0),
    *((step * (1 - size), size) for size in (0.95, 0.89, 0.83) for step in (0.0, 0.5, 1.0)),
]
# By their intervals, from the top and from the left: the whole, and its parts.
_PLACES = [
    (0, 0),
    *((size + top, size + left) for size in (1, 4, 7) for left in range(3) for top in range(3)),
]
# Those of jobs. Pillow before 13 writes over memory in rarer ones, such as FlashPix.
_FORMATS = ("JPEG", "PNG", "WEBP", "GIF")
# Of a decoded image, and of the side that hashes are made from. A stranger's image may claim any size.
_MOST_PIXELS = 100_000_000
_SIDE = 256
# A hash says of so many frequencies a side whether each is above their median.
_FREQUENCIES = 8
# Of the filter that reduces an image.
_LOBES = 3
# So many images are hashed before their hashes are kept: what a killed process loses.
_KEPT_AT_ONCE = 1000


class Side(NamedTuple):
    """The rows of one dataset, and the paths of their files."""

    store: Store
    records: Sequence[Record]
    paths: Sequence[Path]


def near_pairs(*sides: Side, bits: int) -> list[tuple[int, int]]:
    """Pairs of rows, by position in all sides, of groups whose images are alike and differ in at most `bits` bits of
    their hashes: `stars` says which groups. With two sides, also all pairs that were found between them.

    Files that are no images, or that cannot be decoded, are in no pair. Of files with the same bytes, only the first
    one of a side is.
    Raises ConfigurationError: the extra `images` is not installed.
    """
    np, pil = libraries()
    lines: dict[int, bytes | memoryview] = {}
    start = 0
    for side in sides:
        first: dict[str, int] = {}
        for number, record in enumerate(side.records):
            if kind_of(record.content_type) == "image":
                first.setdefault(record.sha256, number)
        lines.update((start + number, line) for number, line in _lines_of(side, [*first.values()], np, pil))
        start += len(side.records)
    numbers = sorted(lines)
    rows = np.frombuffer(b"".join(lines.pop(number) for number in numbers), _dtype(np))
    close_pairs = close(rows["hashes"].astype(np.uint64), rows["pixels"], bits, np)
    links = [(numbers[low], numbers[high]) for low, high in close_pairs]
    between = len(sides[0].records)
    return stars(links) + [link for link in links if link[0] < between <= link[1]]


def _dtype(np: Any) -> Any:
    return np.dtype([("hashes", "<u8", PARTS), ("pixels", "u1", (PIXELS, PIXELS)), ("sha256", "u1", 32)])


def _lines_of(side: Side, images: list[int], np: Any, pil: Any) -> Iterator[tuple[int, bytes | memoryview]]:
    """The hashes of images, by position, as a line; only those that are new are made."""
    store, records, paths = side
    lines = lines_in(store)
    yield from (
        (number, lines[records[number].sha256]) for number in images if records[number].sha256 in lines
    )
    new = [number for number in images if records[number].sha256 not in lines]

    def line_of(number: int) -> bytes | None:
        content = store.begin_of(paths[number], records[number].size_bytes + 1)
        hashes = None if content is None else hashes_of(content, np, pil)
        if content is None or hashes is None:
            return None
        return b"".join([*(part.tobytes() for part in hashes), hashlib.sha256(content).digest()])

    # In a bucket, nothing can be appended.
    step = len(new) if store.appender(store.root / HASHES) is None else _KEPT_AT_ONCE
    with ThreadPoolExecutor(max_workers=store.readers) as pool:
        for start in range(0, len(new), max(1, step)):
            numbers = new[start : start + step]
            pairs = [(n, line) for n, line in zip(numbers, pool.map(line_of, numbers), strict=True) if line]
            _keep(store, [(records[n], line) for n, line in pairs])
            yield from pairs


def _keep(store: Store, pairs: list[tuple[Record, bytes]]) -> None:
    """Keep hashes for the next call, as far as the folder can be written to."""
    with contextlib.suppress(FirstHandError), taking_notes(store):
        gone = withdrawn_ids(store)
        lines = [
            line
            for record, line in pairs
            # A file that was changed has no row.
            if record.file_id not in gone and line.endswith(bytes.fromhex(record.sha256))
        ]
        if lines:
            add_lines(store, lines)


def hashes_of(content: bytes, np: Any, pil: Any) -> tuple[Any, Any] | None:
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
        pixels = np.asarray(small, np.float32)
        (rows, tall), (columns, wide) = (_reductions(length, np) for length in pixels.shape)
        tops, lefts = zip(*_PLACES, strict=True)
        # The lowest frequencies of the whole and of each part.
        low = (rows @ pixels)[[*tops]] @ columns.swapaxes(1, 2)[[*lefts]]
        low = low.reshape(PARTS, -1)
        bits = np.packbits(low > np.median(low, axis=1, keepdims=True), axis=1)
        return bits.view("<u8").ravel(), (tall @ pixels @ wide.T).round().clip(0, 255).astype(np.uint8)
    except Exception:  # decoders raise anything
        return None


@cache
def _reductions(length: int, np: Any) -> tuple[Any, Any]:
    """What makes of the pixels of a side, for each interval, its lowest frequencies; and what makes it small.

    Both reduce it to `PIXELS` as Pillow does (Lanczos); frequencies are those of the discrete cosine transform
    (DCT-II). To multiply by both at once takes a fraction of the time of 28 reductions.
    """
    small: list[Any] = []
    for start, share in _INTERVALS:
        scale = length * share / PIXELS
        centers = start * length + (np.arange(PIXELS) + 0.5) * scale
        away = (np.arange(length) + 0.5 - centers[:, None]) / max(scale, 1)
        weights = np.where(abs(away) < _LOBES, np.sinc(away) * np.sinc(away / _LOBES), 0)
        small.append(weights / weights.sum(axis=1, keepdims=True))
    waves = np.cos(np.pi * np.outer(np.arange(_FREQUENCIES), 2 * np.arange(PIXELS) + 1) / (2 * PIXELS))
    reductions: Any = np.array(small, np.float32)
    return waves.astype(np.float32) @ reductions, reductions[0]


def libraries() -> tuple[Any, Any]:
    """numpy and Pillow. Raises ConfigurationError: they are not installed."""
    try:
        return import_module("numpy"), import_module("PIL.Image")
    except ImportError:
        raise ConfigurationError(
            "near duplicates need an extra: pip install 'firsthandapi[images]'"
        ) from None
