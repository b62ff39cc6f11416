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

from ._base.display import show_with

# As type checkers know it; the module `typing` takes longer than all else here. Jedi needs the type to read on.
TYPE_CHECKING: bool = False
if TYPE_CHECKING:
    from typing import Any

    from ._async.client import AsyncFirstHandClient as AsyncFirstHandClient
    from ._async.pages import AsyncPage as AsyncPage
    from ._async.pages import AsyncPageRequest as AsyncPageRequest
    from ._base.version import __version__ as __version__
    from ._core.calls.attempt import Attempt as Attempt
    from ._core.calls.config import NotGiven as NotGiven
    from ._core.calls.estimate import Estimate as Estimate
    from ._core.calls.idempotency import idempotency_key as idempotency_key
    from ._core.calls.ratelimit import AsyncRateLimiter as AsyncRateLimiter
    from ._core.calls.ratelimit import Permit as Permit
    from ._core.calls.ratelimit import RateLimit as RateLimit
    from ._core.calls.ratelimit import RateLimiter as RateLimiter
    from ._core.calls.response import ApiResponse as ApiResponse
    from ._core.orders.account import Order as Order
    from ._core.orders.account import OrderCheck as OrderCheck
    from ._core.orders.journal import Pending as Pending
    from ._sync.bridge import Callback as Callback
    from ._sync.client import FirstHandClient as FirstHandClient
    from ._sync.pages import Page as Page
    from .campaigns import Campaign as Campaign
    from .campaigns import CampaignJob as CampaignJob
    from .campaigns import CampaignPlan as CampaignPlan
    from .campaigns import CampaignProgress as CampaignProgress
    from .campaigns import LabelPlan as LabelPlan
    from .campaigns import LabelProgress as LabelProgress
    from .campaigns import PlannedOrder as PlannedOrder
    from .datasets import Dataset as Dataset
    from .datasets import Progress as Progress
    from .datasets import Record as Record
    from .datasets import Verification as Verification
    from .errors import AnnotationError as AnnotationError
    from .errors import AuthenticationError as AuthenticationError
    from .errors import ConfigurationError as ConfigurationError
    from .errors import ConflictError as ConflictError
    from .errors import DeadlineExceededError as DeadlineExceededError
    from .errors import DownloadError as DownloadError
    from .errors import FirstHandApiError as FirstHandApiError
    from .errors import FirstHandConnectionError as FirstHandConnectionError
    from .errors import FirstHandError as FirstHandError
    from .errors import FirstHandTimeoutError as FirstHandTimeoutError
    from .errors import GoneError as GoneError
    from .errors import IdempotencyError as IdempotencyError
    from .errors import IncompleteJobError as IncompleteJobError
    from .errors import InsufficientCreditsError as InsufficientCreditsError
    from .errors import IntegrityError as IntegrityError
    from .errors import InvalidArgumentError as InvalidArgumentError
    from .errors import InvalidRequestError as InvalidRequestError
    from .errors import NotFoundError as NotFoundError
    from .errors import PaginationError as PaginationError
    from .errors import PermissionDeniedError as PermissionDeniedError
    from .errors import RateLimitError as RateLimitError
    from .errors import ServerError as ServerError
    from .errors import SpendLimitError as SpendLimitError
    from .errors import UnexpectedResponseError as UnexpectedResponseError
    from .errors import WaitTimeoutError as WaitTimeoutError
    from .errors import WebhookSignatureError as WebhookSignatureError
    from .webhooks import EventRouter as EventRouter

# A module and what it defines. A test holds this table against the imports above, which type checkers read.
_NAMES = """
_async.client AsyncFirstHandClient
_async.pages AsyncPage AsyncPageRequest
campaigns Campaign CampaignJob CampaignPlan CampaignProgress LabelPlan LabelProgress PlannedOrder
_core.calls.attempt Attempt
_core.calls.config NotGiven
_core.calls.estimate Estimate
_core.calls.idempotency idempotency_key
_core.calls.ratelimit AsyncRateLimiter Permit RateLimit RateLimiter
_core.calls.response ApiResponse
_core.orders.account Order OrderCheck
_core.orders.journal Pending
datasets Dataset Progress Record Verification
errors AnnotationError AuthenticationError ConfigurationError ConflictError DeadlineExceededError DownloadError
errors FirstHandApiError FirstHandConnectionError FirstHandError FirstHandTimeoutError GoneError
errors IdempotencyError IncompleteJobError InsufficientCreditsError IntegrityError InvalidArgumentError
errors InvalidRequestError NotFoundError PaginationError PermissionDeniedError RateLimitError ServerError
errors SpendLimitError UnexpectedResponseError WaitTimeoutError WebhookSignatureError
_sync.bridge Callback
_sync.client FirstHandClient
_sync.pages Page
_base.version __version__
webhooks EventRouter
"""
_HOMES = {name: line.split()[0] for line in _NAMES.splitlines() for name in line.split()[1:]}
_MODULES = ("ai", "datasets", "errors", "testing", "types", "webhooks")

if not TYPE_CHECKING:  # pragma: no branch - checkers read the imports above
    __all__ = list(_HOMES)


def _html_of(thing: Any) -> str | None:
    from ._notebook import html_of

    return html_of(thing)


show_with(_html_of)


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name in _HOMES:
        value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    elif name in _MODULES:
        value = import_module(f"{__name__}.{name}")
    else:
        from ._base.habits import missing

        raise missing(__name__, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES, *_MODULES})
