"""Reads one file of a worker: its format, its facts, and a copy that may be kept."""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import replace
from typing import BinaryIO

from .boxes import clean_boxes
from .parts import Cleaned, MediaError, Target, read_exactly
from .pictures import READERS
from .quicktime import mp4_brand, mp4_index
from .sniffing import check_accepted, check_size, sniff
from .sounds import clean_mp3, clean_wav
from .upright import upright

_EARLIEST = 946_684_800  # 2000-01-01: clocks that were never set start before
_LONGEST = 86_400.0  # seconds; what claims more is wrong


def clean(
    source: BinaryIO, target: Target, accepted: Collection[str], *, now: float, utc_offset: float = 0
) -> Cleaned:
    """Write a copy of a file with only the parts that may be kept.

    Args:
        source: the original file, seekable.
        target: where the cleaned file goes. After a refusal it may contain a part.
        accepted: the formats of the job.
        now: Unix seconds; a later capture time comes from a wrong clock.
        utc_offset: seconds east of UTC where the worker is, for times without a zone.

    Returns:
        The format and the facts of the file.

    Raises MediaError: the file is of no accepted format, too large, damaged, or incomplete. Its text is for the worker.
    """
    size = source.seek(0, os.SEEK_END)
    source.seek(0)
    content_type = sniff(source.read(16))
    if content_type != "video/mp4":
        check_accepted(content_type, accepted)
    as_mp4 = content_type == "video/quicktime" and content_type not in accepted
    check_size(content_type, size)
    source.seek(0)
    if content_type in READERS:
        picture = READERS[content_type](read_exactly(source, size), utc_offset)
        content, width, height, look = upright(content_type, picture)
        target.write(content)
        result = Cleaned(content_type, width, height, None, picture.exif.taken_at, picture.exif.device, look)
    elif content_type == "audio/wav":
        result = clean_wav(source, size, target)
    elif content_type == "audio/mpeg":
        result = clean_mp3(source, size, target)
    else:
        result = clean_boxes(source, size, target, as_mp4=(mp4_brand, mp4_index) if as_mp4 else None)
        if result.content_type == "video/mp4" and not as_mp4:
            result = replace(result, content_type=content_type)
        elif result.content_type == "audio/mp4":
            if content_type == "video/quicktime":
                raise MediaError("This is a MOV file without pictures. Record the sound as M4A, MP3, or WAV.")
            check_size(result.content_type, size)
        check_accepted(result.content_type, accepted)
    if result.captured_at is not None and not _EARLIEST <= result.captured_at <= now:
        result = replace(result, captured_at=None)
    if result.duration is not None and result.duration > _LONGEST:
        result = replace(result, duration=None)
    return result
