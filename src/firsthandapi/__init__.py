"""The official Python SDK of FirstHandAPI.

    from firsthandapi import FirstHandClient

    with FirstHandClient() as client:
        job = client.jobs.create_and_wait(
            description="Photos of street signs in daylight",
            files_needed=10,
            accepted_formats=["image/jpeg"],
            price_per_file_cents=50,
        )
        for file in client.files.list(job.id):
            client.files.download(file, "signs/")

Names load when first used, so that `import firsthandapi` costs a script next to nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._version import __version__ as __version__

if TYPE_CHECKING:
    from ._async.client import AsyncFirstHandClient
    from ._async.pages import AsyncPage, AsyncPageRequest
    from ._core.calls.attempt import Attempt
    from ._core.calls.config import NotGiven
    from ._core.calls.idempotency import idempotency_key
    from ._core.calls.ratelimit import AsyncRateLimiter, Permit, RateLimit, RateLimiter
    from ._core.calls.response import ApiResponse
    from ._core.orders.journal import Pending
    from ._sync.bridge import Callback
    from ._sync.client import FirstHandClient
    from ._sync.pages import Page
    from .campaigns import (
        Campaign,
        CampaignJob,
        CampaignPlan,
        CampaignProgress,
        LabelPlan,
        LabelProgress,
        PlannedOrder,
    )
    from .datasets import Dataset, Progress, Record, Verification
    from .errors import (
        AuthenticationError,
        ConfigurationError,
        ConflictError,
        DeadlineExceededError,
        DownloadError,
        FirstHandApiError,
        FirstHandConnectionError,
        FirstHandError,
        FirstHandTimeoutError,
        GoneError,
        IdempotencyError,
        IncompleteJobError,
        InsufficientCreditsError,
        IntegrityError,
        InvalidArgumentError,
        InvalidRequestError,
        NotFoundError,
        PaginationError,
        PermissionDeniedError,
        RateLimitError,
        ServerError,
        SpendLimitError,
        UnexpectedResponseError,
        WaitTimeoutError,
        WebhookSignatureError,
    )
    from .webhooks import EventRouter

__all__ = [
    "ApiResponse",
    "AsyncFirstHandClient",
    "AsyncPage",
    "AsyncPageRequest",
    "AsyncRateLimiter",
    "Attempt",
    "AuthenticationError",
    "Callback",
    "Campaign",
    "CampaignJob",
    "CampaignPlan",
    "CampaignProgress",
    "ConfigurationError",
    "ConflictError",
    "Dataset",
    "DeadlineExceededError",
    "DownloadError",
    "EventRouter",
    "FirstHandApiError",
    "FirstHandClient",
    "FirstHandConnectionError",
    "FirstHandError",
    "FirstHandTimeoutError",
    "GoneError",
    "IdempotencyError",
    "IncompleteJobError",
    "InsufficientCreditsError",
    "IntegrityError",
    "InvalidArgumentError",
    "InvalidRequestError",
    "LabelPlan",
    "LabelProgress",
    "NotFoundError",
    "NotGiven",
    "Page",
    "PaginationError",
    "Pending",
    "PermissionDeniedError",
    "Permit",
    "PlannedOrder",
    "Progress",
    "RateLimit",
    "RateLimitError",
    "RateLimiter",
    "Record",
    "ServerError",
    "SpendLimitError",
    "UnexpectedResponseError",
    "Verification",
    "WaitTimeoutError",
    "WebhookSignatureError",
    "__version__",
    "idempotency_key",
]

# Where each name lives. A test holds this table against the imports above, which type checkers read.
_HOMES = {
    **{name: "errors" for name in __all__ if name.endswith("Error")},
    "AsyncFirstHandClient": "_async.client",
    "AsyncPage": "_async.pages",
    "AsyncPageRequest": "_async.pages",
    "Attempt": "_core.calls.attempt",
    "idempotency_key": "_core.calls.idempotency",
    "Pending": "_core.orders.journal",
    "AsyncRateLimiter": "_core.calls.ratelimit",
    "RateLimit": "_core.calls.ratelimit",
    "RateLimiter": "_core.calls.ratelimit",
    "ApiResponse": "_core.calls.response",
    "FirstHandClient": "_sync.client",
    "Page": "_sync.pages",
    **dict.fromkeys(
        (
            "Campaign",
            "CampaignJob",
            "CampaignPlan",
            "CampaignProgress",
            "LabelPlan",
            "LabelProgress",
            "PlannedOrder",
        ),
        "campaigns",
    ),
    "Callback": "_sync.bridge",
    "Dataset": "datasets",
    "NotGiven": "_core.calls.config",
    "Permit": "_core.calls.ratelimit",
    "Record": "datasets",
    "Progress": "datasets",
    "Verification": "datasets",
    "EventRouter": "webhooks",
}
_MODULES = ("datasets", "errors", "testing", "types", "webhooks")


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name in _HOMES:
        value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    elif name in _MODULES:
        value = import_module(f"{__name__}.{name}")
    else:
        from ._habits import missing

        raise missing(__name__, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES, *_MODULES})
