"""Lists: pages, bounds, cursors, and filters."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

from pydantic import ValidationError

from firsthandapi.conformance._checks import listed, only, refused
from firsthandapi.conformance._exchange import Exchange, NotTriedError
from firsthandapi.conformance._promises import add, promise
from firsthandapi.conformance._run import JOB as NEW_JOB
from firsthandapi.conformance._run import Run
from firsthandapi.conformance._shapes import (
    AUDIT,
    ENDPOINT,
    EVENT,
    FILE,
    JOB,
    KEY,
    SUBMISSION,
    TRANSACTION,
    Kind,
)
from firsthandapi.server.contract.bodies import Query
from firsthandapi.server.contract.operations import BY_NAME

_DEFAULT, _MOST = 20, 100
# How many items are walked through, one a page.
_WALKED = 4
_WORD = "soon"
_JOBS, _AUDIT = '§2 "Jobs"', '§2 "Organization and audit"'
# Items may be older than a list goes back by default.
ALWAYS: dict[str, Any] = {"start_date": "2000-01-01T00:00:00Z"}


@dataclass(frozen=True)
class Listing:
    """A list of the contract.

    Attributes:
        name: the start of the ids of its promises.
        operation: its name in the contract.
        shape: the shape of an item.
        fill: makes sure that the list has two items; returns the id for the path.
        filter: a filter that more than one item fits, and not all: the parameter, which is the field, and the value.
    """

    name: str
    operation: str
    shape: Kind
    fill: Callable[[Run], object]
    filter: tuple[str, str] | None = None

    @property
    def path(self) -> str:
        """Its path, with `:id`."""
        return BY_NAME[self.operation].path.replace("{id}", ":id")

    @property
    def bad(self) -> list[str]:
        """The filters for which not every word will do."""
        query = BY_NAME[self.operation].query
        return [name for name in {*query.model_fields} - {"limit", "cursor"} if not _takes(query, name)]

    def target(self, run: Run) -> str:
        """The path of the requests."""
        return self.path.replace(":id", str(self.fill(run)))

    def page(self, run: Run, path: str, limit: int, **query: Any) -> Exchange:
        """One page of so many items at most."""
        return run.get(path, limit=limit, **query).must(listed(self.shape, limit))


def _takes(query: type[Query], name: str) -> bool:
    try:
        query.model_validate({name: _WORD})
    except ValidationError:
        return False
    return True


def _mixed(run: Run) -> None:
    _ = run.mixed


def _completed(run: Run) -> str:
    return str(run.completed_job["id"])


def _submissions(run: Run) -> None:
    with suppress(NotTriedError):
        _ = run.completed_job if run.writes else None
    _mixed(run)


def _keys(run: Run) -> None:
    if run.writes:
        _ = run.spare_key, run.poor_key


def _endpoints(run: Run) -> None:
    if run.writes:
        _ = run.endpoint, run.spare_endpoint


LISTS = (
    Listing("jobs.list", "list_jobs", JOB, _mixed, ("status", "cancelled")),
    Listing("files.list", "list_files", FILE, _completed),
    Listing("submissions.of_job", "list_job_submissions", SUBMISSION, _completed),
    Listing("submissions.list", "list_submissions", SUBMISSION, _submissions, ("status", "approved")),
    Listing("api_keys.list", "list_keys", KEY, _keys),
    Listing("webhooks.list", "list_webhooks", ENDPOINT, _endpoints),
    Listing("events.list", "list_events", EVENT, _mixed, ("type", "job.cancelled")),
    Listing("transactions.list", "list_transactions", TRANSACTION, _mixed),
    Listing("audit.list", "list_audit_events", AUDIT, _mixed, ("event_type", "job.cancelled")),
)


def _page(listing: Listing, run: Run) -> None:
    it = run.get(listing.target(run)).must(listed(listing.shape, _DEFAULT))
    if not it.items:
        raise NotTriedError("the list is empty")
    times = [item["created_at"] for item in it.items if isinstance(item.get("created_at"), str)]
    # Files come in the order of their approval, whose time they do not show.
    is_sorted = listing.shape is FILE or times == sorted(times, reverse=True)
    it.hold(is_sorted, "the items are not newest first")


def _limit(listing: Listing, run: Run) -> None:
    path = listing.target(run)
    for limit in (1, _MOST):
        listing.page(run, path, limit)
    for limit in (0, _MOST + 1):
        run.get(path, limit=limit).must(refused(400, field="limit"))


def _cursor(listing: Listing, run: Run) -> None:
    run.get(listing.target(run), cursor="conformance").must(refused(400, field="cursor"))


def _walk(listing: Listing, run: Run) -> None:
    path = listing.target(run)
    first = listing.page(run, path, 1)
    cursor, seen = first.object["next_cursor"], first.ids
    if cursor is None:
        raise NotTriedError("the list has fewer than two items")
    # Both start at a cursor, so that what arrives meanwhile is in neither.
    together = listing.page(run, path, _WALKED, cursor=cursor)
    together.hold(together.items, "`has_more` was true, and no item followed")
    for number, id in enumerate(together.ids):
        it = listing.page(run, path, 1, cursor=cursor)
        came = f"pages of one item bring other items: {it.ids} on page {number + 2} instead of {id}"
        it.hold(it.ids == [id] and id not in seen, came)
        seen.append(id)
        is_last = number == len(together.items) - 1
        has_more, cursor = it.object["has_more"], it.object["next_cursor"]
        more = together.object["has_more"] if is_last else True
        it.hold(has_more == more, f"`has_more` is wrong: {str(has_more).lower()} on page {number + 2}")


def _bad(listing: Listing, run: Run) -> None:
    path = listing.target(run)
    for name in listing.bad:
        run.get(path, **{name: _WORD}).must(refused(400, field=name))


def _filtered(listing: Listing, run: Run) -> None:
    assert listing.filter is not None  # noqa: S101 # only lists with one get here
    path, (name, value) = listing.target(run), listing.filter
    query: dict[str, Any] = {name: value}
    seen: set[Any] = set()
    if path == "/v1/submissions":
        query |= ALWAYS
    cursor: dict[str, str] = {}
    for _ in range(_WALKED):
        it = listing.page(run, path, 1, **query, **cursor)
        it.must(only(lambda item: item.get(name) == value))
        it.hold(not seen & {*it.ids}, "with a filter, an item comes twice")
        seen |= {*it.ids}
        if it.object["next_cursor"] is None:
            break
        cursor = {"cursor": it.object["next_cursor"]}
    if len(seen) < 2:
        raise NotTriedError("fewer than two items fit the filter here")


for _listing in LISTS:
    for _what, _says, _hold, _ours in (
        (
            "page",
            "A page has at most 20 items by default, newest first, and says whether more follow.",
            _page,
            False,
        ),
        ("limit", "limit is 1 to 100: another one is 400, and `details` names it.", _limit, False),
        ("cursor", "A cursor that the server did not make is 400, and `details` names it.", _cursor, True),
        ("walk", "Page by page, each item comes once, in the same order.", _walk, False),
        ("filters", "A filter with a value that it cannot have is 400, and `details` names it.", _bad, True),
        ("filtered", "A filter that goes with every cursor holds on every page.", _filtered, False),
    ):
        if (_what != "filters" or _listing.bad) and (_what != "filtered" or _listing.filter):
            # Without writing, the items that are there have to do.
            add(f"{_listing.name}.{_what}", f"GET {_listing.path}", "§1", _says, _hold, _listing, ours=_ours)


@promise("jobs.list.status", "GET /v1/jobs", _JOBS)
def _status(run: Run) -> None:
    """status lists jobs with this status only."""
    _mixed(run)
    id = run.cancelled_job["id"] if run.writes else None
    it = run.filtered("/v1/jobs", lambda job: job.get("status") == "cancelled", status="cancelled")
    it.hold(id is None or id in it.ids, f"a cancelled job is not listed: {id}")


@promise("jobs.list.type", "GET /v1/jobs", _JOBS)
def _type(run: Run) -> None:
    """type lists jobs of this type only."""
    _mixed(run)
    run.filtered("/v1/jobs", lambda job: job.get("type") != "feedback", type="data_collection")
    run.filtered("/v1/jobs", lambda job: job.get("type") != "data_collection", some=False, type="feedback")


@promise("jobs.list.created_after", "GET /v1/jobs", _JOBS)
def _created_after(run: Run) -> None:
    """created_after lists jobs created later only."""
    _mixed(run)
    run.filtered("/v1/jobs", lambda _: True, created_after="2001-01-01T00:00:00Z")
    run.filtered("/v1/jobs", lambda _: False, some=False, created_after="9000-01-01T00:00:00Z")


def around(moment: str) -> tuple[str, str]:
    """A minute before and after a moment, with offsets in which the clocks show the opposite."""
    found, minute = datetime.fromisoformat(moment), timedelta(minutes=1)
    before = (found - minute).astimezone(timezone(timedelta(hours=9, minutes=30)))
    after = (found + minute).astimezone(timezone(timedelta(hours=-7)))
    return before.isoformat(), after.isoformat()


@promise("jobs.list.offsets", "GET /v1/jobs", _JOBS)
def _offsets(run: Run) -> None:
    """created_after may have any offset from UTC."""
    job = run.new_job() if run.writes else run.job
    before, after = around(job["created_at"])
    it = run.filtered("/v1/jobs", lambda _: True, created_after=before)
    it.hold(job["id"] in it.ids, f"a job that was created after {before} is not listed")
    it = run.filtered("/v1/jobs", lambda _: True, some=False, created_after=after)
    it.hold(job["id"] not in it.ids, f"a job that was created before {after} is listed")


@promise("jobs.list.newest", "GET /v1/jobs", _JOBS)
def _newest(run: Run) -> None:
    """A job that was posted is the first in the list, at once, as it is read by itself."""
    job = run.new_job()
    it = run.get("/v1/jobs", limit=1).must(listed(JOB, 1))
    it.hold(it.ids == [job["id"]], f"the newest job is not the first in the list: {it.ids}")
    read = run.read_job(job["id"])
    wrong = next((name for name in read if it.items[0].get(name) != read[name]), "")
    it.hold(not wrong, f"`{wrong}` is another one in the list than by itself")
    it = run.filtered("/v1/jobs", lambda _: True, status=read["status"])
    it.hold(job["id"] in it.ids, "the newest job is missing where its status is asked for")


@promise("jobs.list.shift", "GET /v1/jobs", "§1")
def _shift(run: Run) -> None:
    """A job that is posted meanwhile moves no page: no other job comes twice, or not at all."""
    _mixed(run)
    whole = run.get("/v1/jobs", limit=_WALKED).must(listed(JOB, _WALKED))
    first = run.get("/v1/jobs", limit=1).must(listed(JOB, 1))
    if first.object["next_cursor"] is None:
        raise NotTriedError("the list has fewer than two items")
    run.post("/v1/jobs", NEW_JOB)
    second = run.get("/v1/jobs", limit=1, cursor=first.object["next_cursor"]).must(listed(JOB, 1))
    second.hold(second.ids == whole.ids[1:2], f"a new job moved the pages: {second.ids} after {first.ids}")


@promise("audit.list.job_id", "GET /v1/audit-events", _AUDIT)
def _audit_job(run: Run) -> None:
    """job_id lists the events of this job only, job.created among them."""
    id = run.job["id"]
    it = run.filtered("/v1/audit-events", lambda event: event.get("job_id") == id, job_id=id)
    is_there = "job.created" in [item.get("event_type") for item in it.items] or not run.writes
    it.hold(is_there, f"no job.created of a job: {id}")


@promise("audit.list.event_type", "GET /v1/audit-events", _AUDIT)
def _audit_type(run: Run) -> None:
    """event_type lists events of this type only."""
    _mixed(run)
    kind = "job.created"
    run.filtered("/v1/audit-events", lambda event: event.get("event_type") == kind, event_type=kind)
