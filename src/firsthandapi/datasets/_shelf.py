"""Where a dataset is published: a folder or a bucket here, a repository of the Hugging Face Hub in `_hub.py`."""
# What a protocol asks for has no body:
# pyright: reportReturnType=false

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Protocol

from firsthandapi._base.names import ROOM
from firsthandapi._core.rows.manifest import Record
from firsthandapi._core.rows.versions import LOCK_FILE
from firsthandapi.errors import ConfigurationError, InvalidArgumentError

from ._copying import at_once, copied
from ._local import Local
from ._store import Store, sha256_of


@dataclass(frozen=True)
class Item:
    """A file to publish.

    Attributes:
        name: its path, relative to the publication.
        size: its bytes.
        sha256: its SHA-256, in hex.
        content: its bytes, unless it is a file of the dataset.
        media: the row and the path of a file of the dataset.
    """

    name: str
    size: int
    sha256: str
    content: bytes = b""
    media: tuple[Record, Path] | None = None


def item_of(name: str, content: bytes) -> Item:
    return Item(name, len(content), hashlib.sha256(content).hexdigest(), content)


class Shelf(Protocol):
    """A place for a publication."""

    @property
    def key(self) -> str:
        """What the dataset remembers it by."""

    @property
    def url(self) -> str:
        """Where people find it."""

    @property
    def base(self) -> str | None:
        """The URL below which its files can be downloaded, if it is known."""

    @property
    def most(self) -> int | None:
        """The most files in one folder."""

    def names(self) -> Collection[str]:
        """The names of all files there, but hidden ones, as they are now."""

    def read(self, name: str, most: int) -> bytes | None:
        """The content of a file, which `names` has named."""

    def has(self, item: Item, hashes: Mapping[str, str]) -> bool:
        """Whether it has this file. `hashes`: the SHA-256 of files, by name, as the rows there say."""

    def check_new(self, *, is_changed: bool) -> None:
        """Refuse what would fail in the end, before anything is written."""

    def write(self, source: Store, items: Sequence[Item], gone: Collection[str]) -> None:
        """Write files, in this order, then remove those that are `gone`. A death leaves what the next call
        completes."""

    def erase(self, ids: Collection[str]) -> None:
        """Remove the bytes of files of these ids, which `write` has removed, from the history."""


class StoreShelf:
    """A folder, or the folder of a bucket."""

    base = None
    most = None

    def __init__(self, store: Store) -> None:
        self.store = store
        self.key = self.url = str(store.root.absolute())
        self._sizes: dict[str, int] = {}

    def names(self) -> Collection[str]:
        root = self.store.root
        if self.store.is_no_folder(root):
            raise ConfigurationError(f"{root} is not a folder; choose a different one")
        if self.store.names(root / ROOM):
            raise InvalidArgumentError(
                f"dest contains {ROOM}/, as the folder of a dataset: {root}; publish into a different folder",
                field="dest",
            )
        if not self.store.exists(root / LOCK_FILE):  # it may be large, and nothing of it is ours
            return [name for name in self.store.names(root) if not name.startswith(".")]
        self._sizes = self.store.sizes_below()
        return self._sizes.keys()

    def read(self, name: str, most: int) -> bytes | None:
        return self.store.read(self.store.root / name, most)

    def has(self, item: Item, hashes: Mapping[str, str]) -> bool:
        if self._sizes.get(item.name) != item.size:
            return False
        sha256 = hashes.get(item.name) or sha256_of(self.store, self.store.root / item.name, item.size)
        return sha256 == item.sha256

    def check_new(self, *, is_changed: bool) -> None:
        pass

    def erase(self, ids: Collection[str]) -> None:
        pass

    def write(self, source: Store, items: Sequence[Item], gone: Collection[str]) -> None:
        root, writer = self.store.root, self.store.writer()
        if not isinstance(self.store, Local):
            writer.lock()  # for its temporary folder; a folder would get files of ours
        try:
            for folder in dict.fromkeys((root / item.name).parent for item in items):
                self.store.refuse_link(folder)
                writer.prepare(folder)

            def write(item: Item) -> None:
                target = root / item.name
                if item.media is None:
                    self.store.replace(target, item.content)
                    return
                record, path = item.media
                copied(source, path, record, writer.fetch_to(target))
                writer.put(target)

            with at_once(source, self.store) as pool:
                # Papers one by one, in their order.
                for is_media, group in groupby(items, lambda item: item.media is not None):
                    for _ in pool.map(write, group) if is_media else map(write, group):
                        pass
        finally:
            writer.release()
        for name in gone:
            self.store.remove(root / name)
            if self.store.exists(root / name):
                raise ConfigurationError(f"{root / name} cannot be removed; remove it, and publish again")
        for folder in {(root / name).parent for name in gone} - {root}:
            self.store.remove_all(folder, ())
