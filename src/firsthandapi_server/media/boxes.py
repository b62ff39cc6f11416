"""MP4, M4A, and MOV: every part that is not known to be harmless is overwritten in place.

Sizes and offsets do not change, so no index must be rewritten. Only the samples of audio and video are kept:
phones and action cameras keep places in tracks of their own, whose bytes lie between the others. Dash cameras keep
them within the samples of H.264 and HEVC, which are cleaned one by one.
"""

from __future__ import annotations

import struct
import sys
from array import array
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import BinaryIO, Literal, NamedTuple

from .entries import clean_entries
from .parts import (
    CHUNK,
    Box,
    Cleaned,
    MediaError,
    Target,
    blank,
    box_at,
    copy,
    damaged,
    inside,
    number,
    read_exactly,
    take,
)
from .units import Units

_MOST_BOXES = 100_000
_MOST_INDEX = 32 << 20
_MOST_FRAGMENT = 4 << 20  # bytes of the index of one fragment: browsers write some thousand
_MOST_SAMPLES = 1_000_000  # samples and chunks, which an index lists one by one
_MOST_SAMPLE = 16 << 20  # bytes of a picture: those of H.264 and HEVC are in memory whole
_EPOCH = 2_082_844_800  # seconds from 1904 to 1970

# What stays, by the box around it. Everything else becomes a `free` box of zeros.
_TOP = frozenset((b"ftyp", b"styp", b"moov", b"mdat", b"moof", b"mfra", b"sidx"))
_KEPT = {
    b"moov": frozenset((b"mvhd", b"trak", b"mvex")),
    b"trak": frozenset((b"tkhd", b"edts", b"mdia", b"tapt")),
    b"edts": frozenset((b"elst",)),
    b"tapt": frozenset((b"clef", b"prof", b"enof")),
    b"mdia": frozenset((b"mdhd", b"hdlr", b"minf")),
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
_NONE = array("I")


# What is written in place of the first box, and of the index.
Rewriting = tuple[Callable[[bytes], bytes], Callable[[bytes], bytes]]


@dataclass(slots=True)
class _Track:
    number: int = 0
    handler: bytes = b""
    size: tuple[int, int] = (0, 0)
    timescale: int = 0
    sample_size: int = 0
    sizes: array[int] = field(default_factory=lambda: array("I"))
    chunks: array[int] = field(default_factory=lambda: array("I"))
    per_chunk: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])
    entries: Box | None = None
    units: Units | None = None

    @property
    def is_kept(self) -> bool:
        """Whether it has audio or video."""
        return self.handler in (_SEEN, _HEARD)


class _Run(NamedTuple):
    """Where samples of one track lie behind each other; with what cleans them, and then the bytes of each."""

    start: int
    stop: int
    sizes: array[int]
    units: Units | None


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
    # Twice, rather than kept: there may be any number of them.
    fragments = [box for box in top if box.kind == b"moof"]
    for box in fragments:
        movie.read_fragment(_fragment(source, box), box.start, size)
    if fragments and not all(track.is_kept for track in movie.tracks):
        raise MediaError(
            "The recording contains a track that is neither picture nor sound. Record it again with this page."
        )
    runs = movie.runs(size)
    for box in top:
        source.seek(box.start)
        if box.kind == b"moov":
            target.write(movie.content())
        elif box.kind == b"moof":
            target.write(_clean_fragment(_fragment(source, box)))
        elif box.kind == b"mdat":
            copy(source, target, box.body - box.start)
            _copy_samples(source, target, box.body, box.end, runs)
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


def _zeros(target: Target, size: int) -> None:
    for start in range(0, size, CHUNK):
        target.write(bytes(min(CHUNK, size - start)))


def _fragment(source: BinaryIO, box: Box) -> bytes:
    """The index of a fragment."""
    if box.end - box.start > _MOST_FRAGMENT:
        raise damaged()
    source.seek(box.start)
    return read_exactly(source, box.end - box.start)


def _copy_samples(source: BinaryIO, target: Target, at: int, end: int, runs: deque[_Run]) -> None:
    """Copy the samples between `at` and `end`, and write zeros for all other bytes. Takes its runs from `runs`."""
    previous = None
    while runs and runs[0].start < end:
        run = runs.popleft()
        if run.units is None:
            start, stop = max(run.start, at), min(run.stop, end)
            if start < stop:
                _zeros(target, start - at)
                source.seek(start)
                copy(source, target, stop - start)
                at = stop
        elif run[:2] != previous:  # an index may name a run twice
            if run.start < at or run.stop > end:
                raise damaged()
            _zeros(target, run.start - at)
            source.seek(run.start)
            for size in run.sizes:
                if size > _MOST_SAMPLE:
                    raise damaged()
                target.write(run.units.sample(read_exactly(source, size)))
            at, previous = run.stop, run[:2]
    _zeros(target, end - at)


class _Movie:
    """The index of a container, which is cleaned while it is read."""

    def __init__(self, data: bytes) -> None:
        self._data = bytearray(data)
        self.tracks: list[_Track] = []
        self._timescale = self._duration = self._created = 0
        self._lasts: dict[int, int] = {}  # of fragments, in the time of each track
        self._defaults: dict[
            int, tuple[int, int]
        ] = {}  # of fragments: how long a sample lasts, and its bytes
        self._runs: list[_Run] = []  # of fragments
        self._boxes = self._samples = 0
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
                new_track = _Track()
                self._walk(data, inner, new_track)
                self.tracks.append(new_track)
                if not new_track.is_kept:
                    blank(data, inner)
                elif new_track.entries is not None:
                    new_track.units = clean_entries(data, new_track.entries, new_track.handler)
            elif inner.kind in _KEPT:
                self._walk(data, inner, track)
            elif inner.kind == b"stsd" and track is not None:
                track.entries = inner
            else:
                self._read(inner.kind, bytes(data[inner.body : inner.end]), track)
                _clear(data, inner)

    def _read(self, kind: bytes, body: bytes, track: _Track | None) -> None:
        if kind == b"mvhd":
            self._created, self._timescale, self._duration = _times(body)
        elif kind == b"trex":
            self._defaults[number(body, 4, ">I")] = number(body, 12, ">I"), number(body, 16, ">I")
        elif track is not None:
            _read_track(kind, body, track)
            if kind in (b"stsz", b"stco", b"co64"):
                self._count(len(track.sizes if kind == b"stsz" else track.chunks))

    def _count(self, samples: int) -> None:
        self._samples += samples
        if self._samples > _MOST_SAMPLES:
            raise damaged()

    def runs(self, size: int) -> deque[_Run]:
        """Where the samples of the kept tracks lie in the file, in order."""
        runs = [run for track in self.tracks if track.is_kept for run in self._runs_of(track, size)]
        runs = sorted(
            (run for run in (*runs, *self._runs) if run.stop > run.start), key=lambda run: run.start
        )
        if not runs:
            raise damaged()
        return deque(runs)

    def _runs_of(self, track: _Track, size: int) -> Iterator[_Run]:
        sample = 0
        rows = [*track.per_chunk, (len(track.chunks) + 1, 0)]
        for (first, count), (following, _) in pairwise(rows):
            if not 1 <= first < following:
                raise damaged()
            for chunk in track.chunks[first - 1 : following - 1]:
                if track.sample_size:
                    yield self._run(track, chunk, count, track.sample_size, size)
                else:
                    yield self._run(track, chunk, count, track.sizes[sample : sample + count], size)
                    sample += count

    def _run(self, track: _Track, start: int, count: int, sizes: int | array[int], most: int) -> _Run:
        """A run of samples that are all of one size, or each of its own."""
        stop = start + (count * sizes if isinstance(sizes, int) else sum(sizes))
        if not 0 <= start <= stop <= most:
            raise damaged()
        if track.units is None:
            sizes = _NONE
        elif isinstance(sizes, int):
            self._count(count)
            sizes = array("I", (sizes,)) * count
        return _Run(start, stop, sizes, track.units)

    def read_fragment(self, data: bytes, at: int, size: int) -> None:
        """Read where the samples of a fragment lie that starts at `at`, and how long they last."""
        tracks = {track.number: track for track in self.tracks}
        end = at
        for box in inside(data, box_at(data, 0, len(data))):
            if box.kind == b"traf":
                end = self._read_part(data, box, tracks, at, end, size)

    def _read_part(
        self, data: bytes, box: Box, tracks: dict[int, _Track], at: int, end: int, size: int
    ) -> int:
        """Read the part of one track. Samples that do not say where they are start at `end`; returns the next one."""
        track, base, lasts, length = _Track(), end, 0, 0
        for part in inside(data, box):
            body = data[part.body : part.end]
            if part.kind == b"tfhd":
                flags, name = number(body, 0, ">I"), number(body, 4, ">I")
                track = tracks.get(name, track)
                lasts, length = self._defaults.get(name, (0, 0))
                base = end = number(body, 8, ">Q") if flags & 1 else at if flags & 0x20000 else end
                place = 8 + 8 * (flags & 1) + 4 * (flags >> 1 & 1)
                if flags & 8:
                    lasts = number(body, place, ">I")
                if flags & 0x10:
                    length = number(body, place + 4 * (flags >> 3 & 1), ">I")
            elif part.kind == b"trun":
                flags, count = number(body, 0, ">I"), number(body, 4, ">I")
                start = base + number(body, 8, ">i") if flags & 1 else end
                fields = (flags >> 8 & 0xF).bit_count()
                rows = _numbers("I", body, 8 + 4 * (flags & 1) + 4 * (flags >> 2 & 1), count * fields)
                duration = sum(rows[::fields]) if flags & 0x100 else count * lasts
                self._lasts[track.number] = self._lasts.get(track.number, 0) + duration
                self._count(1 if track.units is None or not flags & 0x200 else 1 + count)
                sizes = rows[flags >> 8 & 1 :: fields] if flags & 0x200 else length
                run = self._run(track, start, count, sizes, size)
                self._runs.append(run)
                end = run.stop
        return end

    def facts(self) -> Cleaned:
        """What the container says; every video is an MP4 here."""
        seen = next((track for track in self.tracks if track.handler == _SEEN), None)
        duration = self._duration / self._timescale
        for track in self.tracks:
            if track.timescale:
                duration = max(duration, self._lasts.get(track.number, 0) / track.timescale)
        created = self._created - _EPOCH if self._created > _EPOCH else None
        if seen is None:
            return Cleaned("audio/mp4", duration=duration or None, captured_at=created)
        width, height = seen.size
        return Cleaned("video/mp4", width or None, height or None, duration or None, created)


def _clean_fragment(data: bytes) -> bytes:
    """The index of a fragment, as long, with only the parts that may be kept."""
    cleaned = bytearray(data)
    for box in inside(data, box_at(data, 0, len(data))):
        if box.kind not in _KEPT[b"moof"]:
            blank(cleaned, box)
        elif box.kind == b"traf":
            for part in inside(data, box):
                if part.kind not in _KEPT[b"traf"]:
                    blank(cleaned, part)
    return bytes(cleaned)


def _clear(data: bytearray, box: Box) -> None:
    """Overwrite names: of a handler, and of the file in which samples lie, which is this one."""
    if box.kind == b"hdlr":
        data[box.body + 12 : box.end] = bytes(max(0, box.end - box.body - 12))
    elif box.kind == b"dref":
        for entry in inside(data, box, box.body + 8):
            data[entry.body + 4 : entry.end] = bytes(max(0, entry.end - entry.body - 4))


def _numbers(kind: Literal["I", "Q"], data: bytes, at: int, count: int) -> array[int]:
    """So many integers from `at` on, in the memory that they take there."""
    row: array[int] = array(kind)
    row.frombytes(take(data, at, count * row.itemsize))
    if sys.byteorder == "little":
        row.byteswap()
    return row


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
        track.sample_size = number(body, 4, ">I")
        if track.sample_size == 0:
            track.sizes = _numbers("I", body, 12, number(body, 8, ">I"))
    elif kind in (b"stco", b"co64"):
        track.chunks = _numbers("I" if kind == b"stco" else "Q", body, 8, number(body, 4, ">I"))
    elif kind == b"stz2":
        raise MediaError("This kind of recording cannot be taken here. Record it again with this page.")


def _check_references(body: bytes) -> None:
    """Refuse a track whose samples lie in another file."""
    for entry in inside(body, Box(b"dref", 0, 8, len(body))):
        if not number(body, entry.body, ">I") & 1:
            raise MediaError("The file only points to another file. Export it as a self-contained one.")
