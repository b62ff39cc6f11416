"""Lists, over a real server and a scripted one."""

from __future__ import annotations

import asyncio
import pickle
from typing import Any

import httpx
import pytest

from firsthandapi import AsyncFirstHandClient, AsyncPage, FirstHandClient, Page
from firsthandapi.errors import ConfigurationError, PaginationError
from firsthandapi.testing import MockServer

from .support import KEY, Connect


def pages(**by_cursor: tuple[list[str], str | None]) -> tuple[Any, list[dict[str, str]]]:
    """A service whose pages are given by cursor, and the queries it got."""
    queries: list[dict[str, str]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        query = dict(request.url.params)
        queries.append(query)
        ids, next_cursor = by_cursor[query.get("cursor", "top")]
        data = [{"id": id, "status": "open"} for id in ids]
        return httpx.Response(
            200,
            json={
                "object": "list",
                "data": data,
                "has_more": next_cursor is not None,
                "next_cursor": next_cursor,
            },
        )

    return answer, queries


def test_walking_every_page(connect: Connect) -> None:
    """Iterating walks every page; an empty page is not the end, only a cursor of None is."""
    answer, queries = pages(top=(["a", "b"], "1"), **{"1": ([], "2"), "2": (["c"], "3"), "3": ([], None)})
    client = connect(handler=answer)
    assert [job.id for job in client.jobs.list()] == ["a", "b", "c"]
    assert [query.get("cursor") for query in queries] == [None, "1", "2", "3"]


def test_the_same_filters_go_with_every_cursor(connect: Connect) -> None:
    """Filters, extras and the limit of 100 go with every page."""
    answer, queries = pages(top=(["a"], "1"), **{"1": (["b"], None)})
    client = connect(handler=answer)
    list(client.jobs.list(status="open", created_after="2026-01-01", extra_query={"new": "x"}))
    same = {"status": "open", "created_after": "2026-01-01", "new": "x", "limit": "100"}
    assert queries == [same, {**same, "cursor": "1"}]


def test_a_limit_of_the_caller_s(connect: Connect) -> None:
    """A limit is the size of a page, not of the list."""
    answer, queries = pages(top=(["a"], "1"), **{"1": (["b"], None)})
    client = connect(handler=answer)
    assert len(list(client.jobs.list(limit=1))) == 2
    assert [query["limit"] for query in queries] == ["1", "1"]


def test_a_repeated_cursor(connect: Connect) -> None:
    """A cursor that comes again is an error, after all that was new has been given."""
    answer, queries = pages(top=(["a"], "1"), **{"1": (["b"], "2"), "2": (["c"], "1")})
    client = connect(handler=answer)
    third = client.jobs.list().next_page().next_page()
    assert [job.id for job in third.data] == ["c"]
    with pytest.raises(PaginationError, match="what was read so far is good"):
        third.next_page()
    assert len(queries) == 3
    with pytest.raises(PaginationError):
        list(client.jobs.list())


def test_a_cursor_that_leads_to_itself(connect: Connect) -> None:
    """The cursor a list was started with counts as seen."""
    answer, queries = pages(**{"1": (["b"], "1")})
    client = connect(handler=answer)
    page = client.jobs.list(cursor="1")
    with pytest.raises(PaginationError):
        page.next_page()
    assert len(queries) == 1


def test_a_page_can_be_left_twice(connect: Connect) -> None:
    """`next_page` of one page works as often as it is called, and two walks do not disturb each other."""
    answer, _ = pages(top=(["a"], "1"), **{"1": (["b"], "2"), "2": (["c"], None)})
    page = connect(handler=answer).jobs.list()
    assert [job.id for job in page.next_page().data] == ["b"]
    assert [job.id for job in page.next_page().data] == ["b"]
    assert [job.id for job in page] == ["a", "b", "c"]
    assert [job.id for job in page] == ["a", "b", "c"]
    assert [len(part.data) for part in page.pages()] == [1, 1, 1]
    last = page.next_page().next_page()
    assert last.next_page() is None
    assert (last.has_more, last.next_cursor) == (False, None)
    assert (page.has_more, page.next_cursor) == (True, "1")
    assert isinstance(page if isinstance(page, Page) else page.target, (Page, AsyncPage))


def test_has_more_without_a_cursor(connect: Connect) -> None:
    """Only the cursor says whether there is another page."""

    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(
            200, json={"data": [{"id": "a", "status": "open"}], "has_more": True, "next_cursor": None}
        )

    assert len(list(connect(handler=answer).jobs.list())) == 1


def test_a_real_list(connect: Connect, fresh_server: MockServer) -> None:
    """A list over several pages of a real server has everything once, newest first."""
    client = connect(fresh_server)
    ids = []
    for _ in range(5):
        ids.append(client.webhooks.create(url="https://a.example").id)
        fresh_server.clock.advance(seconds=1)
    assert [endpoint.id for endpoint in client.webhooks.list(limit=2)] == ids[::-1]
    first = client.webhooks.list(limit=2)
    second = client.webhooks.list(limit=2, cursor=first.next_cursor)
    assert [endpoint.id for endpoint in second] == ids[2::-1]


def test_two_ways_to_read_an_async_list() -> None:
    """Awaited a list is its first page; with `async for` it is every item; `.pages()` gives the pages."""
    answer, queries = pages(top=(["a"], "1"), **{"1": (["b"], None)})

    async def main() -> None:
        async with (
            httpx.AsyncClient(transport=httpx.MockTransport(answer)) as http_client,
            AsyncFirstHandClient(KEY, http_client=http_client) as client,
        ):
            listing = client.jobs.list()
            assert queries == []
            page = await listing
            assert isinstance(page, AsyncPage)
            assert [job.id for job in page.data] == ["a"]
            assert len(queries) == 1
            assert [job.id async for job in listing] == ["a", "b"]
            assert [job.id async for job in client.jobs.list()] == ["a", "b"]
            assert [len(page.data) async for page in client.jobs.list().pages()] == [1, 1]
            assert [job.id async for job in page] == ["a", "b"]
            following = await page.next_page()
            assert following is not None
            assert await following.next_page() is None

    asyncio.run(main())


def test_a_walk_may_stop_early() -> None:
    """Who stops early has asked for no page that was not needed."""
    answer, queries = pages(top=(["a", "b"], "1"), **{"1": (["c"], None)})
    with (
        httpx.Client(transport=httpx.MockTransport(answer)) as http_client,
        FirstHandClient(KEY, http_client=http_client) as client,
    ):
        jobs = iter(client.jobs.list())
        assert next(jobs).id == "a"
        assert next(jobs).id == "b"
        assert len(queries) == 1


def test_a_page_pickles(connect: Connect) -> None:
    """A page goes to a worker process with its items and its response; for the next it says how to get it."""
    answer, _ = pages(top=(["job_1", "job_2"], "two"), two=(["job_3"], None))
    page = connect(handler=answer).jobs.list()
    page = page.target if connect.is_async else page
    copy = pickle.loads(pickle.dumps(page))
    assert (copy.data, copy.has_more, copy.next_cursor) == (page.data, True, "two")
    assert copy.response.status_code == copy.data[0].response.status_code == 200
    with pytest.raises(ConfigurationError, match="list again with cursor='two'"):
        connect.run(copy.next_page())
    answer, _ = pages(top=(["job_1"], None))
    last = connect(handler=answer).jobs.list()
    assert (
        connect.run(pickle.loads(pickle.dumps(last.target if connect.is_async else last)).next_page()) is None
    )
