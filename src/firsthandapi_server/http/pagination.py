"""Cursor pagination over lists that only grow: a cursor is a position, so new items do not shift pages."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Callable
from typing import Any, TypeVar

from firsthandapi_server.contract.errors import invalid
from firsthandapi_server.state.keeping import Growing

T = TypeVar("T")

# A cursor to the start of any list, which a fault returns when a page has no next one.
TOP = "dG9w"


def _mark(name: str, position: str) -> str:
    return hashlib.sha256(f"{name}\n{position}".encode()).hexdigest()[:12]


def _encode(name: str, position: int) -> str:
    text = f"{position}.{_mark(name, str(position))}"
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _decode(name: str, cursor: str, length: int) -> int:
    if cursor == TOP:
        return length
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        position, _, mark = raw.decode("ascii").partition(".")
        if mark == _mark(name, position) and position.isdecimal():
            return min(int(position), length)
    except (ValueError, binascii.Error):
        pass
    raise invalid("cursor", "is not a cursor of this list")


def page(
    name: str,
    items: Growing[T],
    limit: int,
    cursor: str | None,
    show: Callable[[T], dict[str, Any]],
    keep: Callable[[T], bool],
) -> dict[str, Any]:
    """One page of the `items` that `keep` accepts, newest first. `name` ties a cursor to its list."""
    position = len(items) if cursor is None else _decode(name, cursor, len(items))
    data: list[dict[str, Any]] = []
    while position and len(data) < limit:
        position -= 1
        if keep(items[position]):
            data.append(show(items[position]))
    while position and not keep(items[position - 1]):
        position -= 1
    next_cursor = _encode(name, position) if position else None
    return {"object": "list", "data": data, "has_more": bool(position), "next_cursor": next_cursor}
