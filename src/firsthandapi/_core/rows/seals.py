"""The seal of a manifest: hashes of the rows that this package wrote, by which rows that others have edited are found.
The owner of the folder accepts their edits; no run, card, or lock does."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field, replace
from functools import cache

from pydantic import TypeAdapter, ValidationError

from firsthandapi._base.names import ROOM

from .manifest import MOST_ROWS, Record, manifest_line, without_own

LARGEST_SEAL = 64 * MOST_ROWS
# A reader may have read the rows before the last few writes.
_MOST_WRITTEN = 8
_MARK_BYTES = 8


@dataclass(frozen=True)
class Seal:
    """What this package knows of a manifest.

    Attributes:
        written: the length and the SHA-256 of its last contents, the newest last. The newest may not be there yet.
        grows: whether a run appends, or has died while it did: then lines may follow.
        edited: the ids of the files whose rows somebody else has changed, which their owner has not accepted.
        marks: of the other rows, a short hash each, one after the other.
    """

    written: tuple[tuple[int, str], ...] = ()
    grows: bool = False
    edited: tuple[str, ...] = ()
    marks: bytes = field(default=b"", repr=False)

    def has_written(self, size: int, sha256: str) -> bool:
        """Whether this package wrote exactly this content."""
        return (size, sha256) in self.written

    def edited_of(
        self, rows: Collection[Record], size: int, sha256_of: Callable[[int], str]
    ) -> frozenset[str]:
        """The ids of the rows that somebody else has changed. Rows that are lost or repeated, in another order, or with
        columns of the user's own are as they were written.
        `size`: the length of the content that they were read from.
        `sha256_of`: the SHA-256 of so many of its first bytes.
        """
        lengths = {
            length for length, _ in self.written if length == size or (self.grows and 0 < length < size)
        }
        edited = frozenset(self.edited)
        if not self.written or any(self.has_written(length, sha256_of(length)) for length in lengths):
            return edited.intersection(row.file_id for row in rows)
        if self.grows:  # what was appended is unknown
            return edited
        step = _MARK_BYTES
        marks = {self.marks[start : start + step] for start in range(0, len(self.marks), step)}
        return frozenset(row.file_id for row in rows if row.file_id in edited or mark_of(row) not in marks)

    def writing(
        self, size: int, sha256: str, *, marks: bytes, edited: Iterable[str], grows: bool = False
    ) -> Seal:
        """The seal before this content is written, or lines are appended to it."""
        written = (*(entry for entry in self.written if entry != (size, sha256)), (size, sha256))
        return replace(
            self, written=written[-_MOST_WRITTEN:], grows=grows, edited=tuple(sorted(edited)), marks=marks
        )

    def encode(self) -> bytes:
        head = {"written": self.written, "grows": self.grows, "edited": self.edited}
        return json.dumps(head).encode() + b"\n" + self.marks


def mark_of(row: Record, line: bytes = b"") -> bytes:
    """The mark of a row, without the user's own columns. `line`: the row as a line, if it has been made."""
    if row.extra or not line:
        line = manifest_line(without_own(row))
    return hashlib.sha256(line).digest()[:_MARK_BYTES]


def seal_file(subfolder: str) -> str:
    """The name of the seal of the manifest in this folder."""
    parts = subfolder.removeprefix(ROOM).split("/")
    return f"{ROOM}/{'-'.join(['rows', *filter(None, parts)])}.seal"


@cache
def _reader() -> TypeAdapter[Seal]:
    return TypeAdapter(Seal)


def parse_seal(content: bytes | None) -> Seal:
    """A seal; of rows that have none, or a damaged one, nothing is known."""
    head, _, marks = (content or b"").partition(b"\n")
    try:
        return replace(_reader().validate_json(head), marks=marks)
    except ValidationError:
        return Seal()
