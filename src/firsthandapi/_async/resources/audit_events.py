"""The audit trail (contract §2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

from firsthandapi._async.calls import Resource
from firsthandapi._async.pages import AsyncPageRequest
from firsthandapi._core.calls.arguments import check
from firsthandapi._core.calls.request import id_of
from firsthandapi.types.audit import AuditEvent, AuditEventListParams
from firsthandapi.types.options import RequestOptions

if TYPE_CHECKING:
    from firsthandapi.types.job import Job


class AuditEvents(Resource):
    """Who did what; the API key needs the scope `audit:read`."""

    def list(
        self,
        *,
        job_id: Job | str | None = None,
        event_type: str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
        **options: Unpack[RequestOptions],
    ) -> AsyncPageRequest[AuditEvent]:
        """List audit events.

        Args:
            job_id: only events about this job, which is a `Job` or its id.
            event_type: only events of this type, such as `job.created`.
            limit: items per page, 1 to 100; None asks for 100, since requests are limited.
            cursor: `next_cursor` of an earlier page: start after that page.
            **options: `timeout` (seconds for one attempt, above 0), `extra_headers`, `extra_query`; see `jobs.create`.

        Returns:
            The first page when awaited; `async for` walks the items of every page, newest first.

        Raises:
            PaginationError: the service repeated a cursor (while walking).
            FirstHandError: any other failure; its subclass names it.

        Contract: §2 "Organization and audit", §4 "Events".
        """
        values = {
            "job_id": id_of(job_id, "job_id"),
            "event_type": event_type,
            "limit": limit,
            "cursor": cursor,
        }
        return self._list(AuditEvent, "/v1/audit-events", check(AuditEventListParams, values), **options)
