"""Small, valid media of every format, each file unlike every other, made with only the standard library.

Pictures are drawings (`_scenes.py`) with a row of tiles whose colors come from a hash of `unique`. A job may have ten
thousand files, so what files of one drawing share is made once: in each format, the pixels; a file adds its palette, or
the rows with its tiles. Video and AAC cannot be written in a few lines; their bases lie in `media/`.
"""

from __future__ import annotations

import hashlib
import math
import re
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from ._jpeg import JPEG_TABLES, jpeg_row
from ._scenes import COLORS, FIRST_TILE, SUBJECTS, Scene, pixels, scene

__all__ = ["Media", "make"]

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

    digest: bytes  # 64 bytes
    width: int
    height: int
    seconds: float
    scene: Scene

    @property
    def mark(self) -> bytes:
        """The text that makes the file unique whatever its few pixels or samples are."""
        return self.digest[:16].hex().encode()

    @property
    def drawing(self) -> tuple[str, int, str | None, int, int]:
        """What decides the pixels, as indexes into the palette."""
        return self.scene.subject.name, self.scene.place, self.scene.text, self.width, self.height


def make(
    content_type: str,
    unique: str,
    *,
    width: int = 640,
    height: int = 480,
    seconds: float = 1.0,
    subject: str | None = None,
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
        subject: what an image shows, such as `stop sign` or `cup`; chosen by `unique` when left out.

    Returns:
        The bytes and their properties.

    Raises:
        ValueError: the format or the subject is unknown, or the file cannot be that large or that long.
    """
    writer = _WRITERS.get(content_type)
    if writer is None:
        raise ValueError(f"unknown content type {content_type!r}; known are {', '.join(_WRITERS)}")
    largest = _LARGEST.get(content_type, 65_535)
    if not (1 <= width <= largest and 1 <= height <= largest):
        raise ValueError(f"{content_type} has 1 to {largest} pixels a side, not {width}x{height}")
    if not 0 < seconds <= _MAX_SECONDS:
        raise ValueError(f"seconds must be above 0 and at most {_MAX_SECONDS:.0f}, not {seconds}")
    if subject is not None and subject not in SUBJECTS:
        raise ValueError(f"unknown subject {subject!r}; known are {', '.join(SUBJECTS)}")
    digest = hashlib.sha512(unique.encode()).digest()
    return writer(_Order(digest, width, height, seconds, scene(unique, subject)))


# --- images ---------------------------------------------------------------------------------------------


def _runs(line: bytes) -> list[tuple[int, int]]:
    """A line as (color, length) of its runs of one color."""
    return [(match[0][0], len(match[0])) for match in _RUN.finditer(line)]


_RUN = re.compile(rb"(.)\1*", re.DOTALL)


def _png(order: _Order) -> Media:
    header = struct.pack(">IIBBBBB", order.width, order.height, 8, 3, 0, 0, 0)
    content = b"".join(
        (
            b"\x89PNG\r\n\x1a\n",
            _png_chunk(b"IHDR", header),
            _png_chunk(b"tEXt", b"Comment\0" + order.mark),
            _png_chunk(b"PLTE", bytes(part for color in order.scene.palette for part in color)),
            _png_pixels(*order.drawing),
            _png_chunk(b"IEND", b""),
        )
    )
    return Media(content, order.width, order.height, None)


def _png_chunk(kind: bytes, data: bytes) -> bytes:
    return b"".join((struct.pack(">I", len(data)), kind, data, struct.pack(">I", zlib.crc32(kind + data))))


@lru_cache(maxsize=64)
def _png_pixels(subject: str, place: int, text: str | None, width: int, height: int) -> bytes:
    """The pixels are indexes into the palette, so files of one drawing share them."""
    packer = zlib.compressobj(6)
    packed: list[bytes] = []
    same = b"\2" + bytes(width)  # filter "up": as the line above
    last = None
    for line in pixels(subject, place, text, width, height):
        packed.append(packer.compress(same if line is last else b"\0" + line))
        last = line
    return _png_chunk(b"IDAT", b"".join(packed) + packer.flush())


def _gif(order: _Order) -> Media:
    spare = ((0, 0, 0),) * (32 - COLORS)
    content = b"".join(
        (
            b"GIF89a",
            struct.pack("<HHBBB", order.width, order.height, 0b1_111_0_100, 0, 0),
            bytes(part for color in (*order.scene.palette, *spare) for part in color),
            b"\x21\xfe",
            bytes((len(order.mark),)),
            order.mark,
            b"\0",
            struct.pack("<BHHHHB", 0x2C, 0, 0, order.width, order.height, 0),
            _gif_pixels(*order.drawing),
            b"\x3b",
        )
    )
    return Media(content, order.width, order.height, None)


@lru_cache(maxsize=64)
def _gif_pixels(subject: str, place: int, text: str | None, width: int, height: int) -> bytes:
    """The LZW data, shared by all files of one drawing.

    A decoder does not ask for the longest match, so only runs of one color are looked for: that takes a
    step a code, not a step a pixel.
    """
    bits, clear = 5, 32
    codes = 0  # since the last clear
    known: dict[int, list[int]] = {}  # per color, the codes of runs of 1, 2, 3... pixels
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
    for color, run in _joined(pixels(subject, place, text, width, height)):
        left = run
        while left:
            if codes == 4096 - clear - 3:  # the table is full
                emit(clear)
                codes = 0
                known.clear()
            phrases = known.setdefault(color, [color])
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


def _joined(lines: Sequence[bytes]) -> Iterator[tuple[int, int]]:
    """The runs of all lines as one sequence of pixels: runs may lead over the end of a line."""
    color, length = -1, 0
    for line in lines:
        for next_color, run in _runs(line):
            if next_color == color:
                length += run
                continue
            if length:
                yield color, length
            color, length = next_color, run
    yield color, length


def _jpeg(order: _Order) -> Media:
    ycc = tuple(
        (
            round(0.299 * r + 0.587 * g + 0.114 * b) - 128,
            round(-0.168736 * r - 0.331264 * g + 0.5 * b),
            round(0.5 * r - 0.418688 * g - 0.081312 * b),
        )
        for r, g, b in order.scene.palette
    )
    # The rows with the tiles are this picture's own. Each row starts over after a marker, so that they can be joined.
    own: dict[tuple[bytes, ...], bytes] = {}
    rows: list[bytes] = []
    for number, row in enumerate(_jpeg_rows(order.drawing, ycc[:FIRST_TILE])):
        if isinstance(row, bytes):
            rows.append(row)
        else:
            if row not in own:
                own[row] = jpeg_row(row, ycc)
            rows.append(own[row])
        rows.append(bytes((0xFF, 0xD0 + number % 8)))
    content = b"".join(
        (
            b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00",
            b"\xff\xfe",
            struct.pack(">H", 2 + len(order.mark)),
            order.mark,
            b"\xff\xc0\x00\x11\x08",
            struct.pack(">HH", order.height, order.width),
            b"\x03\x01\x22\x00\x02\x11\x00\x03\x11\x00",
            JPEG_TABLES,
            b"\xff\xdd\x00\x04",
            struct.pack(">H", -(-order.width // 16)),
            b"\xff\xda\x00\x0c\x03\x01\x00\x02\x00\x03\x00\x00\x3f\x00",
            *rows[:-1],
            b"\xff\xd9",
        )
    )
    return Media(content, order.width, order.height, None)


@lru_cache(maxsize=512)
def _jpeg_rows(
    drawing: tuple[str, int, str | None, int, int], colors: tuple[tuple[int, int, int], ...]
) -> list[bytes | tuple[bytes, ...]]:
    """Each row of units as its bytes, or as its lines where it has tiles."""
    lines = pixels(*drawing)
    made: dict[tuple[bytes, ...], bytes | tuple[bytes, ...]] = {}
    rows: list[bytes | tuple[bytes, ...]] = []
    for number in range(-(-len(lines) // 16)):
        cut = _jpeg_lines(lines, number)
        if cut not in made:
            has_tiles = any(max(line) >= FIRST_TILE for line in set(cut))
            made[cut] = cut if has_tiles else jpeg_row(cut, colors)
        rows.append(made[cut])
    return rows


def _jpeg_lines(lines: tuple[bytes, ...], number: int) -> tuple[bytes, ...]:
    """The 16 lines of a row of units; the last line again where there are fewer."""
    cut = lines[16 * number : 16 * number + 16]
    return (*cut, *cut[-1:] * (16 - len(cut)))


def _webp(order: _Order) -> Media:
    """Lossless: a palette of its own, and the indexes into it, which all pictures of one drawing share."""
    head, bits = Bits(), _webp_pixels(*order.drawing)
    head.put(0x2F, 8)
    for side in (order.width, order.height):
        head.put(side - 1, 14)
    head.put(0, 1 + 3)  # no alpha, version 0
    head.put(1, 1)  # a transform,
    head.put(3, 2)  # by a palette
    colors = [*order.scene.palette, *[(0, 0, 0)] * (_WEBP_COLORS - COLORS)]
    head.put(len(colors) - 1, 8)
    head.put(0, 1)  # no cache of colors
    for symbols in (280, 256, 256):  # green, red, and blue take 8 bits each
        head.fixed(range(256), symbols, 8)
    head.put(0b11_1, 3)  # alpha is one of two symbols, of 8 bits
    head.put(0, 8)
    head.put(255, 8)
    head.one(0)  # distance
    last = (0, 0, 0)
    for number, color in enumerate(colors):
        red, green, blue = ((new - old) & 0xFF for new, old in zip(color, last, strict=True))
        for part in (green, red, blue):
            head.put(int(f"{part:08b}"[::-1], 2), 8)
        head.put(number == 0, 1)  # 255, then no difference
        last = color
    head.put(0, 1)  # no other transform
    value = head.value | bits.value << head.filled
    data = value.to_bytes(-(-(head.filled + bits.filled) // 8), "little")

    # An EXIF block of one entry, ImageDescription; it asks for the extended header.
    exif = struct.pack("<2sHIHHHIII", b"II", 42, 8, 1, 0x010E, 2, len(order.mark) + 1, 26, 0)
    extended = struct.pack("<I", 0b1000)
    extended += (order.width - 1).to_bytes(3, "little") + (order.height - 1).to_bytes(3, "little")
    body = b"".join(
        (
            b"WEBP",
            _riff_chunk(b"VP8X", extended),
            _riff_chunk(b"VP8L", data),
            _riff_chunk(b"EXIF", exif + order.mark + b"\0"),
        )
    )
    return Media(_riff_chunk(b"RIFF", body), order.width, order.height, None)


# More than 16, since fewer are packed several to a byte.
_WEBP_COLORS = 32
# Of the 64 codes of 6 bits: indexes of colors, and lengths of copies.
_WEBP_SYMBOLS = (*range(40), *range(256, 280))


class Bits:
    """Numbers, the lowest bit first, in one long number."""

    def __init__(self) -> None:
        self.value = self.filled = 0

    def put(self, number: int, bits: int) -> None:
        """Add a number of that many bits."""
        self.value |= number << self.filled
        self.filled += bits

    def one(self, symbol: int) -> None:
        """A code of this one symbol, which then takes no bits."""
        self.put(0b1_0_1, 3)
        self.put(symbol, 8)

    def fixed(self, used: Iterable[int], symbols: int, length: int) -> None:
        """A code in which each used symbol takes `length` bits, 6 or 8."""
        order = (17, 18, 0, 1, 2, 3, 4, 5, 16, 6, 7, 8)
        count = order.index(length) + 1
        self.put(0, 1)
        self.put(count - 4, 4)
        for each in order[:count]:
            self.put(each in (0, length), 3)  # each of the two lengths takes one bit
        self.put(0, 1)  # a length for every symbol
        self.put(sum(1 << symbol for symbol in used), symbols)


@lru_cache(maxsize=64)
def _webp_pixels(subject: str, place: int, text: str | None, width: int, height: int) -> Bits:
    """The indexes as literals and copies: of the pixel to the left, or of the line above."""
    bits = Bits()
    bits.put(0, 1)  # no cache of colors
    bits.put(0, 1)  # one set of codes for all
    bits.fixed(_WEBP_SYMBOLS, 280, 6)
    for symbol in (0, 0, 255):  # red, blue, alpha
        bits.one(symbol)
    bits.put(0b01_1, 3)  # distance is one of two symbols: 0, of one bit,
    bits.put(0, 1)
    bits.put(1, 8)  # and 1
    codes = {symbol: int(f"{code:06b}"[::-1], 2) for code, symbol in enumerate(_WEBP_SYMBOLS)}
    text_of: list[str] = []  # 0 and 1, the last written first

    def put(number: int, count: int) -> None:
        if count:
            text_of.append(f"{number:0{count}b}")

    def copy(length: int, left: int) -> None:
        while length:
            step = min(length, 4096)
            number = step - 1
            if number < 4:
                put(codes[256 + number], 6)
            else:
                extra = number.bit_length() - 2
                put(codes[256 + 2 * (extra + 1) + (number >> extra & 1)], 6)
                put(number & (1 << extra) - 1, extra)
            put(left, 1)
            length -= step

    last, same = None, 0
    for line in pixels(subject, place, text, width, height):
        if line is last:
            same += 1
            continue
        copy(same * width, 0)
        last, same = line, 0
        for color, run in _runs(line):
            put(codes[color], 6)
            copy(run - 1, 1)
    copy(same * width, 0)
    joined = "".join(reversed(text_of))
    bits.put(int(joined, 2), len(joined))
    return bits


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


def _split(total: int, parts: int) -> list[int]:
    """`total` in `parts` near-equal shares, some of them 0 when there is not enough."""
    return [total * (i + 1) // parts - total * i // parts for i in range(parts)]


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
