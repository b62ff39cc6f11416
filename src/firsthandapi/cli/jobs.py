"""`firsthandapi jobs`."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from firsthandapi.types import enums

from .choices import JobStatus, JobType, words
from .collecting import Spec
from .files import file_line
from .options import JobId, Limit, Timeout, Urls
from .output import (
    AsJson,
    after_the_order,
    as_json,
    client,
    dollars,
    first,
    fitting,
    json_text,
    moment,
    note,
    of_needed,
    print_line,
    print_list,
    print_one,
    stars,
)
from .progress import job_continues
from .spec import job_fields
from .stopping import stoppable

if TYPE_CHECKING:
    from firsthandapi.types import Job

app = typer.Typer(no_args_is_help=True, help="Post jobs, read them, and wait for them.")


@app.command()
def create(
    spec: Spec,
    idempotency_key: Annotated[
        str | None,
        typer.Option(help="Within 24 hours, the same key posts only one job.", rich_help_panel="Payment"),
    ] = None,
    max_spend_cents: Annotated[
        int | None,
        typer.Option(min=0, help="Refuse a job that costs more, in US cents.", rich_help_panel="Payment"),
    ] = None,
    json: AsJson = False,
) -> None:
    """Post a job. The service immediately holds its whole cost in escrow.

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
    with after_the_order(f"{job.id} is posted"):
        _show(job, json=json)


@app.command()
def get(job_id: JobId, json: AsJson = False) -> None:
    """Show a job.

    Example: firsthandapi jobs get job_01JD…
    """
    with client() as api:
        _show(api.jobs.get(job_id), json=json)


@app.command("list")
def list_jobs(
    status: Annotated[
        JobStatus | None, typer.Option(metavar="STATUS", help=f"Only this status: {words(enums.JobStatus)}.")
    ] = None,
    type: Annotated[
        JobType | None, typer.Option(metavar="TYPE", help=f"Only this type: {words(enums.JobType)}.")
    ] = None,
    created_after: Annotated[
        str | None, typer.Option(metavar="TIME", help="Only jobs created after: 2026-01-31T12:00:00Z.")
    ] = None,
    limit: Limit = 20,
    json: AsJson = False,
) -> None:
    """List jobs, newest first.

    Example: firsthandapi jobs list --status open --limit 5
    """
    with client() as api:
        page = api.jobs.list(status=status, type=type, created_after=created_after, limit=min(limit, 100))
        found = first(page, limit)
    print_list(
        found,
        ("id", "status", "files", "cost", "created", "title"),
        lambda job: (
            job.id,
            job.status,
            of_needed(job, bare=True),
            dollars(job.total_cost_cents),
            moment(job.created_at),
            job.title or job.description,
        ),
        json=json,
    )


@app.command()
def wait(job_id: JobId, timeout: Timeout = 86_400, json: AsJson = False) -> None:
    """Wait until a job is completed or cancelled.

    Exits with 3 on timeout; the job continues, and you can wait again.

    Example: firsthandapi jobs wait job_01JD… --timeout 3600
    """

    def show(job: Job) -> None:
        if not json:
            done = of_needed(job)
            note(f"{job.status}: {done} approved" if done else job.status)

    with client() as api, _waiting(job_id):
        job = api.jobs.wait(job_id, timeout=timeout, on_update=show)
    _show(job, json=json)


@app.command()
def follow(job_id: JobId, timeout: Timeout = 86_400, urls: Urls = False, json: AsJson = False) -> None:
    """Print each file when it is approved, until the job is finished.

    With --json, print one line of JSON per file. Exits with 3 on timeout.

    Example: firsthandapi jobs follow job_01JD…
    """
    with client() as api, _waiting(job_id):
        for file in api.jobs.follow(job_id, timeout=timeout):
            if json:
                typer.echo(json_text(as_json(file, urls=urls), indent=None))
            else:
                print_line(file_line(fitting(file)))


@app.command()
def cancel(job_id: JobId, json: AsJson = False) -> None:
    """Cancel a job. The service immediately refunds the unused escrow.

    Example: firsthandapi jobs cancel job_01JD…
    """
    with client() as api:
        _show(api.jobs.cancel(job_id), json=json)


@app.command()
def rate(
    job_id: JobId,
    rating: Annotated[int, typer.Option(min=1, max=5, help="Stars.")],
    feedback: Annotated[str | None, typer.Option(help="Your comment on the files.")] = None,
    json: AsJson = False,
) -> None:
    """Rate a completed job.

    Example: firsthandapi jobs rate job_01JD… --rating 5 --feedback "Sharp"
    """
    with client() as api:
        _show(api.jobs.rate(job_id, rating=rating, feedback=feedback), json=json)


@contextmanager
def _waiting(job_id: str) -> Generator[None]:
    """At Ctrl-C, say that only the wait ended."""
    with stoppable():
        try:
            yield
        except KeyboardInterrupt:
            note(job_continues(job_id))
            raise


def _show(job: Job, *, json: bool) -> None:
    print_one(job, _facts, json=json)


def _facts(job: Job) -> tuple[tuple[str, object], ...]:
    done = of_needed(job, bare=True)
    return (
        ("id", job.id),
        ("status", job.status),
        ("title", job.title),
        ("files", done and f"{done} approved"),
        ("cost", dollars(job.total_cost_cents)),
        ("created", moment(job.created_at)),
        ("your rating", stars(job.buyer_rating) or None),
        ("your feedback", job.buyer_feedback),
        ("description", job.description),
    )
