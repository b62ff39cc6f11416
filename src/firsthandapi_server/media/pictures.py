"""JPEG, PNG, WebP, and GIF, written again from the parts that a decoder needs. The pixels stay as they are."""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace

from firsthandapi_server.contract.text import said

from .exif import Exif, only_turned, read_exif
from .parts import MediaError, damaged, number, take
from .profiles import neutral


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture with only the parts that may be kept.

    Attributes:
        content: its bytes.
        width, height: pixels, before it is turned.
        exif: the facts of its EXIF block.
    """

    content: bytes
    width: int
    height: int
    exif: Exif


# --- JPEG -----------------------------------------------------------------------------------------------

# The next marker in the data of a scan: neither a stuffed byte, nor a restart, nor filling.
_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
_FRAMES = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})  # SOF0 to SOF15
_TABLES = frozenset({0xC4, 0xCC, 0xDB, 0xDD, *_FRAMES})
# Each scan passes over the whole picture, however few bytes it has. Encoders write about ten.
_MOST_SCANS = 64
_PROFILE, _PROFILE_SIZE = b"ICC_PROFILE\0", 65_519  # the most bytes of a profile in one segment


def read_jpeg(data: bytes, utc_offset: float) -> Picture:
    """A JPEG with tables, scans, color profile, and nothing else."""
    out: list[bytes | memoryview] = [b"\xff\xd8"]
    exif, size, scans, at, view = Exif(), None, 0, 2, memoryview(data)
    profile: dict[int, bytes] = {}
    profile_at = 0
    while True:
        marker, at = _next_marker(data, at)
        if marker == 0xD9:
            break
        length = number(data, at, ">H")
        if length < 2:
            raise damaged()
        body = take(data, at + 2, length - 2)
        at += length
        if marker == 0xE1 and body.startswith(b"Exif\0"):
            exif = read_exif(body, utc_offset) if exif == Exif() else exif
        elif marker == 0xE0 and body.startswith(b"JFIF\0") and len(body) >= 14:
            out.append(_segment(marker, body[:12] + b"\0\0"))  # without its thumbnail
        elif marker == 0xEE and body.startswith(b"Adobe") and len(body) >= 12:
            out.append(_segment(marker, body[:12]))
        elif marker == 0xE2 and body.startswith(_PROFILE):
            profile_at = profile_at or len(out)
            profile[number(body, len(_PROFILE), "B")] = body[len(_PROFILE) + 2 :]
        elif marker in _TABLES:
            out.append(_segment(marker, body))
            if marker in _FRAMES:
                size = number(body, 3, ">H"), number(body, 1, ">H")
        elif marker == 0xDA:
            scans += 1
            match = _MARKER.search(data, at)
            if match is None or scans > _MOST_SCANS:
                raise damaged()
            out += (_segment(marker, body), view[at : match.start()])
            at = match.start()
    if size is None or not scans:
        raise damaged()
    out[profile_at:profile_at] = _profile_segments(b"".join(profile[place] for place in sorted(profile)))
    return Picture(b"".join((*out, b"\xff\xd9")), *size, exif)


def _profile_segments(profile: bytes) -> list[bytes]:
    """The segments of a color profile, without its texts."""
    content = neutral(profile) or b""
    parts = [content[at : at + _PROFILE_SIZE] for at in range(0, len(content), _PROFILE_SIZE)]
    return [
        _segment(0xE2, _PROFILE + bytes((place, len(parts))) + part) for place, part in enumerate(parts, 1)
    ]


def _next_marker(data: bytes, at: int) -> tuple[int, int]:
    """The marker at `at`, and where it ends."""
    if data[at : at + 1] != b"\xff":
        raise damaged()
    while data[at : at + 1] == b"\xff":
        at += 1
    return number(data, at, "B"), at + 1


def _segment(marker: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


# --- PNG ------------------------------------------------------------------------------------------------

_MOST_PNG_PROFILE = 1 << 20  # bytes; Pillow reads no larger one
_PNG_START = b"\x89PNG\r\n\x1a\n"
_PNG_PARTS = frozenset(
    b"IHDR PLTE IDAT IEND tRNS cHRM gAMA sBIT sRGB cICP mDCV cLLI bKGD hIST pHYs acTL fcTL fdAT".split()
)


def read_png(data: bytes, utc_offset: float) -> Picture:
    """A PNG without text and times, and with nothing in EXIF but how it is turned."""
    out = [_PNG_START]
    exif, size, at = Exif(), None, len(_PNG_START)
    kind = b""
    while kind != b"IEND":
        length = number(data, at, ">I")
        kind = take(data, at + 4, 4)
        body = take(data, at + 8, length)
        if number(data, at + 8 + length, ">I") != zlib.crc32(body, zlib.crc32(kind)):
            raise damaged()
        if kind == b"IHDR" and size is None:
            size = number(body, 0, ">I"), number(body, 4, ">I")
        elif size is None:
            raise damaged()
        if kind == b"eXIf":
            exif = read_exif(body, utc_offset)
            if exif.orientation != 1:
                out.append(_png_chunk(kind, only_turned(exif.orientation)))
        if kind == b"iCCP":
            out += _png_profile(body)
        elif kind in _PNG_PARTS:
            out.append(data[at : at + 12 + length])
        at += 12 + length
    if size is None:
        raise damaged()
    return Picture(b"".join(out), *size, exif)


def _png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(body, zlib.crc32(kind)))


def _png_profile(body: bytes) -> list[bytes]:
    """The chunk of a color profile, without its texts."""
    _, _, rest = body.partition(b"\0")
    try:
        profile = neutral(zlib.decompressobj().decompress(rest[1:], _MOST_PNG_PROFILE))
    except zlib.error:
        return []
    return [_png_chunk(b"iCCP", b"icc\0\0" + zlib.compress(profile))] if profile else []


# --- WebP -----------------------------------------------------------------------------------------------

_WEBP_PARTS = frozenset((b"VP8X", b"VP8 ", b"VP8L", b"ALPH", b"ANIM", b"ANMF", b"ICCP"))
_HAS_PROFILE, _HAS_EXIF, _HAS_XMP = 0b10_0000, 0b1000, 0b0100


def read_webp(data: bytes, utc_offset: float) -> Picture:
    """A WebP without XMP, and with nothing in EXIF but how it is turned."""
    end = 8 + number(data, 4, "<I")
    if end > len(data):
        raise damaged()
    out: list[bytes] = []
    exif, size, flags = Exif(), None, 0
    for kind, content in riff_chunks(data[:end], 12):
        body = content
        if kind == b"EXIF":
            exif = read_exif(body, utc_offset)
        elif kind == b"VP8X":
            if out:
                raise damaged()
            flags = number(body, 0, "B") & ~(_HAS_EXIF | _HAS_XMP)
            body = b"\0\0\0\0" + take(body, 4, 6)
            size = 1 + int.from_bytes(body[4:7], "little"), 1 + int.from_bytes(body[7:10], "little")
        elif kind == b"VP8L" and size is None:
            bits = number(body, 1, "<I")
            size = 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
        elif kind == b"VP8 " and size is None:
            size = number(body, 6, "<H") & 0x3FFF, number(body, 8, "<H") & 0x3FFF
        elif kind == b"ANMF":
            frame = (
                riff_chunk(*part) for part in riff_chunks(body, 16) if part[0] in (b"ALPH", b"VP8 ", b"VP8L")
            )
            body = b"".join((take(body, 0, 16), *frame))
        elif kind == b"ICCP":
            body = neutral(body) or b""
            if not body:
                flags &= ~_HAS_PROFILE
                continue
        if kind in _WEBP_PARTS:
            out.append(riff_chunk(kind, body))
    if size is None:
        raise damaged()
    if out[0].startswith(b"VP8X"):
        # Without this chunk there can be no EXIF: players would not look for it.
        if exif.orientation != 1:
            out.append(riff_chunk(b"EXIF", only_turned(exif.orientation)))
            flags |= _HAS_EXIF
        out[0] = out[0][:8] + bytes((flags,)) + out[0][9:]
    else:
        exif = replace(exif, orientation=1)
    return Picture(riff_chunk(b"RIFF", b"WEBP" + b"".join(out)), *size, exif)


def riff_chunks(data: bytes, at: int) -> Iterator[tuple[bytes, bytes]]:
    """The chunks of a RIFF structure from `at` on."""
    while at < len(data):
        kind, length = take(data, at, 4), number(data, at + 4, "<I")
        yield kind, take(data, at + 8, length)
        at += 8 + length + length % 2


def riff_chunk(kind: bytes, body: bytes) -> bytes:
    """One chunk, filled up to an even length."""
    return b"".join((kind, struct.pack("<I", len(body)), body, b"\0" * (len(body) % 2)))


# --- GIF ------------------------------------------------------------------------------------------------

_LOOPS = (b"NETSCAPE2.0", b"ANIMEXTS1.0")
_LOOP_SIZE, _CONTROL_SIZE = 19, 8  # longer ones carry something else


def read_gif(data: bytes, _utc_offset: float) -> Picture:
    """A GIF without comments, text, and application data, except its loop count."""
    size = number(data, 6, "<H"), number(data, 8, "<H")
    at = 13 + _table(number(data, 10, "B"))
    out = [take(data, 0, at)]
    has_frame = False
    while True:
        kind = number(data, at, "B")
        if kind == 0x3B:
            break
        start = at
        if kind == 0x2C:
            at = _blocks_end(data, at + 11 + _table(number(data, at + 9, "B")))
            out.append(data[start:at])
            has_frame = True
        elif kind == 0x21:
            label = number(data, at + 1, "B")
            at = _blocks_end(data, at + 2)
            is_loop = label == 0xFF and data[start + 3 : start + 14] in _LOOPS and at - start == _LOOP_SIZE
            if is_loop or (label == 0xF9 and at - start == _CONTROL_SIZE):
                out.append(data[start:at])
        else:
            raise damaged()
    if not has_frame:
        raise damaged()
    return Picture(b"".join((*out, b";")), *size, Exif())


def _table(flags: int) -> int:
    """The bytes of a table of colors, by the flags before it."""
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _blocks_end(data: bytes, at: int) -> int:
    """Where the blocks that start at `at` end."""
    while length := number(data, at, "B"):
        at += 1 + length
    return at + 1


READERS = {
    "image/jpeg": read_jpeg,
    "image/png": read_png,
    "image/webp": read_webp,
    "image/gif": read_gif,
}
# Pixels that one picture may have, a few more than the 9248 × 6936 of phones: decoded, they take four bytes each, and
# turned twice as many.
MOST_PIXELS = 65_000_000


def check_pixels(picture: Picture) -> None:
    """Refuse a picture that would take too much memory to decode, or has no pixels."""
    if not picture.width or not picture.height:
        raise damaged()
    if picture.width * picture.height > MOST_PIXELS:
        raise MediaError(
            said(
                "The picture has {width} × {height} pixels, and at most {most} million can be taken. Choose a lower "
                "resolution in the camera.",
                width=picture.width,
                height=picture.height,
                most=MOST_PIXELS // 10**6,
            )
        )
