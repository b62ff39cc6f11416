"""MP4, M4A, and MOV: every part that is not known to be harmless is overwritten with zeros in place.

Sizes and offsets do not change, so no index must be rewritten. Only the samples of audio and video are kept:
phones and action cameras keep places in tracks of their own, whose bytes lie between the others.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import BinaryIO

from .parts import CHUNK, Cleaned, MediaError, Target, copy, damaged, number, read_exactly, take

_MOST_BOXES = 100_000
_MOST_INDEX = 32 << 20
_MOST_SAMPLES = 1_000_000  # samples and chunks, which an index lists one by one
_EPOCH = 2_082_844_800  # seconds from 1904 to 1970

# What stays, by the box around it. Everything else becomes a `free` box of zeros.
_TOP = frozenset((b"ftyp", b"styp", b"moov", b"mdat", b"moof", b"mfra", b"sidx"))
_KEPT = {
    b"moov": frozenset((b"mvhd", b"trak", b"mvex", b"iods")),
    b"trak": frozenset((b"tkhd", b"edts", b"mdia", b"tapt")),
    b"edts": frozenset((b"elst",)),
    b"mdia": frozenset((b"mdhd", b"hdlr", b"minf", b"elng")),
    b"minf": frozenset((b"vmhd", b"smhd", b"hdlr", b"dinf", b"stbl")),
    b"dinf": frozenset((b"dref",)),
    b"stbl": frozenset(
        b"stsd stts ctts cslg stss stps stsc stsz stz2 stco co64 sdtp sbgp sgpd subs padb stsh".split()
    ),
    b"mvex": frozenset((b"mehd", b"trex")),
    b"moof": frozenset((b"mfhd", b"traf")),
    b"traf": frozenset((b"tfhd", b"tfdt", b"trun", b"sbgp", b"sgpd", b"subs")),
    b"mfra": frozenset((b"tfra", b"mfro")),
}
_SEEN, _HEARD = b"vide", b"soun"


# What is written in place of the first box, and of the index.
Rewriting = tuple[Callable[[bytes], bytes], Callable[[bytes], bytes]]


@dataclass(frozen=True, slots=True)
class Box:
    """A box, and its position."""

    kind: bytes
    start: int
    body: int
    end: int


@dataclass(slots=True)
class _Track:
    number: int = 0
    handler: bytes = b""
    size: tuple[int, int] = (0, 0)
    timescale: int = 0
    sample_size: int = 0
    sizes: list[int] = field(default_factory=list[int])
    chunks: list[int] = field(default_factory=list[int])
    per_chunk: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])
    default_lasts: int = 0

    @property
    def is_kept(self) -> bool:
        """Whether it has audio or video."""
        return self.handler in (_SEEN, _HEARD)


def clean_boxes(source: BinaryIO, size: int, target: Target, *, as_mp4: Rewriting | None = None) -> Cleaned:
    """Write the parts of a container that may be kept.

    Args:
        source: the container.
        size: its bytes.
        target: where the parts go.
        as_mp4: what makes the first box, and the index, those of an MP4.
    """
    top = [*_file_boxes(source, size)]
    index = [box for box in top if box.kind == b"moov"]
    if len(index) != 1 or index[0].end - index[0].start > _MOST_INDEX:
        raise damaged()
    source.seek(index[0].start)
    movie = _Movie(read_exactly(source, index[0].end - index[0].start))
    if as_mp4 is not None:
        movie = _Movie(as_mp4[1](movie.content()))
        source.seek(0)
        target.write(as_mp4[0](read_exactly(source, min(top[0].end, CHUNK))))
        top = top[1:]
    fragments: dict[int, bytes] = {}
    for box in top:
        if box.kind == b"moof":
            if box.end - box.start > _MOST_INDEX:
                raise damaged()
            source.seek(box.start)
            fragments[box.start] = movie.fragment(read_exactly(source, box.end - box.start))
    if fragments and not all(track.is_kept for track in movie.tracks):
        raise MediaError(
            "The recording contains a track that is neither picture nor sound. Record it again with this page."
        )
    kept = None if fragments else movie.samples(size)
    for box in top:
        source.seek(box.start)
        if box.kind == b"moov":
            target.write(movie.content())
        elif box.kind == b"moof":
            target.write(fragments[box.start])
        elif box.kind == b"mdat" and kept is not None:
            copy(source, target, box.body - box.start)
            _copy_parts(source, target, box.body, box.end, kept)
        elif box.kind in _TOP:
            copy(source, target, box.end - box.start)
        else:
            head = bytearray(read_exactly(source, box.body - box.start))
            head[4:8] = b"free"
            target.write(bytes(head))
            _zeros(target, box.end - box.body)
    return movie.facts()


def _file_boxes(source: BinaryIO, size: int) -> Iterator[Box]:
    at = 0
    for _ in range(_MOST_BOXES):
        if at == size:
            return
        source.seek(at)
        box = box_at(source.read(16), 0, size - at)
        yield Box(box.kind, at, at + box.body, at + box.end)
        at += box.end
    raise damaged()


def box_at(data: bytes, at: int, left: int) -> Box:
    """The box whose head is at `at`, `left` bytes before the one around it ends."""
    length, kind, body = number(data, at, ">I"), take(data, at + 4, 4), at + 8
    if length == 1:
        length, body = number(data, at + 8, ">Q"), at + 16
    elif length == 0:
        length = left
    if not body - at <= length <= left:
        raise damaged()
    return Box(kind, at, body, at + length)


def inside(data: bytes | bytearray, box: Box, start: int | None = None) -> Iterator[Box]:
    """The boxes in a box. QuickTime may end one with four zeros."""
    at = box.body if start is None else start
    while box.end - at >= 8:
        inner = box_at(bytes(data[at : at + 16]), 0, box.end - at)
        yield Box(inner.kind, at, at + inner.body, at + inner.end)
        at += inner.end


def _zeros(target: Target, size: int) -> None:
    for start in range(0, size, CHUNK):
        target.write(bytes(min(CHUNK, size - start)))


def _copy_parts(source: BinaryIO, target: Target, at: int, end: int, kept: Iterable[tuple[int, int]]) -> None:
    """Copy the bytes of `at` to `end` that lie in `kept`, ranges in order, and write zeros for the others."""
    for first, last in kept:
        start, stop = max(first, at), min(last, end)
        if start >= stop:
            continue
        _zeros(target, start - at)
        source.seek(start)
        copy(source, target, stop - start)
        at = stop
    _zeros(target, end - at)


class _Movie:
    """The index of a container, which is cleaned while it is read."""

    def __init__(self, data: bytes) -> None:
        self._data = bytearray(data)
        self.tracks: list[_Track] = []
        self._timescale = self._duration = self._created = 0
        self._lasts: dict[int, int] = {}  # of fragments, in the time of each track
        self._boxes = 0
        self._walk(self._data, box_at(data, 0, len(data)), None)
        if not self._timescale or not any(track.is_kept for track in self.tracks):
            raise damaged()

    def content(self) -> bytes:
        return bytes(self._data)

    def _walk(self, data: bytearray, box: Box, track: _Track | None) -> None:
        for inner in inside(data, box):
            self._boxes += 1
            if self._boxes > _MOST_BOXES:
                raise damaged()
            if inner.kind not in _KEPT[box.kind]:
                blank(data, inner)
            elif inner.kind == b"trak":
                found = _Track()
                self._walk(data, inner, found)
                self.tracks.append(found)
                if not found.is_kept:
                    blank(data, inner)
            elif inner.kind in _KEPT:
                self._walk(data, inner, track)
            else:
                self._read(inner.kind, bytes(data[inner.body : inner.end]), track)

    def _read(self, kind: bytes, body: bytes, track: _Track | None) -> None:
        if kind == b"mvhd":
            self._created, self._timescale, self._duration = _times(body)
        elif kind == b"trex":
            for each in self.tracks:
                if each.number == number(body, 4, ">I"):
                    each.default_lasts = number(body, 12, ">I")
        elif track is not None:
            _read_track(kind, body, track)
            if sum(len(each.sizes) + len(each.chunks) for each in (*self.tracks, track)) > _MOST_SAMPLES:
                raise damaged()

    def samples(self, size: int) -> list[tuple[int, int]]:
        """Where the samples of the kept tracks lie in the file, in order."""
        ranges = sorted(each for track in self.tracks if track.is_kept for each in _chunk_ranges(track, size))
        joined: list[tuple[int, int]] = []
        for start, stop in ranges:
            if joined and start <= joined[-1][1]:
                joined[-1] = joined[-1][0], max(stop, joined[-1][1])
            else:
                joined.append((start, stop))
        if not joined:
            raise damaged()
        return joined

    def fragment(self, data: bytes) -> bytes:
        """A cleaned fragment; its seconds are counted."""
        cleaned = bytearray(data)
        outer = box_at(data, 0, len(data))
        for inner in inside(cleaned, outer):
            if inner.kind not in _KEPT[b"moof"]:
                blank(cleaned, inner)
            elif inner.kind == b"traf":
                self._fragment_of_track(cleaned, inner)
        return bytes(cleaned)

    def _fragment_of_track(self, data: bytearray, box: Box) -> None:
        track, default = _Track(), 0
        for inner in inside(data, box):
            body = bytes(data[inner.body : inner.end])
            if inner.kind not in _KEPT[b"traf"]:
                blank(data, inner)
            elif inner.kind == b"tfhd":
                flags, name = number(body, 0, ">I"), number(body, 4, ">I")
                track = next((each for each in self.tracks if each.number == name), track)
                at = 8 + 8 * (flags & 1) + 4 * (flags >> 1 & 1)
                default = number(body, at, ">I") if flags & 8 else track.default_lasts
            elif inner.kind == b"trun":
                flags, count = number(body, 0, ">I"), number(body, 4, ">I")
                lasts = count * default
                if flags & 0x100:
                    each = 4 * (flags >> 8 & 0xF).bit_count()
                    at = 8 + 4 * (flags & 1) + 4 * (flags >> 2 & 1)
                    rows = take(body, at, count * each)
                    lasts = sum(number(rows, row, ">I") for row in range(0, len(rows), each))
                self._lasts[track.number] = self._lasts.get(track.number, 0) + lasts

    def facts(self) -> Cleaned:
        """What the container says; every video is an MP4 here."""
        seen = next((each for each in self.tracks if each.handler == _SEEN), None)
        duration = self._duration / self._timescale
        for track in self.tracks:
            if track.timescale:
                duration = max(duration, self._lasts.get(track.number, 0) / track.timescale)
        created = self._created - _EPOCH if self._created > _EPOCH else None
        if seen is None:
            return Cleaned("audio/mp4", duration=duration or None, captured_at=created)
        width, height = seen.size
        return Cleaned("video/mp4", width or None, height or None, duration or None, created)


def blank(data: bytearray, box: Box) -> None:
    """Make a box one of zeros that players skip."""
    data[box.start + 4 : box.start + 8] = b"free"
    data[box.body : box.end] = bytes(box.end - box.body)


def _times(body: bytes) -> tuple[int, int, int]:
    """When something was made, its ticks per second, and how many it lasts."""
    if number(body, 0, "B") == 1:
        lasts = number(body, 24, ">Q")
        return number(body, 4, ">Q"), number(body, 20, ">I"), 0 if lasts == 0xFFFFFFFFFFFFFFFF else lasts
    lasts = number(body, 16, ">I")
    return number(body, 4, ">I"), number(body, 12, ">I"), 0 if lasts == 0xFFFFFFFF else lasts


def _read_track(kind: bytes, body: bytes, track: _Track) -> None:
    if kind == b"tkhd":
        wide = 12 if number(body, 0, "B") == 1 else 0
        track.number = number(body, (20 if wide else 12), ">I")
        matrix = struct.unpack(">9i", take(body, 40 + wide, 36))
        width, height = (number(body, at + wide, ">I") >> 16 for at in (76, 80))
        is_sideways = matrix[0] == 0 and matrix[4] == 0
        track.size = (height, width) if is_sideways else (width, height)
    elif kind == b"mdhd":
        _, track.timescale, _ = _times(body)
    elif kind == b"hdlr" and not track.handler:
        track.handler = take(body, 8, 4)
    elif kind == b"dref":
        _check_references(body)
    elif kind == b"stsc":
        count = number(body, 4, ">I")
        rows = take(body, 8, 12 * count)
        track.per_chunk = [struct.unpack_from(">II", rows, at) for at in range(0, len(rows), 12)]
    elif kind == b"stsz":
        track.sample_size, count = number(body, 4, ">I"), number(body, 8, ">I")
        if track.sample_size == 0:
            track.sizes = [*struct.unpack(f">{count}I", take(body, 12, 4 * count))]
    elif kind in (b"stco", b"co64"):
        count, letter, width = number(body, 4, ">I"), *(("I", 4) if kind == b"stco" else ("Q", 8))
        track.chunks = [*struct.unpack(f">{count}{letter}", take(body, 8, width * count))]
    elif kind == b"stz2":
        raise MediaError("This kind of recording cannot be taken here. Record it again with this page.")


def _check_references(body: bytes) -> None:
    """Refuse a track whose samples lie in another file."""
    for each in inside(body, Box(b"dref", 0, 8, len(body))):
        if not number(body, each.body, ">I") & 1:
            raise MediaError("The file only points to another file. Export it as a self-contained one.")


def _chunk_ranges(track: _Track, size: int) -> Iterator[tuple[int, int]]:
    sample = 0
    rows = [*track.per_chunk, (len(track.chunks) + 1, 0)]
    for (first, count), (following, _) in pairwise(rows):
        if not 1 <= first < following:
            raise damaged()
        for chunk in track.chunks[first - 1 : following - 1]:
            if track.sample_size:
                length = count * track.sample_size
            else:
                length = sum(track.sizes[sample : sample + count])
                sample += count
            if chunk + length > size:
                raise damaged()
            yield chunk, chunk + length
