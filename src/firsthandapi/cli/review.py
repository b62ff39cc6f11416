"""`firsthandapi review`: a page on which somebody looks at the files of a folder, and decides."""

from __future__ import annotations

from typing import Annotated

import typer

from .options import Folder, MinScore, Port, option
from .output import command
from .pages import group
from .stopping import stoppable

app: typer.Typer = group()


@command(app)
def review(
    folder: Folder,
    port: Port = 0,
    open_browser: Annotated[
        bool, typer.Option("--open/--no-open", help="Open the page in a browser, or print its address only.")
    ] = True,
    by: Annotated[str | None, option("NAME", "Who decides; it is written beside each decision.")] = None,
    blind: Annotated[
        bool,
        typer.Option("--blind", help="Hide ratings, reasons, and others' decisions until you have decided."),
    ] = False,
    min_score: MinScore = None,
    max_stars: Annotated[int | None, option("N", "Maximum rating, in stars.", min=1, max=5)] = None,
    label: Annotated[str | None, option("LABEL", "Only this label.")] = None,
    worker: Annotated[str | None, option("ID", "Only this worker, wkr_….")] = None,
    job: Annotated[str | None, option("JOB_ID", "Only this job, job_….")] = None,
    flag: Annotated[str | None, option("FLAG", "Only files with this flag, such as synthetic.")] = None,
) -> None:
    """Look at the files of a folder in a browser, and keep, exclude, or relabel them.

    The page runs only on this machine and needs no account. To end it, click Done
    or close the tab. Excluded files stay on disk, where no loader sees them.

    Example: firsthandapi review signs --by ana --max-stars 3
    """
    from firsthandapi import Dataset, Record

    def is_wanted(row: Record) -> bool:
        stars = row.ai_star_rating
        return (
            (min_score is None or (stars is not None and stars >= min_score))
            and (max_stars is None or (stars is not None and stars <= max_stars))
            and label in (None, row.label)
            and worker in (None, row.worker_id)
            and job in (None, row.job_id)
            and (flag is None or flag in (row.flags or ()))
        )

    dataset = Dataset.open(folder)
    # Excluded files, too: somebody may include them again.
    rows = [row for row in (*dataset.records, *dataset.excluded) if is_wanted(row)]
    if not rows:
        raise typer.BadParameter(f"no file of {folder} matches these options")
    is_all = len(rows) == len(dataset) + len(dataset.excluded)
    files = dataset if is_all else dataset._view("review", rows)  # pyright: ignore[reportPrivateUsage] # of one house
    with stoppable():
        files.review(port=port, open_browser=open_browser, by=by, blind=blind)
