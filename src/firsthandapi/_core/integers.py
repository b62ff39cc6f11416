"""What counts as an int: numpy's and pandas's integers do, a bool does not."""

from __future__ import annotations

from operator import index
from typing import Any


def as_int(value: Any) -> Any:
    """`value` as a plain int if it is one by its `__index__` and no bool; anything else unchanged."""
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        return value
    try:
        return index(value)
    except TypeError:  # such as an array of several, or numpy's bool
        return value
