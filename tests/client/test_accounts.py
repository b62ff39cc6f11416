"""The pages of an account's jobs and transactions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from firsthandapi._core.orders.record import OrderRecord, marked
from firsthandapi.errors import DeadlineExceededError, PaginationError, PermissionDeniedError

from .support import JOB, Connect


@pytest.fixture
def book(tmp_path: Path) -> Path:
    """A book with one order."""
    record = OrderRecord(key="k1", request=marked(JOB, "k1"), first_sent_at=1_800_000_000.0)
    (tmp_path / "k1.json").write_bytes(record.encode())
    return tmp_path


Answer = Callable[[httpx.Request], dict[str, Any]]


def service(answer: Answer) -> Callable[[httpx.Request], httpx.Response]:
    def respond(request: httpx.Request) -> httpx.Response:
        return httpx.Response(
            200, json={"object": "list", "has_more": False, "next_cursor": None, **answer(request)}
        )

    return respond


def test_the_account_is_read_since_a_day_before_the_first_order(connect: Connect, book: Path) -> None:
    """A page of older transactions is the last one; one without a time may not be."""
    old = [{"id": "crtx_1", "created_at": "2020-01-01T00:00:00Z"}]
    pages = {None: ([{"id": "crtx_2"}], "a"), "a": ([], "b"), "b": (old, "c")}
    asked: list[str] = []

    def answer(request: httpx.Request) -> dict[str, Any]:
        asked.append(str(request.url).partition("/v1/")[2])
        if request.url.path == "/v1/jobs":
            return {"data": []}
        data, cursor = pages[request.url.params.get("cursor")]
        return {"data": data, "next_cursor": cursor, "has_more": True}

    assert connect(handler=service(answer)).orders.check(book)
    assert asked == [
        "jobs?limit=100&created_after=2027-01-14T08%3A00%3A00Z",
        *(f"billing/transactions?limit=100{cursor}" for cursor in ("", "&cursor=a", "&cursor=b")),
    ]


def test_a_list_that_never_ends(connect: Connect, book: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After as many pages as are read at most, the error says what to do."""
    for half in ("_sync", "_async"):
        monkeypatch.setattr(f"firsthandapi.{half}.accounts.MOST_PAGES", 3)
    pages = iter(range(10))
    client = connect(handler=service(lambda _: {"data": [], "next_cursor": f"c{next(pages)}"}))
    with pytest.raises(
        PaginationError, match="after 3 pages of the list of jobs: check books with newer orders"
    ):
        client.orders.check(book)
    assert next(pages) == 3


@pytest.mark.parametrize(("seconds", "status", "pages"), [(4.0, 200, "3 pages"), (20.0, 503, "0 pages")])
def test_a_check_ends_with_the_deadline(
    connect: Connect, book: Path, seconds: float, status: int, pages: str
) -> None:
    """All pages of a list share it."""
    cursors = iter(range(10))

    def slow(_: httpx.Request) -> httpx.Response:
        clock.pass_(seconds)
        return httpx.Response(status, json={"data": [], "next_cursor": f"c{next(cursors)}"})

    client = connect(handler=slow, deadline=10.0)
    clock = connect.clock(client)
    with pytest.raises(
        DeadlineExceededError, match=f"it read {pages} of the list of jobs; increase deadline="
    ):
        client.orders.check(book)


@pytest.mark.parametrize(
    ("path", "scope"), [("/v1/jobs", "jobs:read"), ("/v1/billing/transactions", "usage:read")]
)
def test_a_missing_scope_is_named(connect: Connect, book: Path, path: str, scope: str) -> None:
    """A gateway's 403 is not taken for one."""
    body: Any = {"error": {"type": "forbidden", "message": "no"}}

    def respond(request: httpx.Request) -> httpx.Response:
        return (
            httpx.Response(403, json=body)
            if request.url.path == path
            else httpx.Response(200, json={"data": []})
        )

    client = connect(handler=respond)
    with pytest.raises(PermissionDeniedError, match=f"the API key needs the scope {scope}"):
        client.orders.check(book)
    body = "<html>"
    with pytest.raises(PermissionDeniedError) as refused:
        client.orders.check(book)
    assert "needs the scope" not in str(refused.value)
