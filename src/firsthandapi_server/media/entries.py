"""The descriptions of samples (`stsd`), cleaned in place: only what a decoder needs stays."""

from __future__ import annotations

from contextlib import suppress

from .parts import Box, MediaError, blank, damaged, inside, number
from .profiles import neutral
from .units import Units, configured

_PICTURE = 86  # bytes of an entry before its parts
_SOUND, _SOUNDS = 36, {1: 52, 2: 72}  # the same for sounds, and by the version of QuickTime
_ENCODER = 50, 82  # where an entry of pictures names its encoder
_OF_UNITS = frozenset(b"avc1 avc2 avc3 avc4 dva1 dvav hvc1 hev1 hvc2 hev2 dvh1 dvhe".split())
_PARTS = frozenset(
    b"""vpcC av1C dvcC dvvC dvwC d263 esds pasp clap btrt fiel gama mdcv clli amve SmDm CoLL ccst
    frma mp4a enda chan chnl pcmC srat dac3 dec3 dac4 dOps alac damr""".split()
)
_STREAMINFO = 42  # where the first block of FLAC's metadata ends; others are comments and pictures
_OTHER = "This kind of recording cannot be taken here. Record it again with this page."


def clean_entries(data: bytearray, table: Box, handler: bytes) -> Units | None:
    """Clean the descriptions of the samples of a track. Returns what cleans the samples, of H.264 and HEVC.

    Raises MediaError: they are damaged, or not all of one kind.
    """
    forms: dict[object, Units | None] = {}
    # A table of version 1 is of an MP4, whose sounds have no fields of QuickTime.
    is_plain = number(data, table.body, "B") == 1
    for entry in inside(data, table, table.body + 8):
        if handler == b"vide":
            size = _PICTURE
        else:
            size = _SOUNDS.get(0 if is_plain else number(data, entry.start + 16, ">H"), _SOUND)
        if entry.end < entry.start + size:
            raise damaged()
        if handler == b"vide":
            start, end = (entry.start + at for at in _ENCODER)
            data[start:end] = bytes(end - start)
        units = _clean_parts(data, Box(entry.kind, entry.start, entry.start + size, entry.end))
        if units is None and entry.kind in _OF_UNITS:
            raise damaged()
        forms[None if units is None else units.form] = units
    if len(forms) > 1:
        raise MediaError(_OTHER)
    return next(iter(forms.values()), None)


def _clean_parts(data: bytearray, entry: Box) -> Units | None:
    """Clean the parts of an entry, and overwrite what follows them."""
    units, at, parts = None, entry.body, list[Box]()
    with suppress(MediaError):  # some cameras fill an entry up with other bytes
        parts.extend(inside(data, entry))
    for part in parts:
        body = data[part.body : part.end]
        at = part.end
        if part.kind == bytes(4):  # which ends them in QuickTime
            at = part.body
            break
        if part.kind == b"wave" and entry.kind != b"wave":
            _clean_parts(data, part)
        elif part.kind in (b"avcC", b"hvcC"):
            units = configured(part.kind, body)
            data[part.body : part.end] = body
        elif part.kind == b"colr" and bytes(body[:4]) in (b"nclx", b"nclc"):
            continue
        elif part.kind == b"colr":
            profile = neutral(bytes(body[4:])) or b""
            if not profile or len(profile) > len(body) - 4:
                blank(data, part)
            else:
                data[part.body + 4 : part.end] = profile.ljust(len(body) - 4, b"\0")
        elif part.kind == b"dfLa" and len(body) >= _STREAMINFO:
            body[4] |= 0x80  # the last one
            data[part.body : part.end] = body[:_STREAMINFO].ljust(len(body), b"\0")
        elif part.kind not in _PARTS:
            blank(data, part)
    data[at : entry.end] = bytes(entry.end - at)
    return units
