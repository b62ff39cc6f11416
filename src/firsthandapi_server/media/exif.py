"""Reads orientation, time, and camera model from an EXIF block, and ignores the rest."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone

from firsthandapi._base.visible import is_hidden

_ORIENTATION, _MAKE, _MODEL, _EXIF, _TAKEN, _OFFSET = 0x0112, 0x010F, 0x0110, 0x8769, 0x9003, 0x9011
_TIME = re.compile(r"(\d{4}):(\d\d):(\d\d) (\d\d):(\d\d):(\d\d)")
_ZONE = re.compile(r"([+-])(\d\d):(\d\d)")
_MOST_ENTRIES = 512
_MOST_TEXT = 60


@dataclass(frozen=True, slots=True)
class Exif:
    """The facts of an EXIF block.

    Attributes:
        orientation: 1 to 8, as EXIF counts; 1 is upright.
        taken_at: Unix seconds, or None.
        device: the model of the camera, or None.
    """

    orientation: int = 1
    taken_at: float | None = None
    device: str | None = None


def read_exif(block: bytes, utc_offset: float) -> Exif:
    """The facts of a TIFF structure; a damaged entry counts as absent.

    Args:
        block: from the byte order mark on; the name `Exif` before it is skipped.
        utc_offset: seconds east of UTC, for a time that does not name its own zone.
    """
    data = block.removeprefix(b"Exif\0\0")
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(data[:4])
    if order is None:
        return Exif()
    tags = _directory(data, order, _long(data, 4, order))
    inner = tags.get(_EXIF)
    tags |= _directory(data, order, inner) if isinstance(inner, int) else {}
    orientation = tags.get(_ORIENTATION)
    if not isinstance(orientation, int) or not 1 <= orientation <= 8:
        orientation = 1
    return Exif(orientation, _taken_at(tags, utc_offset), _device(tags))


def only_turned(orientation: int) -> bytes:
    """An EXIF block that says how a picture is turned, and nothing else."""
    return struct.pack(">2sHIHHHIHHI", b"MM", 42, 8, 1, _ORIENTATION, 3, 1, orientation, 0, 0)


def _long(data: bytes, at: int, order: str) -> int:
    part = data[at : at + 4]
    return int.from_bytes(part, "little" if order == "<" else "big") if len(part) == 4 else -1


def _directory(data: bytes, order: str, start: int) -> dict[int, int | str]:
    """The numbers and texts of one directory."""
    tags: dict[int, int | str] = {}
    if not 0 <= start <= len(data) - 2:
        return tags
    (count,) = struct.unpack_from(f"{order}H", data, start)
    for position in range(start + 2, start + 2 + 12 * min(count, _MOST_ENTRIES), 12):
        if position + 12 > len(data):
            break
        tag, kind, size = struct.unpack_from(f"{order}HHI", data, position)
        if kind == 3 and size == 1:
            (tags[tag],) = struct.unpack_from(f"{order}H", data, position + 8)
        elif kind == 4 and size == 1:
            tags[tag] = _long(data, position + 8, order)
        elif kind == 2:
            at = position + 8 if size <= 4 else _long(data, position + 8, order)
            text = data[at : at + min(size, 200)] if at >= 0 else b""
            tags[tag] = text.partition(b"\0")[0].decode("utf-8", "replace").strip()
    return tags


def _taken_at(tags: dict[int, int | str], utc_offset: float) -> float | None:
    match = _TIME.fullmatch(str(tags.get(_TAKEN, "")))
    zone = _ZONE.fullmatch(str(tags.get(_OFFSET, "")))
    if match is None:
        return None
    if zone is not None:
        sign, hours, minutes = zone.groups()
        utc_offset = int(f"{sign}1") * (int(hours) * 3600 + int(minutes) * 60)
    try:
        local_zone = timezone(timedelta(seconds=utc_offset))
        year, month, day, hour, minute, second = map(int, match.groups())
        return datetime(year, month, day, hour, minute, second, tzinfo=local_zone).astimezone(UTC).timestamp()
    except (ValueError, OverflowError):
        return None


def _device(tags: dict[int, int | str]) -> str | None:
    make, model = (printable(tags.get(tag, "")) for tag in (_MAKE, _MODEL))
    if not model:
        return None
    named = make and not model.lower().startswith(make.split()[0].lower())
    return (f"{make} {model}" if named else model)[:_MOST_TEXT]


def printable(text: object) -> str:
    """Untrusted text as a short line, without invisible characters."""
    if not isinstance(text, str):
        return ""
    return " ".join("".join(char for char in text[:200] if not is_hidden(char)).split())[:_MOST_TEXT].strip()
