"""Jobs (contract §3 "Job")."""

from typing import Any

from firsthandapi._base.display import Displayed

from ._base import Items, Model, UtcDatetime
from .enums import TERMINAL_JOB_STATUSES, OpenJobStatus, OpenJobType, OpenMediaFormat


class Job(Displayed, Model):
    """A job (contract §3 "Job"). Times are aware datetimes, money is integer US cents.

    Attributes:
        object: `job`; not checked.
        id: `job_` and a ULID.
        status: `open`, `filled`, `in_progress`, `completed` or `cancelled`.
        type: `data_collection` or `feedback`.
        title: a short label, at most 100 characters.
        description: what workers are asked for.
        files_needed: number of files requested.
        files_approved: number of files approved so far.
        price_per_file_cents: price of one approved file, in US cents.
        total_cost_cents: files_needed × price_per_file_cents, held in escrow at creation, in US cents.
        min_star_rating: lowest rating to approve, 1 to 5.
        accepted_formats: MIME types.
        files_per_submission: number of files that one submission may contain, 1 to 5.
        scoring_criteria: what the scorer looks for besides the description.
        min_width: lowest width, in pixels.
        min_height: lowest height, in pixels.
        worker_guidelines: further instructions to workers.
        location: where workers must be, as sent.
        deadline: when the job is cancelled if unfinished.
        max_workers: number of workers who may take part; None means any number.
        metadata: your own values.
        buyer_rating: your rating of the job, 1 to 5.
        buyer_feedback: your words on the job.
        created_at: when the job was posted.
        updated_at: when the job last changed.
        completed_at: when the last file was approved.
        cancelled_at: when the job was cancelled.
        currency: the currency of the prices, such as EUR, on a server of your own; None means US dollars.
        pay: "none" if nobody is paid, so that prices are only a unit of budget; None otherwise.
    """

    object: Any = None
    id: str
    status: OpenJobStatus
    type: OpenJobType | None = None
    title: str | None = None
    description: str | None = None
    files_needed: int | None = None
    files_approved: int | None = None
    price_per_file_cents: int | None = None
    total_cost_cents: int | None = None
    min_star_rating: int | None = None
    accepted_formats: Items[OpenMediaFormat] | None = None
    files_per_submission: int | None = None
    scoring_criteria: str | None = None
    min_width: int | None = None
    min_height: int | None = None
    worker_guidelines: str | None = None
    location: dict[str, Any] | None = None
    deadline: UtcDatetime | None = None
    max_workers: int | None = None
    metadata: dict[str, Any] | None = None
    buyer_rating: int | None = None
    buyer_feedback: str | None = None
    created_at: UtcDatetime | None = None
    updated_at: UtcDatetime | None = None
    completed_at: UtcDatetime | None = None
    cancelled_at: UtcDatetime | None = None
    currency: str | None = None
    pay: str | None = None

    @property
    def is_terminal(self) -> bool:
        """Whether the job is finished: completed or cancelled."""
        return self.status in TERMINAL_JOB_STATUSES
