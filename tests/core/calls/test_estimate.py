"""What a job may cost and how long it may take, by finished jobs of the account."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from firsthandapi import Estimate
from firsthandapi._core.calls.estimate import MOST_JOBS, estimate, finished_like
from firsthandapi.types.job import Job
from firsthandapi.types.submission import Submission

START = datetime(2026, 11, 1, tzinfo=UTC)


def job(number: int = 0, hours: float | None = None, **fields: Any) -> Job:
    """A job posted after so many days; it is completed after so many hours, or else cancelled."""
    posted = START + timedelta(days=number)
    defaults: dict[str, Any] = {
        "id": f"job_{number}",
        "type": "data_collection",
        "status": "cancelled" if hours is None else "completed",
        "accepted_formats": ["image/jpeg"],
        "created_at": posted,
        "completed_at": None if hours is None else posted + timedelta(hours=hours),
    }
    return Job.model_validate({**defaults, **fields})


def submission(status: str, job_id: str | None = "job_0") -> Submission:
    return Submission(id="sub_1", status=status, job_id=job_id)


def test_jobs_that_are_like_another() -> None:
    """They are finished, of its type, and took one of its formats; the newest come first."""
    peers = [job(3, 1.0), job(2), job(1, 2.0, accepted_formats=["image/png", "image/jpeg"])]
    rest = [
        job(4, 1.0, status="open"),
        job(5, 1.0, type="feedback"),
        job(6, 1.0, accepted_formats=["audio/mpeg"]),
        job(7, 1.0, accepted_formats=None),
        job(8, 1.0, created_at=None),
        job(9, 1.0, created_at="yesterday"),
    ]
    assert finished_like([*rest, *reversed(peers)], "data_collection", ["image/jpeg", "image/webp"]) == peers
    many = [job(number, 1.0) for number in range(MOST_JOBS + 5)]
    assert [peer.id for peer in finished_like(many, "data_collection", ["image/jpeg"])[:2]] == [
        "job_104",
        "job_103",
    ]
    assert len(finished_like(many, "data_collection", ["image/jpeg"])) == MOST_JOBS


@pytest.mark.parametrize(
    ("hours", "half", "nine_of_ten"),
    [
        ([], None, None),
        ([None], None, None),
        ([3.0], 3.0, 3.0),
        ([3.0, 1.0, None, 2.0], 2.0, 2.8),
        ([float(hour) for hour in range(11)], 5.0, 9.0),
    ],
)
def test_hours(hours: list[float | None], half: float | None, nine_of_ten: float | None) -> None:
    """Those of the completed jobs, in proportion between two of them; None without one."""
    result = estimate(500, [job(number, duration) for number, duration in enumerate(hours)], [])
    assert result == Estimate(500, len(hours), None, half, nine_of_ten)


def test_the_approval_rate() -> None:
    """Of what was decided on these jobs, and nothing else."""
    submissions = [
        *(submission("approved") for _ in range(3)),
        submission("rejected"),
        submission("retry_pending"),
        submission("pending_score"),
        submission("rejected", "job_9"),
        submission("rejected", None),
    ]
    assert estimate(1, [job(0, 1.0)], submissions).approval_rate == 0.75
    assert estimate(1, [job(0, 1.0)], submissions[4:]).approval_rate is None


def test_a_job_that_ended_before_it_began() -> None:
    """A clock that lies says nothing of hours."""
    assert estimate(100, [job(0, 5.0), job(1, -8760.0)], []) == Estimate(100, 2, None, 5.0, 5.0)
    assert estimate(100, [job(1, -1.0)], []).hours_p90 is None
