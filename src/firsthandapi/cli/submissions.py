"""`firsthandapi submissions`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from firsthandapi.types.enums import SubmissionStatus

from .choices import only
from .options import Limit, MinScore, OfJob, OfJobId, Since, Until, Urls, argument
from .output import Output, command, many, moment, one, stars
from .pages import group

if TYPE_CHECKING:
    from firsthandapi import FirstHandClient
    from firsthandapi.types import SubmissionSummary

app = group("Read what workers submitted, with any status.")


@command(app, "list")
def list_submissions(
    api: FirstHandClient,
    job_id: OfJob = None,
    status: Annotated[SubmissionStatus | None, only("status", SubmissionStatus)] = None,
    min_score: MinScore = None,
    start_date: Since = None,
    end_date: Until = None,
    limit: Limit = 20,
    urls: Urls = False,
) -> Output:
    """List submissions, newest first.

    Example: firsthandapi submissions list job_01JD… --status rejected
    """
    page = api.submissions.list(
        job_id,
        status=status,
        min_score=min_score,
        start_date=start_date,
        end_date=end_date,
        limit=min(limit, 100),
    )
    return many(
        page,
        limit,
        ("id", "status", "stars", "reason"),
        lambda item: (item.id, item.status, stars(item.ai_star_rating), item.ai_reasoning),
        urls=urls,
    )


@command(app)
def get(
    api: FirstHandClient,
    submission_id: Annotated[str, argument("SUBMISSION_ID", "Id of the submission, sub_….")],
    urls: Urls = False,
) -> Output:
    """Show a submission.

    Example: firsthandapi submissions get sub_01JD…
    """
    return one(
        api.submissions.get(submission_id),
        lambda submission: (
            ("id", submission.id),
            ("status", submission.status),
            ("job", submission.job_id),
            ("stars", stars(submission.ai_star_rating) or None),
            ("reason", submission.ai_reasoning),
            ("type", submission.content_type),
            ("submitted", moment(submission.submitted_at)),
            ("scored", moment(submission.scored_at)),
        ),
        urls=urls,
    )


@command(app)
def summary(
    api: FirstHandClient,
    job_id: OfJob = None,
    start_date: Since = None,
    end_date: Until = None,
    of_job: OfJobId = None,
) -> Output:
    """Count submissions by status, with the average rating.

    Example: firsthandapi submissions summary job_01JD…
    """
    figures = api.submissions.summary(job_id=job_id or of_job, start_date=start_date, end_date=end_date)
    return one(figures, _figures)


def _figures(figures: SubmissionSummary) -> tuple[tuple[str, object], ...]:
    rating, rate = figures.average_star_rating, figures.approval_rate
    return (
        ("total", figures.total),
        *(figures.by_status or {}).items(),
        ("average stars", None if rating is None else f"{rating:.1f}"),
        ("approval rate", None if rate is None else f"{rate:.0%}"),
    )
