"""Splits through which nothing leaks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.rows.test_manifest import row_of
from firsthandapi._core.rows.manifest import Record
from firsthandapi._core.rows.splits import (
    Rule,
    check_parts,
    check_seed,
    faults,
    parse_splits,
    split_rows,
    splits_line,
)
from firsthandapi.errors import ConfigurationError, InvalidArgumentError

PARTS = {"train": 0.7, "test": 0.3}
BASE = row_of()


def rows_of(drawn: list[Any]) -> tuple[list[Record], list[tuple[int, int]]]:
    """Rows, and the pairs of them that are near duplicates."""
    rows = [
        replace(
            BASE,
            file_id=f"file_{n}",
            sha256=f"{content:064x}",
            submission_id=None if submission == 0 else f"sub_{submission}",
            worker_id=None if worker is None else f"wkr_{worker}",
        )
        for n, (worker, content, submission, _) in enumerate(drawn)
    ]
    near = [(n, peer) for n, (_, _, _, peers) in enumerate(drawn) for peer in peers if peer < n]
    return rows, near


def parts_of(rows: Mapping[str, list[Record]]) -> dict[str, str]:
    return {row.file_id: name for name, part in rows.items() for row in part}


def random_rows(seed: int) -> list[Any]:
    """Few workers and few contents, so that both meet in every way; some rows do not know their worker."""
    random = Random(seed)
    return [
        (
            random.choice([None, *range(7)]),
            random.randrange(9),
            random.randrange(10),
            [random.randrange(31) for _ in range(random.randrange(3))],
        )
        for _ in range(random.randrange(41))
    ]


RULES = st.builds(Rule, st.just(PARTS), st.integers(0, 2**32), st.none(), st.booleans())


@settings(max_examples=settings().max_examples * 5)
@given(st.integers(0, 2**32), st.integers(0, 40), RULES)
def test_nothing_leaks_and_nothing_moves(seed: int, cut: int, rule: Rule) -> None:
    """In many random sets no worker and no duplicate, exact or near, is in two splits; each row is in one at most,
    whatever the order of the rows; what fewer rows had been given stays; and a row is left out only for a duplicate."""
    rows, near = rows_of(random_rows(seed))
    pairs = [*near, *((a, b) for b in range(len(rows)) for a in range(b) if rows[a].sha256 == rows[b].sha256)]
    early = parts_of(split_rows(rows[:cut], rule, [pair for pair in near if max(pair) < cut]))
    for memory in ({}, early):
        split = split_rows(rows, rule, near, memory)
        part_of = parts_of(split)
        assert len(part_of) == sum(map(len, split.values()))
        parts: dict[str, set[str]] = {}
        for row in rows:
            if row.file_id in part_of and row.worker_id is not None:
                parts.setdefault(row.worker_id, set()).add(part_of[row.file_id])
        assert all(len(names) == 1 for names in parts.values())
        for first, second in pairs:
            assert len({part_of.get(rows[first].file_id), part_of.get(rows[second].file_id)} - {None}) < 2
        left_out = {row.file_id for row in rows} - part_of.keys()
        assert left_out <= {rows[number].file_id for pair in pairs for number in pair}
        assert memory.items() <= part_of.items()
        assert parts_of(split_rows(rows, rule, near, part_of)) == part_of
        places = Random(seed).sample(range(len(rows)), len(rows))
        back = {place: number for number, place in enumerate(places)}
        moved = [(back[a], back[b]) for a, b in near]
        assert parts_of(split_rows([rows[place] for place in places], rule, moved, memory)) == part_of


def test_the_seed_chooses() -> None:
    """The same one gives the same splits, on every machine; others give others."""
    rows, _ = rows_of([(n, n, 0, []) for n in range(20)])
    for stratify in (True, False):
        rules = [Rule(PARTS, seed, None, stratify) for seed in range(10)]
        assert len({tuple(sorted(parts_of(split_rows(rows, rule)).items())) for rule in rules}) == 10
    halves = {"a": 0.5, "b": 0.5}
    assert [
        [row.file_id for row in split_rows(rows, Rule(halves, 0, None, stratify))["b"]]
        for stratify in (True, False)
    ] == [
        [f"file_{n}" for n in [3, 4, 6, 10, 14, 15, 16, 17, 18, 19]],
        [f"file_{n}" for n in [1, 2, 3, 4, 5, 7, 8, 13, 14, 15, 19]],
    ]


def labeled(numbers: dict[str, list[int]]) -> list[Record]:
    """By label, the files of each of its workers."""
    return [
        replace(
            BASE,
            file_id=f"file_{label}{worker}_{n}",
            sha256=f"{label}{worker}{n}",
            label=label,
            worker_id=f"{label}{worker}",
        )
        for label, workers in numbers.items()
        for worker, files in enumerate(workers)
        for n in range(files)
    ]


@pytest.mark.parametrize("seed", range(20))
def test_each_label_keeps_its_share(seed: int) -> None:
    """Within the files of a worker, of rare labels too; by the hash alone, it may not."""
    rows = labeled({"stop": [1] * 200, "yield": [2] * 50, "halt": [1] * 20, "one": [1, 1, 1]})
    rule = Rule({"train": 0.8, "test": 0.1, "validation": 0.1}, seed)
    split = split_rows(rows, rule)
    counts = {name: Counter(row.label for row in part) for name, part in split.items()}
    for name, share in rule.parts.items():
        for label, number in (("stop", 200), ("yield", 100), ("halt", 20)):
            assert counts[name][label] == pytest.approx(number * share, abs=2)
        assert counts[name]["one"] > 0
    assert faults(split, rule, len(rows)) == []


def test_where_all_labels_are_short_rows_decide() -> None:
    """So that the first files of each label are not all in one split."""
    rows = labeled({"stop": [5], "yield": [5]})
    assert sorted(map(len, split_rows(rows, Rule({"a": 0.5, "b": 0.5})).values())) == [5, 5]


def test_a_split_without_a_label_is_named() -> None:
    """And one without a file, and how many files are in none."""
    rows = labeled({"stop": [1] * 9, "yield": [5]})
    rule = Rule({"train": 0.8, "test": 0.2, "none": 0.0})
    advice = "use more files, other shares, or another seed"
    (line,) = faults(split_rows(rows, rule), rule, len(rows))
    assert line in (f"the split {name!r} has no file of 'yield'; {advice}" for name in PARTS)
    lines = faults(split_rows(rows[-5:], rule), rule, 7)
    assert lines == [
        f"the split 'test' has no file; {advice}",
        "2 files in no split: another worker sent a duplicate, which is in a different split",
    ]
    assert faults(split_rows([], rule), rule, 0) == []


def test_workers_with_duplicates_go_together() -> None:
    """Unless they would be more than the smallest split: a picture that everybody sends joins nobody."""
    pairs, _ = rows_of([(n, n // 2, 0, []) for n in range(40)])
    for part in split_rows(pairs, Rule(PARTS)).values():
        assert all(count == 2 for count in Counter(row.sha256 for row in part).values())
    everybody, _ = rows_of([(n // 2, 99 if n % 2 else n, 0, []) for n in range(40)])
    split = split_rows(everybody, Rule(PARTS))
    assert all(len(part) > 5 for part in split.values())
    assert sum(map(len, split.values())) > 20


def test_later_rows_of_a_worker_follow() -> None:
    """Also those of one whose rows are not split any more; rows that two splits would share are in none."""
    rows, _ = rows_of([(n, n, 0, []) for n in range(20)])
    memory = parts_of(split_rows(rows, Rule(PARTS)))
    train, test = (next(row for row in rows if memory[row.file_id] == name) for name in PARTS)
    more = replace(test, file_id="file_more", sha256="0" * 64)
    split = split_rows([more], Rule(PARTS), (), memory, rows)
    assert parts_of(split) == {"file_more": "test"}
    bridge = [replace(test, file_id="file_a", sha256=train.sha256), more]
    both = parts_of(split_rows([*rows, *bridge], Rule(PARTS), (), memory))
    assert both == {**memory, "file_more": "test"}
    # One that is known as another's by now is in no two splits of that worker.
    same_worker = [replace(row, worker_id="wkr_same") if row in (train, test) else row for row in rows]
    assert len(parts_of(split_rows(same_worker, Rule(PARTS), (), memory))) == 19


def test_the_memory_is_of_a_rule() -> None:
    """Of its shares, seed, duplicates, and proportions; a file stays in its first split."""
    rows, _ = rows_of([(n, n, 0, []) for n in range(9)])
    rule = Rule(PARTS)
    split = split_rows(rows, rule)
    line = splits_line(rule, split, {})
    memory = parse_splits(line, rule)
    assert memory == parts_of(split)
    assert splits_line(rule, split, memory) == b""
    for variant in (replace(rule, seed=1), replace(rule, near=3), replace(rule, stratify=False)):
        assert parse_splits(line, variant) == {}
    moved = splits_line(rule, {"train": split["test"], "test": split["train"]}, {})
    assert parse_splits(line + moved, rule) == memory
    assert parse_splits(line, replace(rule, parts={**PARTS, "none": 0})) == memory
    assert parse_splits(None, rule) == {}


@pytest.mark.parametrize(
    "line", [b"{", b"[]", b'{"rule": 1, "files": {}}', b'{"rule": "", "files": {"a": [1]}}']
)
def test_a_damaged_memory_is_named(line: bytes) -> None:
    """With what to do."""
    with pytest.raises(ConfigurationError, match=r"splits\.jsonl, line 2: not a split of firsthandapi"):
        parse_splits(b'{"rule": "", "files": {}}\n' + line, Rule(PARTS))


def test_shares_are_of_rows() -> None:
    """With many workers they come close, for any number of splits; by the hash alone, of workers."""
    rows, _ = rows_of([(n, n, 0, []) for n in range(3_000)])
    parts = {"train": 0.8, "validation": 0.0, "test": 0.2}
    for stratify, most in ((True, 3), (False, 100)):
        split = split_rows(rows, Rule(parts, 0, None, stratify))
        assert len(split["train"]) == pytest.approx(2_400, abs=most)
        assert split["validation"] == []


def test_a_worker_is_known_by_the_submission_otherwise() -> None:
    """A submission has one worker; a row without one stands alone."""
    rows, _ = rows_of([(None, n, 3, []) for n in range(30)])
    assert len(set(parts_of(split_rows(rows, Rule(PARTS))).values())) == 1
    alone, _ = rows_of([(None, n, 0, []) for n in range(30)])
    assert len(set(parts_of(split_rows(alone, Rule(PARTS))).values())) == 2


def test_rounding_loses_no_row() -> None:
    """What is left of 1 belongs to the last split that has a share."""
    rows, _ = rows_of([(n, n, 0, []) for n in range(5)])
    split = split_rows(rows, Rule({"a": 1e-12, "b": 1e-12, "c": 0.0}, 0, None, False))
    assert [len(part) for part in split.values()] == [0, 5, 0]


@pytest.mark.parametrize(
    ("parts", "field"),
    [
        ({"train": 0.8, "test": 0.1}, "train"),
        ({"train": 1.5, "test": -0.5}, "train"),
        ({"train": 0.5, "test": "0.5"}, "test"),
        ({"train": True, "test": 0}, "train"),
        ({"train": float("nan"), "test": 1}, "train"),
        ({"train": 10**400, "test": 0}, "train"),
    ],
)
def test_shares_must_add_up(parts: dict[str, Any], field: str) -> None:
    """Each is a number from 0 to 1, and together they are the whole."""
    with pytest.raises(InvalidArgumentError) as caught:
        check_parts(parts)
    assert caught.value.field == field


def test_good_shares_are_taken() -> None:
    """Also where they add up to 1 but for rounding."""
    assert check_parts({"train": 0.7, "validation": 0.1, "test": 0.2}) == {
        "train": 0.7,
        "validation": 0.1,
        "test": 0.2,
    }
    assert check_parts({"train": 1, "test": 0}) == {"train": 1, "test": 0}


def test_a_seed_is_an_int() -> None:
    """Any, but no bool."""
    assert check_seed(-5) == -5
    for seed in (True, 1.5, "1", None):
        with pytest.raises(InvalidArgumentError, match="seed must be an int"):
            check_seed(seed)
