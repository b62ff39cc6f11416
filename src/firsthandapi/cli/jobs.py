"""`firsthandapi jobs`."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from firsthandapi.types.enums import JobStatus, JobType

from .choices import only
from .files import file_line
from .options import JobId, Limit, MaxSpend, Spec, Timeout, Urls, option
from .output import (
    AsJson,
    Output,
    as_json,
    client,
    command,
    cost_of,
    fitting,
    json_text,
    many,
    moment,
    note,
    of_needed,
    one,
    print_line,
    stars,
)
from .pages import group
from .progress import job_continues
from .spec import job_fields
from .stopping import stoppable

if TYPE_CHECKING:
    from firsthandapi import FirstHandClient
    from firsthandapi.types import Job

app: typer.Typer = group("Post jobs, read them, and wait for them.")


@command(app)
def create(
    spec: Spec,
    idempotency_key: Annotated[
        str | None, option("KEY", "Within 24 hours, the same key posts only one job.")
    ] = None,
    max_spend_cents: MaxSpend = None,
) -> Output:
    """Post a job.

    The service immediately holds its full cost in escrow.

    Example: firsthandapi jobs create --spec job.yaml --max-spend-cents 500

    job.yaml contains the arguments of jobs.create:

      description: Photos of street signs in daylight
      files_needed: 10
      accepted_formats:
        - image/jpeg
      price_per_file_cents: 50
    """
    fields = job_fields(spec, idempotency_key=idempotency_key, max_spend_cents=max_spend_cents)
    with client() as api:
        job = api.jobs.create(**fields)
    return one(job, _facts, done=f"{job.id} is posted")


@command(app)
def get(api: FirstHandClient, job_id: JobId) -> Output:
    """Show a job.

    Example: firsthandapi jobs get job_01JD…
    """
    return one(api.jobs.get(job_id), _facts)


@command(app, "list")
def list_jobs(
    api: FirstHandClient,
    status: Annotated[JobStatus | None, only("status", JobStatus)] = None,
    type: Annotated[JobType | None, only("type", JobType)] = None,
    created_after: Annotated[
        str | None, option("TIME", "Only jobs created later, such as 2026-01-31T12:00:00Z.")
    ] = None,
    limit: Limit = 20,
) -> Output:
    """List jobs, newest first.

    Example: firsthandapi jobs list --status open --limit 5
    """
    return many(
        api.jobs.list(status=status, type=type, created_after=created_after, limit=min(limit, 100)),
        limit,
        ("id", "status", "files", "cost", "created", "title"),
        lambda job: (
            job.id,
            job.status,
            of_needed(job, bare=True),
            cost_of(job),
            moment(job.created_at),
            job.title or job.description,
        ),
    )


@command(app)
def wait(api: FirstHandClient, job_id: JobId, timeout: Timeout = 86_400, as_json: AsJson = False) -> Output:
    """Wait until a job is completed or cancelled.

    Exits with 3 on timeout; the job continues, and you can wait again.

    Example: firsthandapi jobs wait job_01JD… --timeout 3600
    """

    def show(job: Job) -> None:
        if not as_json:
            done = of_needed(job)
            note(f"{job.status}: {done} approved" if done else job.status)

    with _waiting(job_id):
        return one(api.jobs.wait(job_id, timeout=timeout, on_update=show), _facts)


@command(app)
def follow(
    api: FirstHandClient,
    job_id: JobId,
    timeout: Timeout = 86_400,
    urls: Urls = False,
    json: AsJson = False,
) -> None:
    """Print each file when it is approved, until the job is finished.

    With --json, print one line of JSON per file. Exits with 3 on timeout.

    Example: firsthandapi jobs follow job_01JD…
    """
    with _waiting(job_id):
        for file in api.jobs.follow(job_id, timeout=timeout):
            if json:
                typer.echo(json_text(as_json(file, urls=urls), indent=None))
            else:
                print_line(file_line(fitting(file)))


@command(app)
def cancel(api: FirstHandClient, job_id: JobId) -> Output:
    """Cancel a job.

    The service immediately refunds the unused escrow.

    Example: firsthandapi jobs cancel job_01JD…
    """
    return one(api.jobs.cancel(job_id), _facts)


@command(app)
def rate(
    api: FirstHandClient,
    job_id: JobId,
    rating: Annotated[int, option("STARS", "Rating.", min=1, max=5)],
    feedback: Annotated[str | None, option("TEXT", "Comment on the files.")] = None,
) -> Output:
    """Rate a completed job.

    Example: firsthandapi jobs rate job_01JD… --rating 5 --feedback "Sharp"
    """
    return one(api.jobs.rate(job_id, rating=rating, feedback=feedback), _facts)


@contextmanager
def _waiting(job_id: str) -> Generator[None]:
    """At Ctrl-C, say that only the wait ended."""
    with stoppable():
        try:
            yield
        except KeyboardInterrupt:
            note(job_continues(job_id))
            raise


def _facts(job: Job) -> tuple[tuple[str, object], ...]:
    done = of_needed(job, bare=True)
    return (
        ("id", job.id),
        ("status", job.status),
        ("title", job.title),
        ("files", done and f"{done} approved"),
        ("cost", cost_of(job)),
        ("created", moment(job.created_at)),
        ("your rating", stars(job.buyer_rating) or None),
        ("your feedback", job.buyer_feedback),
        ("description", job.description),
    )
