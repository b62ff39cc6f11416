"""`firsthandapi submissions`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from firsthandapi.types import SubmissionSummary

from typing import Annotated

import typer

from firsthandapi.types import enums

from .choices import SubmissionStatus, words
from .options import Limit, MinScore, OfJob, Since, Until, Urls
from .output import AsJson, client, first, moment, print_list, print_one, stars

app = typer.Typer(no_args_is_help=True, help="Read what workers submitted, of every status.")


@app.command("list")
def list_submissions(
    job_id: Annotated[str | None, typer.Argument(help="Only this job, job_….")] = None,
    status: Annotated[
        SubmissionStatus | None,
        typer.Option(metavar="STATUS", help=f"Only this status: {words(enums.SubmissionStatus)}."),
    ] = None,
    min_score: MinScore = None,
    start_date: Since = None,
    end_date: Until = None,
    limit: Limit = 20,
    urls: Urls = False,
    json: AsJson = False,
) -> None:
    """List submissions, newest first.

    Example: firsthandapi submissions list job_01JD… --status rejected
    """
    with client() as api:
        page = api.submissions.list(
            job_id,
            status=status,
            min_score=min_score,
            start_date=start_date,
            end_date=end_date,
            limit=min(limit, 100),
        )
        found = first(page, limit)
    print_list(
        found,
        ("id", "status", "stars", "reason"),
        lambda one: (one.id, one.status, stars(one.ai_star_rating), one.ai_reasoning),
        json=json,
        urls=urls,
    )


@app.command()
def get(
    submission_id: Annotated[str, typer.Argument(help="Id of the submission, sub_….")],
    urls: Urls = False,
    json: AsJson = False,
) -> None:
    """Show a submission.

    Example: firsthandapi submissions get sub_01JD…
    """
    with client() as api:
        one = api.submissions.get(submission_id)
    print_one(
        one,
        lambda one: (
            ("id", one.id),
            ("status", one.status),
            ("job", one.job_id),
            ("stars", stars(one.ai_star_rating) or None),
            ("reason", one.ai_reasoning),
            ("type", one.content_type),
            ("submitted", moment(one.submitted_at)),
            ("scored", moment(one.scored_at)),
        ),
        json=json,
        urls=urls,
    )


@app.command()
def summary(
    job_id: OfJob = None, start_date: Since = None, end_date: Until = None, json: AsJson = False
) -> None:
    """Count submissions by status, with the average rating.

    Example: firsthandapi submissions summary --job-id job_01JD…
    """
    with client() as api:
        figures = api.submissions.summary(job_id=job_id, start_date=start_date, end_date=end_date)
    print_one(figures, _figures, json=json)


def _figures(figures: SubmissionSummary) -> tuple[tuple[str, object], ...]:
    rating, rate = figures.average_star_rating, figures.approval_rate
    return (
        ("total", figures.total),
        *(figures.by_status or {}).items(),
        ("average stars", None if rating is None else f"{rating:.1f}"),
        ("approval rate", None if rate is None else f"{rate:.0%}"),
    )
