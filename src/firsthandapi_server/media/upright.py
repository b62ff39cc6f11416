"""Decodes a picture to check that it is complete, says how it looks, and turns a JPEG that is not upright.

Pillow does both in a process of its own: a small file can take gigabytes, and minutes.
"""

from __future__ import annotations

import atexit
import io
import os
import threading
from contextlib import nullcontext
from typing import Any

from .bounded import Bounded, BoundedError
from .parts import MediaError, damaged
from .pictures import Picture, check_pixels

_FORMATS = {"image/jpeg": "JPEG", "image/png": "PNG", "image/webp": "WEBP", "image/gif": "GIF"}
_SIDEWAYS = (5, 6, 7, 8)
_LARGE = 32_000_000
_TURNS = {
    2: "FLIP_LEFT_RIGHT",
    3: "ROTATE_180",
    4: "FLIP_TOP_BOTTOM",
    5: "TRANSPOSE",
    6: "ROTATE_270",
    7: "TRANSVERSE",
    8: "ROTATE_90",
}
# How a picture looks: from so many points a side to so many bytes; by how much the darker of two parts is darker; how
# many such parts a picture needs to be told from others, and in how many two may differ that look the same.
_POINTS, _LOOK, _DARKER, _PLAIN, _MOST_DIFFERENT = 72, 8, 2, 6, 8
# A photo of 64 megapixels takes 520 MB and three seconds to turn, and its bytes, before and after, up to 100 MB.
# However many such photos come, one process is there for the others.
_LARGE_AT_ONCE = max(2, os.cpu_count() or 2)
_large = threading.Semaphore(_LARGE_AT_ONCE)
_decode = Bounded(
    "firsthandapi_server.media.upright:decoded",
    processes=_LARGE_AT_ONCE + 1,
    megabytes=700,
    seconds=20,
)
atexit.register(_decode.close)


def upright(content_type: str, picture: Picture) -> tuple[bytes, int, int, str | None]:
    """The bytes of a picture, with its width and height as it is seen, and how it looks.

    Only a JPEG is turned, and encoded again; the others keep their bytes, and say how they are turned.
    Raises MediaError: it cannot be decoded to the end, or takes too much memory or time.
    """
    check_pixels(picture)
    orientation = picture.exif.orientation
    turn = orientation if content_type == "image/jpeg" else 1
    is_large = picture.width * picture.height > _LARGE
    try:
        with _large if is_large else nullcontext():
            output = _decode(content_type, picture.content, (picture.width, picture.height), turn)
    except BoundedError:
        raise _too_much() from None
    if not output:
        # Some decoders do not say that it was memory they lacked.
        raise _too_much() if is_large else damaged()
    look, content = output[:_LOOK], output[_LOOK:] or picture.content
    width, height = picture.width, picture.height
    if orientation in _SIDEWAYS:
        width, height = height, width
    return content, width, height, look.hex() if any(look) else None


def _too_much() -> MediaError:
    return MediaError(
        "This picture takes too much memory or time to check. Send it as a JPEG, or in a smaller size."
    )


def decoded(content_type: str, content: bytes, size: tuple[int, int], turn: int) -> bytes:
    """How a picture looks, and the turned one, if it was turned; nothing for one that is damaged."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(content), formats=(_FORMATS[content_type],)) as image:
            if image.size != size:
                return b""
            if turn == 1:
                # A JPEG is read whole, and decoded small.
                image.draft(image.mode, (image.width // 8, image.height // 8))
            elif image.mode == "RGB" and [layer[0] for layer in getattr(image, "layer", ())] == [1, 2, 3]:
                # In the colors of the file, which are encoded again as they are.
                image.draft("YCbCr", image.size)
            image.load()
            if turn == 1:
                return _look(image)
            # The look first: to turn a picture takes most of the memory.
            return _look(image, turn) + _turned(image, turn)
    except MemoryError:
        raise
    except Exception:  # Pillow raises whatever its decoders stumble over
        return b""


def _turned(image: Any, orientation: int) -> bytes:
    from PIL.Image import Transpose
    from PIL.JpegImagePlugin import get_sampling

    options: dict[str, Any] = {"icc_profile": image.info.get("icc_profile")}
    if image.mode not in ("L", "RGB", "YCbCr"):
        image = image.convert("RGB")  # the profile is of other colors than these
        options = {"quality": 95}
    else:
        # The tables of the camera, so that nothing is lost that it kept.
        options |= {"qtables": image.quantization, "subsampling": get_sampling(image)}
    turned = io.BytesIO()
    image.transpose(Transpose[_TURNS[orientation]]).save(turned, "JPEG", **options)
    return turned.getvalue()


def _look(image: Any, orientation: int = 1) -> bytes:
    """Whether each of 64 parts of a picture is darker than the one to its right: other sizes and recompressions of a
    picture differ in few. Zeros for one that is too plain to be told from others."""
    from PIL.Image import Resampling, Transpose

    small = image.resize((_POINTS, _POINTS), Resampling.NEAREST).convert("L")
    if orientation != 1:
        small = small.transpose(Transpose[_TURNS[orientation]])
    seen = small.resize((9, 8), Resampling.BOX).tobytes()
    bits = [seen[at] + _DARKER < seen[at + 1] for row in range(0, 72, 9) for at in range(row, row + 8)]
    return sum(1 << place for place, bit in enumerate(bits) if bit and sum(bits) >= _PLAIN).to_bytes(_LOOK)


def is_like(first: str, second: str) -> bool:
    """Whether two pictures look the same."""
    return (int(first, 16) ^ int(second, 16)).bit_count() <= _MOST_DIFFERENT
