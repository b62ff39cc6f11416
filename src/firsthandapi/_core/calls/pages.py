"""Pagination: the next cursor, and the end of a list."""

from __future__ import annotations

from typing import TypeVar

from firsthandapi.errors import ConfigurationError, PaginationError

F = TypeVar("F")

# Requests are scarce (100 per minute): without a `limit` a page is as large as the service allows.
LARGEST_PAGE = 100
# The pages that are read of a list without being asked for one by one, at most: a faulty list may never end.
MOST_PAGES = 1000


def check_fetch(fetch: F | None, cursor: str) -> F:
    """`fetch`, which requests the next page; a pickled page has none. Raises ConfigurationError: `fetch` is None."""
    if fetch is None:
        raise ConfigurationError(
            f"this page was pickled, so it has no client for the pages after it: list again with cursor={cursor!r}"
        )
    return fetch


def follow_cursor(seen: frozenset[str], cursor: str, *, most: int | None = None) -> frozenset[str]:
    """The cursors seen once `cursor` is followed. Only a cursor of None ends a list: an empty page does not.
    Raises PaginationError: it was seen before, or is empty and so would start from the top again, or `most` pages were
    read.
    """
    if most is not None and len(seen) + 1 >= most:
        raise PaginationError(
            f"the list did not end after {most:,} pages; what was read so far is good. Please report it to FirstHandAPI"
        )
    if not cursor or cursor in seen:
        raise PaginationError(
            "the service gave a cursor it had given before, so this list would never end; "
            "what was read so far is good. Please report it to FirstHandAPI"
        )
    return seen | {cursor}
