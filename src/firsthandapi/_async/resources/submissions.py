"""Submissions (contract §2)."""

from __future__ import annotations

from datetime import date

from firsthandapi._async.calls import Headers, Query, Resource
from firsthandapi._async.pages import PageRequest
from firsthandapi._core.arguments import check
from firsthandapi._core.request import check_id
from firsthandapi.types.enums import SubmissionStatus
from firsthandapi.types.submission import Submission, SubmissionList, SubmissionSummary, SubmissionSummaryGet


class Submissions(Resource):
    """Everything workers handed in, of every status; the key needs the scope `jobs:read`."""

    def list(
        self,
        job_id: str | None = None,
        *,
        status: SubmissionStatus | None = None,
        min_score: int | None = None,
        start_date: date | str | None = None,
        end_date: date | str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
        timeout: float | None = None,
        extra_headers: Headers | None = None,
        extra_query: Query | None = None,
    ) -> PageRequest[Submission]:
        """List submissions, of one job or of all.

        Args:
            job_id: only this job's.
            status: only `pending_score`, `approved`, `retry_pending` or `rejected`.
            min_score: only those rated so or better, 1 to 5 stars.
            start_date: only from then on: an aware datetime or an ISO 8601 string. The service's default
                is 30 days ago, except where `job_id` is the only of these filters.
            end_date: only until then.
            limit: items a page, 1 to 100; None asks for 100, since requests are what is scarce.
            cursor: `next_cursor` of an earlier page: start after it.
            timeout, extra_headers, extra_query: see `AsyncFirstHandClient`, "Every method".

        Returns:
            The first page when awaited; `async for` walks the items of every page, newest first.

        Raises:
            PaginationError: the service repeats a cursor (while walking).
            InvalidArgumentError: an argument is not what the contract allows. Nothing was sent.
            FirstHandApiError: the service answered with an error.
            FirstHandConnectionError: the service could not be reached.

        Contract: §2 "Submissions".
        """
        if job_id is not None:
            check_id(job_id, "job_id")
        # The per-job endpoint knows fewer filters, but reaches back further than 30 days.
        path, per_job = "/v1/submissions", job_id
        if job_id is not None and min_score is None and start_date is None and end_date is None:
            path, per_job = f"/v1/jobs/{job_id}/submissions", None
        params = check(
            SubmissionList,
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
        return self._list(
            Submission,
            path,
            params,
            timeout=timeout,
            extra_headers=extra_headers,
            extra_query=extra_query,
        )

    async def get(
        self,
        submission_id: str,
        *,
        timeout: float | None = None,
        extra_headers: Headers | None = None,
        extra_query: Query | None = None,
    ) -> Submission:
        """Read a submission.

        Args:
            submission_id: its id (`sub_…`).
            timeout, extra_headers, extra_query: see `AsyncFirstHandClient`, "Every method".

        Returns:
            The submission.

        Raises:
            NotFoundError: there is no such submission.
            InvalidArgumentError: an argument is not what the contract allows. Nothing was sent.
            FirstHandApiError: the service answered with an error.
            FirstHandConnectionError: the service could not be reached.

        Contract: §2 "Submissions", §3 "Submission".
        """
        path = f"/v1/submissions/{check_id(submission_id, 'submission_id')}"
        return await self._get(
            Submission,
            path,
            timeout=timeout,
            extra_headers=extra_headers,
            extra_query=extra_query,
        )

    async def summary(
        self,
        *,
        job_id: str | None = None,
        start_date: date | str | None = None,
        end_date: date | str | None = None,
        timeout: float | None = None,
        extra_headers: Headers | None = None,
        extra_query: Query | None = None,
    ) -> SubmissionSummary:
        """Submissions in figures.

        Args:
            job_id: only this job's.
            start_date: only from then on: an aware datetime or an ISO 8601 string.
            end_date: only until then.
            timeout, extra_headers, extra_query: see `AsyncFirstHandClient`, "Every method".

        Returns:
            Counts by status, average rating, approval rate.

        Raises:
            InvalidArgumentError: an argument is not what the contract allows. Nothing was sent.
            FirstHandApiError: the service answered with an error.
            FirstHandConnectionError: the service could not be reached.

        Contract: §2 "Submissions".
        """
        values = {"job_id": job_id, "start_date": start_date, "end_date": end_date}
        return await self._get(
            SubmissionSummary,
            "/v1/submissions/summary",
            check(SubmissionSummaryGet, values),
            timeout=timeout,
            extra_headers=extra_headers,
            extra_query=extra_query,
        )
