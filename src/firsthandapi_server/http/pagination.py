"""Cursor pagination over lists that only grow: a cursor is a position, so new items do not shift pages."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from firsthandapi_server.contract.errors import invalid
from firsthandapi_server.state.keeping import Condition, Growing
from firsthandapi_server.state.state import State

T = TypeVar("T")
Json = dict[str, Any]

# A cursor to the start of any list, which a fault returns when a page has no next one.
TOP = "dG9w"
_END = 1 << 62  # a position after all others


@dataclass(frozen=True, slots=True)
class Search(Generic[T]):
    """An answer that is first looked for, in a state of any size, and then shown, by whoever holds its lock."""

    look: Callable[[], T]
    show: Callable[[T], Json]


def _mark(name: str, position: str) -> str:
    return hashlib.sha256(f"{name}\n{position}".encode()).hexdigest()[:12]


def _encode(name: str, position: int) -> str:
    text = f"{position}.{_mark(name, str(position))}"
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _decode(name: str, cursor: str) -> int:
    if cursor == TOP:
        return _END
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        position, _, mark = raw.decode("ascii").partition(".")
        if mark == _mark(name, position) and position.isdecimal():
            return min(int(position), _END)
    except (ValueError, binascii.Error):
        pass
    raise invalid("cursor", "is not a cursor of this list")


def page(
    state: State,
    name: str,
    items: Growing[T],
    limit: int,
    cursor: str | None,
    show: Callable[[T], Json],
    conditions: Sequence[Condition],
) -> Search[list[int]]:
    """One page of the `items` that meet all conditions, newest first. `name` ties a cursor to its list."""
    end = _END if cursor is None else _decode(name, cursor)

    def shown(indexes: list[int]) -> Json:
        data = [show(item) for item in state.pick(items, indexes[:limit])]
        next_cursor = _encode(name, indexes[limit] + 1) if len(indexes) > limit else None
        return {
            "object": "list",
            "data": data,
            "has_more": next_cursor is not None,
            "next_cursor": next_cursor,
        }

    return Search(lambda: state.find(items, conditions, end, limit + 1), shown)
