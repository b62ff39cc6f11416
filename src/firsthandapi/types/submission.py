"""Submissions (contract §3 "Submission")."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from ._base import Items, Model, Params, UtcDatetime, WireTime
from .enums import OpenFlag, OpenMediaFormat, OpenSubmissionStatus, SubmissionStatus
from .page import ListParams


class Dimensions(Model):
    """The parts of a score, each 1 to 5.

    Attributes:
        relevance: how well the file matches the description.
        quality: technical quality of the file.
        completeness: whether anything is missing.
    """

    relevance: float | None = None
    quality: float | None = None
    completeness: float | None = None


class Submission(Model):
    """What a worker submitted (contract §3 "Submission").

    Rating, reasoning and `scored_at` are None before scoring.

    Attributes:
        object: `submission`; not checked.
        id: `sub_` and a ULID.
        status: `pending_score`, `approved`, `retry_pending` or `rejected`.
        job_id: the job that it was submitted to.
        worker_id: `wkr_` and a ULID.
        ai_star_rating: the score, 1 to 5.
        ai_reasoning: why; None if nobody wrote a reason.
        dimensions: the parts of the score.
        file_url: a signed URL. Secret: whoever has it has the file.
        content_type: its MIME type.
        size_bytes: its size, in bytes.
        submitted_at: when it was submitted.
        scored_at: when it was scored.
        submission_latitude: where it was submitted, in degrees.
        submission_longitude: where it was submitted, in degrees.
        location_verified: on a server of one's own and on the bundled one, whether the place lies within the job's
            radius, and None where that cannot be told. On the service, only that a place was collected.
        rated_by: who rated it: `person`, `rules` (a program), or `model:<name>`; None for the service's own ensemble.
        flags: what was noticed: `policy`, `stock`, `synthetic`, `addresses_rater`, or `unreadable`.
        task_id: the row of the study's tasks that it was made for; servers of one's own have it.
        task_text: what that row asked for, as the worker read it; servers of one's own have it.
    """

    object: Any = None
    id: str
    status: OpenSubmissionStatus
    job_id: str | None = None
    worker_id: str | None = None
    ai_star_rating: int | None = None
    ai_reasoning: str | None = None
    dimensions: Dimensions | None = None
    file_url: str | None = None
    content_type: OpenMediaFormat | None = None
    size_bytes: int | None = None
    submitted_at: UtcDatetime | None = None
    scored_at: UtcDatetime | None = None
    submission_latitude: float | None = None
    submission_longitude: float | None = None
    location_verified: bool | None = None
    rated_by: str | None = None
    flags: Items[OpenFlag] | None = None
    task_id: str | None = None
    task_text: str | None = None


class SubmissionSummary(Model):
    """Submissions counted (contract §2 "Submissions").

    Attributes:
        object: `submission_summary`; not checked.
        total: number of submissions.
        by_status: number of submissions of each status.
        average_star_rating: 1 to 5, over those scored.
        approval_rate: approved ones among those decided, 0 to 1.
    """

    object: Any = None
    total: int | None = None
    by_status: dict[str, int] | None = None
    average_star_rating: float | None = None
    approval_rate: float | None = None


class SubmissionListParams(ListParams):
    """The filters of `submissions.list` (contract §2 "Submissions")."""

    job_id: str | None = Field(default=None, min_length=1, description="a job's id")
    status: SubmissionStatus | None = Field(
        default=None, description="'pending_score', 'approved', 'retry_pending' or 'rejected'"
    )
    min_score: int | None = Field(default=None, ge=1, le=5, description="an int from 1 to 5")
    start_date: WireTime | None = Field(default=None, description="an aware datetime or an ISO 8601 str")
    end_date: WireTime | None = Field(default=None, description="an aware datetime or an ISO 8601 str")


class SubmissionSummaryParams(Params):
    """The filters of `submissions.summary` (contract §2 "Submissions")."""

    job_id: str | None = Field(default=None, min_length=1, description="a job's id")
    start_date: WireTime | None = Field(default=None, description="an aware datetime or an ISO 8601 str")
    end_date: WireTime | None = Field(default=None, description="an aware datetime or an ISO 8601 str")
