"""What a notebook shows of files: read from a folder, or fetched for a page, within bounds of bytes and time."""

from __future__ import annotations

import hashlib
import queue
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

from firsthandapi._core.download import Wanted
from firsthandapi._core.manifest import Record
from firsthandapi.datasets import _disk
from firsthandapi.datasets._store import Disk
from firsthandapi.errors import FirstHandError

from .cards import (
    LARGEST_CLIP,
    LARGEST_ORIGINAL,
    MOST_CARDS,
    MOST_IN_CELL,
    Embedded,
    Media,
    begins_like,
    count_of,
    dataset_heading,
    gallery,
    media_type,
)
from .html import MOST_ROWS, cell, heading, note, or_none, table
from .thumbnail import pillow, thumbnail

if TYPE_CHECKING:
    from firsthandapi._core.config import Config
    from firsthandapi._download.fetch import Outcome
    from firsthandapi.datasets._dataset import Dataset
    from firsthandapi.datasets._store import Store
    from firsthandapi.types.file import File

# A cell is shown within this, whatever the disk and the network do; what is not there by then is not shown.
MOST_SECONDS: Final = 5.0
# Of that time, what fetching may take; the rest is for making pictures small, of which a hostile one takes a second.
_FETCHING: Final = 0.8
# Of one image on disk that is made smaller.
LARGEST_READ: Final = 32 * 1024 * 1024
# Of one file of a page, and of all: a phone's photo has 2 to 4 MB.
LARGEST_FETCHED: Final = 4 * 1024 * 1024
MOST_FETCHED: Final = 16 * 1024 * 1024
_CONNECTIONS = 8

_UNKNOWN = "no preview of this type"
_LARGE = "too large to show here"
_LARGE_WITHOUT = "too large to show without Pillow"
_NO_SIZE = "not shown: its size is not known"
_FULL = "not shown: this cell is full"
_LATE = "not shown: it would take too long"
_BROKEN = "the file is not what its type says"
_DAMAGED = "damaged: not the file of the manifest"
_MISSING = "the file is missing"
_UNREADABLE = "the file cannot be read"
_UNFETCHED = "could not be fetched"


class Budget:
    """What one cell may still take: bytes in it, and time to make it."""

    def __init__(self) -> None:
        self._pillow = pillow()
        self._left = MOST_IN_CELL
        self._ends = time.monotonic() + MOST_SECONDS

    @property
    def seconds(self) -> float:
        """The time that is left."""
        return max(self._ends - time.monotonic(), 0.0)

    @property
    def seconds_to_fetch(self) -> float:
        """The time that is left for fetching."""
        return max(self.seconds - (1 - _FETCHING) * MOST_SECONDS, 0.0)

    def refuse(self, content_type: str | None, size: int, *, largest_image: int) -> str | None:
        """Why a file of that type and size is not worth getting, or None; an image may have `largest_image` bytes
        if it is made smaller."""
        known = media_type(content_type)
        if known is None:
            return _UNKNOWN
        if not known.startswith("image/"):
            return _LARGE if size > LARGEST_CLIP else None
        if self._pillow:
            return _LARGE if size > largest_image else None
        return _LARGE_WITHOUT if size > LARGEST_ORIGINAL else None

    def preview(self, content: bytes, content_type: str | None) -> Media:
        """What is shown of a file."""
        known = media_type(content_type)
        if known is None or not begins_like(content, known):
            return _BROKEN
        if self._pillow and known.startswith("image/"):
            if not self.seconds:
                return _LATE
            small = thumbnail(self._pillow, content, known)
            if small is None:
                return "broken, or too large to show here"
            content, known = small, "image/jpeg"
        if len(content) > self._left:
            return _FULL
        self._left -= len(content)
        return Embedded(known, content)


def page_html(items: Sequence[Any], *, has_more: bool, config: Config) -> str | None:
    """A page in a notebook: of files a gallery, for which the first ones are fetched; else a table."""
    return or_none(lambda: _page(items, has_more=has_more, config=config))


def dataset_html(dataset: Dataset) -> str | None:
    """A dataset in a notebook: a gallery of its first files."""
    return or_none(lambda: _dataset(dataset))


# ── Datasets ─────────────────────────────────────────────────────────────────────────────────────────────


def _dataset(dataset: Dataset) -> str:
    budget = Budget()
    records = dataset.records
    shown = list(zip(records, _kept(dataset, records[:MOST_CARDS], budget), strict=False))
    more = len(records) - len(shown)
    # The folder's own name alone: the way to it is the machine's affair.
    return gallery(
        dataset_heading(dataset.job, dataset._name, records),  # pyright: ignore[reportPrivateUsage] # of one house
        shown,
        f"{count_of(more, 'more file')} not shown; to_pandas() has a row for each of all {len(records):,}"
        if more
        else None,
    )


def _kept(dataset: Dataset, records: Sequence[Record], budget: Budget) -> list[Media]:
    """What is shown of each of these."""
    store = dataset._store  # pyright: ignore[reportPrivateUsage] # of one house
    paths = [dataset.path_of(record) for record in records]
    if isinstance(store, Disk):
        return [
            _shown(_found(store, path, record, budget), record, budget)
            for path, record in zip(paths, records, strict=True)
        ]
    found: list[Media | bytes] = [_LATE] * len(records)

    def find(number: int) -> None:
        found[number] = _found(store, paths[number], records[number], budget)

    # A network may take any time.
    threads = [threading.Thread(target=find, args=(number,), daemon=True) for number in range(len(records))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(budget.seconds)
    return [_shown(one, record, budget) for one, record in zip(list(found), records, strict=True)]


def _found(store: Store, path: Path, record: Record, budget: Budget) -> Media | bytes:
    """A file's content, or why it is not shown."""
    try:
        size = store.size_of(path)
    except FirstHandError:
        return _UNREADABLE
    if size is None:
        return _MISSING
    if size != record.size_bytes:
        return _DAMAGED
    refused = budget.refuse(record.content_type, size, largest_image=LARGEST_READ)
    if refused is not None:
        return refused
    if not budget.seconds:
        return _LATE
    # No more, should it have grown meanwhile.
    content = store.begin_of(path, size + 1)
    return _UNREADABLE if content is None else content


def _shown(found: Media | bytes, record: Record, budget: Budget) -> Media:
    if not isinstance(found, bytes):
        return found
    # Read anyway, so that a picture which is shown is the one that was bought.
    if hashlib.sha256(found).hexdigest() != record.sha256:
        return _DAMAGED
    return budget.preview(found, record.content_type)


# ── Pages ────────────────────────────────────────────────────────────────────────────────────────────────


def _page(items: Sequence[Any], *, has_more: bool, config: Config) -> str:
    from firsthandapi.types.file import File

    of_files = bool(items) and isinstance(items[0], File)
    more = len(items) - (MOST_CARDS if of_files else MOST_ROWS)
    notes = [f"{more:,} more on this page not shown"] if more > 0 else []
    notes += ["there are more pages: iterate over it for all of them"] if has_more else []
    if of_files:
        shown = items[:MOST_CARDS]
        media = _fetched(shown, config)
        head = heading("Page of files", count_of(len(items)))
        return gallery(head, zip(shown, media, strict=True), "; ".join(notes))
    rows: list[dict[str, object]] = [dict(item.__repr_args__()) for item in items[:MOST_ROWS]]
    return cell(
        heading(f"Page of {_name_of(items)}" if items else "Empty page", count_of(len(items), "item")),
        table(rows) if rows else "",
        note("; ".join(notes)) if notes else "",
    )


def _name_of(items: Sequence[Any]) -> str:
    """What they all are: events have a class for each kind."""
    classes: Sequence[type] = type(items[0]).__mro__
    return next(each.__name__ for each in classes if all(isinstance(item, each) for item in items))


def _fetched(files: Sequence[File], config: Config) -> list[Media]:
    """What is shown of each of these files. Nothing of it stays on the disk."""
    budget = Budget()
    media: list[Media] = []
    to_fetch: list[int] = []
    total = 0
    for number, file in enumerate(files):
        refused = _refused(file, total, budget)
        if refused is None:
            total += file.size_bytes or 0
            to_fetch.append(number)
        media.append(refused or _UNFETCHED)
    if not to_fetch:
        return media
    try:
        with TemporaryDirectory(prefix="firsthandapi-", ignore_cleanup_errors=True) as folder:
            wanted = {number: _wanted(files[number], Path(folder, f"{number}")) for number in to_fetch}
            for number in _fetch(wanted, config, budget):
                content = _disk.begin_of(wanted[number].target, LARGEST_FETCHED + 1)
                if content is not None:
                    media[number] = budget.preview(content, files[number].content_type)
    except Exception:  # a full disk, a proxy that is none: the cards have words all the same
        return media
    return media


def _refused(file: File, total: int, budget: Budget) -> str | None:
    """Why a file is not fetched, after `total` bytes of others; or None."""
    if file.size_bytes is None:
        return _NO_SIZE
    refused = budget.refuse(file.content_type, file.size_bytes, largest_image=LARGEST_FETCHED)
    return _FULL if refused is None and total + file.size_bytes > MOST_FETCHED else refused


def _wanted(file: File, target: Path) -> Wanted:
    return Wanted(
        file_id=file.id,
        url=file.download_url,
        expires_at=file.download_url_expires_at,
        size_bytes=file.size_bytes,
        sha256=file.content_hash,
        target=target,
    )


def _fetch(wanted: Mapping[int, Wanted], config: Config, budget: Budget) -> list[int]:
    """Fetch these; the numbers of those that came in time, in order."""
    from firsthandapi._download.engine import Engine

    outcomes: queue.SimpleQueue[Outcome] = queue.SimpleQueue()
    number_of = {one.target: number for number, one in wanted.items()}
    came: list[int] = []
    engine = Engine(
        base_url=config.base_url,
        proxy=config.proxy,
        verify=config.verify,
        timeout=min(config.timeout, MOST_SECONDS),
        max_retries=min(config.max_retries, 1),
        concurrency=_CONNECTIONS,
        refresh=None,  # a look at a page makes no API calls
        on_done=outcomes.put,
    )
    try:
        for one in wanted.values():
            engine.submit(one)
        for _ in wanted:
            outcome = outcomes.get(timeout=budget.seconds_to_fetch)
            if outcome.error is None:
                came.append(number_of[outcome.wanted.target])
    except queue.Empty:
        pass  # those that are still under way are given up
    finally:
        engine.close(cancel=True)
    return sorted(came)
