"""The lines of decisions.jsonl, and what they come to."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from firsthandapi import ConfigurationError, InvalidArgumentError
from firsthandapi._core.rows.decisions import (
    Decision,
    agreement,
    carried,
    check_words,
    decision_line,
    ids_of,
    parse_decisions,
)

AT = datetime(2026, 11, 28, 12, tzinfo=UTC)


def decided(
    action: str,
    file_id: str = "file_1",
    label: str | None = None,
    reason: str | None = None,
    by: str | None = None,
    at: datetime = AT,
) -> Decision:
    return Decision(file_id, action, label, reason, by, at)


def lines(*decisions: Decision) -> bytes:
    return b"".join(map(decision_line, decisions))


def test_a_line_is_read_as_it_was_written() -> None:
    """With any words in it, in one line, at any hour of the world."""
    decision = decided("exclude", reason="blurred\n\u2028\ud83d", by="Ána", at=AT.astimezone())
    content = decision_line(decision)
    assert content.count(b"\n") == 1
    assert parse_decisions(content).decisions == [replace(decision, reason="blurred\n\u2028?")]
    assert json.loads(content)["at"] == "2026-11-28T12:00:00Z"


@pytest.mark.parametrize(
    ("actions", "excluded", "included"),
    [
        (["exclude"], True, False),
        (["exclude", "include"], False, True),
        (["exclude", "include", "exclude"], True, False),
        (["exclude", "accept", "relabel", "star"], True, False),
        (["accept"], False, False),
    ],
)
def test_the_newest_exclude_or_include_counts(actions: list[str], excluded: bool, included: bool) -> None:
    """Looks and labels change nothing of that, nor do actions of later versions, which are kept."""
    state = parse_decisions(lines(*(decided(action, label="a") for action in actions)))
    assert ({*state.excluded}, state.included) == (
        {"file_1"} if excluded else set(),
        {"file_1"} if included else set(),
    )
    assert [decision.action for decision in state.decisions] == actions
    assert state.newest["file_1"].action == actions[-1]


def test_half_a_line_loses_itself_alone() -> None:
    """At the end, and where a line was added after it; wherever it was cut."""
    first, second = decision_line(decided("exclude")), decision_line(decided("exclude", "file_2"))
    for cut in range(len(second) - 1):
        assert parse_decisions(first + second[:cut]).excluded.keys() == {"file_1"}
        assert parse_decisions(second[:cut] + b"\n" + first).excluded.keys() == {"file_1"}
    assert parse_decisions(first + second[:-1]).excluded.keys() == {"file_1", "file_2"}
    assert parse_decisions(None).decisions == []


def test_what_was_parsed_before_is_not_parsed_again() -> None:
    """Only what was appended since; all, if the file was replaced or half a line may have become another one."""
    first, second, third = (decided("exclude", f"file_{n}") for n in "123")
    cache = parse_decisions(lines(first, second))
    assert parse_decisions(lines(first, second, third), known=cache).decisions == [first, second, third]
    assert cache.decisions == [first, second]
    forgetful = replace(cache, decisions=[])
    assert parse_decisions(lines(first, second, third), known=forgetful).decisions == [third]
    with pytest.raises(ConfigurationError, match="line 3: not a decision"):
        parse_decisions(lines(first, second) + b"{}", known=cache)
    assert parse_decisions(lines(second, third), known=cache).decisions == [second, third]
    half = parse_decisions(lines(first, second)[:-1])
    assert parse_decisions(lines(first, second, third), known=half).decisions == [first, second, third]


@pytest.mark.parametrize(
    "change",
    [
        {"file_id": "../x"},
        {"file_id": None},
        {"action": 1},
        {"action": "relabel", "label": "../x"},
        {"action": "relabel"},
        {"reason": 1},
        {"at": None},
        {"at": "soon"},
    ],
)
def test_what_is_no_decision_is_refused(change: dict[str, Any]) -> None:
    """A folder may come from a stranger; the error names the line."""
    row = {**json.loads(decision_line(decided("exclude"))), **change}
    with pytest.raises(ConfigurationError, match="line 2: not a decision"):
        parse_decisions(lines(decided("accept")) + json.dumps(row).encode())


def test_what_says_nothing_new_is_no_decision() -> None:
    """The same again, or taking back what is not excluded; other words or another person are news."""
    state = parse_decisions(lines(decided("accept", by="ana")))
    assert not state.changes(decided("accept", by="ana", at=AT + timedelta(1)))
    assert state.changes(decided("accept", by="bo"))
    assert not state.changes(decided("include"))
    assert state.changes(decided("exclude"))


def test_files_are_named_by_rows_ids_or_several_of_them() -> None:
    """Each counts once; anything else is refused."""
    assert ids_of("file_1") == ["file_1"]
    assert ids_of(iter(["file_2", "file_1", "file_2"])) == ["file_2", "file_1"]
    for wrong in (1, None, [1], b"file_1"):
        with pytest.raises(InvalidArgumentError) as refused:
            ids_of(wrong)
        assert refused.value.field == "which"
    with pytest.raises(InvalidArgumentError, match="reason must be a str"):
        check_words(1, None)


def test_decisions_go_with_files_unless_newer_ones_are_there() -> None:
    """Those of other files only if they are excluded: so that no run downloads them there."""
    source = parse_decisions(
        lines(
            decided("accept"),
            decided("relabel", label="b"),
            decided("exclude", "file_2"),
            decided("accept", "file_3"),
            decided("accept", "file_4"),
        )
    )
    dest = parse_decisions(lines(decided("accept", "file_4", at=AT + timedelta(1))))
    both = carried(source, dest, ["file_1", "file_4"], labels=True)
    assert [(line.file_id, line.action) for line in both] == [
        ("file_1", "accept"),
        ("file_1", "relabel"),
        ("file_2", "exclude"),
    ]
    assert [line.action for line in carried(source, dest, ["file_1"], labels=False)] == ["accept", "exclude"]


def test_a_label_has_one_spelling() -> None:
    """That of the rows, else the first: two would be one folder on many disks. Without labels there is no folder."""
    both = parse_decisions(
        lines(decided("relabel", "file_1", "Foo"), decided("relabel", "file_2", "foo")), "decisions.jsonl"
    )
    assert both.labels == {"file_1": "Foo", "file_2": "Foo"}
    assert both.spelled(["stop", None]).labels == both.labels
    assert both.spelled(["FOO", "stop"]).labels == {"file_1": "FOO", "file_2": "FOO"}
    assert both.spelled([None]).labels == {}
    assert len(both.spelled([None]).decisions) == 2


def given(values: dict[str, str]) -> list[Decision]:
    """What two people, `ana` and `ben`, decided about files, in the words of a list."""
    return [
        decided(action, f"file_{n}", by=who)
        for who, actions in values.items()
        for n, action in enumerate(actions.split())
    ]


@pytest.mark.parametrize(
    ("ana", "ben", "expected"),
    [
        ("accept exclude accept", "accept exclude include", 1.0),
        ("accept accept exclude exclude", "accept exclude exclude accept", 0.125),
        ("accept exclude", "exclude accept", -0.5),
        # To relabel is between to keep and to exclude.
        ("accept relabel exclude accept", "relabel relabel exclude accept", 0.79),
        ("accept accept", "accept accept", None),
        ("accept exclude", "star star", None),
        ("accept exclude", "", None),
    ],
)
def test_how_far_people_agree(ana: str, ben: str, expected: float | None) -> None:
    """By the newest decision of each about a file; nobody in particular is nobody, and unknown actions say nothing."""
    earlier = [
        decided("exclude" if n % 2 else "accept", f"file_{n}", by="ana") for n in range(4) if ana.split()[n:]
    ]
    unnamed = [decided("exclude", f"file_{n}") for n in range(4)]
    value = agreement([*earlier, *given({"ana": ana, "ben": ben}), *unnamed])
    assert value == (None if expected is None else pytest.approx(expected))
