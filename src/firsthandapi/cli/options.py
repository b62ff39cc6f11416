"""Options and arguments that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def local_folder(path: str | Path) -> Path:
    """Check a local folder from the command line.

    `--dest "$OUT"` with OUT unset would mean the current folder, and a URL a folder named `s3:`.
    """
    if not str(path):
        raise typer.BadParameter("the folder is empty; pass ./ for the current folder")
    if "://" in str(path):
        raise typer.BadParameter("it must be a local folder, not a URL")
    return Path(path)


JobId = Annotated[str, typer.Argument(help="Id of the job, job_….")]
Limit = Annotated[int, typer.Option(min=1, help="Maximum number of results.")]
Timeout = Annotated[float, typer.Option(min=0, help="Seconds for the whole wait.")]
MinScore = Annotated[int | None, typer.Option(min=1, max=5, help="Minimum rating, in stars.")]
Since = Annotated[str | None, typer.Option(help="Start, such as 2026-01-31T12:00:00Z.", metavar="TIME")]
Until = Annotated[str | None, typer.Option(help="End, such as 2026-01-31T12:00:00Z.", metavar="TIME")]
Urls = Annotated[
    bool, typer.Option("--urls", help="With --json, include signed download URLs, which are secret.")
]
OfJob = Annotated[str | None, typer.Option("--job-id", help="Only this job, job_….")]
