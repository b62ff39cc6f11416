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
    """An option that takes an amount, in US cents."""
    return typer.Option(metavar="CENTS", help=text, rich_help_panel=panel, **more)


JobId = Annotated[str, typer.Argument(metavar="JOB_ID", help="Id of the job, job_….")]
Limit = Annotated[int, typer.Option(metavar="N", min=1, help="Maximum number of results.")]
Timeout = Annotated[float, typer.Option(metavar="SECONDS", min=0, help="Maximum wait.")]
MinScore = Annotated[
    int | None,
    typer.Option("--min-stars", "--min-score", metavar="N", min=1, max=5, help="Minimum rating, in stars."),
]
Since = Annotated[str | None, typer.Option(metavar="TIME", help="Start, such as 2026-01-31T12:00:00Z.")]
Until = Annotated[str | None, typer.Option(metavar="TIME", help="End, such as 2026-01-31T12:00:00Z.")]
Urls = Annotated[
    bool, typer.Option("--urls", help="With --json, include signed download URLs, which are secret.")
]
MaxSpend = Annotated[int | None, cents("Refuse a job that costs more.", min=0)]
Concurrency = Annotated[
    int, typer.Option(metavar="N", min=1, max=64, help="Maximum number of downloads at the same time.")
]
Port = Annotated[int, typer.Option(metavar="N", min=0, max=65535, help="Port; 0 uses any free port.")]
Log = Annotated[bool, typer.Option(help="Print a line per request to standard error, or none.")]
Folder = Annotated[
    str, typer.Argument(metavar="DIR", help="Folder or bucket URL, created by collect or files download.")
]
Dest = Annotated[
    str,
    typer.Option(
        metavar="DIR", help="Folder, created if missing, or bucket URL, such as s3://bucket/folder."
    ),
]
Label = Annotated[
    str | None, typer.Option(metavar="LABEL", help="Class of the files, which go to data/LABEL/.")
]
Spec = Annotated[
    Path, typer.Option(metavar="FILE", help="YAML, JSON, or TOML file with the arguments of jobs.create.")
]
OfJob = Annotated[str | None, typer.Argument(metavar="JOB_ID", help="Only this job, job_….")]
# Its older form, for scripts.
OfJobId = Annotated[str | None, typer.Option("--job-id", hidden=True)]
