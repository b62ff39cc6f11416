"""Lists: pages, bounds, cursors, and filters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from functools import partial
from typing import Any

from pydantic import ValidationError

from firsthandapi.conformance._checks import listed, only, refused
from firsthandapi.conformance._exchange import DiffersError, Exchange, NotTriedError
from firsthandapi.conformance._promises import add, promise
from firsthandapi.conformance._run import JOB as NEW_JOB
from firsthandapi.conformance._run import Run, Shared
from firsthandapi.conformance._shapes import (
    AUDIT,
    ENDPOINT,
    EVENT,
    FILE,
    JOB,
    KEY,
    OBJECT,
    SUBMISSION,
    TRANSACTION,
    Kind,
)
from firsthandapi_server.contract.bodies import Query
from firsthandapi_server.contract.operations import BY_NAME

_DEFAULT, _MOST = 20, 100
# How many items are walked through, one a page.
_WALKED = 4
_WORD = "soon"
_JOBS, _SUBMISSIONS = '§2 "Jobs"', '§2 "Submissions"'
# Submissions may be older than their list goes back by default.
_ALWAYS = {"start_date": "2000-01-01T00:00:00Z"}
_EARLY, _LATE = "2001-01-01T00:00:00Z", "9000-01-01T00:00:00Z"


Filters = dict[str, Callable[[Run], Sequence[Any]]]


@dataclass(frozen=True)
class Listing:
    """A list of the contract.

    Attributes:
        name: the start of the ids of its promises.
        operation: its name in the contract.
        section: where the contract has its filters.
        shape: the shape of an item.
        fill: makes sure that the list has two items; returns the id for the path.
        filters: by parameter, the values to try; an item of this check fits the first one.
    """

    name: str
    operation: str
    section: str
    shape: Kind
    fill: Callable[[Run], object]
    filters: Filters = field(default_factory=Filters)

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


@Shared
def _mixed(run: Run) -> None:
    """creating jobs with several statuses"""
    # Items that fit a filter, and between them others that do not.
    if run.writes:
        run.cancel(run.new_job()["id"])
        if run.has_control:
            run.complete_job()
            run.work(run.new_job()["id"], 1)
            run.let_deliver()  # so that the times of jobs differ
        run.new_job()
        run.cancel(run.new_job()["id"])
        if run.has_control:
            run.complete_job()


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


def _one_of(*values: Any) -> Callable[[Run], Sequence[Any]]:
    return lambda _: values


def _when_completed(*values: Any) -> Callable[[Run], Sequence[Any]]:
    def given(run: Run) -> Sequence[Any]:
        _ = run.completed_job
        return values

    return given


def _kinds(run: Run) -> Sequence[Any]:
    return (run.first("/v1/billing/transactions", "transaction").get("type"),)


LISTS = (
    Listing(
        "jobs.list", "list_jobs", _JOBS, JOB, _mixed,
        {
            "status": _one_of("cancelled"),
            "type": _one_of("data_collection", "feedback"),
            "created_after": _one_of(_EARLY, _LATE),
        },
    ),
    Listing(
        "files.list", "list_files", '§2 "Files"', FILE, _completed, {"min_score": _one_of(1, 5)},
    ),
    Listing(
        "submissions.of_job", "list_job_submissions", _SUBMISSIONS, SUBMISSION, _completed,
        {"status": _one_of("approved", "rejected")},
    ),
    Listing(
        "submissions.list", "list_submissions", _SUBMISSIONS, SUBMISSION, _submissions,
        {
            "job_id": lambda run: (_completed(run),),
            "status": _when_completed("approved"),
            "min_score": _when_completed(1, 5),
            "start_date": _when_completed(_EARLY, _LATE),
            "end_date": _when_completed(_LATE, _EARLY),
        },
    ),
    Listing("api_keys.list", "list_keys", "§1", KEY, _keys),
    Listing("webhooks.list", "list_webhooks", "§1", ENDPOINT, _endpoints),
    Listing("events.list", "list_events", "§1", EVENT, _mixed, {"type": _one_of("job.cancelled")}),
    Listing(
        "transactions.list", "list_transactions", '§2 "Billing"', TRANSACTION, _mixed, {"type": _kinds}
    ),
    Listing(
        "audit.list", "list_audit_events", '§2 "Organization and audit"', AUDIT, _mixed,
        {"event_type": _one_of("job.created"), "job_id": lambda run: (run.job["id"],)},
    ),
)  # fmt: skip


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


def _moment(item: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(item.get("submitted_at") or item["created_at"])


def _fits(name: str, value: Any, item: dict[str, Any]) -> bool:
    match name:
        case "min_score":
            return bool((item.get("ai_star_rating") or 0) >= value)
        case "created_after" | "start_date":
            return _moment(item) >= datetime.fromisoformat(value)
        case "end_date":
            return _moment(item) <= datetime.fromisoformat(value)
        case _:  # a field; an item without it may be one that fits
            return bool(item.get(name, value) == value)


def _filtered(listing: Listing, name: str, run: Run) -> None:
    path = listing.target(run)
    always = _ALWAYS if path == "/v1/submissions" else {}
    for number, value in enumerate(listing.filters[name](run)):
        query, check = {**always, name: value}, only(partial(_fits, name, value))
        it = listing.page(run, path, _MOST, **query).must(check)
        if not number and not it.items:
            if run.writes:  # then the check has created what fits
                raise DiffersError("nothing is listed, and something fits the filter", it)
            raise NotTriedError("nothing fits the filter here")
        seen: set[Any] = set()
        for _ in range(_WALKED):
            it = listing.page(run, path, 1, **query).must(check)
            it.hold(not seen & {*it.ids}, "with a filter, an item comes twice")
            seen |= {*it.ids}
            if it.object["next_cursor"] is None:
                break
            query["cursor"] = it.object["next_cursor"]


_EACH = (
    ("page", "A page has at most 20 items by default, newest first, and says whether more follow.", _page, False),
    ("limit", "limit is 1 to 100: another one is 400, and `details` names it.", _limit, False),
    ("cursor", "A cursor that the server did not make is 400, and `details` names it.", _cursor, True),
    ("walk", "Page by page, each item comes once, in the same order.", _walk, False),
)  # fmt: skip
for _listing in LISTS:
    _line = f"GET {_listing.path}"
    for _what, _says, _hold, _ours in _EACH:
        add(f"{_listing.name}.{_what}", _line, "§1", _says, _hold, _listing, ours=_ours)
    if _listing.bad:
        _says = "A filter with a value that it cannot have is 400, and `details` names it."
        add(f"{_listing.name}.filters", _line, "§1", _says, _bad, _listing, ours=True)
    for _filter in _listing.filters:
        # Without writing, the items that are there have to do.
        _id, _says = f"{_listing.name}.{_filter}", f"With {_filter}, every page has only what fits it."
        _ours = _id == "submissions.of_job.status"
        add(_id, _line, _listing.section, _says, _filtered, _listing, _filter, ours=_ours)


def _offsets(path: str, lower: str, upper: str | None, run: Run) -> None:
    """A moment is the same with any offset: a minute before and after an item, where clocks show the opposite."""
    item = run.submission if upper else run.new_job() if run.writes else run.job
    found, minute = _moment(item), timedelta(minutes=1)
    before = (found - minute).astimezone(timezone(timedelta(hours=9, minutes=30))).isoformat()
    after = (found + minute).astimezone(timezone(timedelta(hours=-7))).isoformat()
    with_it: dict[str, str] = {lower: before, **({upper: after} if upper else {})}
    without = [{lower: after}, *([{**_ALWAYS, upper: before}] if upper else [])]
    for query, is_listed in ((with_it, True), *((query, False) for query in without)):
        it = run.get(path, limit=_MOST, **query).must(listed(OBJECT))
        words = "not listed" if is_listed else "listed"
        it.hold((item["id"] in it.ids) == is_listed, f"by a time with an offset, an item is {words}: {query}")


for _id, _path, _names, _section in (
    ("jobs.list.offsets", "/v1/jobs", ("created_after", None), _JOBS),
    ("submissions.list.offsets", "/v1/submissions", ("start_date", "end_date"), _SUBMISSIONS),
):
    _says = "The times of a filter may have any offset from UTC."
    add(_id, f"GET {_path}", _section, _says, _offsets, _path, *_names)


@promise("jobs.list.newest", "GET /v1/jobs", _JOBS)
def _newest(run: Run) -> None:
    """A job that was posted is the first in the list, at once, as it is read by itself."""
    job = run.new_job()
    it = run.get("/v1/jobs", limit=1).must(listed(JOB, 1))
    it.hold(it.ids == [job["id"]], f"the newest job is not the first in the list: {it.ids}")
    read = run.read_job(job["id"])
    wrong = next((name for name in read if it.items[0].get(name) != read[name]), "")
    it.hold(not wrong, f"`{wrong}` is another one in the list than by itself")
    it = run.get("/v1/jobs", limit=_MOST, status=read["status"]).must(listed(JOB))
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
