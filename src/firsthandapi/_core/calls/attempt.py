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


# The client's resource for the first part of a path.
_RESOURCES = dict.fromkeys(
    ("jobs", "files", "submissions", "consents", "billing", "api_keys", "organization"), ""
) | {
    "webhook_endpoints": "webhooks",
    "webhook_events": "webhooks.events",
    "audit-events": "audit_events",
}


def call_name(endpoint: str) -> str:
    """The client's method that calls an endpoint, such as `jobs.create`; an unknown endpoint stays unchanged."""
    method, _, path = endpoint.partition(" ")
    match path.split("/")[2:]:
        case [first]:
            name = {"POST": "create", "GET": "list"}.get(method)
        case [first, ":id"]:
            name = {"GET": "get", "PATCH": "update", "DELETE": "delete"}.get(method)
        case [_, ":id", first] if method == "GET" and first in _RESOURCES:
            name = "list"  # of what an object has
        case [first, *_, last]:
            name = f"update_{last}" if method == "PATCH" else last
        case _:
            return endpoint
    if first in _RESOURCES and name:
        return f"{_RESOURCES[first] or first}.{name}"
    return {"GET /v1/me": "me", "POST /v1/auth/signup": "signup"}.get(endpoint, endpoint)
