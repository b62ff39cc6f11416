"""Names on disk. They come from the file's id and MIME type, never from a worker."""

from __future__ import annotations

from .request import check_id

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


def file_name_on_disk(file_id: str, content_type: str | None) -> str:
    """`file_01JP….jpg`; `bin` for a type that this version does not know.

    Raises:
        InvalidArgumentError: the id has characters that no id has.
    """
    kind = (content_type or "").partition(";")[0].strip().lower()
    return f"{check_id(file_id, 'file.id')}.{EXTENSIONS.get(kind, 'bin')}"
