"""Write and parse the rows of a dataset's manifest. Other modules read and write the file."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import FrozenInstanceError, dataclass, field, fields, replace
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from pydantic_core import CoreSchema, SchemaValidator, core_schema, from_json, to_json

from firsthandapi._base.display import Displayed
from firsthandapi._base.habits import Led, NotADict
from firsthandapi._base.loose_json import load
from firsthandapi._base.masking import mask_secrets
from firsthandapi._base.names import disk_key, is_reserved
from firsthandapi._core.calls.request import check_id
from firsthandapi._core.files.annotations import SHAPES, WHOLE, fit, fitter, has_speech, speech_in, unified
from firsthandapi._core.files.kinds import Kind, kind_of
from firsthandapi._core.files.labels import is_label
from firsthandapi.errors import ConfigurationError, InvalidArgumentError

if TYPE_CHECKING:
    from firsthandapi._core.calls.config import Config

MANIFEST = "metadata.jsonl"
DATA = "data"

# Limits for a folder that may come from a stranger. A job has at most 10,000 files. A row has one or two kilobytes, or
# fifty with a transcribed hour. In memory, ordinary rows take about twice their length, hostile ones up to 20 times.
LARGEST_MANIFEST = 512 * 1024 * 1024
LARGEST_ROW = 4 * 1024 * 1024
MOST_ROWS = 1_000_000
# The length of a row that is not known yet, for a guess at how long a manifest will be.
USUAL_ROW = 2048
# Maximum number of names in a folder of files: twice the maximum number of rows.
MOST_NAMES = 2 * MOST_ROWS

_SAFE_NAME = re.compile(r"data/(?:([^/]+)/)?([A-Za-z0-9][A-Za-z0-9_\-]{0,127})\.[a-z0-9]{1,5}")
# Advice for a line that firsthandapi has not written. Its file is most likely unchanged, and is not downloaded again.
_WAY_ON = (
    "remove the line, then run the call that made the folder again, or Dataset.repair, to restore its row"
)
_BLANK_LINES = re.compile(rb"\s*\n")
_SHA256 = re.compile(r"[0-9a-f]{64}")


class _Row(Displayed, Led, NotADict):
    """The part of `Record` that is not one of its fields: the fields are the columns of every row."""

    __slots__ = ("_extra",)

    if not TYPE_CHECKING:  # pragma: no branch - checkers know only methods of that name

        @property
        def __dict__(self) -> dict[str, Any]:
            """What `vars` returns: the columns. They are slots: the small form of attributes ends at 30."""
            return {column: getattr(self, column) for column in COLUMNS}


@dataclass(frozen=True, slots=True)
class Record(_Row):
    """One row of the manifest: a verified file on disk.

    Attributes:
        file_name: its path relative to the manifest: `data/file_….jpg`, or `data/<label>/file_….jpg`.
        file_id: the file's id.
        job_id: the id of its job.
        submission_id: the id of its submission.
        content_type: its MIME type.
        size_bytes: its size, in bytes.
        sha256: its SHA-256, in hex.
        ai_star_rating: 1 to 5.
        original_filename: the worker's name for it. Never use it as a path.
        width: in pixels.
        height: in pixels.
        duration_seconds: its duration, in seconds.
        captured_at: when it was captured, ISO 8601.
        worker_region: the region of the worker.
        created_at: when it was created, ISO 8601.
        annotations: the recognized content; the same keys in every row of a kind of media.
        annotations_json: the annotations as the service sent them, as JSON text.
        label: its class, which is also the name of its folder; None without labels.
        worker_id: the service's id of the worker, or None if unknown.
        device_info: the device: `device_model`, `device_os`, and `app_version`.
        location_verified: on a server of one's own and on the bundled one, whether the place lies within the job's
            radius; on the service, only that a place was collected.
        ai_reasoning: the reason for its rating.
        dimensions: the parts of the rating: `relevance`, `quality`, and `completeness`.
        consent_id: the id of the worker's consent, from your own server.
        license: the SPDX id of the license that the worker granted.
        c2pa_state: the state of its Content Credentials: `none`, `invalid`, `valid`, or `trusted`; None if they were
            not checked.
        c2pa_signer: the signer of its Content Credentials.
        digital_source_type: how the file was made according to them: a URL of the IPTC list, such as one that ends
            in `digitalCapture`.
        original_sha256: the SHA-256 of the file as the worker sent it, in hex, if the service has changed it.
        rated_by: who rated it: `person`, `rules` (a program), or `model:<name>`; None for the service's own ensemble.
        flags: what the rater noticed, such as `synthetic`; None if the service says nothing of that.
        environment: `live`, `sandbox`, or `simulated`: a file of the bundled server, which a program has drawn.
        server: the service that it comes from, such as `https://api.firsthandapi.com`.
        task_id: the row of the study's tasks that it was made for, from your own server.
        task_text: what that row asked for, as the worker read it.
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
    label: str | None = None
    worker_id: str | None = None
    device_info: dict[str, Any] | None = field(default=None, hash=False)
    location_verified: bool | None = None
    ai_reasoning: str | None = None
    dimensions: dict[str, Any] | None = field(default=None, hash=False)
    consent_id: str | None = None
    license: str | None = None
    c2pa_state: str | None = None
    c2pa_signer: str | None = None
    digital_source_type: str | None = None
    original_sha256: str | None = None
    rated_by: str | None = None
    flags: list[str] | None = field(default=None, hash=False)
    environment: str | None = None
    server: str | None = None
    task_id: str | None = None
    task_text: str | None = None

    @property
    def text(self) -> str | None:
        """The transcript of the file as one text, or None. Tables of audio and video have it as a column."""
        return speech_in(self.annotations)

    @property
    def extra(self) -> Mapping[str, Any]:
        """Your own columns: all other columns of the row, as JSON values. A run that rewrites the manifest keeps
        them."""
        try:
            return cast("Mapping[str, Any]", _EXTRA.__get__(self))
        except AttributeError:  # by the slot alone: `hasattr` would look for what the name may have meant
            return {}

    def __reduce__(self) -> tuple[Any, ...]:
        # pickle cannot set the slots of a frozen class.
        return _record, (vars(self), self.extra)


_EXTRA: Any = _Row.__dict__["_extra"]


def _record(columns: Mapping[str, Any], extra: Mapping[str, Any]) -> Record:
    record = Record(**columns)
    if extra:
        _EXTRA.__set__(record, dict(extra))
    return record


def in_place_of(record: Record, former: Record | None) -> Record:
    """`record` with the user's own columns of `former`, which it replaces."""
    if former is None:
        return record
    old_values = {column: getattr(former, column) for column in _ASKED if getattr(record, column) is None}
    return _record({**vars(record), **old_values}, former.extra)


def without_own(record: Record) -> Record:
    """The row without the user's own columns."""
    return _record(vars(record), {})


def with_own(record: Record, column: str, value: Any) -> Record:
    """The row with a value in a column of the user's own."""
    return _record(vars(record), {**record.extra, column: value})


def completed(record: Record, columns: Mapping[str, Any]) -> Record:
    """The row with the columns that it lacks."""
    new = {name: value for name, value in columns.items() if getattr(record, name) is None}
    return in_place_of(replace(record, **new), record)


def _frozen(_: Record, name: str, *_value: object) -> None:
    raise FrozenInstanceError(f"cannot assign to field {name!r}")


class _Annotations:
    """The column `annotations`, which gets its shape when it is asked for: a row from a manifest has its text, in a
    third of the memory."""

    def __get__(self, record: Record, _: object) -> Any:
        value = _ANNOTATIONS.__get__(record)
        return unified(from_json(value), kind_of(record.content_type)) if type(value) is bytes else value

    def __set__(self, record: Record, value: object) -> None:
        _ANNOTATIONS.__set__(record, value)


_ANNOTATIONS: Any = Record.__dict__["annotations"]
setattr(Record, "annotations", _Annotations())  # noqa: B010 # checkers see a field

# What dataclass makes for a class with slots knows only its fields.
for _method in ("__setattr__", "__delattr__"):
    setattr(Record, _method, _frozen)

COLUMNS = tuple(column.name for column in fields(Record))
_STRUCTS: dict[str, dict[str, type] | list[type]] = {
    "device_info": {"device_model": str, "device_os": str, "app_version": str},
    "dimensions": {"relevance": float, "quality": float, "completeness": float},
    "flags": [str],
}
# Columns that not only the file itself is asked for: a row that replaces another keeps what it does not know.
_ASKED = COLUMNS[COLUMNS.index("label") :]
_NUMBERS: dict[str, type] = {"ai_star_rating": int, "width": int, "height": int, "duration_seconds": float}
# The other columns have rules of their own.
_TEXTS = tuple(
    column
    for column in COLUMNS
    if column not in {*_NUMBERS, *_STRUCTS, "annotations", "label", "location_verified", "size_bytes"}
)
_FITTERS = {column: fitter(shape) for column, shape in {**_NUMBERS, **_STRUCTS}.items()}


def column_types(kind: Kind) -> dict[str, Any]:
    """The type of each column of a table, in the notation of `SHAPES`, independent of the values in the rows. For media
    with speech, the column `text` has the transcript."""
    types = {
        "size_bytes": int,
        **_NUMBERS,
        "annotations": SHAPES[kind],
        "location_verified": bool,
        **_STRUCTS,
    }
    text = ("text",) if has_speech(kind) else ()
    return {column: types.get(column, str) for column in (*COLUMNS, *text)}


def data_folder(label: str | None) -> str:
    """The folder of a label's files, relative to their manifest."""
    return DATA if label is None else f"{DATA}/{label}"


def label_of(record: Record) -> str | None:
    """The label whose folder contains the row's file; None for a file outside these folders."""
    return record.label if record.file_name.count("/") > 1 else None


def record_of(
    file: Any,
    name: str,
    *,
    job_id: str,
    origin: RowOrigin,
    label: str | None = None,
    size_bytes: int | None = None,
    sha256: str | None = None,
) -> Record:
    """The row for a file called `name`. It contains no URL and no secret.

    Size and SHA-256 are those of the verified bytes; before a download, those that the service promises, or 0 and "".
    `completed` adds the columns of its submission.
    """
    # Keep the difference between a missing field and null.
    raw = None if file.annotations is None else file.annotations.model_dump(mode="json", exclude_unset=True)
    return Record(
        file_name=f"{data_folder(label)}/{name}",
        file_id=file.id,
        job_id=file.job_id or job_id,
        submission_id=file.submission_id,
        content_type=file.content_type,
        size_bytes=(file.size_bytes or 0) if size_bytes is None else size_bytes,
        sha256=(file.content_hash or "").strip().lower() if sha256 is None else sha256,
        ai_star_rating=fit(file.ai_star_rating, int),
        original_filename=None if file.original_filename is None else mask_secrets(file.original_filename),
        width=fit(file.width, int),
        height=fit(file.height, int),
        duration_seconds=fit(file.duration_seconds, float),
        captured_at=iso(file.captured_at),
        worker_region=file.worker_region,
        created_at=iso(file.created_at),
        annotations=unified(raw, kind_of(file.content_type)),
        annotations_json=None if raw is None else json.dumps(raw, ensure_ascii=False, separators=(",", ":")),
        label=label,
        **columns_of_file(file, origin),
    )


class RowOrigin(NamedTuple):
    """Where files come from: the columns `environment` and `server` of those that nobody has simulated."""

    environment: str | None
    server: str


# By job, the environment and the server that the record of its order names.
Origins = Mapping[str | None, tuple[str | None, str | None]]


def origin_of(config: Config) -> RowOrigin:
    """Where the files that a client reads come from."""
    return RowOrigin({"live": "live", "test": "sandbox"}.get(config.environment), config.origin.url)


def origin_of_file(file: Any, origin: RowOrigin) -> RowOrigin:
    """Where a file comes from."""
    return origin._replace(environment="simulated") if file.simulated is True else origin


def with_origin(row: Record, environment: str | None, server: str | None) -> Record:
    """The row with what the record of its order says of where its file comes from, as far as that is known: the row may
    have been edited."""
    environment, server = environment or row.environment, server or row.server
    if (environment, server) == (row.environment, row.server):
        return row
    return in_place_of(replace(row, environment=environment, server=server), row)


def columns_of_file(file: Any, origin: RowOrigin) -> dict[str, Any]:
    """The columns about the origin of a file that the `File` object has, or whoever has read it."""
    # Whatever a server sends there, the row can be read again.
    credentials = file.content_credentials
    state, signer, source, original = (
        credentials and fit(getattr(credentials, name), str)
        for name in ("state", "signer", "digital_source_type", "original_sha256")
    )
    return {
        "device_info": _struct(file.device_info, "device_info"),
        "consent_id": file.consent_id,
        "license": file.license,
        "c2pa_state": state,
        "c2pa_signer": signer,
        "digital_source_type": source,
        "original_sha256": original,
        "rated_by": file.rated_by,
        "flags": None if file.flags is None else fit(file.flags, [str]),
        **origin_of_file(file, origin)._asdict(),
        "task_id": file.task_id,
        "task_text": file.task_text,
    }


def columns_of_submission(submission: Any) -> dict[str, Any]:
    """The columns that only the submission of a file has."""
    reasoning = submission.ai_reasoning
    return {
        "worker_id": submission.worker_id,
        "location_verified": submission.location_verified,
        "ai_reasoning": None if reasoning is None else mask_secrets(reasoning),
        "dimensions": _struct(submission.dimensions, "dimensions"),
    }


# What costs requests of its own: one per hundred submissions.
SUBMISSION_COLUMNS = frozenset({"worker_id", "location_verified", "ai_reasoning", "dimensions"})


def _struct(value: Any, column: str) -> dict[str, Any] | None:
    return None if value is None else fit(value.model_dump(mode="json"), _STRUCTS[column])


def iso(value: datetime | None) -> str | None:
    """A time as the service writes it."""
    return None if value is None else value.isoformat().replace("+00:00", "Z")


def check_room(path: str, rows: int, size: int) -> None:
    """Check that a manifest of so many rows and bytes can be read again; nothing may be paid or written for others.
    Raises ConfigurationError: it is too large.
    """
    if rows > MOST_ROWS or size > LARGEST_MANIFEST:
        raise ConfigurationError(
            f"{path} would have {rows:,} rows and {-(-size >> 20):,} MiB, and at most {MOST_ROWS:,} rows and "
            f"{LARGEST_MANIFEST >> 20} MiB can be read again; use a different folder for some of the files"
        )


def check_length(record: Record, field: str) -> None:
    """Check that a row can be read again with all that a caller wants in it.
    Raises InvalidArgumentError: it is too long.
    """
    if len(_line(record)) > LARGEST_ROW:
        raise InvalidArgumentError(
            f"{field}: the row of {record.file_id} would be longer than {LARGEST_ROW >> 20} MiB, with all of its "
            "columns; keep what is so long in a file of its own",
            field=field,
        )


def _line(record: Record) -> bytes:
    text = json.dumps({**vars(record), **record.extra}, ensure_ascii=False, separators=(",", ":"))
    # A lone surrogate has no UTF-8 form; the row must be written even with an odd name.
    return text.encode("utf-8", "replace") + b"\n"


def manifest_line(record: Record) -> bytes:
    """A row as one line of the manifest."""
    line = _line(record)
    if len(line) > LARGEST_ROW and record.annotations_json is not None:
        # Never write a row that is too long to read: it would make the folder unreadable.
        line = manifest_line(in_place_of(replace(record, annotations=None, annotations_json=None), record))
    return line


def parse_manifest(content: bytes | Iterable[bytes], path: str = MANIFEST) -> list[Record]:
    """Parse and check the rows of a manifest, which may come from a stranger, before any file is touched. Its content
    may come in pieces, so that memory need not hold it beside the rows.

    The last line counts even without a line break if it is complete, because some editors omit it. A crash may leave
    half a line, which is ignored; its file is checked again. If a file has several rows, because two programs wrote
    where nothing can be locked, the last row counts. Errors name the manifest by `path`.
    Raises ConfigurationError: a row is invalid, or names a file outside its folder or the file of another row.
    """
    records: dict[str, Record] = {}
    first_seen: dict[str, int] = {}
    labels: dict[str, str] = {}
    for number, line in _lines([content] if isinstance(content, bytes) else content):
        where = f"{path}, line {number}"
        if len(line) > LARGEST_ROW:
            raise ConfigurationError(f"{where}: longer than {LARGEST_ROW >> 20} MiB; {_WAY_ON}")
        if len(records) == MOST_ROWS:
            raise ConfigurationError(
                f"{where}: more than {MOST_ROWS:,} rows, the most that firsthandapi writes; open only folders that you "
                "trust"
            )
        record = _parse_row(line, where)
        if (label := label_of(record)) is not None and labels.setdefault(disk_key(label), label) != label:
            raise ConfigurationError(
                f"{where}: label {label!r} is the folder of an earlier line in other letters; "
                "rename one of the two folders, and its rows"
            )
        earlier_record = records.get(record.file_id)
        if earlier_record is None or earlier_record.file_name != record.file_name:
            # An id contains no slash, so it never equals a name.
            for column, value in (("file_id", record.file_id), ("file_name", record.file_name)):
                # On many disks, names that differ only in case are the same file.
                key = value if column == "file_id" else disk_key(value)
                if (first := first_seen.setdefault(key, number)) != number:
                    raise ConfigurationError(
                        f"{where}: {column} {value} is already on line {first}; remove one of the two lines"
                    )
        records[record.file_id] = record
    return list(records.values())


def _lines(pieces: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    """The nonblank lines with their numbers, one by one."""
    number, rest = 1, b""
    for piece in pieces:
        content, start = rest + piece, 0
        while True:
            # Skip millions of blank lines in one match.
            blank = _BLANK_LINES.match(content, start)
            if blank is not None:
                number += content.count(b"\n", start, blank.end())
                start = blank.end()
            end = content.find(b"\n", start)
            if end == -1:
                break
            yield number, content[start:end]
            start, number = end + 1, number + 1
        rest = content[start:]
        if len(rest) > LARGEST_ROW:  # which is refused, so the next pieces need not be read
            break
    if len(rest) > LARGEST_ROW or _is_json(rest):
        yield number, rest


def _is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True


def _loaded(line: bytes) -> tuple[Any, bool]:
    """A line of JSON, and whether its columns have their types.

    pydantic parses it, which keeps equal short strings of many rows once, and compares a row of ours with the types
    while it does. What it refuses, such as a lone surrogate, Python's parser may take."""
    try:
        return _our_rows().validate_json(line), True
    except ValueError:
        with suppress(ValueError):
            return from_json(line, cache_strings="all"), False
        return load(line), False


@cache
def _our_rows() -> SchemaValidator:
    """Takes the rows that `_check_types` would leave as they are."""
    columns = {column: _exactly(shape) for column, shape in column_types("image").items()}
    columns["annotations"] = core_schema.dict_schema()
    members = {
        column: core_schema.typed_dict_field(
            core_schema.with_default_schema(core_schema.nullable_schema(values), default=None)
        )
        for column, values in columns.items()
    }
    members["sha256"] = core_schema.typed_dict_field(
        core_schema.str_schema(strict=True, pattern="^[0-9a-f]{64}$")
    )
    members["size_bytes"] = core_schema.typed_dict_field(
        core_schema.int_schema(strict=True, ge=0, lt=WHOLE.stop)
    )
    return SchemaValidator(core_schema.typed_dict_schema(members, extra_behavior="allow"))


def _exactly(shape: Any) -> CoreSchema:
    """The values that `fit` leaves as they are, in the notation of `SHAPES`."""
    if isinstance(shape, dict):
        members = {name: _exactly(member) for name, member in cast("dict[str, Any]", shape).items()}
        return core_schema.typed_dict_schema(
            {
                name: core_schema.typed_dict_field(core_schema.nullable_schema(schema))
                for name, schema in members.items()
            },
            extra_behavior="forbid",
        )
    if isinstance(shape, list):
        return core_schema.list_schema(_exactly(cast("Any", shape)[0]))
    bounds: Any = {"ge": WHOLE.start, "lt": WHOLE.stop}
    plain = {
        str: core_schema.str_schema(strict=True),
        bool: core_schema.bool_schema(strict=True),
        int: core_schema.int_schema(strict=True, **bounds),
        float: core_schema.float_schema(strict=True, **bounds),
    }
    return plain[shape]


def _parse_row(line: bytes, where: str) -> Record:
    loaded, has_types = _loaded(line)
    if not isinstance(loaded, dict):
        raise ConfigurationError(f"{where}: not a JSON object; {_WAY_ON}")
    row = cast("dict[str, Any]", loaded)
    name = row.get("file_name")
    safe = _SAFE_NAME.fullmatch(name) if isinstance(name, str) else None
    if safe is None or is_reserved(safe[2]) or not (safe[1] is None or is_label(safe[1])):
        raise ConfigurationError(
            f"{where}: file_name must be data/ and a plain name, or data/, a label, and a plain name, and none that a "
            f"system reserves; another program changed this folder: do not use it, unless it is yours: {_WAY_ON}"
        )
    if safe[1] is not None and row.get("label") != safe[1]:
        raise ConfigurationError(
            f"{where}: file_name is in the folder {safe[1]!r}, and label differs; {_WAY_ON}"
        )
    try:
        check_id(cast("Any", row.get("file_id")), "file_id")
    except InvalidArgumentError:
        raise ConfigurationError(f"{where}: file_id is not an id; {_WAY_ON}") from None
    if not has_types:
        _check_types(row, where)
    elif row["annotations"] is not None:
        row["annotations"] = to_json(row["annotations"])
    if not (row.get("label") is None or is_label(row["label"])):
        raise ConfigurationError(
            f"{where}: label must be the name of a class; give a column of your own a different name"
        )
    if has_types and len(row) == len(COLUMNS):
        return Record(**row)
    return _record({column: row.pop(column, None) for column in COLUMNS}, row)


def _check_types(row: dict[str, Any], where: str) -> None:
    """Check the types of the columns, and leave out what does not fit into the objects of a row.
    Raises ConfigurationError: a column has another type.
    """
    size, sha256 = row.get("size_bytes"), row.get("sha256")
    if type(size) is not int or not 0 <= size < WHOLE.stop:
        raise ConfigurationError(f"{where}: size_bytes must be a whole number; {_WAY_ON}")
    if not isinstance(sha256, str) or not _SHA256.fullmatch(sha256):
        raise ConfigurationError(f"{where}: sha256 must be 64 hex digits; {_WAY_ON}")
    for column in _TEXTS:
        if not isinstance(row.get(column), str | None):
            raise ConfigurationError(f"{where}: {column} must be text; {_WAY_ON}")
    for column in _NUMBERS:
        fitted = _FITTERS[column](row.get(column))
        if fitted is None and row.get(column) is not None:
            raise ConfigurationError(f"{where}: {column} must be a number; {_WAY_ON}")
        row[column] = fitted
    for column in ("annotations", *_STRUCTS):
        kind, word = (list, "a list") if column == "flags" else (dict, "an object")
        if not isinstance(row.get(column), kind | None):
            raise ConfigurationError(f"{where}: {column} must be {word}; {_WAY_ON}")
    # Our own objects stay unchanged; others get the keys of ours.
    row["annotations"] = unified(cast("Any", row.get("annotations")), kind_of(row.get("content_type")))
    for column in _STRUCTS:
        row[column] = None if row.get(column) is None else _FITTERS[column](row[column])
    if not isinstance(row.get("location_verified"), bool | None):
        raise ConfigurationError(f"{where}: location_verified must be true or false; {_WAY_ON}")
