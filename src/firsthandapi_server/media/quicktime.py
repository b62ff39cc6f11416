"""A MOV that contains what an MP4 may contain becomes one: an iPhone's camera writes MOV, and most jobs ask for MP4.

Samples stay where they are: only the index is written as ISO/IEC 14496-12 and -14 have it, in as many bytes.
"""

from __future__ import annotations

import struct

from .parts import Box, MediaError, blank, box_at, damaged, inside, number

# Codecs that an MP4 may contain, and the parts of their entries that say how to decode them.
_CODECS = {b"vide": frozenset((b"avc1", b"avc3", b"hvc1", b"hev1", b"mp4v")), b"soun": frozenset((b"mp4a",))}
_DECODING = frozenset((b"avcC", b"hvcC", b"esds", b"colr", b"pasp", b"clap", b"dvcC", b"dvvC"))
_PICTURE, _SOUND = 86, 36  # bytes of an entry before its parts
_WITHIN = frozenset((b"mdia", b"minf", b"dinf", b"stbl"))
_MOST_BRANDS = 1024  # bytes
_UNKNOWN = 0x55C4  # the language "und"
_MACINTOSH = 0x400  # languages below are numbered otherwise than in an MP4
_WORDS = (
    "This MOV video cannot become an MP4, which this job takes. Record it with the button of this page, or export it "
    "as MP4 with H.264 and AAC."
)


def mp4_brand(ftyp: bytes) -> bytes:
    """The first box of an MP4 in place of that of a MOV."""
    if ftyp[4:8] != b"ftyp" or len(ftyp) % 4 or not 16 <= len(ftyp) <= _MOST_BRANDS:
        raise MediaError(_WORDS)
    return ftyp[:8] + b"isom\0\0\2\0" + b"isom" * ((len(ftyp) - 16) // 4)


def mp4_index(moov: bytes) -> bytes:
    """The index of an MP4 in place of that of a MOV, as long.
    Raises MediaError: a track is one that no MP4 contains.
    """
    data = bytearray(moov)
    handlers: set[bytes] = set()
    left_out: set[bytes] = set()
    for box in inside(data, box_at(moov, 0, len(moov))):
        if box.kind == b"trak":
            track = _EditedTrack(data, box)
            if track.fits:
                handlers.add(track.handler)
            else:
                left_out.add(track.handler)
                blank(data, box)
    # A second sound, which a new iPhone writes for headphones, may be left out; all sound may not.
    if left_out - handlers:
        raise MediaError(_WORDS)
    return bytes(data)


class _EditedTrack:
    """A track, which is rewritten while it is read."""

    def __init__(self, data: bytearray, box: Box) -> None:
        self._data = data
        self.handler = b""
        self.fits = True
        self._walk(box)

    def _walk(self, outer: Box) -> None:
        data = self._data
        for box in inside(data, outer):
            if box.kind in _WITHIN:
                self._walk(box)
            elif box.kind == b"mdhd":
                at = box.body + (32 if number(data, box.body, "B") else 20)
                if number(data, at, ">H") < _MACINTOSH:
                    struct.pack_into(">H", data, at, _UNKNOWN)
            elif box.kind == b"hdlr" and outer.kind == b"mdia":
                if box.end < box.body + 12:
                    raise damaged()
                self.handler = bytes(data[box.body + 8 : box.body + 12])
                data[box.body : box.end] = bytes(8) + self.handler + bytes(box.end - box.body - 12)
            elif box.kind == b"dref":
                for entry in inside(data, box, box.body + 8):  # to this file itself, as is checked
                    data[entry.start + 4 : entry.start + 8] = b"url "
            elif box.kind == b"stsd":
                for entry in inside(data, box, box.body + 8):
                    self._rewrite(entry)
            elif box.kind in (b"hdlr", b"tapt"):
                blank(data, box)

    def _rewrite(self, entry: Box) -> None:
        """Write an entry of a codec as an MP4 has it: the same fields, then the parts, and a free box to its end."""
        if entry.kind not in _CODECS.get(self.handler, ()):
            self.fits = False
            return
        data, start = self._data, entry.start
        size = _PICTURE if self.handler == b"vide" else _SOUND
        if entry.end < start + size:
            raise damaged()
        head = data[start : start + size]
        version = number(head, 16, ">H")
        head[16 : 32 if size == _PICTURE else 24] = bytes(16 if size == _PICTURE else 8)
        at = start + size
        if size == _SOUND:
            if version > 1:
                self.fits = False
                return
            head[26:32] = b"\0\x10\0\0\0\0"
            at += 16 * version
        parts = [
            bytes(data[part.start : part.end]) for part in self._parts(Box(entry.kind, start, at, entry.end))
        ]
        body = bytes(head) + b"".join(parts)
        filling = entry.end - start - len(body)
        if filling >= 8:
            body += struct.pack(">I4s", filling, b"free")
        data[start : entry.end] = body + bytes(entry.end - start - len(body))

    def _parts(self, entry: Box) -> list[Box]:
        parts: list[Box] = []
        for part in inside(self._data, entry):
            if part.kind == b"wave":
                parts += self._parts(part)
            elif part.kind in _DECODING:
                parts.append(part)
        return parts
