"""Decodes a picture to check that it is complete, and turns a JPEG that is not upright.

Pillow does both in a process of its own: a small file can take gigabytes, and minutes.
"""

from __future__ import annotations

import atexit
import io
import os
from typing import Any

from .bounded import Bounded, BoundedError
from .parts import MediaError, damaged
from .pictures import Picture, check_pixels

_FORMATS = {"image/jpeg": "JPEG", "image/png": "PNG", "image/webp": "WEBP", "image/gif": "GIF"}
_SIDEWAYS = (5, 6, 7, 8)
_LARGE = 32_000_000
# A photo of 50 megapixels takes 400 MB and two seconds to turn.
_decode = Bounded(
    "firsthandapi.server.media.upright:decoded", processes=max(2, os.cpu_count() or 2), seconds=20
)
atexit.register(_decode.close)


def upright(content_type: str, picture: Picture) -> tuple[bytes, int, int]:
    """The bytes of a picture, with its width and height as it is seen.

    Only a JPEG is turned, and encoded again; the others keep their bytes, and say how they are turned.

    Raises:
        MediaError: it cannot be decoded to the end, or takes too much memory or time.
    """
    check_pixels(picture)
    orientation = picture.exif.orientation
    turn = orientation if content_type == "image/jpeg" else 1
    try:
        turned = _decode(content_type, picture.content, (picture.width, picture.height), turn)
    except BoundedError:
        raise _too_much() from None
    if turned == b"":
        # Some decoders do not say that it was memory they lacked.
        raise _too_much() if picture.width * picture.height > _LARGE else damaged()
    content = picture.content if turned is None else turned
    if orientation in _SIDEWAYS:
        return content, picture.height, picture.width
    return content, picture.width, picture.height


def _too_much() -> MediaError:
    return MediaError(
        "This picture takes too much memory or time to check. Send it as a JPEG, or in a smaller size."
    )


def decoded(content_type: str, content: bytes, size: tuple[int, int], turn: int) -> bytes | None:
    """The turned picture; None for one that is good as it is, and nothing for one that is damaged."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(content), formats=(_FORMATS[content_type],)) as image:
            if image.size != size:
                return b""
            if turn == 1:
                # A JPEG is read whole, and decoded small.
                image.draft(image.mode, (image.width // 8, image.height // 8))
            image.load()
            return None if turn == 1 else _turned(image, turn)
    except MemoryError:
        raise
    except Exception:  # Pillow raises whatever its decoders stumble over
        return b""


def _turned(image: Any, orientation: int) -> bytes:
    from PIL.Image import Transpose
    from PIL.JpegImagePlugin import get_sampling

    options: dict[str, Any] = {"icc_profile": image.info.get("icc_profile")}
    if image.mode not in ("L", "RGB"):
        image = image.convert("RGB")  # the profile is of other colors than these
        options = {"quality": 95}
    else:
        # The tables of the camera, so that nothing is lost that it kept.
        options |= {"qtables": image.quantization, "subsampling": get_sampling(image)}
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
    image.transpose(method).save(turned, "JPEG", **options)
    return turned.getvalue()
