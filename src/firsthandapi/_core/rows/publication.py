"""What is published of a dataset: where each row goes, and which names at the destination are ours."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from firsthandapi._core.files.kinds import PLACES
from firsthandapi.errors import InvalidArgumentError

from .card import CARD
from .consents import CONSENTS
from .croissant import CROISSANT
from .manifest import DATA, MANIFEST, Record, data_folder, label_of
from .versions import LOCK_FILE, Version

# The rows with types, for loaders: of text they guess the types, and guess differently for each split.
TABLE = "metadata.parquet"
# What a version of the Hub's library takes for the name of a split.
_SPLIT = re.compile(r"\w+(?:\.\w+)*")
_SHARD = re.compile(r"part-\d{4}")
_PLACE = rf"(?:\w[\w.]*/)?(?:{_SHARD.pattern}/)?(?:(?:{'|'.join(PLACES[1:])})/)?"
_ROWS = re.compile(rf"({_PLACE}){re.escape(MANIFEST)}")
_OURS = re.compile(
    rf"{_PLACE}(?:{re.escape(MANIFEST)}|{re.escape(TABLE)}|{DATA}/(?:[^/]+/)?file[_\-][\w\-]+\.[a-z0-9]{{1,5}})"
)
_PAPERS = frozenset({LOCK_FILE, CONSENTS, CARD, CROISSANT})
_HUB = re.compile(r"hf://(?:datasets/)?([\w\-][\w.\-]*/[\w\-][\w.\-]*)/?")


@dataclass(frozen=True)
class Publication:
    """The result of `Dataset.publish`.

    Attributes:
        url: where the dataset is: the page of a repository of the Hub, or the folder's path or URL.
        version: its version, as `write_lock` returns it.
        files: the number of files that were written this time.
        altered: `metadata.jsonl` if rows were edited outside of this package, as `verify` says. The card says so as
            well, until `Dataset.accept_edits`.
    """

    url: str
    version: Version
    files: int
    altered: tuple[str, ...] = ()


def hub_repo(url: str) -> str | None:
    """The repository that an `hf://` URL names; None for anything else.
    Raises InvalidArgumentError: it names none.
    """
    if not url.lower().startswith("hf://"):
        return None
    match = _HUB.fullmatch(url)
    if match is None:
        raise InvalidArgumentError(
            "dest must name a dataset of the Hub, as in hf://owner/name, without a revision or folder",
            field="dest",
        )
    return match[1]


def check_split(name: object) -> None:
    """Raises InvalidArgumentError: it cannot be the name of a split that is published."""
    taken = (*PLACES, DATA, *_PAPERS, MANIFEST, TABLE)
    if not isinstance(name, str) or not _SPLIT.fullmatch(name) or name in taken or _SHARD.fullmatch(name):
        raise InvalidArgumentError(
            f"splits: {name!r} cannot be published as a split; use letters, digits, and _, such as train",
            field="splits",
        )


def placed(
    parts: Mapping[str, Iterable[tuple[str, Record]]], most: int | None
) -> dict[str, tuple[str, list[Record]]]:
    """By the folder of its manifest, the split and the rows of it. `parts`: by split, or by "" for all, each row with
    the folder of its manifest. `most`: of files in one folder; if there are more, they are spread over several, each by
    its id, so that few move when others come."""
    listed = {part: [*rows] for part, rows in parts.items()}
    shards = 1
    while True:
        places: dict[str, tuple[str, list[Record]]] = {}
        for part, rows in listed.items():
            below: dict[tuple[str, int], list[Record]] = {}
            for folder, row in rows:
                below.setdefault((_shard_of(row, shards), PLACES.index(folder)), []).append(row)
            for shard, kind in sorted(below):
                place = "/".join(filter(None, (part, shard, PLACES[kind])))
                places[place] = part, below[shard, kind]
        if most is None or all(_largest(rows) <= most for _, rows in places.values()):
            return places
        shards *= 2


def _shard_of(row: Record, shards: int) -> str:
    return "" if shards == 1 else f"part-{hashlib.sha256(row.file_id.encode()).digest()[0] % shards:04}"


def _largest(rows: Sequence[Record]) -> int:
    """The number of files in the largest folder of these rows."""
    return max(Counter(data_folder(label_of(row)) for row in rows).values())


def split_in(place: str) -> str:
    """The split that a place is of; "" if it is of none."""
    name = place.partition("/")[0]
    return "" if name in PLACES or _SHARD.fullmatch(name) else name


def place_of_rows(name: str) -> str | None:
    """The place of which this name is the manifest, if it is one."""
    match = _ROWS.fullmatch(name)
    return None if match is None else match[1].rstrip("/")


def is_ours(name: str) -> bool:
    """Whether `publish` may have written a file of this name: the next one removes it."""
    return name in _PAPERS or _OURS.fullmatch(name) is not None
