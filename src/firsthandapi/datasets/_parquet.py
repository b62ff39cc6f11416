"""The columns of a manifest's Parquet file, independent of its rows."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

from firsthandapi._core.files.kinds import KINDS, Kind
from firsthandapi._core.rows.manifest import column_types


def schema_of(kinds: Iterable[Kind | None]) -> Any:
    """The `pyarrow.Schema` for files of these kinds: the manifest's columns, then `path`.

    If the types came from the rows, a column that is empty in one file could not be read together with another file's.
    """
    import pyarrow  # pyright: ignore[reportMissingTypeStubs] # it ships none

    pa: Any = pyarrow
    here = set(kinds)
    # A file of another kind has no annotations, but a struct column without keys cannot be written.
    tables = [column_types(kind) for kind in KINDS if kind in here or not here & set(KINDS)]
    columns = {name: shape for table in tables for name, shape in table.items()} | {"path": str}
    # Keys that two kinds share have the same type.
    columns["annotations"] = {key: shape for table in tables for key, shape in table["annotations"].items()}
    return pa.schema([(name, _arrow(pa, shape)) for name, shape in columns.items()])


def _arrow(pa: Any, shape: Any) -> Any:
    if isinstance(shape, dict):
        members = cast("dict[str, Any]", shape)
        return pa.struct([(name, _arrow(pa, member)) for name, member in members.items()])
    if isinstance(shape, list):
        return pa.list_(_arrow(pa, cast("Any", shape)[0]))
    return {str: pa.string, int: pa.int64, float: pa.float64, bool: pa.bool_}[shape]()
