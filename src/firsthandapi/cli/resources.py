"""`firsthandapi jobs`, `files`, `submissions` and `balance`."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from .collecting import Dest, Spec, tell
from .output import AsJson, as_json, client, dollars, print_facts, print_json, print_table, stars
from .progress import progress
from .spec import check_names, load_spec

if TYPE_CHECKING:
    from firsthandapi.types import Job

jobs = typer.Typer(no_args_is_help=True, help="Post jobs, read them, wait for them.")
files = typer.Typer(no_args_is_help=True, help="Approved files.")
submissions = typer.Typer(no_args_is_help=True, help="Everything workers handed in.")

JobId = Annotated[str, typer.Argument(help="The job's id, job_….")]
Limit = Annotated[int, typer.Option(min=1, help="At most so many.")]


@jobs.command("create")
def create(
    spec: Spec,
    idempotency_key: Annotated[
        str | None, typer.Option(help="The same key within 24 hours buys one job.")
    ] = None,
    max_spend_cents: Annotated[
        int | None, typer.Option(min=0, help="Refuse a job that costs more, in US cents.")
    ] = None,
    json: AsJson = False,
) -> None:
    """Post a job."""
    fields = load_spec(spec)
    for name, value in (("max_spend_cents", max_spend_cents), ("idempotency_key", idempotency_key)):
        if value is not None:
            fields[name] = value
    from firsthandapi._sync.resources.jobs import JobFields

    check_names(fields, JobFields.__required_keys__ | JobFields.__optional_keys__)
    with client() as api:
        _show(api.jobs.create(**fields), json=json)


@jobs.command("get")
def get(job_id: JobId, json: AsJson = False) -> None:
    """Show a job."""
    with client() as api:
        _show(api.jobs.get(job_id), json=json)


@jobs.command("list")
def list_jobs(
    status: Annotated[
        str | None, typer.Option(help="Only open, filled, in_progress, completed or cancelled ones.")
    ] = None,
    limit: Limit = 20,
    json: AsJson = False,
) -> None:
    """List jobs, newest first."""
    with client() as api:
        page = api.jobs.list(status=cast("Any", status), limit=min(limit, 100))
        found = list(itertools.islice(page, limit))
    if json:
        print_json([as_json(job) for job in found])
        return
    print_table(
        ("id", "status", "files", "cost", "created", "title"),
        (
            (
                job.id,
                job.status,
                f"{job.files_approved} of {job.files_needed}",
                dollars(job.total_cost_cents),
                job.created_at and f"{job.created_at:%Y-%m-%d %H:%M}",
                job.title or job.description,
            )
            for job in found
        ),
    )


@jobs.command("wait")
def wait(
    job_id: JobId,
    timeout: Annotated[float, typer.Option(min=0, help="Seconds for the whole wait.")] = 86_400,
    json: AsJson = False,
) -> None:
    """Wait until a job is completed or cancelled. Exits with 3 if the time is over first."""

    def show(job: Job) -> None:
        if not json:
            typer.echo(f"{job.status}: {job.files_approved} of {job.files_needed} files approved", err=True)

    with client() as api:
        job = api.jobs.wait(job_id, timeout=timeout, on_update=show)
    _show(job, json=json)


@jobs.command("cancel")
def cancel(job_id: JobId, json: AsJson = False) -> None:
    """Cancel a job. The unused escrow is refunded at once."""
    with client() as api:
        _show(api.jobs.cancel(job_id), json=json)


@jobs.command("rate")
def rate(
    job_id: JobId,
    rating: Annotated[int, typer.Option(min=1, max=5, help="Stars.")],
    feedback: Annotated[str | None, typer.Option(help="Your words on it.")] = None,
    json: AsJson = False,
) -> None:
    """Rate a completed job."""
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
            ("created", job.created_at),
            ("description", job.description),
        )
    )


@files.command("list")
def list_files(
    job_id: JobId,
    min_score: Annotated[
        int | None, typer.Option(min=1, max=5, help="Only those rated so or better.")
    ] = None,
    limit: Limit = 100,
    urls: Annotated[
        bool, typer.Option(help="With --json: signed download URLs too. They are secret.")
    ] = False,
    json: AsJson = False,
) -> None:
    """List a job's approved files, newest first."""
    with client() as api:
        page = api.files.list(job_id, min_score=min_score, limit=min(limit, 100))
        found = list(itertools.islice(page, limit))
    if json:
        print_json([as_json(file, urls=urls) for file in found])
        return
    print_table(
        ("id", "type", "bytes", "stars", "name"),
        (
            (file.id, file.content_type, file.size_bytes, stars(file.ai_star_rating), file.original_filename)
            for file in found
        ),
    )


@files.command("download")
def download(job_id: JobId, dest: Dest, json: AsJson = False) -> None:
    """Fetch all approved files of a job into a folder; run again, it fetches what is missing."""
    with client() as api, progress(dest, None, quiet=json) as on_progress:
        dataset = api.files.download_all(job_id, dest, on_progress=on_progress)
    tell(dataset, as_json=json)


@submissions.command("list")
def list_submissions(
    job_id: Annotated[str | None, typer.Argument(help="Only this job's, job_….")] = None,
    status: Annotated[
        str | None, typer.Option(help="Only pending_score, approved, rejected or retry_pending ones.")
    ] = None,
    limit: Limit = 20,
    json: AsJson = False,
) -> None:
    """List submissions, newest first."""
    with client() as api:
        page = api.submissions.list(job_id, status=cast("Any", status), limit=min(limit, 100))
        found = list(itertools.islice(page, limit))
    if json:
        print_json([as_json(submission) for submission in found])
        return
    print_table(
        ("id", "status", "stars", "why"),
        ((one.id, one.status, stars(one.ai_star_rating), one.ai_reasoning) for one in found),
    )


def balance(json: AsJson = False) -> None:
    """Show what there is to spend."""
    with client() as api:
        credit = api.billing.credits()
    if json:
        print_json(as_json(credit))
        return
    print_facts(
        (("available", dollars(credit.balance_cents)), ("held in escrow", dollars(credit.held_cents)))
    )
