"""Every endpoint of the contract, once: served, documented, and checked on other servers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from . import answers, bodies

ANY_SCOPE = "any"
NO_KEY = "none"

# Of the parts of paths that have not the name of their group.
_TAGS = {
    "auth": "account",
    "me": "account",
    "webhook_endpoints": "webhooks",
    "webhook_events": "webhooks",
    "organization": "account",
    "audit-events": "account",
}


@dataclass(frozen=True, slots=True)
class Operation:
    """One line of the contract's table of endpoints."""

    method: str
    path: str
    scope: str
    name: str  # its operation id, and the function of `handlers.py` that answers
    summary: str
    answer: type[answers.Answer] | None
    status: int = 200
    body: type[bodies.Body] | None = None
    query: type[bodies.Query] = bodies.NoQuery
    needs_idempotency_key: bool = False
    waits: bool = False
    errors: tuple[int, ...] = ()
    job: Literal["completed", "unfinished"] | None = None  # what the job of its path must be

    @property
    def is_list(self) -> bool:
        """Whether the response is a page."""
        return issubclass(self.query, bodies.PageQuery)

    @property
    def shows_secret(self) -> bool:
        """Whether the response has something that is shown only once."""
        fields = () if self.answer is None else self.answer.model_fields
        return "secret" in fields or "api_key" in fields

    @property
    def tag(self) -> str:
        """The group of the operation in the document."""
        part = self.path.split("/")[2]
        return _TAGS.get(part, part)


# fmt: off
OPERATIONS = (
    Operation(
        "POST", "/v1/auth/signup", NO_KEY, "signup",
        "Create an organization on the free tier and its first API key", answers.Signup, body=bodies.SignupBody
    ),
    Operation(
        "GET", "/v1/me", ANY_SCOPE, "me", "Show the organization, environment, and scopes of the API key",
        answers.Identity
    ),
    Operation(
        "POST", "/v1/jobs", "jobs:write", "create_job", "Post a job and set its cost aside", answers.Job,
        status=201, body=bodies.JobBody, needs_idempotency_key=True, errors=(402,)
    ),
    Operation(
        "GET", "/v1/jobs", "jobs:read", "list_jobs", "List jobs, newest first", answers.Job,
        query=bodies.JobsQuery
    ),
    Operation(
        "GET", "/v1/jobs/{id}", "jobs:read", "get_job",
        "Show a job, or hold the request until its status changes", answers.Job, waits=True
    ),
    Operation(
        "POST", "/v1/jobs/{id}/cancel", "jobs:write", "cancel_job",
        "Cancel a job and refund the rest of its escrow", answers.Job, needs_idempotency_key=True, job="unfinished"
    ),
    Operation(
        "POST", "/v1/jobs/{id}/rate", "jobs:write", "rate_job", "Rate a completed job", answers.Job,
        body=bodies.RateBody, needs_idempotency_key=True, job="completed"
    ),
    Operation(
        "GET", "/v1/jobs/{id}/files", "jobs:read", "list_files",
        "List the approved files of a job, each with a fresh download URL", answers.File,
        query=bodies.FilesQuery
    ),
    Operation(
        "GET", "/v1/jobs/{id}/submissions", "jobs:read", "list_job_submissions",
        "List the submissions of a job in every status", answers.Submission, query=bodies.JobSubmissionsQuery
    ),
    Operation(
        "POST", "/v1/files/{id}/refresh_url", "jobs:read", "refresh_url",
        "Get a fresh download URL for a file", answers.DownloadUrl
    ),
    Operation(
        "GET", "/v1/submissions", "jobs:read", "list_submissions",
        "List submissions of all jobs, by default of the last 30 days", answers.Submission,
        query=bodies.SubmissionsQuery
    ),
    Operation(
        "GET", "/v1/submissions/summary", "jobs:read", "summarize_submissions", "Count submissions by status",
        answers.SubmissionSummary, query=bodies.SummaryQuery
    ),
    Operation(
        "GET", "/v1/submissions/{id}", "jobs:read", "get_submission", "Show a submission", answers.Submission
    ),
    Operation(
        "GET", "/v1/consents/{id}", "jobs:read", "get_consent", "Show what a worker agreed to, without a name",
        answers.Consent
    ),
    Operation(
        "POST", "/v1/api_keys", "keys:manage", "create_key",
        "Create an API key; its secret is shown only once", answers.NewApiKey, status=201,
        body=bodies.ApiKeyBody, needs_idempotency_key=True
    ),
    Operation(
        "GET", "/v1/api_keys", "keys:manage", "list_keys", "List API keys", answers.ApiKey,
        query=bodies.PageQuery
    ),
    Operation(
        "POST", "/v1/api_keys/{id}/rotate", "keys:manage", "rotate_key",
        "Replace an API key; the old one works for 24 more hours", answers.NewApiKey
    ),
    Operation(
        "POST", "/v1/api_keys/{id}/revoke", "keys:manage", "revoke_key", "Revoke an API key immediately", None,
        status=204
    ),
    Operation(
        "POST", "/v1/webhook_endpoints", "webhooks:write", "create_webhook",
        "Create a webhook endpoint; without `events` it gets every type", answers.NewWebhookEndpoint,
        status=201, body=bodies.WebhookBody, needs_idempotency_key=True, errors=(422,)
    ),
    Operation(
        "GET", "/v1/webhook_endpoints", "webhooks:read", "list_webhooks", "List webhook endpoints",
        answers.WebhookEndpoint, query=bodies.PageQuery
    ),
    Operation(
        "GET", "/v1/webhook_endpoints/{id}", "webhooks:read", "get_webhook", "Show a webhook endpoint",
        answers.WebhookEndpoint
    ),
    Operation(
        "PATCH", "/v1/webhook_endpoints/{id}", "webhooks:write", "update_webhook", "Change a webhook endpoint",
        answers.WebhookEndpoint, body=bodies.WebhookPatch, errors=(422,)
    ),
    Operation(
        "DELETE", "/v1/webhook_endpoints/{id}", "webhooks:write", "delete_webhook",
        "Delete a webhook endpoint", None, status=204
    ),
    Operation(
        "POST", "/v1/webhook_endpoints/{id}/rotate_secret", "webhooks:write", "rotate_webhook_secret",
        "Replace the secret of a webhook endpoint; the old one ends immediately", answers.NewWebhookEndpoint
    ),
    Operation(
        "GET", "/v1/webhook_events", "webhooks:read", "list_events", "List webhook events",
        answers.WebhookEvent, query=bodies.EventsQuery
    ),
    Operation(
        "POST", "/v1/webhook_events/{id}/replay", "webhooks:write", "replay_event",
        "Deliver an event again to every endpoint subscribed to it", answers.WebhookEvent
    ),
    Operation(
        "GET", "/v1/billing/credits", "usage:read", "get_credits", "Show the balance", answers.CreditBalance
    ),
    Operation(
        "GET", "/v1/billing/transactions", "usage:read", "list_transactions", "List credit transactions",
        answers.CreditTransaction, query=bodies.TransactionsQuery
    ),
    Operation(
        "POST", "/v1/billing/credits/purchase", "billing:write", "purchase",
        "Start a purchase; opening its checkout URL books it", answers.Checkout, body=bodies.PurchaseBody,
        needs_idempotency_key=True
    ),
    Operation(
        "GET", "/v1/organization/settings", ANY_SCOPE, "get_settings", "Show the settings of the organization",
        answers.OrganizationSettings
    ),
    Operation(
        "PATCH", "/v1/organization/settings", "billing:write", "update_settings",
        "Change the settings of the organization", answers.OrganizationSettings, body=bodies.SettingsPatch
    ),
    Operation(
        "GET", "/v1/audit-events", "audit:read", "list_audit_events", "List audit events", answers.AuditEvent,
        query=bodies.AuditQuery
    ),
)
# fmt: on
BY_NAME = {operation.name: operation for operation in OPERATIONS}
