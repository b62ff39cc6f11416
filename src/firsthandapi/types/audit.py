"""Audit events (contract §3 "AuditEvent")."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from ._base import Model, UtcDatetime
from .enums import OpenAuditEventType
from .page import ListParams


class AuditEvent(Model):
    """An action in the organization (contract §3 "AuditEvent").

    Attributes:
        object: not checked.
        id: `aud_` and a ULID.
        event_type: such as `job.created`.
        job_id: the job that the action is about, if any.
        actor: who acted; its shape is not documented.
        data: the action; its shape is not documented.
        created_at: time of the action.
    """

    object: Any = None
    id: str
    event_type: OpenAuditEventType | None = None
    job_id: str | None = None
    actor: Any = None
    data: Any = None
    created_at: UtcDatetime | None = None


class AuditEventListParams(ListParams):
    """The filters of `audit_events.list`."""

    job_id: str | None = Field(default=None, min_length=1, description="a job's id")
    event_type: OpenAuditEventType | None = Field(
        default=None, min_length=1, description="a str such as 'job.created'"
    )
