"""Small, valid media of every format, each file unlike every other, made with only the standard library.

Pictures are a mosaic whose colors come from a hash of `unique`, so that two of them look different. Each
format is written the cheapest way it allows: a job may have ten thousand files. Video and AAC cannot be
written in a few lines; their bases lie in `media/`.
"""

from __future__ import annotations

import hashlib
import math
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

__all__ = ["Media", "make", "palette"]

_COLUMNS, _ROWS = 4, 3
_CELLS = _COLUMNS * _ROWS
_MAX_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class Media:
    """A file and its properties (which, for video, may differ from the request).

    Attributes:
        content: the bytes.
        width: pixels; None of audio.
        height: pixels; None of audio.
        duration_seconds: how long it plays; None of images.
    """

    content: bytes
    width: int | None
    height: int | None
    duration_seconds: float | None


@dataclass(frozen=True, slots=True)
class _Order:
    """The input of a format's writer."""

    digest: bytes  # 64 bytes: 36 for the colors, and so on
    width: int
    height: int
    seconds: float

    @property
    def mark(self) -> bytes:
        """The text that makes the file unique whatever its few pixels or samples are."""
        return self.digest[:16].hex().encode()

    @property
    def palette(self) -> list[tuple[int, int, int]]:
        """A color for each cell of the mosaic."""
        raw = self.digest[16 : 16 + 3 * _CELLS]
        return [(raw[i], raw[i + 1], raw[i + 2]) for i in range(0, len(raw), 3)]


def make(
    content_type: str, unique: str, *, width: int = 640, height: int = 480, seconds: float = 1.0
) -> Media:
    """A file of the format `content_type`; the same arguments give the same bytes.

    Images have exactly the size asked. WAV lasts as long as asked, MP3 to the end of a frame and at least
    0.288 s. A video is the smallest at hand that has `width` x `height` (the largest, if none has), and it
    and M4A last about a second: the result has the real values.

    Args:
        content_type: one of the nine MIME types of the service.
        unique: any text; another one makes another file.
        width, height: pixels, of images and videos.
        seconds: how long it plays, above 0 and at most 3600.

    Returns:
        The bytes and their properties.

    Raises:
        ValueError: the format is unknown, or cannot be that large or that long.
    """
    writer = _WRITERS.get(content_type)
    if writer is None:
        raise ValueError(f"unknown content type {content_type!r}; known are {', '.join(_WRITERS)}")
    largest = _LARGEST.get(content_type, 65_535)
    if not (1 <= width <= largest and 1 <= height <= largest):
        raise ValueError(f"{content_type} has 1 to {largest} pixels a side, not {width}x{height}")
    if not 0 < seconds <= _MAX_SECONDS:
        raise ValueError(f"seconds must be above 0 and at most {_MAX_SECONDS:.0f}, not {seconds}")
    return writer(_Order(hashlib.sha512(unique.encode()).digest(), width, height, seconds))


def palette(unique: str) -> list[tuple[int, int, int]]:
    """The colors of the picture that `make` draws, cell by cell."""
    return _Order(hashlib.sha512(unique.encode()).digest(), 0, 0, 0).palette


# --- images ---------------------------------------------------------------------------------------------


def _split(total: int, parts: int) -> list[int]:
    """`total` in `parts` near-equal shares, some of them 0 when there is not enough."""
    return [total * (i + 1) // parts - total * i // parts for i in range(parts)]


def _bands(width: int, height: int) -> Iterator[tuple[int, list[tuple[int, int]]]]:
    """The mosaic as (number of equal lines, the runs (cell, length) that each line has)."""
    runs = _split(width, _COLUMNS)
    for row, lines in enumerate(_split(height, _ROWS)):
        if lines:
            yield lines, [(row * _COLUMNS + column, run) for column, run in enumerate(runs) if run]


def _png(order: _Order) -> Media:
    header = struct.pack(">IIBBBBB", order.width, order.height, 8, 3, 0, 0, 0)
    content = b"".join(
        (
            b"\x89PNG\r\n\x1a\n",
            _png_chunk(b"IHDR", header),
            _png_chunk(b"tEXt", b"Comment\0" + order.mark),
            _png_chunk(b"PLTE", bytes(part for color in order.palette for part in color)),
            _png_pixels(order.width, order.height),
            _png_chunk(b"IEND", b""),
        )
    )
    return Media(content, order.width, order.height, None)


def _png_chunk(kind: bytes, data: bytes) -> bytes:
    return b"".join((struct.pack(">I", len(data)), kind, data, struct.pack(">I", zlib.crc32(kind + data))))


@lru_cache(maxsize=16)
def _png_pixels(width: int, height: int) -> bytes:
    """The pixels are indexes into the palette, so files of one size share them."""
    packer = zlib.compressobj(9)
    packed: list[bytes] = []
    same = b"\2" + bytes(width)  # filter "up": as the line above
    for lines, runs in _bands(width, height):
        packed.append(packer.compress(b"\0" + b"".join(bytes((cell,)) * run for cell, run in runs)))
        packed.extend(packer.compress(same) for _ in range(lines - 1))
    return _png_chunk(b"IDAT", b"".join(packed) + packer.flush())


def _gif(order: _Order) -> Media:
    spare = ((0, 0, 0),) * (16 - _CELLS)
    content = b"".join(
        (
            b"GIF89a",
            struct.pack("<HHBBB", order.width, order.height, 0b1_111_0_011, 0, 0),
            bytes(part for color in (*order.palette, *spare) for part in color),
            b"\x21\xfe",
            bytes((len(order.mark),)),
            order.mark,
            b"\0",
            struct.pack("<BHHHHB", 0x2C, 0, 0, order.width, order.height, 0),
            _gif_pixels(order.width, order.height),
            b"\x3b",
        )
    )
    return Media(content, order.width, order.height, None)


@lru_cache(maxsize=16)
def _gif_pixels(width: int, height: int) -> bytes:
    """The LZW data, shared by all files of one size.

    A decoder does not ask for the longest match, so only runs of one color are looked for: that takes a
    step a code, not a step a pixel.
    """
    bits, clear = 4, 16
    codes = 0  # since the last clear
    known: dict[int, list[int]] = {}  # per cell, the codes of runs of 1, 2, 3... pixels
    stream = filled = 0
    packed = bytearray()

    def emit(code: int) -> None:
        nonlocal stream, filled
        stream |= code << filled
        # The decoder's table is one entry behind ours.
        filled += max(bits + 1, (clear + 2 + max(0, codes - 1)).bit_length())
        while filled >= 8:
            packed.append(stream & 0xFF)
            stream >>= 8
            filled -= 8

    emit(clear)
    for lines, runs in _bands(width, height):
        for cell, run in runs * lines:
            left = run
            while left:
                if codes == 4096 - clear - 3:  # the table is full
                    emit(clear)
                    codes = 0
                    known.clear()
                phrases = known.setdefault(cell, [cell])
                length = min(left, len(phrases))
                emit(phrases[length - 1])
                left -= length
                # The entry the decoder now makes is this phrase and the first pixel of the next one.
                if left and length == len(phrases):
                    phrases.append(clear + 2 + codes)
                codes += 1
    emit(clear + 1)
    packed.append(stream & 0xFF)
    blocks = (packed[at : at + 255] for at in range(0, len(packed), 255))
    return bytes((bits,)) + b"".join(bytes((len(block),)) + block for block in blocks) + b"\0"


# One quantizer for all (8: a block's DC is then its mean), one Huffman table for DC (a difference of 0 takes
# one bit, others five and their digits) and one for AC (nothing but "end of block", one bit).
_JPEG_TABLES = (
    b"\xff\xdb\x00\x43\x00" + b"\x08" * 64
    + b"\xff\xc4\x00\x1c\x00" + bytes((1, 0, 0, 0, 8, *[0] * 11)) + bytes(range(9))
    + b"\xff\xc4\x00\x14\x10" + bytes((1, *[0] * 15)) + b"\0"
)  # fmt: skip
_JPEG_SCAN = b"\xff\xda\x00\x0c\x03\x01\x00\x02\x00\x03\x00\x00\x3f\x00"
_JPEG_SAME = "0" * 12  # a unit of 16x16 pixels, six blocks, that has the color of the one before


def _jpeg(order: _Order) -> Media:
    ycc = [
        (
            round(0.299 * r + 0.587 * g + 0.114 * b) - 128,
            round(-0.168736 * r - 0.331264 * g + 0.5 * b),
            round(0.5 * r - 0.418688 * g - 0.081312 * b),
        )
        for r, g, b in order.palette
    ]
    bits: list[str] = []
    last = (0, 0, 0)
    for lines, runs in _bands(-(-order.width // 16), -(-order.height // 16)):
        # The first line comes from the color of the line above, the others from their own end.
        for count in (1, lines - 1):
            line: list[str] = []
            for cell, run in runs:
                line += _jpeg_unit(last, ycc[cell]), _JPEG_SAME * (run - 1)
                last = ycc[cell]
            bits.append("".join(line) * count)
    text = "".join(bits)
    text += "1" * (-len(text) % 8)
    scan = int(text, 2).to_bytes(len(text) // 8, "big").replace(b"\xff", b"\xff\0")
    content = b"".join(
        (
            b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00",
            b"\xff\xfe",
            struct.pack(">H", 2 + len(order.mark)),
            order.mark,
            b"\xff\xc0\x00\x11\x08",
            struct.pack(">HH", order.height, order.width),
            b"\x03\x01\x22\x00\x02\x11\x00\x03\x11\x00",
            _JPEG_TABLES,
            _JPEG_SCAN,
            scan,
            b"\xff\xd9",
        )
    )
    return Media(content, order.width, order.height, None)


def _jpeg_unit(last: tuple[int, int, int], color: tuple[int, int, int]) -> str:
    """Four blocks of luma and two of chroma, flat: each a DC difference and "end of block"."""
    luma, blue, red = (_jpeg_difference(new - old) for old, new in zip(last, color, strict=True))
    return f"{luma}0000000{blue}0{red}0"


def _jpeg_difference(value: int) -> str:
    if not value:
        return "0"
    size = abs(value).bit_length()
    digits = value if value > 0 else value + (1 << size) - 1
    return f"1{size - 1:04b}{digits:0{size}b}"


def _webp(order: _Order) -> Media:
    """Lossless: each tile of the picture has prefix codes of one symbol each, so a pixel takes no bits."""
    tile = min(9, max(2, (max(order.width, order.height) - 1).bit_length() - 3))  # 5 to 8 tiles, if it can be
    across, down = (-(-side >> tile) for side in (order.width, order.height))
    tiles = [index % _CELLS for index in range(across * down)]
    value = filled = 0

    def put(*fields: tuple[int, int]) -> None:
        nonlocal value, filled
        for number, bits in fields:
            value |= number << filled
            filled += bits

    def put_symbol(symbol: int) -> None:  # a code of this one symbol
        put((1, 1), (0, 1), (1, 1), (symbol, 8))

    put((0x2F, 8), (order.width - 1, 14), (order.height - 1, 14), (0, 1), (0, 3))
    put((0, 1), (0, 1), (1, 1), (tile - 2, 3))  # no transform, no color cache, tiles
    # The picture that says which tile has which codes, in its green channel; first the code of green: 16
    # symbols of 4 bits each, their lengths told by a code in which 1 stands for 4 and 0 for 0.
    put((0, 1), (0, 1), (3, 4))
    put(*((int(length in (0, 4)), 3) for length in (17, 18, 0, 1, 2, 3, 4)))
    put((1, 1), (1, 3), (16 - 2, 4), (0xFFFF, 16))
    for _ in ("red", "blue", "alpha", "distance"):
        put_symbol(0)
    for index in tiles:
        put((int(f"{index:04b}"[::-1], 2), 4))
    for red, green, blue in order.palette[: max(tiles) + 1]:
        for symbol in (green, red, blue, 255, 0):
            put_symbol(symbol)

    # An EXIF block of one entry, ImageDescription; it asks for the extended header.
    exif = struct.pack("<2sHIHHHIII", b"II", 42, 8, 1, 0x010E, 2, len(order.mark) + 1, 26, 0)
    extended = struct.pack("<I", 0b1000)
    extended += (order.width - 1).to_bytes(3, "little") + (order.height - 1).to_bytes(3, "little")
    body = b"".join(
        (
            b"WEBP",
            _riff_chunk(b"VP8X", extended),
            _riff_chunk(b"VP8L", value.to_bytes(-(-filled // 8), "little")),
            _riff_chunk(b"EXIF", exif + order.mark + b"\0"),
        )
    )
    return Media(_riff_chunk(b"RIFF", body), order.width, order.height, None)


def _riff_chunk(kind: bytes, data: bytes) -> bytes:
    return b"".join((kind, struct.pack("<I", len(data)), data, b"\0" * (len(data) % 2)))


# --- sound ----------------------------------------------------------------------------------------------

_WAV_RATE = 8_000
_MP3_RATE, _MP3_SAMPLES, _MP3_FRAME = 16_000, 576, 72  # 72 bytes a frame: 16 kbit/s


def _wav(order: _Order) -> Media:
    """Four notes of a sine."""
    samples = max(1, round(order.seconds * _WAV_RATE))
    notes: list[bytes] = []
    for byte, length in zip(order.digest[16:], _split(samples, 4), strict=False):
        period = 8 + byte % 32  # 1000 Hz down to 205 Hz
        notes.append((_period(period) * (length // period + 1))[: 2 * length])
    body = b"".join(
        (
            b"WAVE",
            _riff_chunk(b"fmt ", struct.pack("<HHIIHH", 1, 1, _WAV_RATE, 2 * _WAV_RATE, 2, 16)),
            _riff_chunk(b"LIST", b"INFO" + _riff_chunk(b"ICMT", order.mark + b"\0\0")),
            _riff_chunk(b"data", b"".join(notes)),
        )
    )
    return Media(_riff_chunk(b"RIFF", body), None, None, samples / _WAV_RATE)


@lru_cache(maxsize=32)
def _period(samples: int) -> bytes:
    wave = (round(9_000 * math.sin(2 * math.pi * at / samples)) for at in range(samples))
    return struct.pack(f"<{samples}h", *wave)


def _mp3(order: _Order) -> Media:
    """Frames that stand alone, as often as needed, and one before them that says how many there are."""
    base = _base(f"tone-{order.digest[16] % 4}.mp3")
    # Fewer than a handful of frames are not recognized as MP3.
    count = max(8, math.ceil(order.seconds * _MP3_RATE / _MP3_SAMPLES))
    size = count * _MP3_FRAME
    frames = (base * (size // len(base) + 1))[:size]
    # Header, empty side information, then the count of frames and of bytes.
    info = base[:4] + bytes(9) + b"Info" + struct.pack(">III", 0b11, count, size + _MP3_FRAME)
    note = b"\0eng\0" + order.mark  # ID3 2.3: Latin-1, a language, no description, the text
    comment = b"COMM" + struct.pack(">IH", len(note), 0) + note
    tag = b"ID3\3\0\0" + bytes((0, 0, len(comment) >> 7, len(comment) & 0x7F))
    content = b"".join((tag, comment, info.ljust(_MP3_FRAME, b"\0"), frames))
    return Media(content, None, None, count * _MP3_SAMPLES / _MP3_RATE)


def _m4a(order: _Order) -> Media:
    return Media(_boxed(f"tone-{order.digest[16] % 4}.m4a", order), None, None, _M4A_SECONDS)


# --- video ----------------------------------------------------------------------------------------------

# Of `tests/server/make_media_bases.py`, which made the files.
_M4A_SECONDS = 1.024
_CLIP_SECONDS = 1.0
_CLIPS = ((640, 480, 4), (1920, 1080, 1), (3840, 2160, 1))  # width, height, number of colorings


def _mp4(order: _Order) -> Media:
    return _clip(order, "mp4")


def _mov(order: _Order) -> Media:
    return _clip(order, "mov")


def _clip(order: _Order, suffix: str) -> Media:
    fitting = (clip for clip in _CLIPS if clip[0] >= order.width and clip[1] >= order.height)
    width, height, variants = next(fitting, _CLIPS[-1])
    name = f"clip-{width}x{height}-{order.digest[16] % variants}.{suffix}"
    return Media(_boxed(name, order), width, height, _CLIP_SECONDS)


def _boxed(name: str, order: _Order) -> bytes:
    """The base with a box of free space, which players skip; at the end, so that no offset moves."""
    return b"".join((_base(name), struct.pack(">I", 8 + len(order.mark)), b"free", order.mark))


@lru_cache(maxsize=32)
def _base(name: str) -> bytes:
    return Path(__file__).with_name("media").joinpath(name).read_bytes()


_WRITERS: dict[str, Callable[[_Order], Media]] = {
    "image/jpeg": _jpeg,
    "image/png": _png,
    "image/webp": _webp,
    "image/gif": _gif,
    "audio/mpeg": _mp3,
    "audio/wav": _wav,
    "audio/mp4": _m4a,
    "video/mp4": _mp4,
    "video/quicktime": _mov,
}
_LARGEST = {"image/webp": 16_384}  # 14 bits a side
