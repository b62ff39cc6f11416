"""Small pictures of large ones."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from firsthandapi._base.thumbnail import SIDE, pillow, thumbnail
from notebook.pictures import picture, png_of


@pytest.mark.parametrize(
    ("content_type", "content"),
    [
        ("image/jpeg", picture()),
        ("image/jpeg", picture(mode="L")),
        ("image/jpeg", picture(mode="CMYK")),
        ("image/png", picture("PNG", mode="RGBA")),
        ("image/png", picture("PNG", mode="LA")),
        ("image/png", picture("PNG", mode="P", transparency=7)),
        ("image/png", picture("PNG", mode="I;16")),
        ("image/png", picture("PNG", mode="1")),
        ("image/gif", picture("GIF", mode="P")),
        ("image/webp", picture("WEBP", mode="RGBA")),
    ],
)
def test_images_of_every_mode_become_small_ones(content_type: str, content: bytes) -> None:
    """A JPEG no larger than a card; what is clear is white."""
    preview = thumbnail(pillow(), content, content_type)
    assert preview is not None
    with Image.open(io.BytesIO(preview)) as small:
        assert (small.format, small.mode, small.size) == ("JPEG", "RGB", (SIDE, SIDE * 3 // 4))


def test_a_small_picture_does_not_tell_where_it_was_taken() -> None:
    """A notebook is passed on: the original's metadata stay out of it."""
    exif = Image.Exif()
    exif[0x8825] = {1: "N", 2: (35.0, 40.0, 0.0)}
    exif[0x010E] = "taken at home"
    content = picture(exif=exif)
    assert b"taken at home" in content
    preview = thumbnail(pillow(), content, "image/jpeg")
    assert preview is not None
    assert b"Exif" not in preview
    assert b"taken at home" not in preview


@pytest.mark.parametrize(
    ("content_type", "content"),
    [
        ("image/png", png_of(100_000, 100_000)),
        ("image/png", png_of(12_000, 12_000)),
        ("image/png", png_of(7_000, 7_000)),
        ("image/png", png_of(0, 0)),
        ("image/png", picture("PNG")[:-40]),
        ("image/jpeg", picture()[:400]),
        ("image/jpeg", picture() + b"\xff\xda" * 100),
        ("image/jpeg", picture("PNG")),
        ("image/gif", b"GIF89a" + bytes(20)),
        ("image/webp", b"RIFF\x10\0\0\0WEBPVP8X" + bytes(30)),
    ],
)
def test_a_bomb_or_a_broken_image_is_no_picture(content_type: str, content: bytes) -> None:
    """Neither a header that promises gigabytes, nor a thousand scans, nor a torn file raises or takes long."""
    assert thumbnail(pillow(), content, content_type) is None
