"""A dataset in a notebook: files from its folder, within limits of size and time."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from firsthandapi._base.counts import count_of
from firsthandapi._base.thumbnail import pillow, thumbnail
from firsthandapi._core.rows.manifest import Record
from firsthandapi.datasets import DatasetView
from firsthandapi.datasets._local import Local
from firsthandapi.errors import FirstHandError

from .cards import (
    LARGEST_CLIP,
    LARGEST_ORIGINAL,
    MOST_CARDS,
    MOST_IN_CELL,
    Embedded,
    Media,
    begins_like,
    dataset_heading,
    galleries,
    media_type,
)

if TYPE_CHECKING:
    from firsthandapi.datasets._dataset import Dataset
    from firsthandapi.datasets._store import Store

# Maximum seconds until a cell is shown, even with a slow disk or bucket; late pictures are left out.
MOST_SECONDS: Final = 5.0
# Maximum bytes of an image on disk that is scaled down.
LARGEST_READ: Final = 32 * 1024 * 1024

_UNKNOWN = "no preview of this type"
_LARGE = "too large to show here"
_LARGE_WITHOUT = "too large to show without Pillow"
_FULL = "not shown: this cell is full"
_LATE = "not shown: it would take too long"
_BROKEN = "the file is not what its type says"
_DAMAGED = "damaged: not the file of the manifest"
_MISSING = "the file is missing"
_UNREADABLE = "the file cannot be read"


class Budget:
    """The bytes and the time that one cell has left."""

    def __init__(self) -> None:
        self._pillow = pillow()
        self._left = MOST_IN_CELL
        self._ends = time.monotonic() + MOST_SECONDS

    @property
    def seconds(self) -> float:
        return max(self._ends - time.monotonic(), 0.0)

    def refuse(self, content_type: str | None, size: int) -> str | None:
        """The reason not to read a file of this type and size, or None."""
        mime_type = media_type(content_type)
        if mime_type is None:
            return _UNKNOWN
        if not mime_type.startswith("image/"):
            return _LARGE if size > LARGEST_CLIP else None
        if self._pillow:
            return _LARGE if size > LARGEST_READ else None
        return _LARGE_WITHOUT if size > LARGEST_ORIGINAL else None

    def preview(self, content: bytes, content_type: str | None) -> Media:
        """The media to embed for a file, or the reason why there are none."""
        mime_type = media_type(content_type)
        if mime_type is None or not begins_like(content, mime_type):
            return _BROKEN
        if self._pillow and mime_type.startswith("image/"):
            if not self.seconds:
                return _LATE
            small = thumbnail(self._pillow, content, mime_type)
            if small is None:
                return "broken, or too large to show here"
            content, mime_type = small, "image/jpeg"
        if len(content) > self._left:
            return _FULL
        self._left -= len(content)
        return Embedded(mime_type, content)


def dataset_cell(rows: Dataset | DatasetView) -> str:
    """A gallery of the first files with their media; with labels, of the first files of each label."""
    budget = Budget()
    groups = _groups(rows.records)
    chosen = [record for _, records in groups for record in records]
    media = iter(_kept(rows, chosen, budget))
    more = len(rows) - len(chosen)
    name = rows.name if isinstance(rows, DatasetView) else rows._name  # pyright: ignore[reportPrivateUsage] # of one house
    # Only the folder's name: its path stays private to the machine.
    head = dataset_heading(None if isinstance(rows, DatasetView) else rows.job, name, rows.records)
    return galleries(
        head,
        [(title, [(record, next(media)) for record in records]) for title, records in groups],
        f"{count_of(more, 'more file')} not shown; to_pandas() has a row for each of all {len(rows):,}"
        if more
        else None,
    )


def _groups(records: Sequence[Record]) -> list[tuple[str | None, list[Record]]]:
    """The files to show, by label; a group without labels has no title. Each label gets an equal share, so that the
    gallery shows every class."""
    by_label: dict[str | None, list[Record]] = {}
    for record in records:
        by_label.setdefault(record.label, []).append(record)
    if by_label.keys() <= {None}:
        return [(None, list(records[:MOST_CARDS]))]
    labels = sorted(by_label, key=lambda label: (label is None, label or ""))[:MOST_CARDS]
    share = MOST_CARDS // len(labels)
    return [(_title(label, by_label[label]), by_label[label][:share]) for label in labels]


def _title(label: str | None, records: Sequence[Record]) -> str:
    stars = [record.ai_star_rating for record in records if record.ai_star_rating is not None]
    average = f" · {sum(stars) / len(stars):.1f} stars on average" if stars else ""
    return f"{'no label' if label is None else label} · {count_of(len(records))}{average}"


def _kept(dataset: Dataset | DatasetView, records: Sequence[Record], budget: Budget) -> list[Media]:
    store = dataset._store  # pyright: ignore[reportPrivateUsage] # of one house
    paths = [dataset.path_of(record) for record in records]
    if isinstance(store, Local):
        return [
            _shown(_found(store, path, record, budget), record, budget)
            for path, record in zip(paths, records, strict=True)
        ]
    contents: list[Media | bytes] = [_LATE] * len(records)

    def find(number: int) -> None:
        contents[number] = _found(store, paths[number], records[number], budget)

    # In threads, because a network may take any time.
    threads = [threading.Thread(target=find, args=(number,), daemon=True) for number in range(len(records))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(budget.seconds)
    return [_shown(content, record, budget) for content, record in zip(list(contents), records, strict=True)]


def _found(store: Store, path: Path, record: Record, budget: Budget) -> Media | bytes:
    """A file's content, or the reason why it is not shown."""
    try:
        size = store.size_of(path)
    except FirstHandError:
        return _UNREADABLE
    if size is None:
        return _MISSING
    if size != record.size_bytes:
        return _DAMAGED
    refused = budget.refuse(record.content_type, size)
    if refused is not None:
        return refused
    if not budget.seconds:
        return _LATE
    # One byte more than expected, and no more, in case the file has grown.
    content = store.begin_of(path, size + 1)
    return _UNREADABLE if content is None else content


def _shown(content: Media | bytes, record: Record, budget: Budget) -> Media:
    if not isinstance(content, bytes):
        return content
    # The bytes are in memory anyway, so verify that the picture is the one that was bought.
    if hashlib.sha256(content).hexdigest() != record.sha256:
        return _DAMAGED
    return budget.preview(content, record.content_type)
