"""Reads numbers and parts from files that may be damaged or hostile."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Protocol

CHUNK = 1 << 16
INCOMPLETE = "The file is incomplete or damaged. Open it once to check, and send it again."


class MediaError(ValueError):
    """A file that is not kept. Its text is for the worker who sent it."""


@dataclass(frozen=True, slots=True)
class Cleaned:
    """A cleaned file.

    Attributes:
        content_type: one of the formats of the contract, by its bytes.
        width, height: pixels as displayed, after rotation; None for audio.
        duration: seconds; None for pictures.
        captured_at: Unix seconds, from the file; None without a plausible time.
        device: the model of the camera or phone, or None.
        look: how a picture looks, for `is_like`; None of others, and of plain ones.
    """

    content_type: str
    width: int | None = None
    height: int | None = None
    duration: float | None = None
    captured_at: float | None = None
    device: str | None = None
    look: str | None = None


@dataclass(frozen=True, slots=True)
class Box:
    """A box, and its position."""

    kind: bytes
    start: int
    body: int
    end: int


class Target(Protocol):
    """Where a cleaned file goes, from its start to its end."""

    def write(self, part: bytes, /) -> object: ...


def damaged() -> MediaError:
    """The refusal of a file that ends early or contradicts itself."""
    return MediaError(INCOMPLETE)


def number(data: bytes | bytearray, at: int, kind: str) -> int:
    """The integer of the struct format `kind` at `at`."""
    try:
        (value,) = struct.unpack_from(kind, data, at)
    except struct.error:
        raise damaged() from None
    return int(value)


def take(data: bytes, at: int, size: int) -> bytes:
    part = data[at : at + size]
    if len(part) != size:
        raise damaged()
    return part


def read_exactly(source: BinaryIO, size: int) -> bytes:
    """Exactly `size` bytes from the position of `source`."""
    part = source.read(size)
    if len(part) != size:
        raise damaged()
    return part


def copy(source: BinaryIO, target: Target, size: int) -> None:
    """Copy `size` bytes, a chunk at a time."""
    while size:
        part = read_exactly(source, min(size, CHUNK))
        target.write(part)
        size -= len(part)


def box_at(data: bytes, at: int, room: int) -> Box:
    """The box whose head is at `at`, `room` bytes before the one around it ends."""
    length, kind, body = number(data, at, ">I"), take(data, at + 4, 4), at + 8
    if length == 1:
        length, body = number(data, at + 8, ">Q"), at + 16
    elif length == 0:
        length = room
    if not body - at <= length <= room:
        raise damaged()
    return Box(kind, at, body, at + length)


def inside(data: bytes | bytearray, box: Box, start: int | None = None) -> Iterator[Box]:
    """The boxes in a box. QuickTime may end one with four zeros."""
    at = box.body if start is None else start
    while box.end - at >= 8:
        inner = box_at(bytes(data[at : at + 16]), 0, box.end - at)
        yield Box(inner.kind, at, at + inner.body, at + inner.end)
        at += inner.end


def blank(data: bytearray, box: Box) -> None:
    """Make a box one of zeros that players skip."""
    data[box.start + 4 : box.start + 8] = b"free"
    data[box.body : box.end] = bytes(box.end - box.body)
