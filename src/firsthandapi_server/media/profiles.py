"""Color profiles (ICC) without texts: only what turns the numbers of a picture into colors."""

from __future__ import annotations

import struct

from .parts import MediaError, number, take

_MOST_PROFILE = 4 << 20  # bytes; those of printers have up to three million
_MOST_TAGS = 100
_HEAD = 128
_CLASSES = frozenset((b"scnr", b"mntr", b"prtr", b"spac"))
# What colors need, and the kinds of numbers that it may consist of.
_TAGS = frozenset(
    b"wtpt bkpt chad rXYZ gXYZ bXYZ rTRC gTRC bTRC kTRC A2B0 A2B1 A2B2 B2A0 B2A1 B2A2 gamt lumi cicp".split()
)
_NUMBERS = frozenset((b"XYZ ", b"curv", b"para", b"mft1", b"mft2", b"mAB ", b"mBA ", b"sf32", b"cicp"))
_DATED = struct.pack(">6H", 2000, 1, 1, 0, 0, 0)
_NAME = "Color profile"  # every profile must have a name, and a line on its copyright


def neutral(profile: bytes) -> bytes | None:
    """A profile for the same colors, without texts, names, dates, and bytes that nothing refers to.

    None for what is no such profile: without it, the colors are those of most screens.
    """
    try:
        return _neutral(profile) if len(profile) <= _MOST_PROFILE else None
    except MediaError:
        return None


def _neutral(profile: bytes) -> bytes | None:
    count = number(profile, _HEAD, ">I")
    if profile[36:40] != b"acsp" or profile[12:16] not in _CLASSES or count > _MOST_TAGS:
        return None
    name = _text(profile[8])
    tags = {b"desc": name[0], b"cprt": name[1]}
    for at in range(_HEAD + 4, _HEAD + 4 + 12 * count, 12):
        tag, start, size = take(profile, at, 4), number(profile, at + 4, ">I"), number(profile, at + 8, ">I")
        if tag in _TAGS and profile[start : start + 4] in _NUMBERS:
            tags.setdefault(tag, _exact(take(profile, start, size)))
    if len(tags) == 2:
        return None
    end = _HEAD + 4 + 12 * len(tags)
    places: dict[bytes, int] = {}  # equal curves are there once
    for content in tags.values():
        if content not in places:
            places[content] = end
            end += len(content) + -len(content) % 4
    table = b"".join(
        struct.pack(">4sII", tag, places[content], len(content)) for tag, content in tags.items()
    )
    # Version, class, and color spaces; then attributes, intent, and white point.
    head = struct.pack(">I4x16s12s4s16x", end, profile[8:24], _DATED, b"acsp") + profile[56:80]
    contents = b"".join(content + bytes(-len(content) % 4) for content in places)
    return head.ljust(_HEAD, b"\0") + struct.pack(">I", len(tags)) + table + contents


def _text(version: int) -> tuple[bytes, bytes]:
    """A name and a copyright as this version has them."""
    if version >= 4:
        words = _NAME.encode("utf-16-be")
        text = struct.pack(">4s4xII4sII", b"mluc", 1, 12, b"enUS", len(words), 28) + words
        return text, text
    words = _NAME.encode() + b"\0"
    return struct.pack(">4s4xI", b"desc", len(words)) + words + bytes(78), b"text\0\0\0\0" + words


def _exact(content: bytes) -> bytes:
    """The numbers of a tag, and nothing behind them."""
    if content[:4] == b"curv":
        return take(content, 0, 12 + 2 * number(content, 8, ">I"))
    return content[:20] if content[:4] == b"XYZ " else content
