"""Lists: pages, bounds, cursors, and filters."""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from firsthandapi.conformance._checks import listed, refused, status
from firsthandapi.conformance._exchange import DiffersError, Exchange, NotTriedError
from firsthandapi.conformance._promises import Promise, add, promise
from firsthandapi.conformance._run import Run
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

_PAGES = "§1"
_DEFAULT, _MOST = 20, 100
# How many items are walked through, one a page.
_WALKED = 4


@dataclass(frozen=True)
class Listing:
    """A list of the contract.

    Attributes:
        name: the start of the ids of its promises.
        path: the endpoint, with `:id`.
        shape: the shape of an item.
        fill: makes sure that the list has two items; returns the id for the path.
        bad: filters, each with a value that it cannot have.
    """

    name: str
    path: str
    shape: Kind
    fill: Callable[[Run], object]
    bad: tuple[tuple[str, str], ...] = ()

    def target(self, run: Run) -> str:
        """The path of the requests."""
        found = self.fill(run)
        return self.path.replace(":id", found) if isinstance(found, str) else self.path


def _jobs(run: Run) -> None:
    if run.writes:
        _ = run.job, run.cancelled_job


def _completed(run: Run) -> str:
    return str(run.completed_job["id"])


def _submissions(run: Run) -> None:
    if run.writes:
        with suppress(NotTriedError):
            _ = run.completed_job


def _keys(run: Run) -> None:
    if run.writes:
        _ = run.spare_key, run.poor_key


def _endpoints(run: Run) -> None:
    if run.writes:
        _ = run.endpoint, run.spare_endpoint


def _events(run: Run) -> None:
    if run.writes:
        _ = run.event
        run.cancel(run.new_job()["id"])


LISTS = (
    Listing(
        "jobs.list",
        "/v1/jobs",
        JOB,
        _jobs,
        (("status", "lost"), ("type", "survey"), ("created_after", "soon")),
    ),
    Listing("files.list", "/v1/jobs/:id/files", FILE, _completed, (("min_score", "6"), ("min_score", "0"))),
    Listing("submissions.of_job", "/v1/jobs/:id/submissions", SUBMISSION, _completed, (("status", "lost"),)),
    Listing(
        "submissions.list",
        "/v1/submissions",
        SUBMISSION,
        _submissions,
        (("status", "lost"), ("min_score", "6"), ("start_date", "soon"), ("end_date", "soon")),
    ),
    Listing("api_keys.list", "/v1/api_keys", KEY, _keys),
    Listing("webhooks.list", "/v1/webhook_endpoints", ENDPOINT, _endpoints),
    Listing("events.list", "/v1/webhook_events", EVENT, _events),
    Listing(
        "transactions.list", "/v1/billing/transactions", TRANSACTION, lambda _: None, (("type", "gift"),)
    ),
    Listing("audit.list", "/v1/audit-events", AUDIT, _jobs),
)


def _page(run: Run, listing: Listing) -> None:
    path = listing.target(run)
    it = run("GET", path).must(status(200), listed(listing.shape, _DEFAULT))
    if not it.items:
        raise NotTriedError("the list is empty")
    times = [item["created_at"] for item in it.items if isinstance(item.get("created_at"), str)]
    if times != sorted(times, reverse=True):
        raise DiffersError("the items are not newest first", it)


def _limit(run: Run, listing: Listing) -> None:
    path = listing.target(run)
    run("GET", path, query={"limit": 1}).must(status(200), listed(listing.shape, 1))
    run("GET", path, query={"limit": _MOST}).must(status(200), listed(listing.shape, _MOST))
    for limit in (0, _MOST + 1):
        run("GET", path, query={"limit": limit}).must(refused(400, field="limit"))


def _cursor(run: Run, listing: Listing) -> None:
    path = listing.target(run)
    run("GET", path, query={"cursor": "conformance"}).must(refused(400, field="cursor"))


def _walk(run: Run, listing: Listing) -> None:
    path = listing.target(run)
    first = run("GET", path, query={"limit": 1}).must(status(200), listed(listing.shape, 1))
    cursor, seen = first.object["next_cursor"], [item["id"] for item in first.items]
    if cursor is None:
        raise NotTriedError("the list has fewer than two items")
    # Both start at a cursor, so that what arrives meanwhile is in neither.
    query = {"limit": _WALKED, "cursor": cursor}
    together = run("GET", path, query=query).must(status(200), listed(listing.shape, _WALKED))
    if not together.items:
        raise DiffersError("`has_more` was true, and no item followed", together)
    for number, item in enumerate(together.items):
        it = run("GET", path, query={"limit": 1, "cursor": cursor}).must(
            status(200), listed(listing.shape, 1)
        )
        found = [each["id"] for each in it.items]
        if found != [item["id"]] or item["id"] in seen:
            came = ", ".join(map(str, found)) or "no item"
            raise DiffersError(f"page {number + 2} has {came}; as one page, {item['id']} comes there", it)
        seen.append(item["id"])
        is_last = number == len(together.items) - 1
        if it.object["has_more"] != (together.object["has_more"] if is_last else True):
            raise DiffersError(f"`has_more` is {str(it.object['has_more']).lower()} on page {number + 2}", it)
        cursor = it.object["next_cursor"]


def _bad(run: Run, listing: Listing) -> None:
    path = listing.target(run)
    for name, value in listing.bad:
        run("GET", path, query={name: value}).must(refused(400, field=name))


for _listing in LISTS:
    _endpoint = f"GET {_listing.path}"
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
    ):
        if _what != "filters" or _listing.bad:
            _run = functools.partial(_hold, listing=_listing)
            # Without writing, the items that are there have to do.
            add(Promise(f"{_listing.name}.{_what}", _endpoint, _PAGES, _says, _run, ours=_ours))


def only(
    run: Run, path: str, query: dict[str, Any], fits: Callable[[dict[str, Any]], bool], *, some: bool = True
) -> Exchange:
    """Hold a list with a filter against what fits the filter.

    Args:
        run: the check.
        path: the list.
        query: the filter.
        fits: whether an item fits it.
        some: whether at least one item is expected.
    """
    it = run("GET", path, query={"limit": 100, **query}).must(status(200), listed(OBJECT, 100))
    for item in it.items:
        if not fits(item):
            raise DiffersError(f"{item.get('id')} does not fit the filter", it)
    if some and not it.items:
        if run.writes:  # then the check has created what fits
            raise DiffersError("nothing is listed, and something fits the filter", it)
        raise NotTriedError("nothing fits the filter here")
    return it


@promise("jobs.list.status", "GET /v1/jobs", '§2 "Jobs"', "status lists jobs with this status only.")
def _status(run: Run) -> None:
    id = run.cancelled_job["id"] if run.writes else None
    it = only(run, "/v1/jobs", {"status": "cancelled"}, lambda job: job.get("status") == "cancelled")
    if id is not None and id not in [item.get("id") for item in it.items]:
        raise DiffersError(f"{id} is cancelled, and not listed", it)


@promise("jobs.list.type", "GET /v1/jobs", '§2 "Jobs"', "type lists jobs of this type only.")
def _type(run: Run) -> None:
    _jobs(run)
    only(
        run,
        "/v1/jobs",
        {"type": "data_collection"},
        lambda job: job.get("type", "data_collection") == "data_collection",
    )
    only(
        run,
        "/v1/jobs",
        {"type": "feedback"},
        lambda job: job.get("type", "feedback") == "feedback",
        some=False,
    )


@promise(
    "jobs.list.created_after", "GET /v1/jobs", '§2 "Jobs"', "created_after lists jobs created later only."
)
def _created_after(run: Run) -> None:
    _jobs(run)
    only(run, "/v1/jobs", {"created_after": "2001-01-01T00:00:00Z"}, lambda _: True)
    only(run, "/v1/jobs", {"created_after": "9000-01-01T00:00:00Z"}, lambda _: False, some=False)


@promise(
    "audit.list.job_id",
    "GET /v1/audit-events",
    '§2 "Organization and audit"',
    "job_id lists the events of this job only, job.created among them.",
)
def _audit_job(run: Run) -> None:
    id = run.job["id"]
    it = only(run, "/v1/audit-events", {"job_id": id}, lambda event: event.get("job_id") == id)
    if "job.created" not in [item.get("event_type") for item in it.items] and run.writes:
        raise DiffersError(f"no job.created of {id}", it)


@promise(
    "audit.list.event_type",
    "GET /v1/audit-events",
    '§2 "Organization and audit"',
    "event_type lists events of this type only.",
)
def _audit_type(run: Run) -> None:
    _jobs(run)
    only(
        run,
        "/v1/audit-events",
        {"event_type": "job.created"},
        lambda event: event.get("event_type") == "job.created",
    )


@promise(
    "transactions.list.type",
    "GET /v1/billing/transactions",
    '§2 "Billing"',
    "type lists transactions of this type only.",
)
def _transactions(run: Run) -> None:
    first = run("GET", "/v1/billing/transactions", query={"limit": 1}).items
    if not first or not isinstance(first[0].get("type"), str):
        raise NotTriedError("this account has no transaction")
    kind = first[0]["type"]
    only(run, "/v1/billing/transactions", {"type": kind}, lambda item: item.get("type") == kind)
