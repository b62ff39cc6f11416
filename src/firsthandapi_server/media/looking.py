"""What a model sees and hears of a stranger's file. Call it through `Bounded`."""

from __future__ import annotations

import json
from pathlib import Path

from firsthandapi.ai._media import picture, sound
from firsthandapi.errors import AnnotationError


def look(path: str, content_type: str, is_heard: bool) -> bytes | None:
    """The sound of a file, empty without one; or a line of JSON, which describes its picture, and the picture. None if
    it cannot be decoded."""
    try:
        if is_heard:
            return sound(Path(path)) or b""
        seen = picture(Path(path), content_type)
    except AnnotationError:
        return None
    return json.dumps([seen.width, seen.height, seen.seconds, seen.palette]).encode() + b"\n" + seen.content
