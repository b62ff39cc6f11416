"""Splits of a dataset, such as train and test, without leaks between them, and with each label in its proportion.

Rows of one worker are a group, and so are workers who have submitted duplicates of each other's files, unless that
group would be larger than the smallest split: a picture that everybody sends would else join all. Groups are taken in
the order of a hash, never in that of the rows, and each goes to the split where its labels are most short. So the same
rows give the same splits on every machine.

What was split before is remembered by file: its rows, and later rows of their workers, stay in their split. A row is in
no split if a duplicate of it is in another one than its worker.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from firsthandapi._base.counts import count_of
from firsthandapi._base.loose_json import load, strings
from firsthandapi._base.names import ROOM
from firsthandapi._core.calls.integers import int_or_none
from firsthandapi.errors import ConfigurationError, InvalidArgumentError

from .manifest import Record

SPLITS = f"{ROOM}/splits.jsonl"
LARGEST_SPLITS = 128 * 1024 * 1024

_SLACK = 1e-6
# How far a split with no row of a label comes before one that has some: below 1, each gets its first group early, and
# large groups still go where most is missing.
_FIRST = 0.02


@dataclass(frozen=True)
class Rule:
    """What decides the splits of rows: the arguments of `split`, checked.

    Attributes:
        parts: the share of each split.
        seed: selects one of many possible splits.
        near: the bits by which near duplicates may differ; None if only the same bytes count.
        stratify: whether labels keep their proportions.
    """

    parts: Mapping[str, float]
    seed: int = 0
    near: int | None = None
    stratify: bool = True

    def encode(self) -> str:
        """The rule as a key of the memory."""
        parts = [[name, float(share)] for name, share in self.parts.items() if share]
        return json.dumps([parts, self.seed, self.near, self.stratify])


def check_parts(parts: dict[str, object]) -> dict[str, float]:
    """Check and return the share of each split.
    Raises InvalidArgumentError: a share is not a number from 0 to 1, or the shares do not add up to 1.
    """
    for name, share in parts.items():
        if not isinstance(share, int | float) or isinstance(share, bool) or not 0 <= share <= 1:
            raise InvalidArgumentError(
                f"{name} must be a number from 0 to 1: its share of the rows", field=name
            )
    shares = cast("dict[str, float]", parts)
    if abs(sum(shares.values()) - 1) > _SLACK:
        total = " + ".join(f"{name}={share:g}" for name, share in shares.items())
        raise InvalidArgumentError(
            f"{total} is not 1; choose shares that add up to 1", field=next(iter(parts))
        )
    return shares


def check_seed(seed: object) -> int:
    """Check and return the seed, which selects one of many possible splits.
    Raises InvalidArgumentError: the seed is not an int.
    """
    number = int_or_none(seed)
    if number is None:
        raise InvalidArgumentError("seed must be an int", field="seed")
    return number


def split_rows(
    records: Sequence[Record],
    rule: Rule,
    near: Iterable[tuple[int, int]] = (),
    memory: Mapping[str, str] | None = None,
    other_rows: Iterable[Record] = (),
) -> dict[str, list[Record]]:
    """The rows of each split, in their order.
    `near`: the pairs of rows, by position, that are near duplicates.
    `memory`: by file id, the splits of before.
    `other_rows`: rows that are not to be split, whose workers are remembered too.
    """
    memory = memory or {}
    parts = {name: share for name, share in rule.parts.items() if share}
    homes: dict[str, str] = {}
    for record in sorted((*records, *other_rows), key=lambda row: row.file_id):
        if memory.get(record.file_id) in parts:
            homes.setdefault(_worker_of(record), memory[record.file_id])
    duplicates = _Joined()
    for number, record in enumerate(records):
        duplicates.join(number, record.sha256)
    for first, second in near:
        duplicates.join(first, second)
    contents = [duplicates.leader_of(number) for number in range(len(records))]
    digests = {worker: _digest(worker, rule.seed) for worker in map(_worker_of, records)}
    order = sorted(
        range(len(records)),
        key=lambda number: (digests[_worker_of(records[number])], records[number].file_id),
    )
    split_by_number: dict[int, str] = {}
    taken: dict[object, set[str]] = defaultdict(set)
    counts: dict[str, Counter[str | None]] = {name: Counter() for name in parts}

    def keep(number: int, name: str) -> None:
        split_by_number[number] = name
        taken[contents[number]].add(name)
        counts[name][records[number].label] += 1

    def free(group: list[int], name: str) -> list[int]:
        return [number for number in group if taken[contents[number]] <= {name}]

    later: list[int] = []
    for number in order:
        remembered = memory.get(records[number].file_id)
        if remembered is None:
            later.append(number)
        elif remembered == homes.get(_worker_of(records[number])):
            keep(number, remembered)
    for number in later:
        home = homes.get(_worker_of(records[number]))
        if home is not None and free([number], home):
            keep(number, home)
    for group in _groups(records, order, contents, min(parts.values()) * len(records)):
        new = [number for number in group if _worker_of(records[number]) not in homes]
        part = _part_of(digests[_worker_of(records[group[0]])], parts)
        if rule.stratify:
            labels = {name: Counter(records[number].label for number in free(new, name)) for name in parts}
            # Where the labels are equally short, where rows are.
            short = {name: _shortage(labels[name], counts[name], share) for name, share in parts.items()}
            part = max(parts, key=lambda name: (short[name], -counts[name].total() / parts[name]))
        for number in free(new, part):
            keep(number, part)
    rows: dict[str, list[Record]] = {name: [] for name in rule.parts}
    for number in sorted(split_by_number):
        rows[split_by_number[number]].append(records[number])
    return rows


class _Joined:
    """Sets of things that were joined, directly or through others."""

    def __init__(self) -> None:
        self._leaders: dict[object, object] = {}

    def leader_of(self, thing: object) -> object:
        """What all things of a set have in common."""
        while (leader := self._leaders.setdefault(thing, thing)) != thing:
            self._leaders[thing] = self._leaders[leader]
            thing = leader
        return thing

    def join(self, first: object, second: object) -> None:
        self._leaders[self.leader_of(second)] = self.leader_of(first)


def _groups(
    records: Sequence[Record], order: Sequence[int], contents: Sequence[object], most: float
) -> list[list[int]]:
    """Rows, by position, that go to one split, in the order of their first rows: those of a worker, and of others by
    duplicates if these are at most `most` rows together."""
    joined = _Joined()
    for number in order:
        joined.join(("worker", _worker_of(records[number])), ("content", contents[number]))
    leaders = {number: joined.leader_of(("content", contents[number])) for number in order}
    sizes = Counter(leaders.values())
    groups: dict[object, list[int]] = defaultdict(list)
    for number, leader in leaders.items():
        groups[leader if sizes[leader] <= most else _worker_of(records[number])].append(number)
    return [*groups.values()]


def _shortage(labels: Mapping[str | None, int], counts: Mapping[str | None, int], share: float) -> float:
    """How short a split of this share is of the labels of a group."""
    return sum(share * number / (counts.get(label, 0) + _FIRST * number) for label, number in labels.items())


def faults(rows: Mapping[str, Sequence[Record]], rule: Rule, number: int) -> list[str]:
    """What is wrong with splits of `number` rows, a line each: splits without a row or a label, and rows without a
    split."""
    labels = {record.label for part in rows.values() for record in part} - {None}
    lines: list[str] = []
    for name in (name for name, share in rule.parts.items() if share and number):
        missing = labels - {record.label for record in rows[name]}
        if missing or not rows[name]:
            of = f" of {', '.join(sorted(map(repr, missing)))}" if rows[name] else ""
            lines.append(f"the split {name!r} has no file{of}; use more files, other shares, or another seed")
    if left_out := number - sum(map(len, rows.values())):
        lines.append(
            f"{count_of(left_out)} in no split: another worker sent a duplicate, which is in a different split"
        )
    return lines


def _worker_of(record: Record) -> str:
    """The worker of a row; if unknown, its submission, which has one worker."""
    return record.worker_id or record.submission_id or record.file_id


def _digest(worker: str, seed: int) -> bytes:
    return hashlib.sha256(f"{seed}\0{worker}".encode("utf-8", "replace")).digest()


def _part_of(digest: bytes, parts: Mapping[str, float]) -> str:
    """The split of a group by its hash alone. Its other bytes decide the order of groups."""
    point = int.from_bytes(digest[-6:]) / 2**48
    end = 0.0
    for name, share in parts.items():
        end += share
        if point < end:
            return name
    return [*parts][-1]  # rounding may leave a gap below 1


# ── The memory ───────────────────────────────────────────────────────────────────────────────────────────


def parse_splits(content: bytes | None, rule: Rule, path: object = SPLITS) -> dict[str, str]:
    """By file id, the splits that `splits.jsonl` remembers for a rule. A file stays in the first one.
    Raises ConfigurationError: a line is not one of ours.
    """
    memory: dict[str, str] = {}
    for number, line in enumerate((content or b"").splitlines(), 1):
        loaded = load(line)
        entry = cast("dict[str, Any]", loaded) if isinstance(loaded, dict) else {}
        files = entry.get("files")
        if not isinstance(entry.get("rule"), str) or not isinstance(files, dict):
            raise _damaged(path, number)
        for name, listed in cast("dict[str, object]", files).items():
            if (ids := strings(listed)) is None:
                raise _damaged(path, number)
            if entry["rule"] == rule.encode():
                memory.update((file_id, name) for file_id in ids if file_id not in memory)
    return memory


def _damaged(path: object, number: int) -> ConfigurationError:
    return ConfigurationError(
        f"{path}, line {number}: not a split of firsthandapi; remove the line, or restore the file from a backup, or "
        "files may move to another split"
    )


def splits_line(rule: Rule, rows: Mapping[str, Sequence[Record]], memory: Mapping[str, str]) -> bytes:
    """The line of the rows that the memory lacks; none if it has all."""
    new = {name: [row.file_id for row in part if row.file_id not in memory] for name, part in rows.items()}
    files = {name: ids for name, ids in new.items() if ids}
    return json.dumps({"rule": rule.encode(), "files": files}).encode() + b"\n" if files else b""
