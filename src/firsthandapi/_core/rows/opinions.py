"""What models and people said of the files: lines of a file that is a cache, and the record of what was asked."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

from firsthandapi._base.display import Displayed
from firsthandapi._base.names import ROOM
from firsthandapi._core.files.annotations import SHAPES, fit, unified
from firsthandapi._core.files.kinds import kind_of
from firsthandapi.errors import FirstHandError, InvalidArgumentError

from .manifest import Record, in_place_of

OPINIONS = f"{ROOM}/annotations.jsonl"
LARGEST_OPINIONS = 512 * 1024 * 1024
# In `annotations_json`: the fields that a person has corrected.
CORRECTED = "corrected"
_WHOSE = ("type", "annotation_model", CORRECTED)


@dataclass(frozen=True)
class AnnotationReport(Displayed):
    """What `annotate` did, or would do.

    Attributes:
        files: the number of files.
        known: files whose answer was known from an earlier call.
        asked: files that the annotator was asked about, those that failed included.
        failed: the files without an answer, each with its error. Another call asks about them again.
        cents: the cost of this call, in cents; None if a price is unknown.
        about_cents: the usual price of the files that are not known, before anything was asked, in cents; None if
            unknown.
        stopped: whether `max_cents` left files unasked.
    """

    files: int
    known: int = 0
    asked: int = 0
    failed: tuple[tuple[str, FirstHandError], ...] = ()
    cents: float | None = 0.0
    about_cents: float | None = 0.0
    stopped: bool = False


@dataclass(frozen=True)
class Answer:
    """What was said of the bytes of a file, in answer to a question.

    Attributes:
        sha256: of the bytes.
        question: the hash of the question, who was asked included.
        by: who was asked.
        annotations: what was recognized; None if nothing was said of it.
        flags: what was noticed.
        cents: what it cost; None if unknown.
        rating: its stars, dimensions, and reason.
    """

    sha256: str
    question: str
    by: str
    annotations: Mapping[str, Any] | None
    flags: tuple[str, ...]
    cents: float | None
    rating: Mapping[str, Any]

    def line(self) -> bytes:
        return encode(vars(self))


def encode(value: Mapping[str, Any]) -> bytes:
    """A line of the file."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace") + b"\n"


def parse_answers(content: bytes | None) -> dict[tuple[str, str], Answer]:
    """The answers of the file by hash and question. Lines that are none are left out: a crash may cut one off, and a
    stranger may have written others."""
    answers: dict[tuple[str, str], Answer] = {}
    for line in (content or b"").splitlines():
        try:
            value = json.loads(line)
            answer = Answer(
                value["sha256"],
                value["question"],
                str(value["by"]),
                value["annotations"],
                tuple(map(str, value["flags"])),
                value["cents"],
                value["rating"],
            )
            if isinstance(answer.annotations, dict | None) and isinstance(answer.rating, dict):
                answers[answer.sha256, answer.question] = answer
        except (ValueError, KeyError, TypeError, RecursionError):
            continue
    return answers


def lines_kept(content: bytes | None, keep: Callable[[str], bool]) -> bytes:
    """The lines about the bytes that `keep` wants, by their SHA-256."""
    lines: list[bytes] = []
    for line in (content or b"").splitlines():
        try:
            sha256 = json.loads(line)["sha256"]
        except (ValueError, KeyError, TypeError, RecursionError):
            continue
        if isinstance(sha256, str) and keep(sha256):
            lines.append(line + b"\n")
    return b"".join(lines)


def is_annotated(record: Record) -> bool:
    """Whether a row has annotations of the service or a model: not only what a person has corrected."""
    annotations = _raw(record)
    return annotations is not None and bool(
        annotations.keys() - {"type", CORRECTED, *_fields_corrected(annotations)}
    )


def is_corrected(record: Record) -> bool:
    """Whether a person has corrected what was recognized in a file."""
    return f'"{CORRECTED}"' in (record.annotations_json or "") and bool(_fields_corrected(_raw(record) or {}))


def columns_annotated(
    record: Record, annotations: Mapping[str, Any] | None, flags: tuple[str, ...]
) -> dict[str, Any]:
    """The columns of a row after an answer. What a person has corrected stays, and only a person corrects."""
    columns: dict[str, Any] = {}
    if flags:
        columns["flags"] = sorted({*(record.flags or ()), *flags})
    if annotations is not None:
        old_annotations = _raw(record) or {}
        corrected = _fields_corrected(old_annotations)
        corrections = {name: old_annotations[name] for name in corrected if name in old_annotations}
        named = {CORRECTED: [*corrected]} if corrected else {}
        answered = {name: value for name, value in annotations.items() if name != CORRECTED}
        columns |= _columns(record, {**answered, **corrections, **named})
    return columns


def columns_corrected(record: Record, fields: Mapping[str, Any]) -> dict[str, Any]:
    """The columns of a row after a person's word."""
    old_annotations = _raw(record) or {"type": kind_of(record.content_type)}
    corrected = sorted({*_fields_corrected(old_annotations), *fields})
    return _columns(record, {**old_annotations, **fields, CORRECTED: corrected})


def with_opinions(record: Record, former: Record | None) -> Record:
    """A row of the service, with what models and people have said of the file in the one that it replaces."""
    if former is None or former.annotations_json is None:
        return record
    if record.annotations_json is None:
        columns: dict[str, Any] = {
            "annotations": former.annotations,
            "annotations_json": former.annotations_json,
        }
        return in_place_of(replace(record, **columns), record)
    earlier, new = _raw(former) or {}, _raw(record) or {}
    corrected = {name: earlier.get(name) for name in _fields_corrected(earlier)}
    if not corrected or CORRECTED in new:
        return record
    return in_place_of(replace(record, **columns_corrected(record, corrected)), record)


def check_fields(record: Record, fields: object) -> dict[str, Any]:
    """Check a person's word about a file.
    Raises InvalidArgumentError: a field is none of its kind of media, or its value is of another type.
    """
    kind = kind_of(record.content_type)
    if kind is None:
        raise InvalidArgumentError(
            f"record: {record.file_id} is neither an image, a recording, nor a video", field="record"
        )
    shape = {name: field_shape for name, field_shape in SHAPES[kind].items() if name not in _WHOSE}
    if not isinstance(fields, Mapping) or not fields:
        raise InvalidArgumentError(
            f"fields must be a dict of {', '.join(shape)} with their new values", field="fields"
        )
    values = dict(cast("Mapping[str, Any]", fields))
    for name, value in values.items():
        if name not in shape:
            raise InvalidArgumentError(
                f"fields: {name!r} is no annotation of {record.content_type}; those are {', '.join(shape)}",
                field="fields",
            )
        if value is not None and not _fits(value, shape[name]):
            raise InvalidArgumentError(f"fields: {name} must be {_words(shape[name])}", field="fields")
    return values


def texts_of(record: Record) -> dict[str, str]:
    """What was recognized in a file, as far as it can be written as text, by field; "" where there is nothing."""
    kind, annotations = kind_of(record.content_type), record.annotations or {}
    shapes = {} if kind is None else SHAPES[kind]
    texts = {
        name: annotations.get(name) for name, shape in shapes.items() if shape is str and name not in _WHOSE
    }
    lists = {name: ", ".join(annotations.get(name) or ()) for name, shape in shapes.items() if shape == [str]}
    return {name: text or "" for name, text in {**texts, **lists}.items()}


def value_of(record: Record, name: str, text: str) -> Any:
    """The value of a field that is written as text: nothing where it is empty, and a list where commas part it."""
    kind = kind_of(record.content_type)
    is_list = kind is not None and SHAPES[kind].get(name) == [str]
    parts = [part for piece in text.split(",") if (part := piece.strip())]
    return parts if is_list else text.strip() or None


def _fits(value: Any, shape: Any) -> bool:
    if isinstance(shape, list):
        item = cast("Any", shape)[0]
        items: list[Any] = value if isinstance(value, list) else [None]  # pyright: ignore[reportUnknownVariableType] # JSON
        return all(element is not None and _fits(element, item) for element in items)
    if isinstance(shape, dict):
        members = cast("dict[str, Any]", shape)
        if isinstance(value, str):  # an object by its label alone
            return "label" in members
        return isinstance(value, dict) and all(
            name in members and (member is None or _fits(member, members[name]))
            for name, member in cast("dict[str, Any]", value).items()
        )
    return fit(value, shape) is not None


def _words(shape: Any) -> str:
    if isinstance(shape, list):
        return f"a list, each {_words(cast('Any', shape)[0])}"
    if isinstance(shape, dict):
        return f"a dict of {', '.join(cast('dict[str, Any]', shape))}"
    return {str: "a str", bool: "a bool", int: "an int", float: "a finite number"}[shape]


def _raw(record: Record) -> dict[str, Any] | None:
    try:
        value = json.loads(record.annotations_json or "null")
    except (ValueError, RecursionError):
        value = None
    return cast("dict[str, Any]", value) if isinstance(value, dict) else None


def _fields_corrected(annotations: Mapping[str, Any]) -> list[str]:
    named = annotations.get(CORRECTED)
    fields: list[Any] = named if isinstance(named, list) else []  # pyright: ignore[reportUnknownVariableType] # JSON
    return [field for field in fields if isinstance(field, str)]


def _columns(record: Record, annotations: dict[str, Any]) -> dict[str, Any]:
    return {
        "annotations": unified(annotations, kind_of(record.content_type)),
        "annotations_json": json.dumps(annotations, ensure_ascii=False, separators=(",", ":")),
    }
