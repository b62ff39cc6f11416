"""`firsthandapi files`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .collecting import collected
from .options import Dest, JobId, Label, Limit, MinScore, Urls
from .output import AsJson, Output, command, many, stars
from .pages import group
from .progress import progress
from .taking_away import taken_away

if TYPE_CHECKING:
    from firsthandapi import FirstHandClient
    from firsthandapi.types import File

app = group("List and download approved files.")


def file_line(file: File) -> tuple[object, ...]:
    """Describe a file in one line."""
    return file.id, file.content_type, file.size_bytes, stars(file.ai_star_rating), file.original_filename


@command(app, "list")
def list_files(
    api: FirstHandClient, job_id: JobId, min_score: MinScore = None, limit: Limit = 100, urls: Urls = False
) -> Output:
    """List the approved files of a job, newest first.

    Example: firsthandapi files list job_01JD… --min-stars 4
    """
    page = api.files.list(job_id, min_score=min_score, limit=min(limit, 100))
    return many(page, limit, ("id", "type", "bytes", "stars", "name"), file_line, urls=urls)


@command(app)
def download(
    api: FirstHandClient, job_id: JobId, dest: Dest, label: Label = None, as_json: AsJson = False
) -> Output:
    """Download all approved files of a job into a folder.

    Run it again to download only missing files.

    Example: firsthandapi files download job_01JD… --dest signs
    """
    with taken_away(dest), progress(dest, quiet=as_json) as on_progress:
        return collected(api.files.download_all(job_id, dest, on_progress=on_progress, label=label), dest)
