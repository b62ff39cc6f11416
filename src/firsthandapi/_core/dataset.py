"""A dataset on disk, as rules: what its files say and what they mean. Reading and writing is done elsewhere."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from math import isfinite
from typing import Any, Literal, cast

from firsthandapi.errors import ConfigurationError, InvalidArgumentError

from .files import file_name_on_disk
from .idempotency import check_key
from .masking import mask_secrets
from .request import check_id

Kind = Literal["image", "audio", "video"]
KINDS: tuple[Kind, ...] = ("image", "audio", "video")

MANIFEST = "metadata.jsonl"
JOB_FILE = "job.json"
DATA = "data"

# Within this time the service surely still knows an idempotency key (it keeps them for 24 hours).
KEY_LIFETIME = 23 * 3600.0
# A clock that went back by more than this tells nothing about a key's age.
CLOCK_SLACK = 300.0
KEY_METADATA = "firsthandapi_key"

_SAFE_NAME = re.compile(r"data/[A-Za-z0-9][A-Za-z0-9_\-]{0,127}\.[a-z0-9]{1,5}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
# What a column of whole numbers holds; beyond it no loader reads the manifest.
_WHOLE = range(-(2**63), 2**63)
# The end of the year 9999, in Unix seconds.
_END_OF_TIME = 253_402_300_800.0


# ── Layout ───────────────────────────────────────────────────────────────────────────────────────────────


def kind_of(content_type: str | None) -> Kind | None:
    """`image`, `audio` or `video`; None for any other type."""
    prefix = (content_type or "").partition("/")[0].strip().lower()
    return next((kind for kind in KINDS if kind == prefix), None)


def is_mixed(formats: Iterable[str] | None) -> bool:
    """Whether a job that accepts these formats gets a folder for each kind of media.

    Loaders take one kind a folder; a job of one kind needs no extra level.
    """
    return len({kind_of(name) for name in formats or ()} - {None}) > 1


def folder_of(content_type: str | None, *, mixed: bool) -> str:
    """The folder that a file of this type goes to, relative to the dataset's: `` or `image`, `audio`, `video`."""
    return (kind_of(content_type) or "other") if mixed else ""


# ── The manifest ─────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Record:
    """One row of the manifest: a file that is on disk, verified.

    Attributes:
        file_name: where it is, relative to its manifest: `data/file_….jpg`.
        file_id: the file's id.
        job_id: the job it was made for.
        submission_id: the submission that brought it.
        content_type: its MIME type.
        size_bytes: its size, in bytes.
        sha256: its SHA-256, in hex.
        ai_star_rating: 1 to 5.
        original_filename: the worker's name for it. Never use it as a path.
        width: in pixels.
        height: in pixels.
        duration_seconds: how long it plays, in seconds.
        captured_at: when it was captured, ISO 8601.
        worker_region: where the worker is.
        created_at: when it was created, ISO 8601.
        annotations: what was recognized in it; the same keys in every row of a kind.
        annotations_json: the annotations as the service sent them, as JSON text.
    """

    file_name: str
    file_id: str
    job_id: str | None
    submission_id: str | None
    content_type: str | None
    size_bytes: int
    sha256: str
    ai_star_rating: int | None
    original_filename: str | None
    width: int | None
    height: int | None
    duration_seconds: float | None
    captured_at: str | None
    worker_region: str | None
    created_at: str | None
    annotations: dict[str, Any] | None = field(hash=False)
    annotations_json: str | None

    def _repr_html_(self) -> str | None:
        """What a notebook shows: what is known of the file. Nothing is read."""
        from .gallery import file_cell
        from .html import or_none

        return or_none(lambda: file_cell(self, "dataset.path_of(record) is where it is"))


COLUMNS = tuple(column.name for column in fields(Record))
_TEXTS = (
    *("job_id", "submission_id", "content_type", "original_filename", "captured_at", "worker_region"),
    *("created_at", "annotations_json"),
)
_NUMBERS: dict[str, type] = {"ai_star_rating": int, "width": int, "height": int, "duration_seconds": float}


def record_of(file: Any, *, size_bytes: int, sha256: str, job_id: str) -> Record:
    """The row for a file that was fetched and verified. No URL, no secret goes into it."""
    # What the service left out is not what it sent as null.
    raw = None if file.annotations is None else file.annotations.model_dump(mode="json", exclude_unset=True)
    return Record(
        file_name=f"{DATA}/{file_name_on_disk(file.id, file.content_type)}",
        file_id=file.id,
        job_id=file.job_id or job_id,
        submission_id=file.submission_id,
        content_type=file.content_type,
        size_bytes=size_bytes,
        sha256=sha256,
        ai_star_rating=_fit(file.ai_star_rating, int),
        original_filename=None if file.original_filename is None else mask_secrets(file.original_filename),
        width=_fit(file.width, int),
        height=_fit(file.height, int),
        duration_seconds=_fit(file.duration_seconds, float),
        captured_at=_iso(file.captured_at),
        worker_region=file.worker_region,
        created_at=_iso(file.created_at),
        annotations=unified(raw, kind_of(file.content_type)),
        annotations_json=None if raw is None else json.dumps(raw, ensure_ascii=False, separators=(",", ":")),
    )


def _iso(value: datetime | None) -> str | None:
    return None if value is None else value.isoformat().replace("+00:00", "Z")


# What `annotations` holds for each kind: the type of each key, a list of one for lists. Loaders build a table
# from the rows, so every row must have the same keys and every value the one type.
_SHAPES: dict[Kind, dict[str, Any]] = {
    "image": {
        "objects": [{"label": str, "confidence": float}],
        "scene": {"setting": str, "indoor": bool},
        "text_extraction": str,
        "color_palette": [str],
        "dominant_objects": [{"label": str, "position": str, "approximate_coverage": str}],
        "composition": str,
        "annotation_model": str,
    },
    "audio": {
        "speaker_count": int,
        "language": str,
        "topics": [str],
        "keywords": [str],
        "noise_level": str,
        "transcript_segments": [{"start": float, "end": float, "text": str, "speaker": str}],
        "annotation_model": str,
    },
    "video": {
        "scenes": [{"start": float, "end": float, "description": str}],
        "actions": [str],
        "tracked_objects": [{"label": str, "scenes": [int]}],
        "keyframes": [{"timestamp": float, "description": str}],
        "transcript_segments": [{"start": float, "end": float, "text": str, "speaker": str}],
        "annotation_model": str,
    },
}


def column_types(kind: Kind) -> dict[str, Any]:
    """The type of each column of the manifest, written as in `_SHAPES`; it does not hang on what the rows hold."""
    known = {"size_bytes": int, **_NUMBERS, "annotations": _SHAPES[kind]}
    return {column: known.get(column, str) for column in COLUMNS}


def chosen_kind(kinds: Iterable[Kind | None], kind: Kind | None) -> Kind:
    """The kind of media that a table is to be made of: tables have a column of one kind.

    Args:
        kinds: those that the dataset holds or may hold, None for files of no kind.
        kind: the one asked for, or None for the only one.

    Raises:
        InvalidArgumentError: there is no such kind here, or not just one to take.
    """
    here = set(kinds)
    named: list[Kind] = [name for name in KINDS if name in here]
    if kind is None:
        if len(here) == 1 and named:
            return named[0]
        holds = f"may hold {' and '.join(named)} files" if len(named) > 1 else "does not say what it holds"
        if len(named) == 1:
            holds = f"holds files that are not {named[0]} files, too"
        raise InvalidArgumentError(
            f"this dataset {holds}; say which to take: kind={(named or KINDS)[0]!r}", field="kind"
        )
    allowed_kinds = named or KINDS
    if kind not in allowed_kinds:
        allowed = " or ".join(map(repr, allowed_kinds))
        raise InvalidArgumentError(f"kind is {allowed} for this dataset, not {kind!r}", field="kind")
    return kind


def unified(annotations: Mapping[str, Any] | None, kind: Kind | None) -> dict[str, Any] | None:
    """Annotations of any version in one shape, so that a table can be made of them.

    What does not fit is left out here; `annotations_json` has it.
    """
    if annotations is None or kind is None:
        return None
    return cast("dict[str, Any]", _fit(annotations, _SHAPES[kind]))


def _fit(value: Any, shape: Any) -> Any:
    if isinstance(shape, dict):
        members = cast("dict[str, Any]", shape)
        if "label" in members and isinstance(value, str):
            value = {"label": value}  # older versions give objects as bare labels
        source: Mapping[str, Any] = cast("dict[str, Any]", value) if isinstance(value, dict) else {}
        return {name: _fit(source.get(name), member) for name, member in members.items()}
    if isinstance(shape, list):
        only: Any = cast("Any", shape)[0]
        items: list[Any] = value if isinstance(value, list) else []  # pyright: ignore[reportUnknownVariableType] # JSON
        fitted = [_fit(item, only) for item in items]
        return [item for item in fitted if item is not None]
    if shape is float and type(value) is int and value in _WHOLE:
        return float(value)
    if type(value) is not shape or (shape is int and value not in _WHOLE):
        return None
    return value if shape is not float or isfinite(value) else None


def manifest_line(record: Record) -> bytes:
    """The row as one line of the manifest."""
    text = json.dumps(vars(record), ensure_ascii=False, separators=(",", ":"))
    # A lone surrogate has no UTF-8 form; one odd name must not cost the row.
    return text.encode("utf-8", "replace") + b"\n"


def parse_manifest(content: bytes) -> list[Record]:
    """The rows of a manifest that may come from a stranger, checked before any file is touched.

    A last line without its line break counts if it is whole, as an editor leaves it. Half a line is what a crash
    leaves: its file will be looked at again.

    Raises:
        ConfigurationError: a row is not one of ours, names a file outside its folder, or one of another row.
    """
    records: list[Record] = []
    first_seen: dict[str, int] = {}
    *lines, last = content.split(b"\n")
    if _is_json(last):
        lines.append(last)
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        record = _parse_row(line, number)
        # An id has no slash, so it is never taken for a name.
        for column in ("file_id", "file_name"):
            value: str = getattr(record, column)
            if (first := first_seen.setdefault(value, number)) != number:
                raise ConfigurationError(
                    f"{MANIFEST}, line {number}: {column} {value} stands in line {first}, too; "
                    "take one of the two lines out"
                )
        records.append(record)
    return records


def _is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True


def _parse_row(line: bytes, number: int) -> Record:
    where = f"{MANIFEST}, line {number}"
    try:
        loaded = json.loads(line)
    except (ValueError, RecursionError):
        loaded = None
    if not isinstance(loaded, dict):
        raise ConfigurationError(f"{where}: not a JSON object")
    row = cast("dict[str, Any]", loaded)
    name = row.get("file_name")
    if not isinstance(name, str) or not _SAFE_NAME.fullmatch(name):
        raise ConfigurationError(
            f"{where}: file_name must be data/ and a plain name; this folder was tampered with"
        )
    try:
        check_id(cast("Any", row.get("file_id")), "file_id")
    except InvalidArgumentError:
        raise ConfigurationError(f"{where}: file_id is not an id") from None
    size, sha256 = row.get("size_bytes"), row.get("sha256")
    if type(size) is not int or not 0 <= size < _WHOLE.stop:
        raise ConfigurationError(f"{where}: size_bytes must be a whole number")
    if not isinstance(sha256, str) or not _SHA256.fullmatch(sha256):
        raise ConfigurationError(f"{where}: sha256 must be 64 hex digits")
    for column in _TEXTS:
        if not isinstance(row.get(column), str | None):
            raise ConfigurationError(f"{where}: {column} must be text")
    for column, kind in _NUMBERS.items():
        fitted = _fit(row.get(column), kind)
        if fitted is None and row.get(column) is not None:
            raise ConfigurationError(f"{where}: {column} must be a number")
        row[column] = fitted
    annotations = row.get("annotations")
    if not isinstance(annotations, dict | None):
        raise ConfigurationError(f"{where}: annotations must be an object")
    # Our own rows come through unchanged; others get the columns of ours.
    row["annotations"] = unified(cast("Any", annotations), kind_of(row.get("content_type")))
    return Record(**{column: row.get(column) for column in COLUMNS})  # type: ignore[arg-type]


# ── job.json ─────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class JobFile:
    """What `job.json` holds: enough to go on after a crash at any point, and to buy nothing twice.

    Attributes:
        request: the body of the POST, without the key; None for a folder made by `download_all`.
        idempotency_key: the key it is sent with; None likewise.
        first_sent_at: Unix seconds of the moment before the first POST.
        job: the job as last seen; None until the service has answered.
    """

    request: dict[str, Any] | None
    idempotency_key: str | None
    first_sent_at: float | None
    job: dict[str, Any] | None

    def encode(self) -> bytes:
        return (
            json.dumps({"version": 1, **vars(self)}, ensure_ascii=False, indent=2).encode("utf-8", "replace")
            + b"\n"
        )


def parse_job_file(content: bytes) -> JobFile:
    """`job.json`, checked.

    Raises:
        ConfigurationError: it is not one of ours.
    """
    try:
        loaded = json.loads(content)
    except (ValueError, RecursionError):
        loaded = None
    row: dict[str, Any] = cast("dict[str, Any]", loaded) if isinstance(loaded, dict) else {}
    request, key, sent, job = (row.get(member.name) for member in fields(JobFile))
    if row.get("version") != 1 or not (_is_ordered(request, key, sent) and _is_job(job)):
        raise ConfigurationError(
            f"{JOB_FILE} is not one that this version of firsthandapi wrote; use another folder, "
            "or restore the file: it says which job was bought for this folder"
        )
    if request is None and job is None:
        raise ConfigurationError(f"{JOB_FILE} names neither a request nor a job; use another folder")
    return JobFile(request, key, sent, job)


def _is_ordered(request: Any, key: Any, sent: Any) -> bool:
    """Whether these are a request with its key and time, or nothing of it."""
    if request is None:
        return key is None and sent is None
    try:
        check_key(key)
    except InvalidArgumentError:
        return False
    is_time = isinstance(sent, int | float) and not isinstance(sent, bool) and 0 <= sent < _END_OF_TIME
    return isinstance(request, dict) and is_time


def _is_job(job: Any) -> bool:
    if job is None:
        return True
    try:
        return isinstance(job, dict) and bool(check_id(cast("Any", job).get("id"), "id"))
    except InvalidArgumentError:
        return False


Step = Literal["post", "find", "continue"]


def next_step(found: JobFile, *, now: float) -> Step:
    """What to do about the job of a folder: `post` it (again), `find` it, or `continue` it.

    An old key is never sent again: the service may have forgotten it, and would sell a second job. A clock
    that jumped back makes the key's age unknown, which is treated as old.
    """
    if found.job is not None:
        return "continue"
    age = now - (found.first_sent_at or 0.0)
    return "post" if -CLOCK_SLACK <= age <= KEY_LIFETIME else "find"


def check_same_request(found: JobFile, request: Mapping[str, Any], key: str | None) -> None:
    """Refuse another request into a folder that has one.

    Raises:
        InvalidArgumentError: the folder belongs to another job.
    """
    if found.request is None:
        raise InvalidArgumentError(
            "dest holds the files of a job that download_all fetched; collect into another folder",
            field="dest",
        )
    differing = sorted(
        name for name in {*found.request, *request} if found.request.get(name) != request.get(name)
    )
    if differing:
        raise InvalidArgumentError(
            f"dest belongs to another request: {', '.join(differing)} differ from its {JOB_FILE}. "
            "Use another folder, or the same arguments to continue that job",
            field="dest",
        )
    if key is not None and key != found.idempotency_key:
        raise InvalidArgumentError(
            f"dest belongs to a request with another idempotency_key ({found.idempotency_key}); "
            "leave it out to continue that job",
            field="idempotency_key",
        )


# ── Progress ─────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Progress:
    """How far a download is.

    Attributes:
        files_done: files that are on disk, verified.
        files_total: files known so far, or those ordered, whichever is more.
        bytes_done: bytes on disk, those of unfinished files included.
        bytes_total: bytes of the files known so far.
        average_stars: the average rating of the files on disk; None while there is none.
    """

    files_done: int
    files_total: int
    bytes_done: int
    bytes_total: int
    average_stars: float | None = None


@dataclass(frozen=True)
class Verification:
    """What is true of a dataset's files; truthy if all is well.

    Attributes:
        ok: whether nothing is mismatched or missing. Extra files do no harm.
        mismatched: names of files whose size or SHA-256 is not the manifest's.
        missing: names of files that are not there.
        extra: names of files that the manifest does not know.
    """

    ok: bool
    mismatched: tuple[str, ...]
    missing: tuple[str, ...]
    extra: tuple[str, ...]

    def __bool__(self) -> bool:
        return self.ok
