"""Every endpoint of the contract: the table that is served, and that the OpenAPI document is made from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from . import answers, bodies, handlers
from .handlers import Call

ANY_SCOPE = "any"
NO_KEY = "none"

Json = dict[str, Any]

_TAGS = {
    "auth": "account",
    "me": "account",
    "jobs": "jobs",
    "files": "files",
    "submissions": "submissions",
    "api_keys": "api_keys",
    "webhook_endpoints": "webhooks",
    "webhook_events": "webhooks",
    "billing": "billing",
    "organization": "account",
    "audit-events": "account",
}


@dataclass(frozen=True, slots=True)
class Operation:
    """One line of the contract's table of endpoints."""

    method: str
    path: str
    scope: str
    handle: Callable[[Call], Json | None]
    answer: type[answers.Answer] | None
    status: int = 200
    body: type[bodies.Body] | None = None
    query: type[bodies.Query] = bodies.NoQuery
    needs_idempotency_key: bool = False
    waits: bool = False
    errors: tuple[int, ...] = ()

    @property
    def is_list(self) -> bool:
        """Whether the response is a page."""
        return issubclass(self.query, bodies.PageQuery)

    @property
    def name(self) -> str:
        """Its operation id."""
        return self.handle.__name__

    @property
    def summary(self) -> str:
        """One line for people."""
        return (self.handle.__doc__ or "").rstrip(".")

    @property
    def tag(self) -> str:
        """The group of the operation in the document."""
        return _TAGS[self.path.split("/")[2]]


OPERATIONS = (
    Operation("POST", "/v1/auth/signup", NO_KEY, handlers.signup, answers.Signup, body=bodies.SignupBody),
    Operation("GET", "/v1/me", ANY_SCOPE, handlers.me, answers.Identity),
    Operation(
        "POST",
        "/v1/jobs",
        "jobs:write",
        handlers.create_job,
        answers.Job,
        status=201,
        body=bodies.JobBody,
        needs_idempotency_key=True,
        errors=(402,),
    ),
    Operation("GET", "/v1/jobs", "jobs:read", handlers.list_jobs, answers.Job, query=bodies.JobsQuery),
    Operation("GET", "/v1/jobs/{id}", "jobs:read", handlers.get_job, answers.Job, waits=True),
    Operation(
        "POST",
        "/v1/jobs/{id}/cancel",
        "jobs:write",
        handlers.cancel_job,
        answers.Job,
        needs_idempotency_key=True,
    ),
    Operation(
        "POST",
        "/v1/jobs/{id}/rate",
        "jobs:write",
        handlers.rate_job,
        answers.Job,
        body=bodies.RateBody,
        needs_idempotency_key=True,
    ),
    Operation(
        "GET", "/v1/jobs/{id}/files", "jobs:read", handlers.list_files, answers.File, query=bodies.FilesQuery
    ),
    Operation(
        "GET",
        "/v1/jobs/{id}/submissions",
        "jobs:read",
        handlers.list_job_submissions,
        answers.Submission,
        query=bodies.JobSubmissionsQuery,
    ),
    Operation("POST", "/v1/files/{id}/refresh_url", "jobs:read", handlers.refresh_url, answers.DownloadUrl),
    Operation(
        "GET",
        "/v1/submissions",
        "jobs:read",
        handlers.list_submissions,
        answers.Submission,
        query=bodies.SubmissionsQuery,
    ),
    Operation(
        "GET",
        "/v1/submissions/summary",
        "jobs:read",
        handlers.summarize_submissions,
        answers.SubmissionSummary,
        query=bodies.SummaryQuery,
    ),
    Operation("GET", "/v1/submissions/{id}", "jobs:read", handlers.get_submission, answers.Submission),
    Operation(
        "POST",
        "/v1/api_keys",
        "keys:manage",
        handlers.create_key,
        answers.NewApiKey,
        status=201,
        body=bodies.ApiKeyBody,
        needs_idempotency_key=True,
    ),
    Operation(
        "GET", "/v1/api_keys", "keys:manage", handlers.list_keys, answers.ApiKey, query=bodies.PageQuery
    ),
    Operation("POST", "/v1/api_keys/{id}/rotate", "keys:manage", handlers.rotate_key, answers.NewApiKey),
    Operation("POST", "/v1/api_keys/{id}/revoke", "keys:manage", handlers.revoke_key, None, status=204),
    Operation(
        "POST",
        "/v1/webhook_endpoints",
        "webhooks:write",
        handlers.create_webhook,
        answers.NewWebhookEndpoint,
        status=201,
        body=bodies.WebhookBody,
        needs_idempotency_key=True,
        errors=(422,),
    ),
    Operation(
        "GET",
        "/v1/webhook_endpoints",
        "webhooks:read",
        handlers.list_webhooks,
        answers.WebhookEndpoint,
        query=bodies.PageQuery,
    ),
    Operation(
        "GET", "/v1/webhook_endpoints/{id}", "webhooks:read", handlers.get_webhook, answers.WebhookEndpoint
    ),
    Operation(
        "PATCH",
        "/v1/webhook_endpoints/{id}",
        "webhooks:write",
        handlers.update_webhook,
        answers.WebhookEndpoint,
        body=bodies.WebhookPatch,
        errors=(422,),
    ),
    Operation(
        "DELETE", "/v1/webhook_endpoints/{id}", "webhooks:write", handlers.delete_webhook, None, status=204
    ),
    Operation(
        "POST",
        "/v1/webhook_endpoints/{id}/rotate_secret",
        "webhooks:write",
        handlers.rotate_webhook_secret,
        answers.NewWebhookEndpoint,
    ),
    Operation(
        "GET",
        "/v1/webhook_events",
        "webhooks:read",
        handlers.list_events,
        answers.WebhookEvent,
        query=bodies.EventsQuery,
    ),
    Operation(
        "POST",
        "/v1/webhook_events/{id}/replay",
        "webhooks:write",
        handlers.replay_event,
        answers.WebhookEvent,
    ),
    Operation("GET", "/v1/billing/credits", "usage:read", handlers.get_credits, answers.CreditBalance),
    Operation(
        "GET",
        "/v1/billing/transactions",
        "usage:read",
        handlers.list_transactions,
        answers.CreditTransaction,
        query=bodies.TransactionsQuery,
    ),
    Operation(
        "POST",
        "/v1/billing/credits/purchase",
        "billing:write",
        handlers.purchase,
        answers.Checkout,
        body=bodies.PurchaseBody,
        needs_idempotency_key=True,
    ),
    Operation(
        "GET", "/v1/organization/settings", ANY_SCOPE, handlers.get_settings, answers.OrganizationSettings
    ),
    Operation(
        "PATCH",
        "/v1/organization/settings",
        "billing:write",
        handlers.update_settings,
        answers.OrganizationSettings,
        body=bodies.SettingsPatch,
    ),
    Operation(
        "GET",
        "/v1/audit-events",
        "audit:read",
        handlers.list_audit_events,
        answers.AuditEvent,
        query=bodies.AuditQuery,
    ),
)
