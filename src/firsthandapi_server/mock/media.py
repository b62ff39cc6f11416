"""Small, valid media of every format, each file unlike every other.

Pictures are drawings (`_scenes.py`) with a row of tiles whose colors come from a hash of `unique`. Video and AAC cannot
be written in a few lines; their bases lie in `media/`.
"""

from __future__ import annotations

import hashlib
import io
import math
import struct
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from PIL import Image
from PIL.ExifTags import Base
from PIL.PngImagePlugin import PngInfo

from .scenes import SUBJECTS, DrawnScene, drawing, scene

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
    scene: DrawnScene

    @property
    def mark(self) -> bytes:
        """The text that makes the file unique whatever its few pixels or samples are."""
        return self.digest[:16].hex().encode()


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


def _image(order: _Order) -> Image.Image:
    """The drawing in the colors of this picture."""
    scene = order.scene
    image = drawing(scene.subject.name, scene.place, scene.text, order.width, order.height).copy()
    image.putpalette([part for color in scene.palette for part in color])
    return image


def _saved(order: _Order, image: Image.Image, format: str, **options: Any) -> Media:
    content = io.BytesIO()
    image.save(content, format, **options)
    return Media(content.getvalue(), order.width, order.height, None)


def _png(order: _Order) -> Media:
    info = PngInfo()
    info.add_text("Comment", order.mark)
    return _saved(order, _image(order), "PNG", pnginfo=info)


def _gif(order: _Order) -> Media:
    return _saved(order, _image(order), "GIF", comment=order.mark)


def _jpeg(order: _Order) -> Media:
    return _saved(order, _image(order).convert("RGB"), "JPEG", comment=order.mark, optimize=True)


def _webp(order: _Order) -> Media:
    exif = Image.Exif()
    exif[Base.ImageDescription] = order.mark.decode()
    # Lossless, and of that the fastest.
    return _saved(order, _image(order).convert("RGB"), "WEBP", lossless=True, quality=0, method=0, exif=exif)


# --- sound ----------------------------------------------------------------------------------------------


def _riff_chunk(kind: bytes, data: bytes) -> bytes:
    return b"".join((kind, struct.pack("<I", len(data)), data, b"\0" * (len(data) % 2)))


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
    return Path(__file__).with_name("samples").joinpath(name).read_bytes()


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
_LARGEST = {"image/webp": 16_383}  # what its encoder takes
