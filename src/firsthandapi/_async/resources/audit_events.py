"""The audit trail (contract §2)."""

from __future__ import annotations

from firsthandapi._async.calls import Headers, Query, Resource
from firsthandapi._async.pages import PageRequest
from firsthandapi._core.arguments import check
from firsthandapi.types.audit import AuditEvent, AuditEventList


class AuditEvents(Resource):
    """Who did what; the key needs the scope `audit:read`."""

    def list(
        self,
        *,
        job_id: str | None = None,
        event_type: str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
        timeout: float | None = None,
        extra_headers: Headers | None = None,
        extra_query: Query | None = None,
    ) -> PageRequest[AuditEvent]:
        """List what happened.

        Args:
            job_id: only what concerns this job.
            event_type: only events of this type, such as `job.created`.
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

        Contract: §2 "Organization and audit", §4 "Events".
        """
        params = check(
            AuditEventList, {"job_id": job_id, "event_type": event_type, "limit": limit, "cursor": cursor}
        )
        return self._list(
            AuditEvent,
            "/v1/audit-events",
            params,
            timeout=timeout,
            extra_headers=extra_headers,
            extra_query=extra_query,
        )
