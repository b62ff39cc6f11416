"""H.264 and HEVC: what is no picture, such as messages with a place or a name, is overwritten in place.

Sizes do not change, so no index must be rewritten.
"""

from __future__ import annotations

import re

from .parts import damaged, number

_MOST = 5_000_000  # units and messages of one track
_LARGEST_MESSAGES = 1 << 16  # bytes of a unit of messages; a larger one carries something else
_LARGEST_NUMBERS = 255  # bytes of a message of numbers, likewise
# Messages (SEI) that players need, all of them numbers: buffering and timing, where to start, how to show the picture,
# which parameter sets and layers hold, hashes of the picture, and its light and colors.
_KEPT = frozenset((0, 1, 2, 6, 19, 45, 47, 129, 130, 131, 132, 137, 144, 147, 148, 165))
_FILLING, _USER_DATA, _ID = 3, 5, 16
_LAST = re.compile(rb"[^\xff]")  # byte of a number: those before count 255 each
_NEEDS_ESCAPE = re.compile(rb"\0\0(?=[\0-\3])")


class Units:
    """Cleans the units of one track.

    Args:
        kind: of the box with the decoder's configuration, `avcC` or `hvcC`.
        width: bytes of the length before each unit.
    """

    def __init__(self, kind: bytes, width: int) -> None:
        self.form = kind, width
        self._count = 0
        if kind == b"hvcC":
            self._head, self._shift, self._mask, self._filler = 2, 1, 0x3F, b"\x4c\1"
            self._messages = frozenset((39, 40))
            # Slices, parameter sets, delimiters, and the metadata of Dolby Vision.
            self._kept = frozenset((*range(38), 62, 63))
        else:
            self._head, self._shift, self._mask, self._filler = 1, 0, 0x1F, b"\x0c"
            self._messages = frozenset((6,))
            self._kept = frozenset((*range(1, 6), *range(7, 12), *range(13, 22)))

    def sample(self, data: bytes) -> bytes:
        """A sample with only units and messages that may be kept."""
        cleaned, at, (_, width) = bytearray(data), 0, self.form
        while len(data) - at > width:
            start = at + width
            at = min(start + int.from_bytes(data[at:start]), len(data))
            if start < at:
                self._clean(cleaned, start, at)
        cleaned[at:] = bytes(len(data) - at)
        return bytes(cleaned)

    def listed(self, data: bytearray, at: int, count: int) -> int:
        """Clean `count` units that lie behind each other, each with two bytes of length. Returns where they end."""
        for _ in range(count):
            start = at + 2
            at = start + number(data, at, ">H")
            if at > len(data):
                raise damaged()
            if start < at:
                self._clean(data, start, at)
        return at

    def _clean(self, data: bytearray, start: int, end: int) -> None:
        self._step()
        kind = data[start] >> self._shift & self._mask
        if kind in self._messages:
            data[start:end] = self._silenced(bytes(data[start:end]))
        elif kind not in self._kept:
            filling = self._filler + b"\xff" * (end - start)
            data[start:end] = filling[: end - start - 1] + b"\x80"

    def _silenced(self, unit: bytes) -> bytes:
        """A unit of messages, as long, with only those that may be kept."""
        head, size = unit[: self._head], len(unit)
        body = unit[self._head :].replace(b"\0\0\3", b"\0\0").rstrip(b"\0").removesuffix(b"\x80")
        numbers = self._numbers(body) if size <= _LARGEST_MESSAGES else b""
        if numbers == body:
            return unit
        for messages in (numbers, b""):
            free = size - 1 - len(_escaped(head + messages))
            for room in (free, free - 1):  # the filling may take an escape
                content = _escaped(head + messages + _filling(room) + b"\x80")
                if len(content) == size:
                    return content
        return (head + b"\x80").ljust(size, b"\0")[:size]

    def _numbers(self, body: bytes) -> bytes:
        numbers: list[bytes] = []
        at = 0
        while at < len(body):
            self._step()
            start = at
            kind, at = _coded(body, at)
            size, at = _coded(body, at)
            at += size
            if at <= len(body) and kind in _KEPT and size <= _LARGEST_NUMBERS:
                numbers.append(body[start:at])
        return b"".join(numbers)

    def _step(self) -> None:
        self._count += 1
        if self._count > _MOST:
            raise damaged()


def configured(kind: bytes, body: bytearray) -> Units:
    """Clean the configuration of a decoder, the body of an `avcC` or `hvcC`. Returns what cleans its samples."""
    if number(body, 0, "B") != 1:
        raise damaged()
    if kind == b"hvcC":
        units = Units(kind, (number(body, 21, "B") & 3) + 1)
        at = 23
        for _ in range(number(body, 22, "B")):
            at = units.listed(body, at + 3, number(body, at + 1, ">H"))
    else:
        units = Units(kind, (number(body, 4, "B") & 3) + 1)
        at = units.listed(body, 6, number(body, 5, "B") & 0x1F)
        at = units.listed(body, at + 1, number(body, at, "B"))
        if len(body) >= at + 4:  # depth and sampling of colors, which only some profiles have
            at = units.listed(body, at + 4, body[at + 3])
    body[at:] = bytes(len(body) - at)
    return units


def _coded(body: bytes, at: int) -> tuple[int, int]:
    """The number at `at`, of any size, and where it ends."""
    last = _LAST.search(body, at)
    if last is None:
        return 0, len(body) + 1
    return 255 * (last.start() - at) + last[0][0], last.end()


def _escaped(content: bytes) -> bytes:
    return _NEEDS_ESCAPE.sub(b"\0\0\3", content)


def _filling(room: int) -> bytes:
    """Messages that say nothing, in so many bytes where that is possible."""
    if room < 2:
        return b""
    size = room - 2 - (room - 1) // 256  # without its kind and its size, which has a byte for every 255
    if size + size // 255 + 2 < room:
        return bytes((_FILLING, 0)) + _filling(room - 2)
    kind = _USER_DATA if size >= _ID else _FILLING
    return bytes((kind, *(255 for _ in range(size // 255)), size % 255)) + b"\xff" * size
