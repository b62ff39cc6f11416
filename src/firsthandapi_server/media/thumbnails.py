"""Thumbnails of untrusted pictures. Call it through `Bounded`."""

from __future__ import annotations

from firsthandapi._base.thumbnail import pillow
from firsthandapi._base.thumbnail import thumbnail as drawn


def thumbnail(content: bytes, content_type: str, side: int) -> bytes | None:
    """The picture as a small JPEG; None if it cannot be decoded, or Pillow is not installed."""
    images = pillow()
    return None if images is None else drawn(images, content, content_type, side=side)
