"""`firsthandapi files`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from .collecting import Dest, Label, report
from .options import JobId, Limit, MinScore, Urls
from .output import AsJson, client, first, print_list, stars
from .progress import progress
from .stopping import stoppable

if TYPE_CHECKING:
    from firsthandapi.types import File

app = typer.Typer(no_args_is_help=True, help="List and download approved files.")


def file_line(file: File) -> tuple[object, ...]:
    """Describe a file in one line."""
    return file.id, file.content_type, file.size_bytes, stars(file.ai_star_rating), file.original_filename


@app.command("list")
def list_files(
    job_id: JobId,
    min_score: MinScore = None,
    limit: Limit = 100,
    urls: Urls = False,
    json: AsJson = False,
) -> None:
    """List the approved files of a job, newest first.

    Example: firsthandapi files list job_01JD… --min-score 4
    """
    with client() as api:
        found = first(api.files.list(job_id, min_score=min_score, limit=min(limit, 100)), limit)
    print_list(found, ("id", "type", "bytes", "stars", "name"), file_line, json=json, urls=urls)


@app.command()
def download(job_id: JobId, dest: Dest, label: Label = None, json: AsJson = False) -> None:
    """Download all approved files of a job into a folder.

    Run it again to download only missing files.

    Example: firsthandapi files download job_01JD… --dest signs
    """
    with stoppable(), client() as api, progress(dest, quiet=json) as on_progress:
        dataset = api.files.download_all(job_id, dest, on_progress=on_progress, label=label)
    report(dataset, as_json=json)
