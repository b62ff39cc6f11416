"""Two jobs with one key."""

from __future__ import annotations

from typing import Any

from firsthandapi._core.orders.twins import oldest_first, warning


def job(job_id: str, created_at: Any = None, status: str = "open") -> dict[str, Any]:
    return {
        "id": job_id,
        "status": status,
        "created_at": created_at,
        "metadata": {"firsthandapi_key": "fh-1"},
    }


def test_the_older_job_comes_first() -> None:
    """Whatever the order and the form of their times; without a time it comes last, and those of one time by their
    ids."""
    jobs = [
        job("job_f"),
        job("job_e", "yesterday"),
        job("job_d", "2026-11-01T00:00:02Z"),
        job("job_c", "2026-11-01T00:00:01.5Z"),
        job("job_b", "2026-11-01T00:00:01"),
        job("job_a", "2026-11-01T00:00:01+00:00"),
    ]
    for rows in (jobs, jobs[::-1]):
        ids = [row["id"] for row in oldest_first(rows)]
        assert ids == ["job_a", "job_b", "job_c", "job_d", "job_e", "job_f"]


def test_the_warning_says_how_to_cancel() -> None:
    """A job that is finished can no longer be cancelled."""
    text = warning(job("job_1"), job("job_2"))
    assert "job_1 and job_2 were both posted with idempotency key fh-1, and both are charged" in text
    assert text.endswith("run firsthandapi jobs cancel job_2")
    assert "job_2 is completed" in warning(job("job_1"), job("job_2", status="completed"))
