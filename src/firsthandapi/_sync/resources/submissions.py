# Made from _async/resources/submissions.py by `make generate`. Do not edit.
"""Submissions (contract §2)."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Unpack

from firsthandapi._core.calls.arguments import check
from firsthandapi._core.calls.request import check_id, id_of
from firsthandapi._sync.calls import Resource
from firsthandapi._sync.pages import Page
from firsthandapi.types.enums import SubmissionStatus
from firsthandapi.types.options import RequestOptions
from firsthandapi.types.submission import (
    Submission,
    SubmissionListParams,
    SubmissionSummary,
    SubmissionSummaryParams,
)

if TYPE_CHECKING:
    from firsthandapi.types.job import Job


class Submissions(Resource):
    """Everything workers submitted, of every status; the API key needs the scope `jobs:read`."""

    def list(
        self,
        job_id: Job | str | None = None,
        *,
        status: SubmissionStatus | None = None,
        min_score: int | None = None,
        start_date: date | str | None = None,
        end_date: date | str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
        **options: Unpack[RequestOptions],
    ) -> Page[Submission]:
        """List submissions, of one job or of all.

        Args:
            job_id: only submissions to this job, which is a `Job` or its id.
            status: only `pending_score`, `approved`, `retry_pending`, or `rejected`.
            min_score: minimum rating, 1 to 5 stars.
            start_date: earliest time: an aware datetime or an ISO 8601 string. The service's default is 30 days
                ago, except where `job_id` is the only one of these filters.
            end_date: latest time.
            limit: items per page, 1 to 100; None asks for 100, since requests are limited.
            cursor: `next_cursor` of an earlier page: start after that page.
            **options: `timeout` (seconds for one attempt, above 0), `extra_headers`, `extra_query`; see `jobs.create`.

        Returns:
            The first page; `for` walks the items of every page, newest first.

        Raises:
            PaginationError: the service repeated a cursor (while walking).
            FirstHandError: any other failure; its subclass names it.

        Contract: §2 "Submissions".
        """
        if job_id is not None:
            job_id = check_id(job_id, "job_id")
        # The per-job endpoint knows fewer filters, but reaches back further than 30 days.
        path, per_job = "/v1/submissions", job_id
        if job_id is not None and min_score is None and start_date is None and end_date is None:
            path, per_job = f"/v1/jobs/{job_id}/submissions", None
        params = check(
            SubmissionListParams,
            {
                "job_id": per_job,
                "status": status,
                "min_score": min_score,
                "start_date": start_date,
                "end_date": end_date,
                "limit": limit,
                "cursor": cursor,
            },
        )
        return self._list(Submission, path, params, **options)

    def get(self, submission_id: Submission | str, **options: Unpack[RequestOptions]) -> Submission:
        """Read a submission.

        Args:
            submission_id: the submission, or its id (`sub_…`).
            **options: `timeout` (seconds for one attempt, above 0), `extra_headers`, `extra_query`; see `jobs.create`.

        Returns:
            The submission.

        Raises:
            NotFoundError: no submission has this id.
            FirstHandError: any other failure; its subclass names it.

        Contract: §2 "Submissions", §3 "Submission".
        """
        path = f"/v1/submissions/{check_id(submission_id, 'submission_id')}"
        return self._get(Submission, path, **options)

    def summary(
        self,
        *,
        job_id: Job | str | None = None,
        start_date: date | str | None = None,
        end_date: date | str | None = None,
        **options: Unpack[RequestOptions],
    ) -> SubmissionSummary:
        """Count submissions.

        Args:
            job_id: only submissions to this job, which is a `Job` or its id.
            start_date: earliest time: an aware datetime or an ISO 8601 string.
            end_date: latest time.
            **options: `timeout` (seconds for one attempt, above 0), `extra_headers`, `extra_query`; see `jobs.create`.

        Returns:
            Counts by status, average rating, and approval rate.

        Raises:
            FirstHandError: any other failure; its subclass names it.

        Contract: §2 "Submissions".
        """
        values = {"job_id": id_of(job_id, "job_id"), "start_date": start_date, "end_date": end_date}
        params = check(SubmissionSummaryParams, values)
        return self._get(SubmissionSummary, "/v1/submissions/summary", params, **options)
