"""The contract's closed sets of words (§4), each in two forms.

The closed form (`MediaFormat`) is for arguments: the SDK sends nothing else. The open form
(`OpenMediaFormat`) is for responses: the service may add a word at any time, and then it is simply a string.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

if TYPE_CHECKING:
    from pydantic_core import CoreSchema


class _Open:
    """Checks `Literal[…] | str` as a plain string. Half the work, and a clean error path."""

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> CoreSchema:
        from pydantic_core import core_schema

        return core_schema.str_schema()


JobType = Literal["data_collection", "feedback"]
OpenJobType = Annotated[JobType | str, _Open()]

JobStatus = Literal["open", "filled", "in_progress", "completed", "cancelled"]
OpenJobStatus = Annotated[JobStatus | str, _Open()]
# A job in one of these states never changes again.
TERMINAL_JOB_STATUSES: frozenset[str] = frozenset({"completed", "cancelled"})

SubmissionStatus = Literal["pending_score", "approved", "retry_pending", "rejected"]
OpenSubmissionStatus = Annotated[SubmissionStatus | str, _Open()]

MediaFormat = Literal[
    "image/jpeg",
    "image/png",
    "image/webp",
    "image/gif",
    "audio/mpeg",
    "audio/wav",
    "audio/mp4",
    "video/mp4",
    "video/quicktime",
]
OpenMediaFormat = Annotated[MediaFormat | str, _Open()]

Flag = Literal["policy", "stock", "synthetic", "addresses_rater", "unreadable"]
OpenFlag = Annotated[Flag | str, _Open()]
"""What a rater noticed in a file."""

Scope = Literal[
    "jobs:read",
    "jobs:write",
    "webhooks:read",
    "webhooks:write",
    "keys:manage",
    "audit:read",
    "usage:read",
    "billing:write",
]
# What a key may be created with: the service's pages name one more.
KeyScope = Literal[Scope, "billing:read"]
OpenScope = Annotated[Scope | str, _Open()]

Environment = Literal["live", "test"]
OpenEnvironment = Annotated[Environment | str, _Open()]

TransactionType = Literal["purchase", "deduction", "free_tier", "bonus", "expiration", "refund"]
OpenTransactionType = Annotated[TransactionType | str, _Open()]

# Purchases are fixed amounts, in US cents.
PurchaseTier = Literal[1000, 2500, 5000, 10000, 25000]

SubmissionEventType = Literal["submission.approved", "submission.rejected", "submission.scored"]
JobEventType = Literal["job.completed", "job.cancelled", "job.flagged"]
CreditsEventType = Literal[
    "credits.low_balance",
    "credits.purchased",
    "credits.auto_topped_up",
    "credits.expired",
    "credits.expiring_soon",
]
EventType = Literal[SubmissionEventType, JobEventType, CreditsEventType]
OpenEventType = Annotated[EventType | str, _Open()]

AuditEventType = Literal[
    "job.created",
    "job.cancelled",
    "job.completed",
    "submission.approved",
    "submission.rejected",
    "api_key.created",
    "api_key.rotated",
    "api_key.revoked",
]
# The contract calls this set open, so arguments take any string too.
OpenAuditEventType = Annotated[AuditEventType | str, _Open()]
