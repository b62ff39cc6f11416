"""Lists: pages, bounds, cursors, and filters."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from functools import partial
from typing import Any

import pytest
from pydantic import ValidationError

from firsthandapi_server.contract.operations import BY_NAME

from .checks import listed, only, refused
from .exchange import Response
from .server import NEW_JOB, Json, Server
from .shapes import AUDIT, ENDPOINT, EVENT, FILE, JOB, KEY, OBJECT, SUBMISSION, TRANSACTION, Kind

_DEFAULT, _MOST = 20, 100
# How many items are walked through, one a page.
_WALKED = 4
_WORD = "soon"
# Submissions may be older than their list goes back by default.
_ALWAYS = {"start_date": "2000-01-01T00:00:00Z"}
_EARLY, _LATE = "2001-01-01T00:00:00Z", "9000-01-01T00:00:00Z"


@dataclass(frozen=True)
class Listing:
    """A list of the contract.

    Attributes:
        operation: its name in the contract.
        shape: the shape of an item.
        fixtures: what fills it with two items, unless the run only reads; the first one is the `:id` of its path.
        filters: by parameter, the values to try; an item of this run fits the first one. `:fixture` is its id.
    """

    operation: str
    shape: Kind
    fixtures: tuple[str, ...]
    filters: dict[str, tuple[Any, ...]] = field(default_factory=dict[str, "tuple[Any, ...]"])

    @property
    def path(self) -> str:
        return BY_NAME[self.operation].path.replace("{id}", ":id")

    @property
    def bad(self) -> list[str]:
        """The filters for which not every word will do."""
        return [name for name in BY_NAME[self.operation].query.model_fields if not self._takes(name)]

    def _takes(self, name: str) -> bool:
        try:
            BY_NAME[self.operation].query.model_validate({name: _WORD})
        except ValidationError:
            return name in ("limit", "cursor")
        return True


LISTS = (
    Listing(
        "list_jobs", JOB, ("mixed_jobs",),
        {
            "status": ("cancelled",),
            "type": ("data_collection", "feedback"),
            "created_after": (_EARLY, _LATE),
        },
    ),
    Listing("list_files", FILE, ("completed_job",), {"min_score": (1, 5)}),
    Listing("list_job_submissions", SUBMISSION, ("completed_job",), {"status": ("approved", "rejected")}),
    Listing(
        "list_submissions", SUBMISSION, ("completed_job", "mixed_jobs"),
        {
            "job_id": (":completed_job",),
            "status": ("approved",),
            "min_score": (1, 5),
            "start_date": (_EARLY, _LATE),
            "end_date": (_LATE, _EARLY),
        },
    ),
    Listing("list_keys", KEY, ("spare_key", "poor_key")),
    Listing("list_webhooks", ENDPOINT, ("endpoint", "spare_endpoint")),
    Listing("list_events", EVENT, ("mixed_jobs",), {"type": ("job.cancelled",)}),
    Listing("list_transactions", TRANSACTION, ("mixed_jobs",), {"type": (":transaction_type",)}),
    Listing(
        "list_audit_events", AUDIT, ("mixed_jobs", "job"), {"event_type": ("job.created",), "job_id": (":job",)}
    ),
)  # fmt: skip


@pytest.fixture(scope="session")
def transaction_type(server: Server) -> Json:
    return {"id": server.first("/v1/billing/transactions", "transaction").get("type")}


@pytest.fixture
def path(server: Server, listing: Listing, request: pytest.FixtureRequest) -> str:
    """The path of a list, which has items."""
    if server.read_only and ":id" not in listing.path:
        return listing.path
    items = [request.getfixturevalue(name) for name in listing.fixtures]
    return listing.path.replace(":id", items[0]["id"]) if ":id" in listing.path else listing.path


def _page(server: Server, listing: Listing, path: str, limit: int, **query: Any) -> Response:
    return server.get(path, limit=limit, **query).must(listed(listing.shape, limit))


_EACH = pytest.mark.parametrize("listing", LISTS, ids=lambda listing: listing.operation)


@_EACH
def test_list_page(server: Server, listing: Listing, path: str) -> None:
    """A page has at most 20 items by default, newest first, and says whether more follow. (§1)"""
    response = server.get(path).must(listed(listing.shape, _DEFAULT))
    if not response.items:
        pytest.skip("the list is empty")
    times = [item["created_at"] for item in response.items if isinstance(item.get("created_at"), str)]
    # Files come in the order of their approval, whose time they do not show.
    assert listing.shape is FILE or times == sorted(times, reverse=True), "the items are not newest first"


@_EACH
def test_list_limit(server: Server, listing: Listing, path: str) -> None:
    """limit is 1 to 100: another one is 400, and `details` names it. (§1)"""
    for limit in (1, _MOST):
        _page(server, listing, path, limit)
    for limit in (0, _MOST + 1):
        server.get(path, limit=limit).must(refused(400, field="limit"))


@_EACH
def test_list_cursor(server: Server, listing: Listing, path: str) -> None:
    """A cursor that the server did not make is 400, and `details` names it. (§1 ‡)"""
    server.get(path, cursor="contract").must(refused(400, field="cursor"))


@_EACH
def test_list_walk(server: Server, listing: Listing, path: str) -> None:
    """Page by page, each item comes once, in the same order. (§1)"""
    first = _page(server, listing, path, 1)
    cursor, seen = first.object["next_cursor"], first.ids
    if cursor is None:
        pytest.skip("the list has fewer than two items")
    # Both start at a cursor, so that what arrives meanwhile is in neither.
    together = _page(server, listing, path, _WALKED, cursor=cursor)
    assert together.items, "`has_more` was true, and no item followed"
    for number, id in enumerate(together.ids):
        response = _page(server, listing, path, 1, cursor=cursor)
        is_next = response.ids == [id] and id not in seen
        assert is_next, f"page {number + 2} of one item each has {response.ids} instead of {id}"
        seen.append(id)
        has_more, cursor = response.object["has_more"], response.object["next_cursor"]
        is_last = number == len(together.items) - 1
        more = together.object["has_more"] if is_last else True
        assert has_more == more, f"`has_more` is wrong: {str(has_more).lower()} on page {number + 2}"


@pytest.mark.parametrize(
    "listing", [listing for listing in LISTS if listing.bad], ids=lambda listing: listing.operation
)  # fmt: skip
def test_list_filters(server: Server, listing: Listing, path: str) -> None:
    """A filter with a value that it cannot have is 400, and `details` names it. (§1 ‡)"""
    for name in listing.bad:
        server.get(path, **{name: _WORD}).must(refused(400, field=name))


def _moment(item: Json) -> datetime:
    return datetime.fromisoformat(item.get("submitted_at") or item["created_at"])


def _fits(name: str, value: Any, item: Json) -> bool:
    match name:
        case "min_score":
            return bool((item.get("ai_star_rating") or 0) >= value)
        case "created_after" | "start_date":
            return _moment(item) >= datetime.fromisoformat(value)
        case "end_date":
            return _moment(item) <= datetime.fromisoformat(value)
        case _:  # a field; an item without it may be one that fits
            return bool(item.get(name, value) == value)


@pytest.mark.parametrize(
    ("listing", "name"),
    [pytest.param(case, name, id=f"{case.operation}-{name}") for case in LISTS for name in case.filters],
)
def test_list_filter(
    server: Server, listing: Listing, name: str, path: str, request: pytest.FixtureRequest
) -> None:
    """With {name}, every page has only what fits it. (§2)"""
    for number, argument in enumerate(listing.filters[name]):
        is_id = isinstance(argument, str) and argument.startswith(":")
        value = request.getfixturevalue(argument[1:])["id"] if is_id else argument
        query = {**(_ALWAYS if path == "/v1/submissions" else {}), name: value}
        check = only(partial(_fits, name, value))
        response = _page(server, listing, path, _MOST, **query).must(check)
        if not number and not response.items:
            if server.read_only:
                pytest.skip("nothing fits the filter here")
            raise AssertionError("nothing is listed, and something fits the filter")
        seen = set[Any]()
        for _ in range(_WALKED):
            response = _page(server, listing, path, 1, **query).must(check)
            assert not seen & {*response.ids}, "with a filter, an item comes twice"
            seen |= {*response.ids}
            if response.object["next_cursor"] is None:
                break
            query["cursor"] = response.object["next_cursor"]


def _hold_offsets(server: Server, path: str, item: Json, lower: str, upper: str | None) -> None:
    """A moment is the same with any offset: a minute before and after an item, where clocks show the opposite."""
    moment, minute = _moment(item), timedelta(minutes=1)
    earlier = (moment - minute).astimezone(timezone(timedelta(hours=9, minutes=30))).isoformat()
    later = (moment + minute).astimezone(timezone(timedelta(hours=-7))).isoformat()
    with_it = {lower: earlier, **({upper: later} if upper else {})}
    without = [{lower: later}, *([{**_ALWAYS, upper: earlier}] if upper else [])]
    for query, is_listed in ((with_it, True), *((query, False) for query in without)):
        response = server.get(path, limit=_MOST, **query).must(listed(OBJECT))
        words = "not listed" if is_listed else "listed"
        assert (item["id"] in response.ids) == is_listed, f"by a time with an offset, an item is {words}"


def test_jobs_list_offsets(server: Server, job: Json) -> None:
    """The times of a filter may have any offset from UTC. (§2 "Jobs")"""
    _hold_offsets(server, "/v1/jobs", job if server.read_only else server.new_job(), "created_after", None)


def test_submissions_list_offsets(server: Server, submission: Json) -> None:
    """The times of a filter may have any offset from UTC. (§2 "Submissions")"""
    _hold_offsets(server, "/v1/submissions", submission, "start_date", "end_date")


def test_jobs_list_newest(server: Server) -> None:
    """A job that was posted is the first in the list, at once, as it is read by itself. (§2 "Jobs")"""
    job = server.new_job()
    response = server.get("/v1/jobs", limit=1).must(listed(JOB, 1))
    assert response.ids == [job["id"]], f"the newest job is not the first in the list: {response.ids}"
    read = server.read_job(job["id"])
    differing = next((name for name in read if response.items[0].get(name) != read[name]), "")
    assert not differing, f"`{differing}` is another one in the list than by itself"
    response = server.get("/v1/jobs", limit=_MOST, status=read["status"]).must(listed(JOB))
    assert job["id"] in response.ids, "the newest job is missing where its status is asked for"


def test_jobs_list_shift(server: Server, mixed_jobs: None) -> None:
    """A job that is posted meanwhile moves no page: no other job comes twice, or not at all. (§1)"""
    whole = server.get("/v1/jobs", limit=_WALKED).must(listed(JOB, _WALKED))
    first = server.get("/v1/jobs", limit=1).must(listed(JOB, 1))
    if first.object["next_cursor"] is None:
        pytest.skip("the list has fewer than two items")
    server.post("/v1/jobs", NEW_JOB)
    second = server.get("/v1/jobs", limit=1, cursor=first.object["next_cursor"]).must(listed(JOB, 1))
    assert second.ids == whole.ids[1:2], f"a new job moved the pages: {second.ids} after {first.ids}"
