"""Lists, page by page or item by item. The sync twin is also written by hand: it has nothing to await."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator
from typing import Any, Generic, TypeVar

from firsthandapi._base.counts import count_of
from firsthandapi._base.display import Displayed
from firsthandapi._base.habits import LedPage
from firsthandapi._core.calls.decode import DecodedPage
from firsthandapi._core.calls.pages import check_fetch, follow_cursor
from firsthandapi._core.calls.response import ApiResponse

T = TypeVar("T")

Fetch = Callable[[str | None], Awaitable[tuple[DecodedPage[T], ApiResponse]]]


class AsyncPage(Displayed, LedPage, Generic[T]):
    """One page of a list; `async for` walks the items of this page and of every later page.

    Attributes:
        data: the items of this page, newest first.
        has_more: whether more pages follow, as the service reported.
        next_cursor: what to pass as `cursor=` for the next page; None on the last.
        response: the response that contained the page.
    """

    def __init__(
        self,
        fetch: Fetch[T],
        page: DecodedPage[T],
        response: ApiResponse,
        seen: frozenset[str],
    ) -> None:
        self._fetch: Fetch[T] | None = fetch
        self._seen = seen
        self.response: ApiResponse = response
        self.data: list[T] = page.data
        self.has_more: bool = page.has_more
        self.next_cursor: str | None = page.next_cursor

    async def next_page(self) -> AsyncPage[T] | None:
        """Get the page after this one; None if this is the last.

        Raises:
            PaginationError: the service repeated a cursor.
            ConfigurationError: this page was pickled, so it has no client.
            FirstHandError: any other failure; its subclass names it.
        """
        if self.next_cursor is None:
            return None
        fetch = check_fetch(self._fetch, self.next_cursor)
        seen = follow_cursor(self._seen, self.next_cursor)
        return AsyncPage(fetch, *await fetch(self.next_cursor), seen)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_fetch": None}  # it is the client's, which does not pickle

    def pages(self) -> AsyncIterator[AsyncPage[T]]:
        """Iterate over this page and every later page."""

        async def this() -> AsyncPage[T]:
            return self

        return _Pages(this)

    def __aiter__(self) -> AsyncIterator[T]:
        return _Items(self.pages())

    def __repr__(self) -> str:
        return f"<AsyncPage [{count_of(len(self.data), 'item')}, has_more={self.has_more}]>"


class AsyncPageRequest(LedPage, Generic[T]):
    """A list before its first request: `await` it for the first page, or walk all items with `async for`."""

    def __init__(self, fetch: Fetch[T], cursor: str | None) -> None:
        self._fetch = fetch
        self._cursor = cursor

    def __await__(self) -> Generator[Any, None, AsyncPage[T]]:
        return self._first().__await__()

    async def _first(self) -> AsyncPage[T]:
        # The cursor of the first page was followed to get there.
        seen: frozenset[str] = frozenset() if self._cursor is None else frozenset({self._cursor})
        return AsyncPage(self._fetch, *await self._fetch(self._cursor), seen)

    def pages(self) -> AsyncIterator[AsyncPage[T]]:
        """Iterate over every page."""
        return _Pages(self._first)

    def __aiter__(self) -> AsyncIterator[T]:
        return _Items(self.pages())

    def __repr__(self) -> str:
        return "<AsyncPageRequest: await it, or walk it with async for>"


# Classes rather than async generators, which a loop has to close after a walk that ends early, and of which trio warns.


class _Pages(Generic[T]):
    def __init__(self, first: Callable[[], Awaitable[AsyncPage[T]]]) -> None:
        self._next: Callable[[], Awaitable[AsyncPage[T] | None]] = first

    def __aiter__(self) -> AsyncIterator[AsyncPage[T]]:
        return self

    async def __anext__(self) -> AsyncPage[T]:
        page = await self._next()
        if page is None:
            raise StopAsyncIteration
        self._next = page.next_page
        return page


class _Items(Generic[T]):
    def __init__(self, pages: AsyncIterator[AsyncPage[T]]) -> None:
        self._pages = pages
        self._items: Iterator[T] = iter(())

    def __aiter__(self) -> AsyncIterator[T]:
        return self

    async def __anext__(self) -> T:
        while True:
            for item in self._items:
                return item
            self._items = iter((await anext(self._pages)).data)
