"""A buyer's decisions about files: the lines of `decisions.jsonl`, and their result.

Lines are only ever appended. For each file, the newest `exclude` or `include` counts, and the newest `relabel`. An
action of a later version only marks the file as reviewed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Final, Literal, cast

from firsthandapi._base.agreement import alpha
from firsthandapi._base.names import ROOM, disk_key
from firsthandapi._core.calls.request import check_id
from firsthandapi._core.files.labels import is_label
from firsthandapi.errors import ConfigurationError, InvalidArgumentError

from .manifest import Record, in_place_of, iso

# Next to the excluded rows and files, which are arranged as in the dataset's folder. The excluded rows have their own
# file name, because patterns such as `**/metadata.jsonl` also match in hidden folders.
DECISIONS: Final = f"{ROOM}/decisions.jsonl"
EXCLUDED: Final = f"{ROOM}/excluded"
EXCLUDED_ROWS: Final = "excluded.jsonl"
MOST_WORDS: Final = 2000
# Maximum bytes, because the folder may come from a stranger.
LARGEST_DECISIONS: Final = 128 * 1024 * 1024

Action = Literal["exclude", "include", "accept", "relabel"]


@dataclass(frozen=True)
class Decision:
    """One decision about a file.

    Attributes:
        file_id: the file.
        action: `exclude`, `include`, `accept`, or `relabel`, as the method of `Dataset`; a later version may write
            others.
        label: the new label of a `relabel`, else None.
        reason: the reason, as text, or None.
        by: the person who decided, or None.
        at: the time of the decision.
    """

    file_id: str
    action: str
    label: str | None
    reason: str | None
    by: str | None
    at: datetime


@dataclass
class Decided:
    """The result of all decisions of a folder.

    Attributes:
        decisions: all decisions, newest last.
        excluded: by id, the decision that excluded each excluded file.
        included: the files that were excluded and then included again.
        labels: by file, its new label.
        newest: by file, the newest decision.
        spellings: each label as it was first spelled, by what a disk that ignores the case of letters knows it by.
        source: the length and the hash of the file that these are exactly the decisions of; (0, b"") if of none.
    """

    decisions: list[Decision] = field(default_factory=list[Decision])
    excluded: dict[str, Decision] = field(default_factory=dict[str, Decision])
    included: set[str] = field(default_factory=set[str])
    labels: dict[str, str] = field(default_factory=dict[str, str])
    newest: dict[str, Decision] = field(default_factory=dict[str, Decision])
    spellings: dict[str, str] = field(default_factory=dict[str, str])
    source: tuple[int, bytes] = (0, b"")

    def add(self, decision: Decision) -> None:
        if decision.action == "relabel" and decision.label is not None:
            # Two spellings would be one folder on many disks.
            first = self.spellings.setdefault(disk_key(decision.label), decision.label)
            self.labels[decision.file_id] = first
            decision = replace(decision, label=first)
        self.decisions.append(decision)
        self.newest[decision.file_id] = decision
        if decision.action == "exclude":
            self.excluded[decision.file_id] = decision
            self.included.discard(decision.file_id)
        elif decision.action == "include":
            self.included.add(decision.file_id)
            self.excluded.pop(decision.file_id, None)

    def spelled(self, labels: Iterable[str | None]) -> Decided:
        """The same decisions, with the labels spelled as those of the rows. In a folder whose rows have no labels, none
        is carried out: a file has no folder to move to."""
        row_labels = sorted({*labels} - {None}, key=str)
        if not row_labels:
            return replace(self, labels={}, source=(0, b""))
        spelled = Decided(spellings={disk_key(str(label)): str(label) for label in reversed(row_labels)})
        if not self.labels:
            return replace(self, spellings=spelled.spellings, source=(0, b""))
        for decision in self.decisions:
            spelled.add(decision)
        return spelled

    def with_moved(self, moved: Mapping[str, str]) -> Decided:
        """The same decisions, with each former label replaced by its new name."""
        labels = {file_id: moved.get(label, label) for file_id, label in self.labels.items()}
        return replace(self, labels=labels, source=(0, b""))

    def at_start_of(self, content: bytes) -> Decided:
        """A copy of these decisions if `content` begins with their file, else none: what remains is to be parsed."""
        size, digest = self.source
        if size == 0 or hashlib.sha256(memoryview(content)[:size]).digest() != digest:
            return Decided()
        return Decided(
            [*self.decisions],
            {**self.excluded},
            {*self.included},
            {**self.labels},
            {**self.newest},
            {**self.spellings},
            self.source,
        )

    def changes(self, decision: Decision) -> bool:
        """Whether a decision changes anything: False if it repeats the newest one of its file, or includes a file that
        was never excluded."""
        if decision.action == "include":
            return decision.file_id in self.excluded
        newest = self.newest.get(decision.file_id)
        return newest is None or replace(newest, at=decision.at) != decision

    def applied_to(self, record: Record) -> Record:
        """The row, with the new label of its file if it has one."""
        label = self.labels.get(record.file_id, record.label)
        return record if label == record.label else in_place_of(replace(record, label=label), record)


def by_person(decisions: Iterable[Decision]) -> dict[str, dict[str | None, Decision]]:
    """By file and person, the newest decision; those of nobody in particular are one person's."""
    people: dict[str, dict[str | None, Decision]] = {}
    for decision in decisions:
        people.setdefault(decision.file_id, {})[decision.by] = decision
    return people


# How much of a file its reviewer kept.
_KEPT = {"exclude": 0, "relabel": 1, "accept": 2, "include": 2}


def agreement(decisions: Iterable[Decision]) -> float | None:
    """How far the people of these decisions agree; None if no two have decided about the same file, or all decisions
    are the same."""
    units = by_person(entry for entry in decisions if entry.by is not None and entry.action in _KEPT)
    return alpha([[_KEPT[entry.action] for entry in people.values()] for people in units.values()])


def ids_of(which: object) -> list[str]:
    """The ids of the files that a caller passed as ids or rows, each once.
    Raises InvalidArgumentError: the argument is neither an id or a row, nor an iterable of these.
    """
    is_one = isinstance(which, str | Record) or not isinstance(which, Iterable)
    ids: dict[str, None] = {}
    for item in cast("Iterable[object]", [which] if is_one else which):
        if not isinstance(item, str | Record):
            raise InvalidArgumentError(
                "which must be a Record, a file id, or an iterable of either", field="which"
            )
        ids[item.file_id if isinstance(item, Record) else item] = None
    return list(ids)


def check_words(reason: object, by: object) -> tuple[str | None, str | None]:
    """Check the caller's `reason` and `by`.
    Raises InvalidArgumentError: one of them is not a str of at most 2,000 characters.
    """
    for name, value in (("reason", reason), ("by", by)):
        if value is not None and not (isinstance(value, str) and len(value) <= MOST_WORDS):
            raise InvalidArgumentError(
                f"{name} must be a str of at most {MOST_WORDS:,} characters", field=name
            )
    return cast("str | None", reason), cast("str | None", by)


def decision_line(decision: Decision) -> bytes:
    text = json.dumps(
        {**vars(decision), "at": iso(decision.at.astimezone(UTC))}, ensure_ascii=False, separators=(",", ":")
    )
    return text.encode("utf-8", "replace") + b"\n"


def parse_decisions(content: bytes | None, path: str = DECISIONS, known: Decided | None = None) -> Decided:
    """Parse a file that may come from a stranger. A crash may leave half a line at its end, which is ignored.
    `known`: the decisions as last parsed; only the lines that were appended since are parsed.
    Raises ConfigurationError: a complete line is not a decision.
    """
    content = content or b""
    decided = (known or Decided()).at_start_of(content)
    start = decided.source[0]
    if start == len(content):
        return decided
    for number, line in enumerate(content[start:].split(b"\n"), 1):
        try:
            row: object = json.loads(line)
        except (ValueError, RecursionError):
            continue
        decision = _decision(cast("dict[str, Any]", row)) if isinstance(row, dict) else None
        if decision is None:
            offset = content.count(b"\n", 0, start)
            raise ConfigurationError(
                f"{path}, line {offset + number}: not a decision of firsthandapi; another program changed this "
                "folder: remove the line if the folder is yours, else do not use it"
            )
        decided.add(decision)
    decided.source = source_of(content)
    return decided


def source_of(content: bytes) -> tuple[int, bytes]:
    """What `Decided.source` is of a file. Half a line may still become another one."""
    is_whole = content.endswith(b"\n")
    return (len(content), hashlib.sha256(content).digest()) if is_whole else (0, b"")


def _decision(row: dict[str, Any]) -> Decision | None:
    file_id, action, label, reason, by, at = (row.get(name) for name in Decision.__match_args__)
    try:
        check_id(cast("Any", file_id), "file_id")
        moment = datetime.fromisoformat(cast("Any", at))
    except (InvalidArgumentError, TypeError, ValueError):
        return None
    texts = (label, reason, by)
    if not isinstance(action, str) or not all(isinstance(text, str | None) for text in texts):
        return None
    if action == "relabel" and not is_label(label):
        return None
    moment = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return Decision(cast("str", file_id), action, label, reason, by, moment)


def carried(source: Decided, target: Decided, ids: Iterable[str], *, labels: bool) -> list[Decision]:
    """The decisions to copy when files are merged into another dataset: those about these files and excluded ones, if
    they are newer than those of `target`. `labels`: whether the files keep their labels.
    """
    file_ids = {*ids, *source.excluded}
    return [
        decision
        for decision in source.decisions
        if decision.file_id in file_ids
        and (labels or decision.action != "relabel")
        and (newest := target.newest.get(decision.file_id), newest is None or newest.at < decision.at)[1]
    ]
