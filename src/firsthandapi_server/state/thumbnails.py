"""Small pictures of the pictures in a storage: each is drawn once, when somebody first looks at it."""

from __future__ import annotations

import atexit
import contextlib
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

from firsthandapi._base.thumbnail import SIDE
from firsthandapi_server.media.bounded import Bounded, BoundedError

from .model import File
from .storage import LocalStorage, Storage, StoredSource

# The longer side in pixels: on a card, and alone on a page.
SIDES = {"small": SIDE, "large": 1600}
# Bytes of a picture that is light enough as it is.
_LIGHT = 60_000
_draw = Bounded("firsthandapi_server.media.thumbnails:thumbnail")
atexit.register(_draw.close)


class Thumbnails:
    """A storage whose pictures have thumbnails.

    Args:
        storage: where the files are.
        folder: where their thumbnails are; created with the first.
    """

    def __init__(self, storage: Storage, folder: Path) -> None:
        self._storage = storage
        self._folder = folder
        self._lock = threading.Lock()
        self._drawing: list[str] = []

    def open(self, name: str) -> BinaryIO:
        return self._storage.open(name)

    def put(self, name: str, file: BinaryIO) -> None:
        self._storage.put(name, file)

    def read(self, name: str, start: int, stop: int) -> Iterable[bytes]:
        return self._storage.read(name, start, stop)

    def remove(self, name: str) -> None:
        """Remove a file and, first, its thumbnails."""
        self.forget(name)
        self._storage.remove(name)

    def forget(self, name: str) -> None:
        """Remove the thumbnails of a file. One that is being drawn is not kept."""
        with self._lock:
            self._drawing = [drawing for drawing in self._drawing if drawing != name]
            if self._folder.is_dir():
                for size in SIDES:
                    LocalStorage(self._folder / size).remove(name)

    def of(self, file: File, size: str) -> bytes | None:
        """The thumbnail of a picture as a JPEG, if it was drawn before; nothing if it is shown as it is.

        Args:
            file: any file.
            size: one of `SIDES`.
        """
        if not isinstance(file.source, StoredSource) or not file.content_type.startswith("image/"):
            return b""
        if file.facts().size <= _LIGHT:
            return b""
        if not self._folder.is_dir():
            return None
        try:
            return b"".join(LocalStorage(self._folder / size).read(file.source.name, 0, 1 << 30))
        except FileNotFoundError:
            return None

    def draw(self, file: File, size: str) -> bytes:
        """Draw a thumbnail and keep it. This takes up to seconds, in a process of its own.
        Raises OSError: the file is gone.
        Raises NotKeptError: the storage of files failed.
        """
        thumbnail = self.of(file, size)  # somebody else was faster
        if thumbnail is not None or not isinstance(file.source, StoredSource):
            return thumbnail or b""
        name = file.source.name
        with self._lock:
            self._drawing.append(name)
        try:
            content = _draw(file.content(), file.content_type, SIDES[size]) or b""
        except BoundedError:
            content = b""
        with self._lock:
            if name in self._drawing:
                self._drawing.remove(name)
                # A full disk is no reason to show nothing.
                with contextlib.suppress(OSError):
                    drawn = LocalStorage(self._folder / size)
                    drawn.remove(name)  # what a crash has left
                    with drawn.open(name) as part:
                        part.write(content)
                        drawn.put(name, part)
        return content
