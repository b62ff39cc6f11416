"""Copies WAV and MP3 without tags. A recording can be long, so it is never in memory whole."""

from __future__ import annotations

import struct
from typing import BinaryIO, NamedTuple

from .parts import CHUNK, Cleaned, Target, copy, damaged, read_exactly

# --- WAV ------------------------------------------------------------------------------------------------

_MOST_CHUNKS = 1000
_UNKNOWN = 0xFFFFFFFF  # written by a recorder that cannot seek back to the start


def clean_wav(source: BinaryIO, size: int, target: Target) -> Cleaned:
    """Write the format and the samples of a WAV, and return its facts."""
    form, at = b"", 12
    for _ in range(_MOST_CHUNKS):
        source.seek(at)
        head = source.read(8)
        if len(head) < 8:
            break
        kind, length = head[:4], int.from_bytes(head[4:], "little")
        if kind == b"data" and length == _UNKNOWN:
            length = size - at - 8
        if at + 8 + length > size:
            break
        if kind == b"fmt " and 16 <= length <= 64:
            form = read_exactly(source, length)
        elif kind == b"data":
            return _write_wav(source, length, target, form)
        at += 8 + length + length % 2
    raise damaged()


def _write_wav(source: BinaryIO, length: int, target: Target, form: bytes) -> Cleaned:
    if not form:
        raise damaged()
    per_second, block = struct.unpack_from("<IH", form, 8)
    length -= length % max(1, block)
    if not per_second or not length:
        raise damaged()
    form_size = len(form) + len(form) % 2
    target.write(
        struct.pack("<4sI4s4sI", b"RIFF", 20 + form_size + length + length % 2, b"WAVE", b"fmt ", len(form))
    )
    target.write(form + b"\0" * (len(form) % 2))
    target.write(struct.pack("<4sI", b"data", length))
    copy(source, target, length)
    target.write(b"\0" * (length % 2))
    return Cleaned("audio/wav", duration=length / per_second)


# --- MP3 ------------------------------------------------------------------------------------------------

_BITRATES = {
    1: (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    2: (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}
# Bytes between frames that may be skipped in total: tags in the middle, and gaps of a broken download.
_MOST_JUNK = 1 << 20
_FEWEST_FRAMES = 3
_LOOK_AHEAD = 8192  # more than three frames have


def clean_mp3(source: BinaryIO, size: int, target: Target) -> Cleaned:
    """Write the frames of an MP3, and return its facts."""
    source.seek(_skip_id3(source))
    window, at = b"", 0  # the buffered bytes, and how many of them are processed
    frames = junk = promised = 0
    seconds = 0.0
    in_step = False  # whether a frame ended just here
    while True:
        if len(window) - at < _LOOK_AHEAD:
            window, at = window[at:] + source.read(CHUNK), 0
        if at >= len(window):
            break
        frame = _frame(window, at)
        if frame is None or not (in_step or _goes_on(window, at, frame)):
            ahead = window.find(b"\xff", at + 1)
            step = (ahead if ahead >= 0 else len(window)) - at
            junk, at, in_step = junk + step, at + step, False
            if junk > _MOST_JUNK:
                raise damaged()
            continue
        part = window[at : at + frame.length]
        if len(part) < frame.length:
            break  # the last one is cut off, and players drop it
        if not frames and part[frame.data : frame.data + 4] in (b"Xing", b"Info"):
            promised = (
                int.from_bytes(part[frame.data + 8 : frame.data + 12]) if part[frame.data + 7] & 1 else 0
            )
        else:
            frames += 1
            seconds += frame.seconds
        target.write(part)
        at += frame.length
        in_step = True
    if frames < _FEWEST_FRAMES or frames < promised - 1 or junk > size // 2:
        raise damaged()
    return Cleaned("audio/mpeg", duration=seconds)


def _skip_id3(source: BinaryIO) -> int:
    """Where the tags at the start end."""
    at = 0
    for _ in range(8):
        source.seek(at)
        head = source.read(10)
        if len(head) < 10 or not head.startswith(b"ID3"):
            break
        length = 0
        for part in head[6:10]:
            length = length << 7 | part & 0x7F
        at += 10 + length + (10 if head[5] & 0x10 else 0)
    return at


class _Frame(NamedTuple):
    """A frame header: its bytes, its seconds, the start of its data, and the fields that all frames share."""

    length: int
    seconds: float
    data: int
    shared: tuple[int, int]


def _frame(data: bytes, at: int) -> _Frame | None:
    """The frame that starts at `at`, if one does."""
    head = data[at : at + 4]
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return None
    version, layer = head[1] >> 3 & 3, head[1] >> 1 & 3
    rate, sampling = head[2] >> 4, head[2] >> 2 & 3
    if version == 1 or layer != 1 or rate in (0, 15) or sampling == 3:
        return None
    samples = 1152 if version == 3 else 576
    hertz = _RATES[version][sampling]
    bits = _BITRATES[1 if version == 3 else 2][rate - 1] * 1000
    is_mono = head[3] >> 6 == 3
    sides = (17 if is_mono else 32) if version == 3 else (9 if is_mono else 17)
    length = samples // 8 * bits // hertz + (head[2] >> 1 & 1)
    return _Frame(length, samples / hertz, 4 + sides, (version, sampling))


def _goes_on(data: bytes, at: int, frame: _Frame) -> bool:
    """Whether two more frames follow: four bytes alone may be anything."""
    for _ in range(2):
        at += frame.length
        following = _frame(data, at)
        if following is None or following.shared != frame.shared:
            return False
        frame = following
    return True
