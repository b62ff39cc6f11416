"""The rows of a manifest, written and read."""

from __future__ import annotations

import contextlib
import copy
import json
import math
import pickle
import re
import sys
from dataclasses import FrozenInstanceError, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.strategies import JSON
from firsthandapi._base.masking import Secret
from firsthandapi._core.calls.config import Config
from firsthandapi._core.calls.decode import decode
from firsthandapi._core.files.annotations import SHAPES, unified
from firsthandapi._core.files.kinds import KINDS, Kind
from firsthandapi._core.rows import manifest
from firsthandapi._core.rows.manifest import (
    COLUMNS,
    Record,
    RowOrigin,
    column_types,
    columns_of_submission,
    completed,
    in_place_of,
    label_of,
    manifest_line,
    origin_of,
    parse_manifest,
    record_of,
)
from firsthandapi.errors import ConfigurationError
from firsthandapi.types import File, Submission

SHA = "ab" * 32
ROW: dict[str, Any] = {
    "file_name": "data/file_1.jpg",
    "file_id": "file_1",
    "size_bytes": 3,
    "sha256": SHA,
    "content_type": "image/jpeg",
}


def lines(*rows: Any) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


ORIGIN = RowOrigin("live", "https://api.firsthandapi.com")


def file(**fields: Any) -> File:
    content = json.dumps({"id": "file_1", "content_type": "image/jpeg", **fields}).encode()
    return decode(File, Secret(content), None)


def row_of(**fields: Any) -> Record:
    described = file(**fields)
    name = f"{described.id}.jpg"
    return record_of(described, name, job_id="job_1", origin=ORIGIN, size_bytes=3, sha256=SHA)


def test_a_row_says_what_is_known_of_a_file() -> None:
    """Every column, none of them a URL, and the worker's name only as text."""
    row = row_of(
        job_id="job_2",
        submission_id="sub_1",
        ai_star_rating=5,
        original_filename="../../.ssh/authorized_keys",
        width=640,
        height=480,
        captured_at="2026-11-25T01:02:03Z",
        worker_region="US-CA",
        created_at="2026-11-25T01:02:03.500Z",
        download_url="https://storage/x?X-Amz-Signature=5ecret",
        annotations={"type": "image", "objects": ["cup"], "more": ["ü"]},
    )
    assert tuple(vars(row)) == COLUMNS
    assert row.file_name == "data/file_1.jpg"
    assert row.original_filename == "../../.ssh/authorized_keys"
    assert row.job_id == "job_2"
    assert row.captured_at == "2026-11-25T01:02:03Z"
    assert row.annotations is not None
    assert row.annotations["objects"] == [{"label": "cup", "confidence": None}]
    assert row.annotations_json == '{"type":"image","objects":["cup"],"more":["ü"]}'
    assert b"5ecret" not in manifest_line(row)


def test_a_row_takes_what_the_service_left_out_as_null() -> None:
    """The job is the one asked for; the rest is null, and in every row there."""
    row = row_of()
    assert row.job_id == "job_1"
    assert [name for name, value in vars(row).items() if value is not None] == [
        "file_name", "file_id", "job_id", "content_type", "size_bytes", "sha256", "environment", "server",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "key", "environment"),
    [
        ({}, "fh_live_1", "live"),
        ({"simulated": False}, "fh_test_1", "sandbox"),
        ({"simulated": True}, "fh_live_1", "simulated"),
        ({"simulated": True}, "fh_test_1", "simulated"),
        ({"simulated": "yes"}, "fh_live_1", "live"),
        ({}, "sk-1", None),
    ],
)
def test_a_row_names_its_service_and_environment(fields: Any, key: str, environment: str | None) -> None:
    """The service, without the prefix of its paths, and the environment of the key, unless a program drew the file."""
    origin = origin_of(Config(Secret(key), "https://photos.example/api/"))
    row = record_of(file(**fields), "file_1.jpg", job_id="job_1", origin=origin)
    assert (row.environment, row.server) == (environment, "https://photos.example")


def test_a_row_says_who_rated_its_file() -> None:
    """And what they noticed: words as they came, also new ones; null where the service says nothing."""
    row = row_of(rated_by="model:claude-haiku-5-5", flags=["stock", "new_word", 5])
    assert row.rated_by == "model:claude-haiku-5-5"
    assert row.flags == ["stock", "new_word"]
    assert [record.flags for record in parse_manifest(manifest_line(row))] == [row.flags]
    assert (row_of().rated_by, row_of().flags) == (None, None)


def test_a_row_says_what_its_file_was_made_for() -> None:
    """The row of a study's tasks, and its text, which may have several lines."""
    row = row_of(task_id="0042", task_text="Read aloud:\n“Bonjour”")
    assert [(record.task_id, record.task_text) for record in parse_manifest(manifest_line(row))] == [
        ("0042", "Read aloud:\n“Bonjour”")
    ]
    assert (row_of().task_id, row_of().task_text) == (None, None)


def test_a_secret_in_a_workers_name_is_masked() -> None:
    """A name may hold anything, an API key too."""
    assert "5ecret" not in str(row_of(original_filename="fh_live_5ecret5ecret5ecret.jpg"))


def test_numbers_that_no_table_holds_are_left_out() -> None:
    """One odd number must not make the whole folder unreadable."""
    row = row_of(width=2**63, height=-(2**63))
    assert (row.width, row.height) == (None, -(2**63))
    nan = unified({"objects": [{"label": "x", "confidence": math.nan}]}, "image")
    assert nan is not None
    assert nan["objects"] == [{"label": "x", "confidence": None}]


def test_a_record_takes_little_memory_and_cannot_be_changed() -> None:
    """It has slots; `vars` has its columns even so."""
    row = row_of()
    assert sys.getsizeof(row) < 400
    assert vars(row) == {column: getattr(row, column) for column in COLUMNS}
    for name in ("label", "note"):
        with pytest.raises(FrozenInstanceError, match=f"cannot assign to field '{name}'"):
            setattr(row, name, "stop")
    with pytest.raises(FrozenInstanceError):
        del row.label


def test_a_record_can_be_a_key() -> None:
    """Records go into sets, whatever their annotations are."""
    row = row_of(annotations={"type": "image"})
    assert len({row, replace(row), replace(row, file_id="file_2")}) == 2


@pytest.mark.parametrize(
    ("second", "named"),
    [
        ({"file_name": "data/file_2.jpg"}, "file_id file_1"),
        ({"file_id": "file_2"}, "file_name data/file_1.jpg"),
        ({"file_id": "file_2", "file_name": "data/FILE_1.jpg"}, "file_name data/FILE_1.jpg"),
    ],
)
def test_a_file_has_one_row(second: dict[str, str], named: str) -> None:
    """An id or a name in two rows would give a file another's labels: the error names it and both lines."""
    with pytest.raises(ConfigurationError, match=rf"line 3: {named} is already on line 1; remove one"):
        parse_manifest(lines(ROW) + b"\n" + lines({**ROW, **second}))
    assert len(parse_manifest(lines(ROW, {**ROW, "file_id": "FILE_1", "file_name": "data/file_2.jpg"}))) == 2


def test_of_several_rows_of_one_file_the_last_counts() -> None:
    """Two writers leave such rows where nothing can be locked; the folder stays readable."""
    first, second = {**ROW, "ai_star_rating": 1}, {**ROW, "file_id": "file_2", "file_name": "data/file_2.jpg"}
    records = parse_manifest(lines(first, second, {**ROW, "ai_star_rating": 2}))
    assert [(record.file_id, record.ai_star_rating) for record in records] == [
        ("file_1", 2),
        ("file_2", None),
    ]


def test_the_bounds_are_those_of_the_guide() -> None:
    """A stranger's folder is opened within these; ten thousand rows of an hour's transcript fit."""
    mib = 1024 * 1024
    assert (512 * mib, 4 * mib) == (manifest.LARGEST_MANIFEST, manifest.LARGEST_ROW)
    assert (manifest.MOST_ROWS, manifest.MOST_NAMES) == (1_000_000, 2_000_000)
    guide = (Path(__file__).parents[3] / "docs" / "guides" / "security.md").read_text(encoding="utf-8")
    line = "| a manifest | over 512 MiB, a million rows, or 4 MiB per row |"
    assert line in " ".join(guide.split())


@pytest.mark.parametrize("end", [b"", b"\n"])
def test_a_row_has_an_end(monkeypatch: pytest.MonkeyPatch, end: bytes) -> None:
    """A stranger's may be made to fill the memory: it is not read, and none like it is written."""
    long = row_of(annotations={"type": "image", "text_extraction": "x" * 3_000})
    line = manifest_line(long).rstrip(b"\n")
    monkeypatch.setattr(manifest, "LARGEST_ROW", len(line) + 1)
    assert manifest_line(long) == line + b"\n"
    monkeypatch.setattr(manifest, "LARGEST_ROW", len(line))
    assert parse_manifest(line + end) == [long]
    monkeypatch.setattr(manifest, "LARGEST_ROW", len(line) - 1)
    assert parse_manifest(line[:-1]) == []  # torn, and no longer than may be
    for rest in (b"", b"x"):
        with pytest.raises(ConfigurationError, match="line 1: longer than"):
            parse_manifest(line + rest + end)
    short = replace(long, annotations=None, annotations_json=None)
    assert parse_manifest(manifest_line(long)) == [short]
    monkeypatch.setattr(manifest, "LARGEST_ROW", 1)
    assert json.loads(manifest_line(short)) == vars(short)  # nothing else can be left out


def test_a_row_that_is_too_long_is_told_the_bound() -> None:
    """In MiB, as the guide gives it."""
    with pytest.raises(ConfigurationError, match="line 1: longer than 4 MiB"):
        parse_manifest(b"x" * (manifest.LARGEST_ROW + 1))


def test_rows_have_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """And so have all together."""
    monkeypatch.setattr(manifest, "MOST_ROWS", 1)
    assert len(parse_manifest(lines(ROW))) == 1
    with pytest.raises(ConfigurationError, match="line 2: more than 1 rows"):
        parse_manifest(lines(ROW, {**ROW, "file_id": "file_2", "file_name": "data/file_2.jpg"}))


def test_columns_of_the_user_s_own_are_kept() -> None:
    """In their order, behind ours; they are in no table's schema, and a copy and a pickle have them."""
    columns = {"split": "train", "boxes": [[1, 2.5]], "seen": None, "count": 10**400}
    (record,) = parse_manifest(lines({"zone": 1, **ROW, **columns}))
    assert record.extra == {"zone": 1, **columns}
    assert tuple(vars(record)) == COLUMNS
    assert [*json.loads(manifest_line(record))] == [*COLUMNS, "zone", *columns]
    for same in (copy.deepcopy(record), pickle.loads(pickle.dumps(record))):
        assert same == record
        assert same.extra == record.extra
    assert row_of().extra == {}


@given(JSON)
def test_annotations_of_any_shape_become_a_row(annotations: Any) -> None:
    """From the wire to the manifest and back: the row that was written is the row that is read."""
    row = row_of(annotations=annotations)
    assert parse_manifest(manifest_line(row)) == [row]


def test_a_row_takes_over_columns_of_its_predecessor() -> None:
    """Those that are not ours; a first row has none."""
    (former,) = parse_manifest(lines({**ROW, "split": "train", "width": 5}))
    record = in_place_of(row_of(width=7), former)
    assert (record.width, record.extra) == (7, {"split": "train"})
    assert in_place_of(record, None) is record


@pytest.mark.parametrize("kind", KINDS)
def test_each_column_has_a_type(kind: Kind) -> None:
    """Whatever the rows contain: numbers where rows have numbers, the shape of the kind, else text."""
    types = column_types(kind)
    assert tuple(types) == COLUMNS + (() if kind == "image" else ("text",))
    assert types["annotations"] == SHAPES[kind]
    assert {name for name, of in types.items() if of is int} == {
        "size_bytes",
        "ai_star_rating",
        "width",
        "height",
    }
    assert types["duration_seconds"] is float
    assert types["file_name"] is types["created_at"] is str


def test_what_was_written_is_read() -> None:
    """Rows in order; a lone surrogate in a name costs the character, not the row."""
    rows = [row_of(), row_of(id="file_2", annotations={"type": "image"}, original_filename="ünï\u2028.jpg")]
    assert parse_manifest(b"".join(map(manifest_line, rows))) == rows
    (odd,) = parse_manifest(manifest_line(replace(rows[0], original_filename="a\ud800b")))
    assert odd.original_filename == "a?b"


def test_a_torn_last_line_is_left_out() -> None:
    """A crash cuts the last line; the rest is good. Empty lines say nothing."""
    whole = lines(ROW) + b"\n"
    second = json.dumps({**ROW, "file_id": "file_2", "file_name": "data/file_2.jpg"}).encode()
    for cut in range(len(second)):
        assert len(parse_manifest(whole + second[:cut])) == 1
    assert parse_manifest(b"") == []


def test_a_whole_last_line_needs_no_break() -> None:
    """An editor takes it away; loaders read that row, so we do. It is checked as every other."""
    first, second = (
        {**ROW, "file_id": name, "file_name": f"data/{name}.jpg"} for name in ("file_1", "file_2")
    )
    assert [record.file_id for record in parse_manifest(lines(first, second).rstrip(b"\n"))] == [
        "file_1",
        "file_2",
    ]
    with pytest.raises(ConfigurationError, match="line 2: file_name"):
        parse_manifest(lines(first, {**second, "file_name": "../x"}).rstrip(b"\n"))


@pytest.mark.parametrize(
    "name",
    [
        "/etc/passwd", "../x.jpg", "data/../x.jpg", "data/../../x.jpg", "data//x.jpg", "data/", "data/.x.jpg",
        "x.jpg", "data/a/b.jpg", "data\\x.jpg", "data/x\0.jpg", "data/x.jpg\n", "data/x", "C:\\x.jpg", "data/x:y.jpg",
        "DATA/x.jpg", "data/é.jpg", "data/x.jpg/", "data/-x.jpg", " data/x.jpg", "data/" + "x" * 129 + ".jpg", None, 5,
        ["data/x.jpg"], "data/CON.jpg", "data/nul.bin", "data/Com1.png",
    ],
)  # fmt: skip
def test_a_name_outside_data_is_refused(name: Any) -> None:
    """A folder may come from a stranger: only `data/` and a plain name is a place for a file."""
    with pytest.raises(ConfigurationError, match=r"line 1: file_name"):
        parse_manifest(lines({**ROW, "file_name": name}))


@pytest.mark.parametrize(
    "changes",
    [
        {"file_id": None}, {"file_id": "../x"}, {"file_id": 5}, {"size_bytes": -1}, {"size_bytes": "3"},
        {"size_bytes": True}, {"size_bytes": 2**63}, {"size_bytes": None}, {"sha256": SHA.upper()}, {"sha256": None},
        {"sha256": SHA + "\n"}, {"job_id": 5}, {"original_filename": {}}, {"width": "1"}, {"width": True},
        {"width": 2**64}, {"duration_seconds": "1"}, {"duration_seconds": math.inf}, {"annotations": []},
        {"annotations_json": {}},
    ],
)  # fmt: skip
def test_a_row_that_is_not_ours_is_refused(changes: dict[str, Any]) -> None:
    """Every column is checked, so that whoever reads the records may rely on their types."""
    with pytest.raises(ConfigurationError, match=f"line 2: {next(iter(changes))}"):
        parse_manifest(lines(ROW, {**ROW, **changes}))


def test_the_largest_and_the_smallest_size_are_taken() -> None:
    """An empty file is one, and any whole number that a table holds."""
    for size in (0, 2**63 - 1):
        assert parse_manifest(lines({**ROW, "size_bytes": size}))[0].size_bytes == size


@pytest.mark.parametrize(
    "line", [b"x", b"[]", b"null", b"5", b"\xff\xfe", b"[" * 100_000, b"9" * 10_000, b'{"a":', b"\0" * 100]
)
def test_a_line_that_is_no_object_is_refused(line: bytes) -> None:
    """Junk, however deep or long, is an error of ours."""
    with pytest.raises(ConfigurationError, match="line 1"):
        parse_manifest(line + b"\n")


def test_a_row_of_a_stranger_gets_our_columns() -> None:
    """What is missing is null, what is unknown is left out, whole seconds are numbers like others."""
    (row,) = parse_manifest(
        lines({**ROW, "duration_seconds": 2, "url": "x", "annotations": {"objects": ["cup"]}})
    )
    assert row.duration_seconds == 2.0
    assert type(row.duration_seconds) is float
    assert row.width is None
    assert row.annotations == unified({"objects": ["cup"]}, "image")


@given(st.binary(max_size=300) | st.lists(st.binary(max_size=40)).map(b"\n".join))
def test_hostile_bytes_are_refused(content: bytes) -> None:
    """Any bytes give rows or a ConfigurationError."""
    with contextlib.suppress(ConfigurationError):
        parse_manifest(content)


@given(st.dictionaries(st.sampled_from(COLUMNS), JSON), st.text() | st.from_regex(r"data/.{0,9}\.[a-z]{3}"))
def test_hostile_rows_never_lead_outside(changes: dict[str, Any], name: str) -> None:
    """A row that is taken names a plain file in `data/`, and all its columns are what they say."""
    content = json.dumps({**ROW, **changes, "file_name": name}).encode() + b"\n"
    with contextlib.suppress(ConfigurationError):
        (row,) = parse_manifest(content)
        assert re.fullmatch(r"data/[A-Za-z0-9][A-Za-z0-9_\-]*\.[a-z0-9]{1,5}", row.file_name)
        assert tuple(vars(row)) == COLUMNS


# ── Labels ───────────────────────────────────────────────────────────────────────────────────────────────

LABELED = {**ROW, "file_name": "data/stop/file_1.jpg", "label": "stop", "worker_id": "wkr_1"}


def test_a_row_with_a_label_lies_in_its_folder() -> None:
    """It is read as it was written; `label_of` tells the folder, not what a user's own column says."""
    (record,) = parse_manifest(lines(LABELED))
    assert (record.label, record.worker_id, label_of(record)) == ("stop", "wkr_1", "stop")
    assert parse_manifest(manifest_line(record)) == [record]
    (flat,) = parse_manifest(lines({**ROW, "label": "stop"}))
    assert (flat.label, label_of(flat)) == ("stop", None)


@pytest.mark.parametrize(
    "label", ["..", "stop\u202egnis", "a\\b", ".x", "con", "", "x" * 65, "e\u0301", "a "]
)
def test_the_folder_of_a_label_must_be_a_label(label: str) -> None:
    """A stranger's may be no path, no device, and must show what it is."""
    with pytest.raises(ConfigurationError, match="line 1: file_name"):
        parse_manifest(lines({**LABELED, "file_name": f"data/{label}/file_1.jpg", "label": label}))


@pytest.mark.parametrize("label", [None, "yield", 5])
def test_the_label_of_a_row_must_be_its_folder(label: Any) -> None:
    """Loaders read either of them."""
    with pytest.raises(ConfigurationError, match="line 1: file_name is in the folder 'stop'"):
        parse_manifest(lines({**LABELED, "label": label}))


def test_labels_that_differ_in_case_are_refused() -> None:
    """On many disks both are one folder."""
    second = {**LABELED, "file_id": "file_2", "file_name": "data/Stop/file_2.jpg", "label": "Stop"}
    with pytest.raises(ConfigurationError, match="line 2: label 'Stop'"):
        parse_manifest(lines(LABELED, second))
    assert (
        len(parse_manifest(lines(LABELED, {**second, "file_name": "data/stop/file_2.jpg", "label": "stop"})))
        == 2
    )


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("label", 3),
        ("label", "a/b"),
        ("worker_id", 7),
        ("license", ["a"]),
        ("location_verified", "yes"),
        ("dimensions", 3),
    ],
)
def test_a_column_of_ours_with_a_value_of_another_type_is_refused(column: str, value: Any) -> None:
    """Nobody reads it for ours; the message names the line and the column."""
    with pytest.raises(ConfigurationError, match=f"line 1: {column} must be"):
        parse_manifest(lines({**ROW, column: value}))


def outcome(row: dict[str, Any]) -> Any:
    try:
        (record,) = parse_manifest(lines(row))
    except ConfigurationError as error:
        return str(error)
    return record, vars(record), record.extra


ODD: list[Any] = [
    *(
        None,
        True,
        0,
        -1,
        3,
        3.0,
        2**63,
        10**40,
        1e300,
        math.nan,
        "x",
        SHA,
        "\ud800",
        [],
        ["x", None, 3],
        {},
        {"label": 3},
    ),
    *map(dict.fromkeys, SHAPES.values()),
    {"device_model": "a", "device_os": None, "app_version": "1", "more": 1},
    *(
        {"relevance": 5.0, "quality": 4, "completeness": score}
        for score in (None, "5", 10**40, 1e300, math.nan)
    ),
    *(
        {"objects": ["sign", {"label": "a", "confidence": confidence}]}
        for confidence in (1, 10**40, math.inf, "1", "\ud800")
    ),
]


@pytest.mark.parametrize("column", COLUMNS)
def test_both_ways_to_read_a_row_agree(column: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows of ours are checked while they are parsed, and others by rules of their own: the same is refused, in the
    same words, and the same is left out."""
    rows = [{**dict.fromkeys(COLUMNS), **ROW, column: value} for value in ODD]
    fast = [*map(outcome, rows)]
    monkeypatch.setattr(manifest, "_our_rows", lambda: Refusing())
    for row, expected in zip(rows, fast, strict=True):
        assert outcome(row) == expected, row[column]


class Refusing:
    def validate_json(self, line: bytes) -> Any:
        raise ValueError


def test_rows_that_we_write_are_checked_while_they_are_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which takes a third less time; a row that nobody asks for its annotations has no object for them."""
    row = row_of(annotations={"type": "image", "objects": ["sign"]}, device_info={"device_os": "Android"})
    records = parse_manifest(lines({**vars(row), "mine": 1}))
    for name in ("from_json", "unified"):
        monkeypatch.setattr(manifest, name, None)
    (read,) = parse_manifest(manifest_line(row))
    monkeypatch.undo()
    assert read == row
    assert records[0].extra == {"mine": 1}


def test_a_row_takes_over_label_and_worker() -> None:
    """A file that is downloaded again is not asked who made it."""
    (former,) = parse_manifest(lines({**ROW, "label": "mine", "worker_id": "wkr_1"}))
    record = in_place_of(row_of(), former)
    assert (record.label, record.worker_id) == ("mine", "wkr_1")
    assert in_place_of(replace(record, worker_id="wkr_2"), former).worker_id == "wkr_2"


def test_blank_lines_count_and_cost_nothing() -> None:
    """A folder of a stranger's may have millions of them: an error still names the right line."""
    blank = b"\n \t\r\n" * 2 + b"\n" * 1_000_000
    assert parse_manifest(blank) == []
    with pytest.raises(ConfigurationError, match=r"line 1000005: not a JSON object"):
        parse_manifest(blank + b"  x\n\n")
    with pytest.raises(ConfigurationError, match=r"line 1000007: file_name must be"):
        parse_manifest(blank + b"\n \n{}")


@pytest.mark.parametrize("size", [1, 2, 3, 100, 101])
def test_content_may_come_in_pieces(size: int) -> None:
    """Cut anywhere, it is the same rows and the same errors."""
    second = {**ROW, "file_id": "file_2", "file_name": "data/file_2.jpg", "original_filename": "é😀"}
    content = b"\n \r\n" + lines(ROW) + b"\n\n" + lines(second)

    def pieces(content: bytes) -> list[bytes]:
        return [content[start : start + size] for start in range(0, len(content), size)]

    for end in (b"", b"{", b" \n"):
        assert parse_manifest(pieces(content + end)) == parse_manifest(content + end)
    for wrong in (b"x\n", b"{}", lines(ROW | {"file_name": "data/b.jpg"})):
        with pytest.raises(ConfigurationError, match="line 7: "):
            parse_manifest(pieces(content + wrong))
    assert parse_manifest([]) == []


def test_a_piece_after_a_line_that_is_too_long_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """A line without an end would fill the memory."""
    monkeypatch.setattr(manifest, "LARGEST_ROW", 100)
    pieces = iter([b"x" * 60, b"x" * 60, b"x" * 60])
    with pytest.raises(ConfigurationError, match="line 1: longer than"):
        parse_manifest(pieces)
    assert [*pieces] == [b"x" * 60]


def test_a_row_says_where_its_file_comes_from() -> None:
    """As far as the file itself says it; the rest is added from its submission, and nothing known is lost."""
    row = row_of(
        device_info={"device_model": "X", "lens": "Y"},
        consent_id="con_1",
        license="CC0-1.0",
        content_credentials={"state": "valid", "signer": "Phone", "original_sha256": "AB" * 32},
    )
    assert row.device_info == {"device_model": "X", "device_os": None, "app_version": None}
    assert (row.consent_id, row.license, row.c2pa_state, row.c2pa_signer) == (
        "con_1",
        "CC0-1.0",
        "valid",
        "Phone",
    )
    assert (row.digital_source_type, row.original_sha256) == (None, "ab" * 32)
    submission = Submission.model_validate(
        {
            "id": "sub_1",
            "status": "approved",
            "worker_id": "wkr_1",
            "location_verified": True,
            "ai_reasoning": "sharp, fh_live_5ecret5ecret5ecret",
            "dimensions": {"relevance": 5, "quality": 4.5},
        }
    )
    whole = completed(row, columns_of_submission(submission))
    assert (whole.worker_id, whole.location_verified, whole.license) == ("wkr_1", True, "CC0-1.0")
    assert whole.dimensions == {"relevance": 5.0, "quality": 4.5, "completeness": None}
    assert "5ecret" not in str(whole.ai_reasoning)
    assert completed(whole, {"worker_id": "wkr_2"}) == whole
    (read,) = parse_manifest(manifest_line(whole))
    assert read == whole
