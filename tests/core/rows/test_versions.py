"""Versions of a dataset, and what differs between them."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace
from typing import Any

import pytest

from core.rows.test_card import ROWS
from firsthandapi._core.rows.manifest import Record, manifest_line, parse_manifest
from firsthandapi._core.rows.versions import (
    Version,
    check_number,
    diff_of,
    encode_lock,
    history_of,
    read_lock,
    table_of,
    version_of,
    without,
)
from firsthandapi.errors import ConfigurationError, InvalidArgumentError


def locked(rows: list[Record], parent: Version | None = None, folder: str = "", **gone: Any) -> Version:
    """The version of these rows, written and read again."""
    table = None if parent is None else parent._table
    new_table = table_of({folder: rows}, beside=table, **gone)
    return read_lock(encode_lock(version_of(new_table, parent), new_table), "dataset.lock")


def lock_of(version: Version) -> bytes:
    assert version._table is not None
    return encode_lock(version, version._table)


def own(row: Record, **columns: Any) -> Record:
    """A row with columns of the user's own."""
    (read,) = parse_manifest(json.dumps({**json.loads(manifest_line(row)), **columns}).encode())
    return read


ONE, TWO, THREE = ROWS
BYTES = replace(ONE, sha256="1" * 64)


@pytest.mark.parametrize(
    ("rows", "number"),
    [
        ([ONE, TWO], "1.0.0"),
        ([TWO, ONE], "1.0.0"),
        ([ONE, TWO, THREE], "1.1.0"),
        ([own(ONE, note="x"), TWO], "1.1.0"),
        ([replace(ONE, ai_reasoning="sharp"), TWO], "1.1.0"),
        ([own(ONE, note=None), TWO], "1.0.0"),
        ([ONE], "2.0.0"),
        ([BYTES, TWO], "2.0.0"),
        ([replace(ONE, ai_star_rating=1), TWO], "2.0.0"),
        ([replace(ONE, ai_star_rating=1, ai_reasoning="dull"), TWO, THREE], "2.0.0"),
        ([replace(ONE, worker_id=None), TWO], "2.0.0"),
    ],
)
def test_what_changed_makes_the_number(rows: list[Record], number: str) -> None:
    """MAJOR rows changed or removed, MINOR rows or columns added; the same rows keep it, whatever their order."""
    first = locked([ONE, TWO])
    then = locked(rows, first)
    assert then.number == number
    assert (then.parent == first) == (number != "1.0.0")
    assert (then.tree == first.tree) == (number == "1.0.0")
    repeat = locked(rows, then)
    assert (repeat, repeat.parent) == (then, then.parent)


def test_a_number_is_the_same_however_it_is_written() -> None:
    """In the user's own columns, where other programs turn 1 into 1.0; what differs still differs."""
    first = locked([own(ONE, note=1, deep={"a": [2, 0]}), own(TWO, note=2**53 + 1)])
    same = locked([own(ONE, note=1.0, deep={"a": [2.0, -0.0]}), own(TWO, note=2**53 + 1)], first)
    assert (same.number, same.tree) == ("1.0.0", first.tree)
    for value in (1.5, True, "1", float("nan"), 1e300):
        assert locked([own(ONE, note=value), TWO], locked([own(ONE, note=1), TWO])).number == "2.0.0"


def test_rows_arranged_anew_are_a_patch() -> None:
    """As those of a folder that has become one of several kinds of media."""
    assert locked([ONE, TWO], locked([ONE, TWO]), folder="image").number == "1.0.1"


def test_versions_know_those_before() -> None:
    """All of them, by their numbers and trees, oldest first."""
    first = locked([ONE])
    second = locked([ONE, TWO], first)
    third = locked([TWO], second)
    assert [str(version) for version in (*history_of(third), third)] == ["1.0.0", "1.1.0", "2.0.0"]
    assert third.parent == second
    assert history_of(third)[0] == first
    assert first.parent is None
    assert repr(third) == f"Version('2.0.0', parent='1.1.0', tree='{third.tree}')"


def test_a_version_is_its_number() -> None:
    """It compares as that, and as what it is."""
    first, same = locked([ONE]), locked([ONE])
    assert first == same == "1.0.0"
    assert first != locked([TWO])
    assert first != 1
    assert {first: 1}["1.0.0"] == 1
    assert pickle.loads(pickle.dumps(first)) == first


def test_a_difference_names_each_file_once() -> None:
    """What was added, removed, or changed, and why it is gone."""
    four, five = replace(THREE, file_id="file_4"), replace(THREE, file_id="file_5")
    first = table_of({"": [ONE, TWO, THREE, four]})
    rows = [BYTES, replace(TWO, label="yield"), five]
    second = table_of({"": rows}, withdrawn=["file_2", "file_9"], excluded=["file_4"], beside=first)
    diff = diff_of(first, second)
    assert diff
    assert (diff.added, diff.removed) == (("file_5",), ())
    assert (diff.bytes_changed, diff.rows_changed) == (("file_0",), ("file_1",))
    assert (diff.withdrawn, diff.excluded) == (("file_2",), ("file_4",))
    back = diff_of(second, first)
    assert (back.added, back.removed) == (("file_2", "file_4"), ("file_5",))
    assert not diff_of(first, first)


def test_a_column_that_is_new_changes_no_row() -> None:
    """Also where only the locks are compared; of other versions than its parent, they cannot tell."""
    first = locked([ONE, TWO])
    grown = locked([own(ONE, note="x"), TWO], first)
    more = locked([own(ONE, note="x", sharp=True), TWO], grown)
    assert first._table is not None
    assert grown._table is not None
    assert more._table is not None
    diff = diff_of(first._table, grown._table)
    assert (diff.columns, diff.rows_changed) == (("note",), ())
    assert diff_of(first._table, more._table).rows_changed == ("file_0",)


def test_a_withdrawn_file_keeps_its_id_only() -> None:
    """Its hashes go."""
    lock = lock_of(locked([ONE], locked([ONE, TWO]), withdrawn=["file_1"]))
    assert json.loads(lock)["withdrawn"] == ["file_1"]
    assert [*json.loads(lock)["files"]] == ["file_0"]
    assert lock.count(b"\n") == len(json.loads(lock)["files"]) + 2


def test_a_lock_forgets_the_hashes_of_a_withdrawn_file() -> None:
    """Before the next version is written: the version stays, the file counts as withdrawn since, and the next version
    is a major one."""
    first = locked([ONE])
    lock = lock_of(locked([own(ONE, note="x"), TWO], first))
    assert without(lock, ["file_7"], "") is None
    content = without(lock, ["file_1", "file_7"], "") or b""
    assert [*json.loads(content)["files"]] == ["file_0"]
    assert without(content, ["file_1"], "") is None
    version = read_lock(content, "")
    assert (version, version.parent, version._table and version._table.lost) == ("1.1.0", "1.0.0", {"file_1"})
    assert version == read_lock(lock, "")
    both = without(content, ["file_0"], "") or b""
    assert json.loads(both)["lost"] == ["file_0", "file_1"]
    after = locked([own(ONE, note="x")], version, withdrawn=["file_1"])
    assert after == "2.0.0"
    assert version._table is not None
    assert after._table is not None
    assert diff_of(version._table, after._table).withdrawn == ("file_1",)
    assert "lost" not in json.loads(lock_of(after))


def test_a_file_in_two_manifests() -> None:
    """Has both rows in its hash."""
    both = table_of({"image": [ONE], "audio": [replace(ONE, content_type="audio/wav")]})
    second = table_of({"image": [ONE], "audio": [replace(ONE, content_type="audio/mpeg")]})
    assert diff_of(both, second).rows_changed == ("file_0",)


GOOD = json.loads(lock_of(locked([ONE])))


@pytest.mark.parametrize(
    "lock",
    [
        b"",
        b"[]",
        json.dumps({**GOOD, "version": "1.0"}).encode(),
        json.dumps({**GOOD, "version": 1}).encode(),
        json.dumps({**GOOD, "tree": None}).encode(),
        json.dumps({**GOOD, "files": {"file_0": ["a"]}}).encode(),
        json.dumps({**GOOD, "files": {"file_0": [1, 2]}}).encode(),
        json.dumps({**GOOD, "files": []}).encode(),
        json.dumps({**GOOD, "history": [["1.0.0"]]}).encode(),
        json.dumps({**GOOD, "withdrawn": 5}).encode(),
        json.dumps({**GOOD, "lost": [5]}).encode(),
    ],
)
def test_a_damaged_lock_is_named(lock: bytes) -> None:
    """With what to do."""
    with pytest.raises(ConfigurationError, match=r"^my/dataset\.lock is damaged; restore it"):
        read_lock(lock, "my/dataset.lock")


def test_a_lock_of_a_later_version_is_refused() -> None:
    """Its hashes may mean something else."""
    with pytest.raises(ConfigurationError, match="written by a newer version"):
        read_lock(json.dumps({**GOOD, "lock": 2}).encode(), "dataset.lock")


@pytest.mark.parametrize(
    "value", ["1", "1.0", "1.0.0-rc1", "v1.0.0", "01.0.0", "", None, 1, "1.0.1234567890"]
)
def test_a_number_is_three_numbers(value: Any) -> None:
    """The message shows one."""
    with pytest.raises(InvalidArgumentError, match=r"such as '1\.2\.0'"):
        check_number(value)
