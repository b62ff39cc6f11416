"""Names on disk. They come from the file's id and MIME type, never from a worker."""

from __future__ import annotations

import hashlib
import re

from firsthandapi._base.ids import check_text

# In a dataset's folder, the folder for all that is not the dataset itself: no loader sees it, and no copy needs it.
ROOM = ".firsthandapi"

EXTENSIONS = {
    "image/jpeg": "jpg",
    "image/png": "png",
    "image/webp": "webp",
    "image/gif": "gif",
    "audio/mpeg": "mp3",
    "audio/wav": "wav",
    "audio/mp4": "m4a",
    "video/mp4": "mp4",
    "video/quicktime": "mov",
}

_BY_ID = re.compile(rf"file_[0-9A-Z]{{26}}\.(?:{'|'.join([*EXTENSIONS.values(), 'bin'])})")
# Names of devices on Windows, whatever their extension. It takes a raised digit for a digit.
_RESERVED = frozenset(
    {
        "con",
        "prn",
        "aux",
        "nul",
        "conin$",
        "conout$",
        *(f"{p}{n}" for p in ("com", "lpt") for n in "0123456789¹²³"),
    }
)
# Windows ends a name there, begins another stream of the file, or refuses it.
_NOT_ON_WINDOWS = re.compile(r'[\x00-\x1f<>:"|?*]|[ .]\Z')


def file_name_on_disk(file_id: str, content_type: str | None, *, plain: bool = True) -> str:
    """`file_01JP….jpg`; `bin` for a type that this version does not know.

    An id that is reserved on some system gives a name made from its hash, and so does any if not `plain`.
    Raises InvalidArgumentError: the id has characters that no id has.
    """
    kind = (content_type or "").partition(";")[0].strip().lower()
    name = check_text(file_id, "file.id", "file_01JP…")
    if not plain or is_reserved(name):
        name = f"file-{hashlib.sha256(name.encode()).hexdigest()[:32]}"
    return f"{name}.{EXTENSIONS.get(kind, 'bin')}"


def is_name_of_ours(name: str) -> bool:
    """Whether a file on disk is named by an id, as the service makes them."""
    return _BY_ID.fullmatch(name) is not None


def is_reserved(name: str) -> bool:
    """Whether a name is that of a device on some system."""
    return name.partition(".")[0].rstrip().lower() in _RESERVED


def can_be_on_windows(name: str) -> bool:
    """Whether Windows can give this name to a file, and gives it no other."""
    return not is_reserved(name) and _NOT_ON_WINDOWS.search(name) is None


def disk_key(name: str) -> str:
    """What a disk that ignores the case of letters knows `name` by."""
    return name.casefold()
