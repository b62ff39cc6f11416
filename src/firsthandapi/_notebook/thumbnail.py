"""Thumbnails, with Pillow if it is installed. The input may be hostile."""

from __future__ import annotations

import io
import warnings
from importlib import import_module
from typing import Any, Final

# Twice the width of a card, for screens with two pixels to one.
SIDE: Final = 400
_QUALITY = 75
# The pixels of a large photo from a phone; and of a picture that is decoded at full size, as every format but JPEG
# is, at 4 bytes per pixel.
_MOST_PIXELS = 60_000_000
_MOST_DECODED = 30_000_000
# A scan takes a hundred bytes and draws the whole picture again: a small file can hold hours of work.
_SCAN = b"\xff\xda"
_MOST_SCANS = 32

_FORMATS = {"image/jpeg": "JPEG", "image/png": "PNG", "image/webp": "WEBP", "image/gif": "GIF"}


def pillow() -> Any:
    """`PIL.Image`, or None: Pillow is not a dependency."""
    try:
        return import_module("PIL.Image")
    except ImportError:
        return None


def thumbnail(image_module: Any, content: bytes, content_type: str, *, side: int = SIDE) -> bytes | None:
    """The first frame as a small JPEG, without the metadata of the original (which may say where it was taken);
    None if it is broken, or so large that decoding it would take too much.

    Args:
        image_module: what `pillow` gave.
        content: the file.
        content_type: what it is said to be; no other decoder is tried.
        side: the length of its longer side, in pixels, at most.
    """
    if content_type == "image/jpeg" and content.count(_SCAN) > _MOST_SCANS:
        return None
    try:
        with warnings.catch_warnings():
            # Its own limits are looser than ours, and its other warnings do not matter here.
            warnings.simplefilter("ignore")
            with image_module.open(io.BytesIO(content), formats=[_FORMATS[content_type]]) as image:
                if image.width * image.height > _MOST_PIXELS:
                    return None
                image.draft("RGB", (side, side))  # a JPEG is decoded at an eighth of its size
                if image.width * image.height > _MOST_DECODED:
                    return None
                clear = image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info
                small = image.convert("RGBA" if clear else "RGB")
                small.thumbnail((side, side))
                if clear:
                    paper = image_module.new("RGB", small.size, "white")
                    paper.paste(small, mask=small.getchannel("A"))
                    small = paper
                out = io.BytesIO()
                small.save(out, "JPEG", quality=_QUALITY)
                return out.getvalue()
    except Exception:  # decoders raise whatever they stumble over
        return None
