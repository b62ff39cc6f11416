"""`firsthandapi jobs`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from firsthandapi.types import enums

from .choices import JobStatus, JobType, words
from .collecting import Spec
from .files import file_line
from .options import JobId, Limit, Timeout, Urls
from .output import (
    AsJson,
    as_json,
    client,
    dollars,
    first,
    json_text,
    moment,
    note,
    print_facts,
    print_json,
    print_line,
    print_list,
    stars,
)
from .spec import job_fields

if TYPE_CHECKING:
    from firsthandapi.types import Job

app = typer.Typer(no_args_is_help=True, help="Post jobs, read them, wait for them.")


@app.command()
def create(
    spec: Spec,
    idempotency_key: Annotated[
        str | None,
        typer.Option(help="The same key within 24 hours buys one job.", rich_help_panel="Paying"),
    ] = None,
    max_spend_cents: Annotated[
        int | None,
        typer.Option(min=0, help="Refuse a job that costs more, in US cents.", rich_help_panel="Paying"),
    ] = None,
    json: AsJson = False,
) -> None:
    """Post a job. Its whole cost is held in escrow at once.

    Example: firsthandapi jobs create --spec job.yaml --max-spend-cents 500

    job.yaml holds the arguments of jobs.create:

      description: Photos of street signs in daylight
      files_needed: 10
      accepted_formats:
        - image/jpeg
      price_per_file_cents: 50
    """
    fields = job_fields(spec, idempotency_key=idempotency_key, max_spend_cents=max_spend_cents)
    with client() as api:
        _show(api.jobs.create(**fields), json=json)


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
        JobStatus | None, typer.Option(metavar="STATUS", help=f"Only these: {words(enums.JobStatus)}.")
    ] = None,
    type: Annotated[
        JobType | None, typer.Option(metavar="TYPE", help=f"Only these: {words(enums.JobType)}.")
    ] = None,
    created_after: Annotated[
        str | None, typer.Option(metavar="TIME", help="Only newer ones: 2026-01-31T12:00:00Z.")
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
            f"{job.files_approved} of {job.files_needed}",
            dollars(job.total_cost_cents),
            moment(job.created_at),
            job.title or job.description,
        ),
        json=json,
    )


@app.command()
def wait(job_id: JobId, timeout: Timeout = 86_400, json: AsJson = False) -> None:
    """Wait until a job is completed or cancelled.

    Exits with 3 if the time is over first; the job goes on, and so may the wait.

    Example: firsthandapi jobs wait job_01JD… --timeout 3600
    """

    def show(job: Job) -> None:
        if not json:
            note(f"{job.status}: {job.files_approved} of {job.files_needed} files approved")

    with client() as api:
        job = api.jobs.wait(job_id, timeout=timeout, on_update=show)
    _show(job, json=json)


@app.command()
def follow(job_id: JobId, timeout: Timeout = 86_400, urls: Urls = False, json: AsJson = False) -> None:
    """Print each approved file as it is approved, until the job is over.

    With --json a line of JSON a file. Exits with 3 if the time is over first.

    Example: firsthandapi jobs follow job_01JD…
    """
    with client() as api:
        for file in api.jobs.follow(job_id, timeout=timeout):
            if json:
                typer.echo(json_text(as_json(file, urls=urls), indent=None))
            else:
                print_line(file_line(file))


@app.command()
def cancel(job_id: JobId, json: AsJson = False) -> None:
    """Cancel a job. The unused escrow is refunded at once.

    Example: firsthandapi jobs cancel job_01JD…
    """
    with client() as api:
        _show(api.jobs.cancel(job_id), json=json)


@app.command()
def rate(
    job_id: JobId,
    rating: Annotated[int, typer.Option(min=1, max=5, help="Stars.")],
    feedback: Annotated[str | None, typer.Option(help="Your words on it.")] = None,
    json: AsJson = False,
) -> None:
    """Rate a completed job.

    Example: firsthandapi jobs rate job_01JD… --rating 5 --feedback "Sharp"
    """
    with client() as api:
        _show(api.jobs.rate(job_id, rating=rating, feedback=feedback), json=json)


def _show(job: Job, *, json: bool) -> None:
    if json:
        print_json(as_json(job))
        return
    print_facts(
        (
            ("id", job.id),
            ("status", job.status),
            ("title", job.title),
            ("files", f"{job.files_approved} of {job.files_needed} approved"),
            ("cost", dollars(job.total_cost_cents)),
            ("created", moment(job.created_at)),
            ("your rating", stars(job.buyer_rating) or None),
            ("your feedback", job.buyer_feedback),
            ("description", job.description),
        )
    )
