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


def option(metavar: str, help: str, *names: str, **more: Any) -> Any:
    return typer.Option(*names, metavar=metavar, help=help, **more)


def argument(metavar: str, help: str, **more: Any) -> Any:
    return typer.Argument(metavar=metavar, help=help, **more)


def cents(text: str, panel: str | None = None, **more: Any) -> Any:
    """An option that takes an amount, in US cents."""
    return option("CENTS", text, rich_help_panel=panel, **more)


JobId = Annotated[str, argument("JOB_ID", "Id of the job, job_….")]
Limit = Annotated[int, option("N", "Maximum number of results.", min=1)]
Timeout = Annotated[float, option("SECONDS", "Maximum wait.", min=0)]
MinScore = Annotated[
    int | None, option("N", "Minimum rating, in stars.", "--min-stars", "--min-score", min=1, max=5)
]
Since = Annotated[str | None, option("TIME", "Start, such as 2026-01-31T12:00:00Z.")]
Until = Annotated[str | None, option("TIME", "End, such as 2026-01-31T12:00:00Z.")]
Urls = Annotated[
    bool, typer.Option("--urls", help="With --json, include signed download URLs, which are secret.")
]
MaxSpend = Annotated[int | None, cents("Refuse a job that costs more.", min=0)]
Concurrency = Annotated[int, option("N", "Maximum number of downloads at the same time.", min=1, max=64)]
Port = Annotated[int, option("N", "Port; 0 uses any free port.", min=0, max=65535)]
Log = Annotated[bool, typer.Option(help="Print a line per request to standard error, or none.")]
Folder = Annotated[str, argument("DIR", "Folder or bucket URL, created by collect or files download.")]
Dest = Annotated[str, option("DIR", "Folder, created if missing, or bucket URL, such as s3://bucket/folder.")]
Label = Annotated[str | None, option("LABEL", "Class of the files, which go to data/LABEL/.")]
Spec = Annotated[Path, option("FILE", "YAML, JSON, or TOML file with the arguments of jobs.create.")]
OfJob = Annotated[str | None, argument("JOB_ID", "Only this job, job_….")]
# Its form in 1.0.0, for scripts.
OfJobId = Annotated[str | None, typer.Option("--job-id", hidden=True)]
