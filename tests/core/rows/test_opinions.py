"""The lines of answers, and the columns that they and people change."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from core.rows.test_manifest import row_of
from firsthandapi import InvalidArgumentError
from firsthandapi._core.rows.opinions import (
    Answer,
    check_fields,
    columns_annotated,
    columns_corrected,
    encode,
    is_annotated,
    lines_kept,
    parse_answers,
    texts_of,
    value_of,
    with_opinions,
)

RECORD = row_of(annotations=None)
ANSWER = Answer(
    "a" * 64, "q", "m", {"type": "image", "text_extraction": "STOP"}, ("stock",), 1.5, {"stars": 4}
)


def test_lines_come_back() -> None:
    """Without those that are cut off or of a stranger."""
    odd = [
        b"{",
        b"[]",
        b'{"sha256": 1}',
        encode({**vars(ANSWER), "annotations": []}),
        encode({**vars(ANSWER), "flags": 3}),
    ]
    content = ANSWER.line() + b"\n".join(odd)
    assert parse_answers(content) == {("a" * 64, "q"): ANSWER}
    assert parse_answers(None) == {}


def test_lines_of_a_file_are_erased() -> None:
    line = replace(ANSWER, sha256="b" * 64).line()
    person = encode({"sha256": "a" * 64, "corrected": {}, "by": None})
    content = ANSWER.line() + line + person + b"{"
    assert lines_kept(content, lambda sha256: sha256 != "a" * 64) == line
    assert lines_kept(b'{"sha256": 3}\n', lambda _: True) == b""
    assert lines_kept(None, lambda _: True) == b""


@pytest.mark.parametrize(
    ("text", "is_said"),
    [
        (None, False),
        ("{", False),
        ("[]", False),
        ('{"type": "image"}', False),
        ('{"type": "image", "text_extraction": "A", "corrected": ["text_extraction"]}', False),
        ('{"type": "image", "text_extraction": "A", "corrected": 3}', True),
        ('{"type": "image", "objects": []}', True),
    ],
)
def test_what_the_service_has_said(text: str | None, is_said: bool) -> None:
    assert is_annotated(replace(RECORD, annotations_json=text)) == is_said


def test_a_correction_outlives_answers_and_the_service() -> None:
    row = RECORD
    corrected = replace(row, **columns_corrected(row, {"text_extraction": "YIELD"}))
    second = replace(corrected, **columns_corrected(corrected, {"composition": None}))
    answered = replace(second, **columns_annotated(second, ANSWER.annotations, ("stock", "policy")))
    assert answered.flags == ["policy", "stock"]
    facts = json.loads(answered.annotations_json or "")
    assert (facts["text_extraction"], facts["corrected"]) == ("YIELD", ["composition", "text_extraction"])
    columns: Any = {"annotations_json": '{"type": "image", "text_extraction": "service", "objects": ["a"]}'}
    merged = with_opinions(replace(row, **columns), answered)
    assert json.loads(merged.annotations_json or "")["objects"] == ["a"]
    assert (merged.annotations or {})["text_extraction"] == "YIELD"
    assert (
        with_opinions(replace(row, annotations_json=None), answered).annotations_json
        == answered.annotations_json
    )
    assert with_opinions(second, answered) is second
    plain = replace(row, **columns)
    assert with_opinions(plain, None) is plain
    assert with_opinions(plain, replace(row, annotations_json=None)) is plain
    assert with_opinions(plain, replace(row, annotations_json='{"type": "image"}')) is plain


def test_nothing_said_changes_nothing() -> None:
    assert columns_annotated(RECORD, None, ()) == {}


@pytest.mark.parametrize(
    ("content_type", "fields", "words"),
    [
        ("image/jpeg", {"dominant_objects": [{"label": "a", "size": 3}]}, "dominant_objects must be a list"),
        ("image/jpeg", {"objects": [None]}, "objects must be a list"),
        ("image/jpeg", {"scene": "street"}, "scene must be a dict"),
        ("audio/wav", {"speaker_count": 1.5}, "speaker_count must be an int"),
        ("video/mp4", {"keyframes": [{"timestamp": "1"}]}, "keyframes must be a list"),
        ("image/jpeg", 3, "must be a dict"),
        ("text/plain", {"topics": []}, "neither"),
    ],
)
def test_what_is_no_correction(content_type: str, fields: object, words: str) -> None:
    with pytest.raises(InvalidArgumentError, match=words):
        check_fields(replace(RECORD, content_type=content_type), fields)


def test_what_is_written_as_text() -> None:
    """Texts, and lists of texts with commas between them."""
    row = replace(RECORD, annotations={"text_extraction": "STOP", "color_palette": ["#fff", "#000"]})
    assert texts_of(row) == {"text_extraction": "STOP", "color_palette": "#fff, #000", "composition": ""}
    assert texts_of(replace(row, content_type="text/plain")) == {}
    pairs = [
        ("composition", " wide "),
        ("composition", " "),
        ("color_palette", "#fff,, #000 "),
        ("other", "a, b"),
    ]
    assert [value_of(row, *pair) for pair in pairs] == ["wide", None, ["#fff", "#000"], "a, b"]
    assert value_of(replace(row, content_type=None), "topics", "a") == "a"


def test_what_is_one() -> None:
    fields = {
        "objects": ["a", {"label": "b", "confidence": None}],
        "composition": None,
        "scene": {"indoor": True},
    }
    assert check_fields(RECORD, fields) == fields
