"""Webhook events (contract §6)."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AliasChoices, Field

from ._base import Model, Tolerant, UtcDatetime
from .enums import (
    CreditsEventType,
    JobEventType,
    OpenEventType,
    OpenMediaFormat,
    OpenSubmissionStatus,
    SubmissionEventType,
)


class WebhookEvent(Model):
    """Something that happened (contract §6).

    A known type comes as `SubmissionEvent`, `JobEvent` or `CreditsEvent`. An unknown one, and one whose
    `data` is not as documented, comes as this class with `data` as plain JSON: a new version of the service
    must not stop a receiver.

    Attributes:
        object: `event`; not checked.
        id: `evt_` and a ULID: the same in repeated deliveries, so deduplicate by it.
        type: such as `submission.approved`.
        api_version: the version of the service's API.
        created_at: when it happened.
        data: what happened; a dict, or the typed data of the subclass.
    """

    object: Any = None
    id: str
    type: OpenEventType
    api_version: str | None = None
    created_at: UtcDatetime | None = None
    data: Any = Field(default_factory=dict)


class _EventData(Model):
    # The event comes as a plain one if its data do not fit.
    __keeps_raw__ = False


class SubmissionEventData(_EventData):
    """The data of a submission event.

    Attributes:
        submission_id: which; read from `submission_id` or, in other versions, `id`.
        job_id: the job that it was submitted to.
        status: its outcome.
        ai_star_rating: the score, 1 to 5.
        ai_reasoning: why; None if nobody wrote a reason.
        content_type: its MIME type.
    """

    submission_id: str | None = Field(default=None, validation_alias=AliasChoices("submission_id", "id"))
    job_id: str | None = None
    status: OpenSubmissionStatus | None = None
    ai_star_rating: int | None = None
    ai_reasoning: str | None = None
    content_type: OpenMediaFormat | None = None


class JobEventData(_EventData):
    """The data of a job event.

    Attributes:
        job_id: which; read from `job_id` or `id`.
        status: the job's status.
        files_needed: number of files requested.
        files_approved: number of files approved.
    """

    job_id: str | None = Field(default=None, validation_alias=AliasChoices("job_id", "id"))
    status: str | None = None
    files_needed: int | None = None
    files_approved: int | None = None


class CreditsEventData(_EventData):
    """The data of a credits event.

    Attributes:
        balance_cents: what can be spent, in US cents.
        amount_cents: amount moved, in US cents.
        expires_at: when the credits end.
    """

    balance_cents: int | None = None
    amount_cents: int | None = None
    expires_at: UtcDatetime | None = None


class SubmissionEvent(WebhookEvent):
    """A submission was approved, rejected or scored."""

    type: SubmissionEventType  # pyright: ignore[reportIncompatibleVariableOverride] - it is frozen
    data: SubmissionEventData = Field(default_factory=SubmissionEventData)


class JobEvent(WebhookEvent):
    """A job was completed, cancelled or flagged."""

    type: JobEventType  # pyright: ignore[reportIncompatibleVariableOverride] # each class narrows it
    data: JobEventData = Field(default_factory=JobEventData)


class CreditsEvent(WebhookEvent):
    """Credits are low, were bought, or end."""

    type: CreditsEventType  # pyright: ignore[reportIncompatibleVariableOverride] # each class narrows it
    data: CreditsEventData = Field(default_factory=CreditsEventData)


# Decoding a `WebhookEvent` gives the subclass that fits.
WebhookEvent.__decodes_as__ = Annotated[
    WebhookEvent,
    Tolerant(
        Annotated[
            SubmissionEvent | JobEvent | CreditsEvent,
            Field(discriminator="type"),
        ],
        WebhookEvent,
    ),
]
