"""One file, into a bucket."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from firsthandapi._base.names import file_name_on_disk
from firsthandapi.datasets._download.single import download_file

from ._store import store_at, writing

if TYPE_CHECKING:
    from firsthandapi.types.file import File


def download_into_bucket(file: File, path: str | os.PathLike[str], **options: Any) -> Path:
    """Download a file to a URL in a bucket, or below it if it is that of a folder: the object is there when it is
    complete. `options` are those of `download_file`.
    Raises ConfigurationError: an extra is missing, or the bucket cannot be read.
    Raises DownloadError: the file could not be downloaded or written.
    Raises InvalidArgumentError: `path` is not the URL of a bucket.
    """
    store = store_at(path, "path")
    target = store.root
    if str(path).endswith("/") or store.names(target):
        target /= file_name_on_disk(file.id, file.content_type)
    with writing(store) as writer:
        download_file(file, writer.fetch_to(target), **options)
        writer.put(target)
    return target
