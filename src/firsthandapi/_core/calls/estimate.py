"""What a job may cost and how long it may take, by the finished jobs of the account that were like it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from math import ceil, floor

from firsthandapi.types._base import fitting
from firsthandapi.types.job import Job
from firsthandapi.types.submission import Submission

MOST_JOBS = 100


@dataclass(frozen=True)
class Estimate:
    """What `jobs.estimate` returns.

    Attributes:
        cost_cents: what the job would cost, in US cents: `files_needed` × `price_per_file_cents`.
        jobs: number of finished jobs that the rest is from, at most 100.
        approval_rate: approved submissions among those decided, 0 to 1, of the newest submissions to these jobs; None
            if none was decided.
        hours_p50: hours from posting to completion, which half of the completed jobs needed at most; None if none was
            completed.
        hours_p90: the same for nine of ten.
    """

    cost_cents: int
    jobs: int
    approval_rate: float | None
    hours_p50: float | None
    hours_p90: float | None


def finished_like(jobs: Iterable[Job], job_type: str, formats: Collection[str]) -> list[Job]:
    """The jobs of this type that are finished and took one of these formats, the newest first, at most 100."""
    finished = [
        job
        for job in map(fitting, jobs)
        if job.is_terminal
        and job.type == job_type
        and {*formats} & {*(job.accepted_formats or ())}
        and job.created_at
    ]
    return sorted(finished, key=_posted, reverse=True)[:MOST_JOBS]


def estimate(cost_cents: int, jobs: Sequence[Job], submissions: Iterable[Submission]) -> Estimate:
    """The estimate by these finished jobs, and by those of the submissions that are to them."""
    ids = {job.id for job in jobs}
    decided = [
        submission.status == "approved"
        for submission in map(fitting, submissions)
        if submission.job_id in ids and submission.status in ("approved", "rejected")
    ]
    hours = sorted(
        (job.completed_at - job.created_at).total_seconds() / 3600
        for job in jobs
        if job.completed_at and job.created_at and job.completed_at >= job.created_at
    )
    return Estimate(
        cost_cents,
        len(jobs),
        sum(decided) / len(decided) if decided else None,
        _percentile(hours, 0.5),
        _percentile(hours, 0.9),
    )


def _posted(job: Job) -> float:
    return job.created_at.timestamp() if job.created_at else 0.0


def _percentile(values: Sequence[float], share: float) -> float | None:
    """The value below which this share of the sorted values lies, between two of them in proportion."""
    if not values:
        return None
    place = share * (len(values) - 1)
    low, high = values[floor(place)], values[ceil(place)]
    return low + (high - low) * (place % 1)
