"""One row of a baseline JPEG whose pixels are indexes into a few colors.

Most units of a drawing have one color, and take a few bits. Where colors meet, the transform of a block is a sum over
its colors, each times the transform of the places where it is: these are worked out once for each pattern.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from operator import add, mul

_QUANTIZER = 20  # but 8 for DC: a block's DC is then its mean
_ZIGZAG = (
    0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7, 14, 21,
    28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54,
    47, 55, 62, 63,
)  # fmt: skip
_END, _ZEROS = 0x00, 0xF0
# By run of zeros and size: the common ones take 6 bits, the others 10, and the end of a block one bit.
_COMMON = (
    0x01, 0x02, 0x03, 0x04, 0x05, 0x11, 0x12, 0x13, 0x21, 0x22, 0x31, 0x41, 0x51, 0x61, 0x14, 0x23,
)  # fmt: skip
_OTHERS = tuple(
    symbol
    for symbol in (*(run << 4 | size for run in range(16) for size in range(1, 9)), _ZEROS)
    if symbol not in _COMMON
)
_CODES = {
    _END: "0",
    **{symbol: f"{32 + number:06b}" for number, symbol in enumerate(_COMMON)},
    **{symbol: f"{(48 << 4) + number:010b}" for number, symbol in enumerate(_OTHERS)},
}
_AC_COUNTS = (1, 0, 0, 0, 0, len(_COMMON), 0, 0, 0, len(_OTHERS), *[0] * 6)
_AC = bytes((0x10, *_AC_COUNTS, _END, *_COMMON, *_OTHERS))

# One quantizer, one Huffman table for DC (a difference of 0 takes one bit, others five and their digits), one for AC.
JPEG_TABLES = (
    b"\xff\xdb\x00\x43\x00\x08" + bytes((_QUANTIZER,)) * 63
    + b"\xff\xc4\x00\x1c\x00" + bytes((1, 0, 0, 0, 8, *[0] * 11)) + bytes(range(9))
    + b"\xff\xc4" + (2 + len(_AC)).to_bytes(2, "big") + _AC
)  # fmt: skip
_SAME = "0" * 12  # a unit of 16x16 pixels, six blocks, that has the color of the one before

Color = tuple[int, int, int]


def jpeg_row(lines: tuple[bytes, ...], colors: Sequence[Color]) -> bytes:
    """The bytes of a row of units of 16 x 16 pixels.

    Args:
        lines: 16 lines of indexes.
        colors: luma less 128, blue, and red difference by index.
    """
    width = len(lines[0])
    units = -(-width // 16)
    padded = [line + line[-1:] * (16 * units - width) for line in lines]
    bits: list[str] = []
    last = [0, 0, 0]
    for at in range(0, 16 * units, 16):
        parts = [line[at : at + 16] for line in padded]
        first = parts[0]
        color = first[0]
        if parts.count(first) == 16 and first.count(color) == 16:
            bits.append(_flat(last, colors[color]))
        else:
            _mixed(parts, colors, last, bits)
    text = "".join(bits)
    text += "1" * (-len(text) % 8)
    return int(text, 2).to_bytes(len(text) // 8, "big").replace(b"\xff", b"\xff\0")


def _flat(last: list[int], color: Color) -> str:
    """Four blocks of luma and two of chroma, each a DC difference and "end of block"."""
    if (*last,) == color:
        return _SAME
    luma, blue, red = (_difference(new - old) for old, new in zip(last, color, strict=True))
    last[:] = color
    return f"{luma}0000000{blue}0{red}0"


def _difference(value: int) -> str:
    if not value:
        return "0"
    size = abs(value).bit_length()
    return f"1{size - 1:04b}{_digits(value, size)}"


def _digits(value: int, size: int) -> str:
    return f"{value if value > 0 else value + (1 << size) - 1:0{size}b}"


def _mixed(parts: list[bytes], colors: Sequence[Color], last: list[int], bits: list[str]) -> None:
    for lines in (parts[:8], parts[8:]):
        for at in (0, 8):
            block = b"".join([line[at : at + 8] for line in lines])
            _block(block, [color[0] for color in colors], 0, last, bits)
    whole = b"".join(parts)
    for number in (1, 2):
        _block(whole, [color[number] for color in colors], number, last, bits)


def _block(block: bytes, values: list[int], number: int, last: list[int], bits: list[str]) -> None:
    """One block: of 64 pixels, or of 256 of which four make one."""
    used = bytes(dict.fromkeys(block))
    base = values[used[0]]
    mean, others = float(base), _CODES[_END]
    if len(used) > 1:
        steps = tuple([values[index] - base for index in used[1:]])
        if any(steps):
            pattern = block.translate(bytes.maketrans(used, _RANKS[: len(used)]))
            shift, others = _coded(pattern, steps)
            mean += shift
    level = min(127, max(-128, round(mean)))
    bits.append(_difference(level - last[number]))
    bits.append(others)
    last[number] = level


_RANKS = bytes(range(256))


@lru_cache(maxsize=16_384)
def _coded(pattern: bytes, steps: tuple[int, ...]) -> tuple[float, str]:
    """How the mean moves, and the bits of all that is not the mean, of a block with colors in these steps."""
    waves = _waves(pattern, len(steps) + 1)
    first, *rest = ([step * part for part in wave] for step, wave in zip(steps, waves, strict=True))
    places = [*map(sum, zip(first, *rest, strict=True))] if rest else first
    bits: list[str] = []
    seen = 0
    for at, value in enumerate(map(round, places)):
        if not value or not at:
            continue
        zeros, seen = at - seen - 1, at
        while zeros > 15:
            bits.append(_CODES[_ZEROS])
            zeros -= 16
        size = abs(value).bit_length()
        bits.append(_CODES[zeros << 4 | size] + _digits(value, size))
    if seen != 63:
        bits.append(_CODES[_END])
    return places[0], "".join(bits)


_COSINES = [
    [
        (math.sqrt(0.125) if wave == 0 else 0.5) * math.cos((2 * at + 1) * wave * math.pi / 16)
        for at in range(8)
    ]
    for wave in range(8)
]


@lru_cache(maxsize=8192)
def _waves(pattern: bytes, count: int) -> tuple[tuple[float, ...], ...]:
    """The transform of the places of each color but the first, in the order and the steps of the file."""
    return tuple(_transform(pattern, color) for color in range(1, count))


def _transform(pattern: bytes, color: int) -> tuple[float, ...]:
    places = pattern.translate(_PLACES[color])  # 1 where the color is
    if len(places) == 256:  # 16 x 16: the sum of each four
        pairs = bytes(map(add, places[::2], places[1::2]))
        fours = [bytes(map(add, pairs[at : at + 8], pairs[at + 8 : at + 16])) for at in range(0, 128, 16)]
        across, scale = [_line(row) for row in fours], 0.25
    else:
        across, scale = [_line(places[at : at + 8]) for at in range(0, 64, 8)], 1.0
    down = list(zip(*across, strict=True))
    found = [sum(map(mul, cosines, column)) for cosines in _COSINES for column in down]
    return tuple([found[at] * step * scale for at, step in _STEPS])


@lru_cache(maxsize=4096)
def _line(row: bytes) -> tuple[float, ...]:
    return tuple([sum(map(mul, cosines, row)) for cosines in _COSINES])


_PLACES = [bytes(index == color for index in range(256)) for color in range(32)]
_STEPS = [(at, 1 / (_QUANTIZER if at else 8)) for at in _ZIGZAG]
