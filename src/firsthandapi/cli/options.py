"""Options and arguments that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def local_folder(place: str | Path) -> Path:
    """A folder as it was named on the command line, or by default.

    `--dest "$OUT"` where OUT is not set would mean the current folder, and a URL one called `s3:`.
    """
    if not str(place):
        raise typer.BadParameter("it is empty; the current folder is ./")
    if "://" in str(place):
        raise typer.BadParameter("it must be a local folder, not a URL")
    return Path(place)


JobId = Annotated[str, typer.Argument(help="The job's id, job_….")]
Limit = Annotated[int, typer.Option(min=1, help="At most so many.")]
Timeout = Annotated[float, typer.Option(min=0, help="Seconds for the whole wait.")]
MinScore = Annotated[int | None, typer.Option(min=1, max=5, help="Only those rated so or better, in stars.")]
Since = Annotated[str | None, typer.Option(help="Only from then on: 2026-01-31T12:00:00Z.", metavar="TIME")]
Until = Annotated[str | None, typer.Option(help="Only until then.", metavar="TIME")]
Urls = Annotated[bool, typer.Option("--urls", help="With --json: signed download URLs too. They are secret.")]
OfJob = Annotated[str | None, typer.Option("--job-id", help="Only of this job, job_….")]
