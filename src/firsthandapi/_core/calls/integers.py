"""Integers, which include those of numpy and pandas, but no bool."""

from __future__ import annotations

from operator import index
from typing import Any


def as_int(value: Any) -> Any:
    """`value` as a plain int if it has `__index__` and is no bool; anything else unchanged."""
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        return value
    try:
        return index(value)
    except TypeError:  # such as an array of several, or numpy's bool
        return value


def int_or_none(value: Any) -> int | None:
    """`value` as a plain int; None if it is not one."""
    number = as_int(value)
    return number if isinstance(number, int) and not isinstance(number, bool) else None
