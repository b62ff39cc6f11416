"""Decodes a picture with Pillow to check that it is complete, and rotates one that is not upright."""

from __future__ import annotations

import io
import threading
from typing import TYPE_CHECKING, Any, cast

from .parts import MediaError, damaged
from .pictures import Picture, check_pixels

if TYPE_CHECKING:
    from PIL.Image import Image

# A decoded picture is large, so one at a time.
_ONE = threading.Lock()
_FORMATS = {"image/jpeg": "JPEG", "image/png": "PNG", "image/webp": "WEBP", "image/gif": "GIF"}
_SIDEWAYS = (5, 6, 7, 8)


def upright(content_type: str, picture: Picture) -> tuple[bytes, int, int]:
    """The bytes of a picture whose pixels stand upright, with its width and height.

    Only a picture that must be rotated is encoded again; the others keep their bytes.

    Raises:
        MediaError: it cannot be decoded to the end, is too large, or is animated and must be turned.
    """
    check_pixels(picture)
    orientation = picture.exif.orientation
    if orientation != 1 and picture.is_animated:
        raise MediaError(
            "This animation lies on its side, and cannot be turned here. Turn it in a gallery app first."
        )
    with _ONE:
        try:
            content = _decoded(content_type, picture, orientation)
        except Exception:  # Pillow raises whatever its decoders stumble over
            raise damaged() from None
    if orientation in _SIDEWAYS:
        return content, picture.height, picture.width
    return content, picture.width, picture.height


def _decoded(content_type: str, picture: Picture, orientation: int) -> bytes:
    from PIL import Image

    with Image.open(io.BytesIO(picture.content), formats=(_FORMATS[content_type],)) as image:
        if image.size != (picture.width, picture.height):
            raise damaged()
        if orientation == 1:
            image.draft(
                image.mode, (image.width // 8, image.height // 8)
            )  # a JPEG is read whole, and decoded small
            image.load()
            return picture.content
        image.load()
        return _turned(image, orientation, lossless=b"VP8L" in picture.content[:64])


def _turned(image: Image, orientation: int, *, lossless: bool) -> bytes:
    from PIL.Image import Transpose

    format = image.format
    options: dict[str, Any] = {"icc_profile": image.info.get("icc_profile")}
    if format == "JPEG":
        from PIL.JpegImagePlugin import get_sampling

        if image.mode not in ("L", "RGB"):
            image = image.convert("RGB")  # the profile is of other colors than these
            options = {"quality": 95}
        else:
            # The tables of the camera, so that nothing is lost that it kept.
            options |= {"qtables": cast("Any", image).quantization, "subsampling": get_sampling(image)}
    elif format == "WEBP":
        options |= {"lossless": lossless, "quality": 95}
    method = {
        2: Transpose.FLIP_LEFT_RIGHT,
        3: Transpose.ROTATE_180,
        4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270,
        7: Transpose.TRANSVERSE,
        8: Transpose.ROTATE_90,
    }[orientation]
    turned = io.BytesIO()
    image.transpose(method).save(turned, format, **options)
    return turned.getvalue()
