"""JSON that others have written: what cannot be read is nothing, and raises nothing."""

from __future__ import annotations

import json
from typing import Any, cast


def load(content: bytes | str) -> Any:
    """The value; None for what is no JSON, or is nested too deeply."""
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None


def strings(value: Any) -> list[str] | None:
    """The items of a list of strings; None of any other value."""
    items: list[Any] = value if isinstance(value, list) else [None]  # pyright: ignore[reportUnknownVariableType] # it is JSON
    return items if all(isinstance(item, str) for item in items) else None


def members(value: Any) -> dict[str, Any]:
    """The members of a JSON object; none of any other value."""
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}
