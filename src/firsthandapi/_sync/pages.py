"""Lists, a page at a time or as one. The async twin is written by hand too: it has to be awaitable."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar

from firsthandapi._base.counts import count_of
from firsthandapi._base.display import Displayed
from firsthandapi._base.habits import LedPage
from firsthandapi._core.calls.decode import DecodedPage
from firsthandapi._core.calls.pages import check_fetch, follow_cursor
from firsthandapi._core.calls.response import ApiResponse

T = TypeVar("T")

Fetch = Callable[[str | None], tuple[DecodedPage[T], ApiResponse]]


class Page(Displayed, LedPage, Generic[T]):
    """One page of a list; iterating walks the items of this page and of every later page.

    Attributes:
        data: the items of this page, newest first.
        has_more: whether more pages follow, as the service reported.
        next_cursor: what to pass as `cursor=` for the next page; None on the last.
        response: the response that contained the page.
    """

    def __init__(self, fetch: Fetch[T], cursor: str | None, seen: frozenset[str] | None = None) -> None:
        self._fetch: Fetch[T] | None = fetch
        if seen is None:
            # The cursor of the first page was followed to get there.
            seen = frozenset() if cursor is None else frozenset({cursor})
        self._seen: frozenset[str] = seen
        self.response: ApiResponse
        page, self.response = fetch(cursor)
        self.data: list[T] = page.data
        self.has_more: bool = page.has_more
        self.next_cursor: str | None = page.next_cursor

    def next_page(self) -> Page[T] | None:
        """Get the page after this one; None if this is the last.

        Raises:
            PaginationError: the service repeated a cursor.
            ConfigurationError: this page was pickled, so it has no client.
            FirstHandError: what every call raises.
        """
        if self.next_cursor is None:
            return None
        fetch = check_fetch(self._fetch, self.next_cursor)
        seen = follow_cursor(self._seen, self.next_cursor)
        return Page(fetch, self.next_cursor, seen)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_fetch": None}  # it is the client's, which does not pickle

    def pages(self) -> Iterator[Page[T]]:
        """Iterate over this page and every later page."""
        page: Page[T] | None = self
        while page is not None:
            yield page
            page = page.next_page()

    def __iter__(self) -> Iterator[T]:
        for page in self.pages():
            yield from page.data

    def __repr__(self) -> str:
        return f"<Page [{count_of(len(self.data), 'item')}, has_more={self.has_more}]>"
