"""The questions of `collect` as requests, and what responses show."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

import pytest

from firsthandapi._base.masking import Secret
from firsthandapi._core.calls.response import ApiResponse
from firsthandapi._core.orders.order_requests import MOST_PAGES, read_jobs, request_for
from firsthandapi._core.orders.ordering import LookFor, Post, Question, Read, Shown, TryReading
from firsthandapi._core.orders.record import KEY_METADATA, OrderRecord, marked
from firsthandapi.errors import PaginationError, UnexpectedResponseError
from firsthandapi.types.options import RequestOptions

OPTIONS: RequestOptions = {"extra_headers": {"X-Team": "signs"}, "extra_query": {"status": "open"}}
MINE = {"id": "job_1", "status": "open", "metadata": {KEY_METADATA: "mine"}}
OTHERS = {"id": "job_2", "status": "open", "metadata": {KEY_METADATA: "others"}}
PLAIN = {"id": "job_3", "status": "open"}
NOVEMBER = datetime(2026, 11, 1, tzinfo=UTC).timestamp()


def read(question: Question, value: Any) -> Shown:
    page, job = read_jobs(question, Secret(json.dumps(value).encode()), ApiResponse(200))
    assert (job is None) == (not page.jobs)
    return page


def page(*items: Any, cursor: str | None = None) -> dict[str, Any]:
    return {"data": items, "has_more": cursor is not None, "next_cursor": cursor}


@pytest.mark.parametrize(
    ("question", "query"),
    [
        (TryReading(), {"limit": "1"}),
        (LookFor("k"), {"limit": "100"}),
        (LookFor(None, "c"), {"limit": "100", "cursor": "c"}),
        (LookFor("k", since=NOVEMBER), {"limit": "100", "created_after": "2026-11-01T00:00:00Z"}),
        (
            LookFor("k", "c", since=NOVEMBER + 0.5),
            {"limit": "100", "created_after": "2026-11-01T00:00:00Z", "cursor": "c"},
        ),
    ],
)
def test_the_callers_query_hides_no_job(question: Question, query: dict[str, str]) -> None:
    """A search takes the caller's headers, and no filter of an order's."""
    request = request_for(question, time_limit=3.0, **OPTIONS)
    assert (request.method, request.path, dict(parse_qsl(request.query))) == ("GET", "/v1/jobs", query)
    assert ("X-Team", "signs") in request.headers
    assert request.time_limit == 3.0


def test_one_job_is_read_with_the_callers_options() -> None:
    """Its path is the job's."""
    request = request_for(Read("job_1"), time_limit=None, **OPTIONS)
    assert (request.method, request.path) == ("GET", "/v1/jobs/job_1")
    assert dict(parse_qsl(request.query)) == {"status": "open"}


@pytest.mark.parametrize("metadata", [None, {"team": "signs"}])
def test_the_post_carries_its_key_twice(metadata: dict[str, str] | None) -> None:
    """As a header, and in the metadata, where it is found again; the caller's own metadata stay."""
    order = OrderRecord("order", "k", marked({"files_needed": 1, "metadata": metadata}, "k"), 0.0)
    request = request_for(Post(order, 5.0), time_limit=None, **OPTIONS)
    assert (request.method, request.path, request.idempotency_key) == ("POST", "/v1/jobs", "k")
    assert request.key_sent_at == 5.0
    sent = json.loads(request.body or b"")
    assert sent == order.request
    assert sent["metadata"].items() >= {**(metadata or {}), KEY_METADATA: "k"}.items()


def test_only_jobs_of_the_key_are_shown() -> None:
    """Without a key, all that `collect` has bought."""
    assert read(LookFor("mine"), page(PLAIN, OTHERS, MINE)).jobs == (MINE,)
    assert read(LookFor(None), page(PLAIN, OTHERS, MINE)).jobs == (OTHERS, MINE)
    twin = {**MINE, "id": "job_twin", "created_at": "2027-01-01T00:00:00Z"}
    older = {**MINE, "created_at": "2026-12-31T00:00:00Z"}
    twins = read(LookFor("mine"), page(twin, PLAIN, older))
    assert (twins.jobs, twins.twins) == ((older,), (twin,))
    assert read(LookFor("mine"), page(PLAIN, OTHERS)) == Shown(unmarked=(PLAIN, OTHERS))
    made = {**OTHERS, "metadata": {KEY_METADATA: f"fh-{0:064x}"}}
    assert read(LookFor("mine"), page(made, PLAIN)) == Shown(unmarked=(PLAIN,))
    assert read(LookFor("mine"), page(PLAIN)) == Shown(unmarked=(PLAIN,))
    assert read(LookFor("mine"), page()) == Shown()
    assert (
        read(Read("job_1"), MINE) == read(Post(OrderRecord("order", "mine", {}, 0.0)), MINE) == Shown((MINE,))
    )
    assert read(TryReading(), "whatever it brings") == Shown()


def test_a_search_reads_on_until_it_has_found() -> None:
    """One key buys one job; without a key every page is read, and none twice."""
    second = LookFor("mine", "2", frozenset({"2"}))
    assert read(LookFor("mine"), page(OTHERS, cursor="2")) == Shown((), second, (OTHERS,))
    assert read(LookFor("mine"), page(MINE, cursor="2")) == Shown((MINE,))
    assert read(second, page(cursor="3")).unread == LookFor("mine", "3", frozenset({"2", "3"}))
    assert read(LookFor(None), page(MINE, cursor="2")).unread == LookFor(None, "2", frozenset({"2"}))
    with pytest.raises(PaginationError):
        read(second, page(cursor="2"))


def test_a_search_ends_after_a_thousand_pages() -> None:
    """A faulty list never ends; a long one is searched in part."""
    late = LookFor("mine", "1", frozenset(map(str, range(MOST_PAGES - 1))))
    assert read(late, page(MINE, cursor="x")).jobs == (MINE,)
    assert read(late, page(OTHERS)).unread is None
    for question in (late, replace(late, key=None)):
        with pytest.raises(PaginationError, match=r"ended after 1,000 pages .* pass key_since="):
            read(question, page(OTHERS, cursor="x"))


@pytest.mark.parametrize(
    ("created", "ends"),
    [
        (["2026-10-31T23:59:59Z", "2026-10-01T00:00:00Z"], True),
        (["2026-10-31T23:59:59Z", "2026-11-01T00:00:00Z"], False),
        (["2026-10-31T23:59:59Z", None], False),
        (["2026-10-31T23:59:59Z", "yesterday"], False),
        ([], False),
    ],
)
def test_a_search_ends_where_every_job_is_older(created: list[str | None], ends: bool) -> None:
    """On a service that ignores `created_after`. A page that does not say so of every job does not end it."""
    jobs = [{**OTHERS, **({} if moment is None else {"created_at": moment})} for moment in created]
    assert (read(LookFor("mine", since=NOVEMBER), page(*jobs, cursor="2")).unread is None) == ends
    assert read(LookFor("mine"), page(*jobs, cursor="2")).unread is not None


def test_a_job_that_nobody_can_read_ends_no_search() -> None:
    """Nobody knows how old it is."""
    old = {**OTHERS, "created_at": "2026-10-01T00:00:00Z"}
    bad = {"id": 5, "created_at": "2026-10-01T00:00:00Z"}
    assert read(LookFor("mine", since=NOVEMBER), page(old, bad, cursor="2")).unread is not None


def test_a_wanted_job_that_nobody_can_use_is_an_error() -> None:
    """It was bought; another job's misfit costs nothing."""
    bad = {"id": 5, "metadata": {KEY_METADATA: "mine"}}
    assert read(LookFor("others"), page(bad, OTHERS)).jobs == (OTHERS,)
    assert read(LookFor("nobody's"), page(bad, OTHERS)).jobs == ()
    with pytest.raises(UnexpectedResponseError):
        read(LookFor("mine"), page(bad, OTHERS))
