"""What a server takes at most: `serve` sets it once, before it starts."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Bounds:
    """The limits of uploads; those of each kind of file are `media.LIMITS`.

    Attributes:
        upload_bytes: of all files of a form together.
        upload_seconds: in each span of this length, 16 KiB must come.
        uploads: how many forms are read at the same time. The others wait.
        spare_bytes: of the disk that must stay free.
    """

    upload_bytes: int = 512 << 20
    upload_seconds: float = 30.0
    uploads: int = 200
    spare_bytes: int = 1 << 30


BOUNDS = Bounds()
