"""What a buyer decided about files: the lines of `decisions.jsonl`, and what they come to.

The file is only ever added to. Of each file the newest `exclude` or `include` counts, and the newest `relabel`; an
action of a later version counts as a look at the file, and changes nothing here.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Final, Literal, cast

from firsthandapi._core.calls.request import check_id
from firsthandapi._core.files.labels import is_label
from firsthandapi.errors import ConfigurationError, InvalidArgumentError

from .manifest import Record, in_place_of

# At the root of the folder, and beside it what was excluded: rows and files, as the folder itself has them. The rows
# have a name of their own, since patterns such as `**/metadata.jsonl` look into hidden folders too.
DECISIONS: Final = "decisions.jsonl"
EXCLUDED: Final = ".excluded"
EXCLUDED_ROWS: Final = "excluded.jsonl"
# Of a folder that comes from a stranger.
LARGEST_DECISIONS: Final = 128 * 1024 * 1024

Action = Literal["exclude", "include", "accept", "relabel"]


@dataclass(frozen=True)
class Decision:
    """What somebody decided about a file.

    Attributes:
        file_id: the file.
        action: `exclude`, `include`, `accept`, or `relabel`, as the method of `Dataset`; a later version may write
            others.
        label: the new label of a `relabel`, else None.
        reason: why, in words; None if nothing was said.
        by: who; None if nothing was said.
        at: when.
    """

    file_id: str
    action: str
    label: str | None
    reason: str | None
    by: str | None
    at: datetime


@dataclass
class Decided:
    """What all decisions of a folder come to.

    Attributes:
        decisions: each decision, newest last.
        excluded: the files that are excluded, each with the decision that did it.
        included: those that were, and were taken back.
        labels: by file, the label that it was given.
        newest: by file, the newest decision.
    """

    decisions: list[Decision] = field(default_factory=list[Decision])
    excluded: dict[str, Decision] = field(default_factory=dict[str, Decision])
    included: set[str] = field(default_factory=set[str])
    labels: dict[str, str] = field(default_factory=dict[str, str])
    newest: dict[str, Decision] = field(default_factory=dict[str, Decision])

    def add(self, decision: Decision) -> None:
        self.decisions.append(decision)
        self.newest[decision.file_id] = decision
        if decision.action == "exclude":
            self.excluded[decision.file_id] = decision
            self.included.discard(decision.file_id)
        elif decision.action == "include":
            self.included.add(decision.file_id)
            self.excluded.pop(decision.file_id, None)
        elif decision.action == "relabel" and decision.label is not None:
            self.labels[decision.file_id] = decision.label

    def with_moved(self, moved: Mapping[str, str]) -> Decided:
        """The same with each former label become the one that it has moved to."""
        return replace(
            self, labels={file_id: moved.get(label, label) for file_id, label in self.labels.items()}
        )

    def changes(self, decision: Decision) -> bool:
        """Whether a decision says anything new: not if it repeats the newest one of its file, or takes back what was
        never excluded."""
        if decision.action == "include":
            return decision.file_id in self.excluded
        newest = self.newest.get(decision.file_id)
        return newest is None or replace(newest, at=decision.at) != decision

    def applied_to(self, record: Record) -> Record:
        """The row with the label that its file was given."""
        label = self.labels.get(record.file_id, record.label)
        return record if label == record.label else in_place_of(replace(record, label=label), record)


def ids_of(which: object) -> list[str]:
    """The ids of files that a caller named by id or by row, each once.

    Raises:
        InvalidArgumentError: it is neither, nor an iterable of them.
    """
    is_one = isinstance(which, str | Record) or not isinstance(which, Iterable)
    ids: dict[str, None] = {}
    for each in cast("Iterable[object]", [which] if is_one else which):
        if not isinstance(each, str | Record):
            raise InvalidArgumentError(
                "which must be a Record, a file id, or an iterable of either", field="which"
            )
        ids[each.file_id if isinstance(each, Record) else each] = None
    return list(ids)


def check_words(reason: object, by: object) -> tuple[str | None, str | None]:
    """Why and by whom, as a caller says it.

    Raises:
        InvalidArgumentError: one is no text.
    """
    for name, value in (("reason", reason), ("by", by)):
        if not isinstance(value, str | None):
            raise InvalidArgumentError(f"{name} must be a str", field=name)
    return cast("str | None", reason), cast("str | None", by)


def decision_line(decision: Decision) -> bytes:
    """The decision as one line of the file."""
    at = decision.at.astimezone(UTC).isoformat().replace("+00:00", "Z")
    text = json.dumps({**vars(decision), "at": at}, ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", "replace") + b"\n"


def parse_decisions(content: bytes | None, path: str = DECISIONS) -> Decided:
    """What a file says that may come from a stranger. Half a line is what a crash leaves: it counts for nothing.

    Raises:
        ConfigurationError: a line is whole, and no decision.
    """
    decided = Decided()
    for number, line in enumerate((content or b"").split(b"\n"), 1):
        try:
            row: object = json.loads(line)
        except (ValueError, RecursionError):
            continue
        decision = _decision(cast("dict[str, Any]", row)) if isinstance(row, dict) else None
        if decision is None:
            raise ConfigurationError(
                f"{path}, line {number}: not a decision of firsthandapi; another program changed this folder: remove "
                "the line if the folder is yours, else do not use it"
            )
        decided.add(decision)
    return decided


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


def carried(source: Decided, here: Decided, ids: Iterable[str], *, labels: bool) -> list[Decision]:
    """The decisions of a dataset that go with its files into another one: those about these files, and those that are
    newer than what was decided there.

    Args:
        source: what was decided where the files come from.
        here: what was decided where they go.
        ids: the files that go.
        labels: whether they keep their labels.
    """
    known = {*ids, *source.excluded}
    return [
        each
        for each in source.decisions
        if each.file_id in known
        and (labels or each.action != "relabel")
        and (newest := here.newest.get(each.file_id), newest is None or newest.at < each.at)[1]
    ]
