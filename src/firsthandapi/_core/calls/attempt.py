"""One attempt, as `on_attempt` receives it, and the names of calls in traces."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Attempt:
    """A finished attempt of a call or a download, as `on_attempt` receives it. It can be pickled.

    Attributes:
        method: the HTTP method.
        path: the path, without the query.
        endpoint: method and path without ids, such as `GET /v1/jobs/:id`; for a download, method and host.
        number: 1 for the first attempt, 2 for its first retry.
        status: the HTTP status, or None if no response came.
        error: the exception that the attempt ended in, or None.
        seconds: how long it took.
        request_id: the response's, or None.
        idempotency_key: the request's, or None.
        retry_in: seconds until the next attempt, or None if there is none.
        kind: `"api"` or `"download"`.
    """

    method: str
    path: str
    endpoint: str
    number: int
    status: int | None
    error: Exception | None
    seconds: float
    request_id: str | None
    idempotency_key: str | None
    retry_in: float | None
    kind: Literal["api", "download"] = "api"

    def __str__(self) -> str:
        outcome = type(self.error).__name__ if self.status is None else str(self.status)
        request_id = "" if self.request_id is None else f" {self.request_id}"
        return f"{self.method} {self.path} {outcome} {self.seconds * 1000:.0f} ms attempt {self.number}{request_id}"


# The client's method for each endpoint.
_CALLS = {
    "GET /v1/me": "me",
    "POST /v1/auth/signup": "signup",
    "POST /v1/jobs": "jobs.create",
    "GET /v1/jobs": "jobs.list",
    "GET /v1/jobs/:id": "jobs.get",
    "POST /v1/jobs/:id/cancel": "jobs.cancel",
    "POST /v1/jobs/:id/rate": "jobs.rate",
    "GET /v1/jobs/:id/files": "files.list",
    "POST /v1/files/:id/refresh_url": "files.refresh_url",
    "GET /v1/jobs/:id/submissions": "submissions.list",
    "GET /v1/submissions": "submissions.list",
    "GET /v1/submissions/:id": "submissions.get",
    "GET /v1/submissions/summary": "submissions.summary",
    "GET /v1/billing/credits": "billing.credits",
    "POST /v1/billing/credits/purchase": "billing.purchase",
    "GET /v1/billing/transactions": "billing.transactions",
    "POST /v1/webhook_endpoints": "webhooks.create",
    "GET /v1/webhook_endpoints": "webhooks.list",
    "GET /v1/webhook_endpoints/:id": "webhooks.get",
    "PATCH /v1/webhook_endpoints/:id": "webhooks.update",
    "DELETE /v1/webhook_endpoints/:id": "webhooks.delete",
    "POST /v1/webhook_endpoints/:id/rotate_secret": "webhooks.rotate_secret",
    "GET /v1/webhook_events": "webhooks.events.list",
    "POST /v1/webhook_events/:id/replay": "webhooks.events.replay",
    "POST /v1/api_keys": "api_keys.create",
    "GET /v1/api_keys": "api_keys.list",
    "POST /v1/api_keys/:id/rotate": "api_keys.rotate",
    "POST /v1/api_keys/:id/revoke": "api_keys.revoke",
    "GET /v1/organization/settings": "organization.settings",
    "PATCH /v1/organization/settings": "organization.update_settings",
    "GET /v1/audit-events": "audit_events.list",
}


def call_name(endpoint: str) -> str:
    """The client's method that calls an endpoint, such as `jobs.create`; an unknown endpoint stays unchanged."""
    return _CALLS.get(endpoint, endpoint)
