"""The closed sets of the contract, and its times, as the models of requests and responses share them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, WithJsonSchema
from typing_extensions import TypeAliasType

from .text import parse_iso

JobType = TypeAliasType("JobType", Literal["data_collection", "feedback"])
JobStatus = TypeAliasType("JobStatus", Literal["open", "filled", "in_progress", "completed", "cancelled"])
SubmissionStatus = TypeAliasType(
    "SubmissionStatus", Literal["pending_score", "approved", "rejected", "retry_pending"]
)
Environment = TypeAliasType("Environment", Literal["live", "test"])
Format = TypeAliasType(
    "Format",
    Literal[
        "image/jpeg",
        "image/png",
        "image/webp",
        "image/gif",
        "audio/mpeg",
        "audio/wav",
        "audio/mp4",
        "video/mp4",
        "video/quicktime",
    ],
)
Scope = TypeAliasType(
    "Scope",
    Literal[
        "jobs:read",
        "jobs:write",
        "webhooks:read",
        "webhooks:write",
        "keys:manage",
        "audit:read",
        "usage:read",
        "billing:write",
    ],
)
EventType = TypeAliasType(
    "EventType",
    Literal[
        "submission.approved",
        "submission.rejected",
        "submission.scored",
        "job.completed",
        "job.cancelled",
        "job.flagged",
        "credits.low_balance",
        "credits.purchased",
        "credits.auto_topped_up",
        "credits.expired",
        "credits.expiring_soon",
    ],
)
TransactionType = TypeAliasType(
    "TransactionType", Literal["purchase", "deduction", "free_tier", "bonus", "expiration", "refund"]
)
PurchaseTier = Literal[1000, 2500, 5000, 10000, 25000]


def _time(value: str) -> str:
    parse_iso(value)
    return value


Time = Annotated[str, AfterValidator(_time), WithJsonSchema({"type": "string", "format": "date-time"})]
