"""The requests of an order until it has a job, and the jobs in their responses."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Unpack

from firsthandapi._core.calls import arguments
from firsthandapi._core.calls.dates import served_at
from firsthandapi._core.calls.decode import decode, decode_items, raw_items
from firsthandapi._core.calls.pages import LARGEST_PAGE, MOST_PAGES, follow_cursor
from firsthandapi._core.calls.request import Request, build_request

from . import refusals
from .ordering import LookFor, Post, Question, Read, Shown, TryReading, is_wanted
from .record import dump, has_made_key
from .twins import oldest_first

if TYPE_CHECKING:
    from firsthandapi._base.masking import Secret
    from firsthandapi._core.calls.response import ApiResponse
    from firsthandapi.types.job import Job
    from firsthandapi.types.options import RequestOptions

_JOBS = "/v1/jobs"


def request_for(
    question: Question, *, time_limit: float | None, **options: Unpack[RequestOptions]
) -> Request:
    """The request that asks `question`."""
    match question:
        case Post(order, sent_at):
            body = arguments.body(None, order.request)
            request = build_request(
                "POST", _JOBS, body=body, idempotency_key=order.key, time_limit=time_limit, **options
            )
            return replace(request, key_sent_at=sent_at, recorded=True)
        case Read(job_id):
            return build_request("GET", f"{_JOBS}/{job_id}", time_limit=time_limit, **options)
        case TryReading():
            query = [("limit", "1")]
        case LookFor(_, cursor, _, since):  # pragma: no branch # there is no other question
            query = [("limit", str(LARGEST_PAGE))]
            if since is not None:
                query.append(
                    ("created_after", f"{datetime.fromtimestamp(int(since), UTC):%Y-%m-%dT%H:%M:%SZ}")
                )
            if cursor is not None:
                query.append(("cursor", cursor))
    # The caller's query is for the order: here it could hide the job.
    headers = options.get("extra_headers")
    return build_request("GET", _JOBS, query=query, time_limit=time_limit, extra_headers=headers)


def read_jobs(question: Question, content: Secret[bytes], response: ApiResponse) -> tuple[Shown, Job | None]:
    """The answer of a response to `question`, and the first of its jobs.
    Raises UnexpectedResponseError: the response is not what the contract says, or describes a job that is wanted so
    that nobody can use it.
    Raises PaginationError: the list would never end, or has more pages than a search reads.
    """
    from firsthandapi.types.job import Job

    moment = served_at(response.headers)
    match question:
        case TryReading():
            # The jobs do not matter: an API key that may not read is refused.
            return Shown(served_at=moment), None
        case Read() | Post():
            job = decode(Job, content, response)
            return Shown((dump(job),), served_at=moment, is_replay=response.idempotent_replay), job
        case LookFor(key):  # pragma: no branch # there is no other question
            page, unusable = decode_items(Job, content, response)
            jobs = [job for job in page.data if is_wanted(question, {"metadata": job.metadata})]
            if jobs and key:
                first, *twins = oldest_first(map(dump, jobs))  # one key should buy one job
                job = next(job for job in jobs if job.id == first["id"])
                return Shown((first,), served_at=moment, twins=tuple(twins)), job
            if unusable and any(is_wanted(question, item) for item in raw_items(content)):
                raise next(iter(unusable.values()))
            unread = None
            if page.next_cursor is not None and (unusable or not _is_older(page.data, question.since)):
                seen = follow_cursor(question.seen, page.next_cursor)
                if len(seen) >= MOST_PAGES:
                    raise refusals.too_many_pages(key)
                unread = replace(question, cursor=page.next_cursor, seen=seen)
            unmarked = tuple(dump(job) for job in page.data if not has_made_key({"metadata": job.metadata}))
            answer = Shown(tuple(map(dump, jobs)), unread, unmarked, moment)
            return answer, next(iter(jobs), None)


def _is_older(jobs: Iterable[Job], since: float | None) -> bool:
    """Whether every job of a page was created before `since`, on a service that ignores `created_after`."""
    from firsthandapi.types._base import fitting

    if since is None:
        return False
    created = [fitting(job).created_at for job in jobs]
    return bool(created) and all(moment is not None and moment.timestamp() < since for moment in created)
