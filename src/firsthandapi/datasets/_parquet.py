"""The columns of a manifest's Parquet file, independent of its rows."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

from firsthandapi._core.files.kinds import KINDS, Kind, kind_of
from firsthandapi._core.rows.manifest import Record, column_types
from firsthandapi.errors import ConfigurationError

if TYPE_CHECKING:
    from ._store import Store


def schema_of(kinds: Iterable[Kind | None]) -> Any:
    """The `pyarrow.Schema` for files of these kinds: the manifest's columns, then `path`.

    If the types came from the rows, a column that is empty in one file could not be read together with another file's.
    """
    import pyarrow  # pyright: ignore[reportMissingTypeStubs] # it ships none

    pa: Any = pyarrow
    unique_kinds = set(kinds)
    # A file of another kind has no annotations, but a struct column without keys cannot be written.
    tables = [column_types(kind) for kind in KINDS if kind in unique_kinds or not unique_kinds & set(KINDS)]
    columns = {name: shape for table in tables for name, shape in table.items()} | {"path": str}
    # Keys that two kinds share have the same type.
    columns["annotations"] = {key: shape for table in tables for key, shape in table["annotations"].items()}
    return pa.schema([(name, _arrow(pa, shape)) for name, shape in columns.items()])


# Rows that are written at a time, and that a reader of pictures reads at a time.
_ROWS_WITH_MEDIA = 100


def write_with_media(
    target: IO[bytes],
    table: Any,
    schema: Any,
    files: Sequence[tuple[Record, Path]],
    kinds: Collection[Kind | None],
    store: Store,
) -> None:
    """Write a table of pandas with the bytes of its files, as Hugging Face does, in place of their paths.
    Raises ConfigurationError: a file is missing or mismatched.
    """
    import pyarrow.parquet  # pyright: ignore[reportMissingTypeStubs,reportUnusedImport] # it ships none

    pa: Any = pyarrow
    media = [kind for kind in KINDS if kind in kinds]
    names = [name for name in schema.names if name not in (*media, "path")]
    types = [(kind, pa.struct([("bytes", pa.binary()), ("path", pa.string())])) for kind in media]
    features = {kind: {"_type": kind.capitalize()} for kind in media}
    described = {"huggingface": json.dumps({"info": {"features": features}})}
    whole = pa.schema([*types, *(schema.field(name) for name in names)], metadata=described)
    with pa.parquet.ParquetWriter(target, whole) as writer:
        for start in range(0, len(files), _ROWS_WITH_MEDIA):
            end = start + _ROWS_WITH_MEDIA
            rows = pa.Table.from_pandas(
                table[names][start:end],
                pa.schema([schema.field(name) for name in names]),
                preserve_index=False,
            )
            content = [
                (kind_of(record.content_type), _content_of(record, path, store))
                for record, path in files[start:end]
            ]
            columns = [
                pa.array([value if of == kind else None for of, value in content], shape)
                for kind, shape in types
            ]
            writer.write_table(pa.Table.from_arrays([*columns, *rows.columns], schema=whole))


def _content_of(record: Record, path: Path, store: Store) -> dict[str, Any]:
    content = store.read(path, record.size_bytes)
    if content is None or hashlib.sha256(content).hexdigest() != record.sha256:
        raise ConfigurationError(
            f"{path} is missing or mismatched; dataset.repair(client) downloads it again"
        )
    return {"bytes": content, "path": path.name}


def as_json(value: Any) -> str | None:
    """A value of a column whose values have no type in common."""
    return None if value is None else json.dumps(value, ensure_ascii=False)


def own_values(record: Record, mixed: Collection[str]) -> dict[str, Any]:
    """The user's own columns of a row, as a table has them."""
    return {name: as_json(value) if name in mixed else value for name, value in record.extra.items()}


def schema_with_own(kinds: Iterable[Kind | None], records: Sequence[Record]) -> tuple[Any, frozenset[str]]:
    """The schema with the user's own columns last, and those of them that are JSON text."""
    import pyarrow  # pyright: ignore[reportMissingTypeStubs] # it ships none

    pa: Any = pyarrow
    schema = schema_of(kinds)
    types, mixed = own_columns(records, schema.names)
    return pa.schema([*schema, *types.items()]), mixed


def own_columns(records: Sequence[Record], taken: Collection[str]) -> tuple[dict[str, Any], frozenset[str]]:
    """The Arrow types of the user's own columns, and those that are JSON text, as their values have no type in
    common."""
    import pyarrow  # pyright: ignore[reportMissingTypeStubs] # it ships none

    pa: Any = pyarrow
    rows = [record.extra for record in records]
    types: dict[str, Any] = {}
    mixed: set[str] = set()
    for name in dict.fromkeys(name for row in rows for name in row if name not in taken):
        try:
            arrow = pa.array([row.get(name) for row in rows]).type
        except (pa.ArrowException, OverflowError):
            arrow = None
        if arrow is None or not _can_be_written(pa, arrow):
            mixed.add(name)
        types[name] = pa.string() if arrow is None or name in mixed or pa.types.is_null(arrow) else arrow
    return types, frozenset(mixed)


def _can_be_written(pa: Any, kind: Any) -> bool:
    """Whether Parquet has the type: it has no struct without keys."""
    parts = [kind.field(number).type for number in range(kind.num_fields)]
    return all(_can_be_written(pa, part) for part in parts) and bool(parts or not pa.types.is_struct(kind))


def _arrow(pa: Any, shape: Any) -> Any:
    if isinstance(shape, dict):
        members = cast("dict[str, Any]", shape)
        return pa.struct([(name, _arrow(pa, member)) for name, member in members.items()])
    if isinstance(shape, list):
        return pa.list_(_arrow(pa, cast("Any", shape)[0]))
    return {str: pa.string, int: pa.int64, float: pa.float64, bool: pa.bool_}[shape]()
