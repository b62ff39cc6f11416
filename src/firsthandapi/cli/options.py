"""Options and arguments that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

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


def cents(text: str, panel: str | None = None, **more: Any) -> Any:
    """An option that takes an amount."""
    return typer.Option(metavar="CENTS", help=text, rich_help_panel=panel, **more)


JobId = Annotated[str, typer.Argument(help="Id of the job, job_….")]
Limit = Annotated[int, typer.Option(min=1, help="Maximum number of results.")]
Timeout = Annotated[float, typer.Option(min=0, help="Maximum wait, in seconds.")]
MinScore = Annotated[
    int | None, typer.Option("--min-stars", "--min-score", min=1, max=5, help="Minimum rating, in stars.")
]
Since = Annotated[str | None, typer.Option(help="Start, such as 2026-01-31T12:00:00Z.", metavar="TIME")]
Until = Annotated[str | None, typer.Option(help="End, such as 2026-01-31T12:00:00Z.", metavar="TIME")]
Urls = Annotated[
    bool, typer.Option("--urls", help="With --json, include signed download URLs, which are secret.")
]
MaxSpend = Annotated[int | None, cents("Refuse a job that costs more, in US cents.", min=0)]
Concurrency = Annotated[int, typer.Option(min=1, max=64, help="Downloads at once.")]
OfJob = Annotated[str | None, typer.Argument(help="Only this job, job_….")]
# Its older form, for scripts.
OfJobId = Annotated[str | None, typer.Option("--job-id", hidden=True)]
