"""Thumbnails, with Pillow if it is installed. The input may be hostile."""

from __future__ import annotations

import io
import warnings
from importlib import import_module
from typing import Any, Final

# Twice the width of a card, for screens with two pixels to one.
SIDE: Final = 400
_QUALITY = 75
# Maximum pixels: of a large photo from a phone; and of a picture that is decoded at full size, at 4 bytes per pixel, as
# every format except JPEG is.
_MOST_PIXELS = 60_000_000
_MOST_DECODED = 30_000_000
# A scan of a hundred bytes redraws the whole picture: decoding a small file can take hours.
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
    """The first frame as a small JPEG, upright, without the original's metadata, which may contain its location; None
    if the picture is broken, or too large to decode.
    `content_type`: its stated type; no other decoder is tried.
    `side`: maximum length of the longer side, in pixels.
    """
    if content_type == "image/jpeg" and content.count(_SCAN) > _MOST_SCANS:
        return None
    try:
        with warnings.catch_warnings():
            # Pillow's own limits are looser than ours, and its other warnings do not matter here.
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
                small = import_module("PIL.ImageOps").exif_transpose(small)
                if clear:
                    paper = image_module.new("RGB", small.size, "white")
                    paper.paste(small, mask=small.getchannel("A"))
                    small = paper
                out = io.BytesIO()
                small.save(out, "JPEG", quality=_QUALITY)
                return out.getvalue()
    except Exception:  # decoders raise exceptions of any type
        return None
