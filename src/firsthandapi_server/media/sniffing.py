"""Detects the format of a file from its first bytes. Its name and the browser's content type prove nothing."""

from __future__ import annotations

import mimetypes
from collections.abc import Collection

from firsthandapi_server.contract.text import said

from .parts import MediaError


class LargeError(MediaError):
    """A file is larger than one of its kind may be."""


# Common names of the contract's formats.
NAMES = {
    "image/jpeg": "JPEG",
    "image/png": "PNG",
    "image/webp": "WebP",
    "image/gif": "GIF",
    "audio/mpeg": "MP3",
    "audio/wav": "WAV",
    "audio/mp4": "M4A",
    "video/mp4": "MP4",
    "video/quicktime": "MOV",
}
# What browsers and systems call some of them.
_ALIASES = {
    "image/jpg": "image/jpeg",
    "audio/mp3": "audio/mpeg",
    "audio/x-wav": "audio/wav",
    "audio/wave": "audio/wav",
    "audio/vnd.wave": "audio/wav",
    "audio/x-m4a": "audio/mp4",
    "audio/m4a": "audio/mp4",
    "audio/mp4a-latm": "audio/mp4",
    "video/x-m4v": "video/mp4",
}
_UNSAID = ("", "application/octet-stream")
_BOXES = {"audio/mp4", "video/mp4"}  # their tracks decide which
# Bytes that one file may have.
LIMITS = {"image": 50 << 20, "audio": 200 << 20, "video": 500 << 20}
# The first bytes of files that people send by mistake, with the name of each format.
_OTHERS = (
    (b"%PDF-", "PDF"),
    (b"PK\x03\x04", "ZIP, Office"),
    (b"BM", "BMP"),
    (b"II*\x00", "TIFF, RAW"),
    (b"MM\x00*", "TIFF, RAW"),
    (b"\x1aE\xdf\xa3", "WebM, Matroska"),
    (b"OggS", "Ogg"),
    (b"fLaC", "FLAC"),
    (b"#!AMR", "AMR"),
    (b"caff", "CAF"),
    (b"FORM", "AIFF"),
)
_HEIC_WORDS = (
    "This is a HEIC picture, which cannot be taken here. Take the picture with the button of this page, "
    "or on an iPhone choose Settings > Camera > Formats > Most Compatible."
)
_HEIC = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"})
_QUICKTIME = frozenset({b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot"})  # before there was `ftyp`


def sniff(head: bytes) -> str:
    """The format of a file with these first bytes, at least 16 of them where there are as many.

    `video/mp4` may turn out to be `audio/mp4`: their tracks decide.
    Raises MediaError: it is none that the contract has.
    """
    if not head:
        raise MediaError("The file is empty. Take it again, and send it again.")
    if head.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if head.startswith((b"GIF87a", b"GIF89a")):
        return "image/gif"
    if head.startswith(b"RIFF"):
        if head[8:12] == b"WEBP":
            return "image/webp"
        if head[8:12] == b"WAVE":
            return "audio/wav"
    if head[4:8] == b"ftyp":
        brand = head[8:12]
        if brand in _HEIC:
            raise MediaError(_HEIC_WORDS)
        if brand in (b"avif", b"avis"):
            raise MediaError("This is an AVIF picture, which cannot be taken here. Save it as JPEG.")
        if brand.startswith(b"3g"):
            raise MediaError(
                "This is a 3GP recording, which cannot be taken here. Choose MP4 in the camera or recorder."
            )
        return "video/quicktime" if brand == b"qt  " else "video/mp4"
    if head[4:8] in _QUICKTIME:
        return "video/quicktime"
    if head.startswith(b"ID3") or _is_mp3_frame(head):
        return "audio/mpeg"
    for start, kind in _OTHERS:
        if head.startswith(start):
            raise MediaError(said("This is a file of a kind that cannot be taken here: {kind}.", kind=kind))
    raise MediaError("This is neither a picture, a recording, nor a video that can be taken here.")


def _is_mp3_frame(head: bytes) -> bool:
    """Whether a frame of MPEG Layer III starts here; AAC looks alike, but for the layer."""
    return len(head) >= 4 and head[0] == 0xFF and head[1] & 0xE6 == 0xE2


def check_said(kind: str, name: str, size: int, accepted: Collection[str]) -> None:
    """Refuse, before it is sent, a file whose type or name says that it is none that a job takes.

    Args:
        kind: the media type that the sender gives it; empty, or of any bytes, if its name is to say it.
        name: its name.
        size: in bytes.
        accepted: the formats of the job.

    Raises MediaError: it is none of them.
    Raises LargeError: it is larger than such files may be.
    """
    kind = kind.partition(";")[0].strip().lower()
    if kind in _UNSAID:
        kind = mimetypes.guess_type(name, strict=False)[0] or (
            "image/heic" if name.lower().endswith(".heic") else ""
        )
    kind = _ALIASES.get(kind, kind)
    if kind in ("image/heic", "image/heif"):
        raise MediaError(_HEIC_WORDS)
    if kind in NAMES and not (kind in _BOXES and _BOXES & {*accepted}):
        check_accepted(kind, accepted)
    elif kind and kind not in NAMES:
        words = said("This file cannot be taken here: this job takes {formats}.", formats=name_of(accepted))
        raise MediaError(words)
    check_size(
        max(accepted, key=lambda name: LIMITS[name.partition("/")[0]]) if kind not in accepted else kind, size
    )


def types_of(accepted: Collection[str]) -> list[str]:
    """What browsers may call the files that a job takes: its formats first."""
    taken = {*accepted}
    if "video/mp4" in taken:
        taken.add("video/quicktime")
    if _BOXES & taken:
        taken |= _BOXES
    taken |= {alias for alias, name in _ALIASES.items() if name in taken}
    return [*accepted, *sorted(taken - {*accepted})]


def check_accepted(content_type: str, accepted: Collection[str]) -> None:
    """Refuse a format that a job does not accept. A MOV, which an iPhone's camera writes, becomes an MP4 if it can."""
    if content_type not in accepted and not (content_type == "video/quicktime" and "video/mp4" in accepted):
        raise MediaError(
            said(
                "This file is {kind}, and this job takes {formats}.",
                kind=NAMES[content_type],
                formats=name_of(accepted),
            )
        )


def name_of(formats: Collection[str]) -> str:
    """The names of formats, such as `JPEG, PNG`, which every language has."""
    return ", ".join(NAMES[kind] for kind in NAMES if kind in formats)


def check_size(content_type: str, size: int) -> None:
    """Refuse a file that is larger than one of its kind may be."""
    kind = content_type.partition("/")[0]
    if size > LIMITS[kind]:
        raise LargeError(
            said(
                "The file has {size} MB, and at most {most} MB can be taken. Choose a lower resolution or a shorter "
                "recording.",
                size=round(size / (1 << 20)),
                most=LIMITS[kind] >> 20,
            )
        )
