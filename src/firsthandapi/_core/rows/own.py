"""Columns of the user's own: their names and values, checked."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any

from firsthandapi._core.files.kinds import KINDS
from firsthandapi.errors import InvalidArgumentError

from .manifest import COLUMNS

MOST_CHARACTERS = 64
# Of a value, as JSON.
LARGEST_VALUE = 1024 * 1024
# What tables have beside the columns of the manifest.
_TAKEN = frozenset({*COLUMNS, *KINDS, "text", "path"})


def check_own(name: object, values: object, file_ids: Collection[str]) -> dict[str, Any]:
    """Check a column of the user's own: its name, and its values by file id.
    Raises InvalidArgumentError: the name is none or ours, an id is of no row, or a value is no JSON or too long.
    """
    if not isinstance(name, str) or not name.strip() or not name.isprintable() or len(name) > MOST_CHARACTERS:
        raise InvalidArgumentError(
            f"name must be a str of 1 to {MOST_CHARACTERS} printable characters", field="name"
        )
    if name in _TAKEN:
        raise InvalidArgumentError(
            f"name: {name} is a column of this package; use a different one", field="name"
        )
    if not isinstance(values, Mapping):
        kind = type(values).__name__
        raise InvalidArgumentError(
            f"values must map file ids to values, and is of type {kind}", field="values"
        )
    column: Mapping[Any, Any] = values  # pyright: ignore[reportUnknownVariableType] # it may have keys of any type
    unknown = [key for key in column if not isinstance(key, str) or key not in file_ids]
    if unknown:
        raise InvalidArgumentError(
            f"values: {len(unknown):,} of {len(column):,} ids are of no file of the dataset, such as {unknown[0]!r}",
            field="values",
        )
    for file_id, value in column.items():
        _check_value(value, file_id)
    return dict(column)


def _check_value(value: object, file_id: str) -> None:
    try:
        text = json.dumps(value, allow_nan=False)
        same = json.loads(text) == value
    except (TypeError, ValueError, RecursionError):
        text, same = "", False
    if not same:
        raise InvalidArgumentError(
            f"values: that of {file_id} must be a JSON value: None, a bool, an int, a finite float, a str, a list, or "
            "a dict with str keys",
            field="values",
        )
    if len(text) > LARGEST_VALUE:
        raise InvalidArgumentError(
            f"values: that of {file_id} has more than {LARGEST_VALUE:,} characters as JSON", field="values"
        )
