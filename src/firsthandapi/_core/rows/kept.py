"""The rows of each version of a dataset, as `.firsthandapi/versions/` keeps them: a file per version, by its number.

Its first line says what it is. Then follow the rows that differ from the version that it builds on, so that a version
takes the room of what changed; after some versions, one has all rows again. Of a withdrawn file only the id is kept.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from firsthandapi._base.loose_json import load, strings
from firsthandapi._base.names import ROOM
from firsthandapi._core.calls.integers import int_or_none
from firsthandapi._core.files.kinds import PLACES
from firsthandapi.errors import ConfigurationError, InvalidArgumentError

from .manifest import LARGEST_MANIFEST, Record, manifest_line, parse_manifest
from .versions import Version, check_number

VERSIONS = f"{ROOM}/versions"
ENDING = ".jsonl"
# The maximum bytes of a version with those that it builds on, because the folder may come from a stranger: at most
# twice its rows, which are longer here than in the manifest.
LARGEST_KEPT = 3 * LARGEST_MANIFEST
# The maximum number of versions that one builds on: each is a file to read.
DEEPEST = 32

# By the folder of its manifest and its file id, each row as JSON, or one of these words in its place.
Lines = dict[tuple[str, str], bytes]
_REMOVED = b'"removed"'
_WITHDRAWN = b'"withdrawn"'
_LINE = re.compile(rb'\["(%b)","([\w\-]+)",(\{.*\}|"removed"|"withdrawn")\]' % "|".join(PLACES).encode())


@dataclass(frozen=True)
class Snapshot:
    """The rows of a dataset at one time.

    Attributes:
        subfolders: the rows, by the folder of their manifest.
        withdrawn: the files that the service had withdrawn.
        excluded: the files that the user had excluded.
        decisions: the number of decisions that had been made.
        lost: the files of it that the service has withdrawn since.
    """

    subfolders: Mapping[str, Sequence[Record]]
    withdrawn: Collection[str] = ()
    excluded: Collection[str] = ()
    decisions: int = 0
    lost: frozenset[str] = frozenset()

    def without(self, withdrawn: Collection[str]) -> Snapshot:
        """The snapshot without files that the service has withdrawn."""
        rows = {
            name: [row for row in rows if row.file_id not in withdrawn]
            for name, rows in self.subfolders.items()
        }
        gone = {row.file_id for rows in self.subfolders.values() for row in rows if row.file_id in withdrawn}
        return replace(self, subfolders=rows, lost=self.lost | gone) if gone else self


@dataclass(frozen=True)
class Kept:
    """The file of a version.

    Attributes:
        number: the number of the version.
        tree: its tree.
        base: the number of the version that it builds on; None if it has all rows.
        depth: on how many versions it builds.
        size: its bytes, as read.
        snapshot: its numbers and ids, without its rows.
        lines: its rows that differ from those of its base.
    """

    number: str
    tree: str
    base: str | None
    depth: int
    size: int
    snapshot: Snapshot
    lines: Lines = field(repr=False)

    def encode(self) -> bytes:
        head = {
            "version": self.number,
            "tree": self.tree,
            "base": self.base,
            "depth": self.depth,
            "decisions": self.snapshot.decisions,
            "withdrawn": sorted(self.snapshot.withdrawn),
            "excluded": sorted(self.snapshot.excluded),
        }
        lines = [
            b'["%b","%b",%b]' % (folder.encode(), id_.encode(), row)
            for (folder, id_), row in self.lines.items()
        ]
        return b"\n".join([json.dumps(head, separators=(",", ":")).encode(), *lines, b""])

    def forgetting(self, ids: Collection[str]) -> Kept | None:
        """The file without the rows of these files; None if it has none."""
        lines = {
            key: _WITHDRAWN if key[1] in ids and row != _REMOVED else row for key, row in self.lines.items()
        }
        return None if lines == self.lines else replace(self, lines=lines)


def kept_of(version: Version, snapshot: Snapshot, chain: Sequence[Kept]) -> Kept:
    """The file of a version. `chain`: those of the version before, oldest first, if it is kept."""
    rows = {
        (folder, row.file_id): manifest_line(row)[:-1]
        for folder, rows in snapshot.subfolders.items()
        for row in rows
    }
    whole = Kept(version.number, version.tree, None, 0, 0, replace(snapshot, subfolders={}), rows)
    if not chain or chain[-1].depth + 1 >= DEEPEST:
        return whole
    old_rows = folded(chain)
    changed = {key: row for key, row in rows.items() if old_rows.get(key) != row}
    removed = dict.fromkeys(old_rows.keys() - rows.keys(), _REMOVED)
    size = sum(map(len, (*changed.values(), *removed)))
    if sum(file.size for file in chain) + size > 2 * sum(map(len, rows.values())):
        return whole
    return replace(whole, base=chain[-1].number, depth=chain[-1].depth + 1, lines={**changed, **removed})


def folded(chain: Sequence[Kept]) -> Lines:
    """The rows of a version, from its file and those that it builds on, oldest first."""
    rows: Lines = {}
    for file in chain:
        rows.update(file.lines)
        for key in [key for key, row in file.lines.items() if row == _REMOVED]:
            del rows[key]
    return rows


def snapshot_of(chain: Sequence[Kept], path: object) -> Snapshot:
    """The rows of a version, each checked. Raises ConfigurationError: a row is not one of ours."""
    contents: dict[str, list[bytes]] = {name: [] for name in PLACES}
    lost: set[str] = set()
    for (folder, file_id), row in folded(chain).items():
        if row == _WITHDRAWN:
            lost.add(file_id)
        else:
            contents[folder].append(row)
    rows = {name: parse_manifest(b"\n".join(lines), str(path)) for name, lines in contents.items() if lines}
    return replace(chain[-1].snapshot, subfolders=rows, lost=frozenset(lost))


def parse_kept(content: bytes, number: str, path: object) -> Kept:
    """The file of a version. Its rows are not checked yet.
    Raises ConfigurationError: it is damaged, or of another version.
    """
    first, *lines = content.splitlines() or [b""]
    matches = [match for match in map(_LINE.fullmatch, lines) if match is not None]
    try:
        file = _kept_of(load(first), len(content), matches)
    except (LookupError, TypeError, InvalidArgumentError):
        raise damaged(path) from None
    is_based = file.base is not None and file.base != number
    if file.number != number or len(matches) < len(lines) or is_based != (0 < file.depth < DEEPEST):
        raise damaged(path)
    return file


def _kept_of(head: Any, size: int, matches: Sequence[re.Match[bytes]]) -> Kept:
    base, withdrawn, excluded = head["base"], strings(head["withdrawn"]), strings(head["excluded"])
    depth, decisions = int_or_none(head["depth"]), int_or_none(head["decisions"])
    snapshot = Snapshot({}, withdrawn or (), excluded or (), decisions or 0)
    rows = {(match[1].decode(), match[2].decode()): match[3] for match in matches}
    base = None if base is None else check_number(base)
    return Kept(head["version"], head["tree"], base, depth or 0, size, snapshot, rows)


def damaged(path: object) -> ConfigurationError:
    """Our error for a file that does not have the rows of its version."""
    return ConfigurationError(f"{path} is damaged; restore it from a backup, or use a copy of the folder")
