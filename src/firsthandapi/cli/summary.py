"""`firsthandapi summary`: a collected folder in a few lines, and as a page with its first files."""

from __future__ import annotations

import html
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from firsthandapi._base.counts import count_of
from firsthandapi._base.visible import visible

from .options import Folder, option
from .output import Output, command, dollars, fitting
from .pages import group

if TYPE_CHECKING:
    from firsthandapi import Dataset

_MOST_TITLE = 100


app = group()


@command(app)
def summary(
    folder: Folder,
    gallery: Annotated[
        Path | None, option("FILE", "HTML page to write, which shows the first files.")
    ] = None,
) -> Output:
    """Show the jobs, labels, stars, and cost of a folder as Markdown.

    It reads only the manifest. To read every file, use verify.

    Example: firsthandapi summary signs --gallery signs.html
    """
    from firsthandapi import Dataset

    dataset = Dataset.open(folder)
    about = _about(dataset)
    if gallery is not None:
        gallery.write_text(_page(dataset), encoding="utf-8")
    return Output(about, _markdown(about))


def _about(dataset: Dataset) -> dict[str, Any]:
    from firsthandapi.datasets._ledger import spent_in

    job = None if dataset.job is None else fitting(dataset.job)
    # A campaign's ledger knows its refunds; of another job, what was not approved is refunded.
    spent, ordered = spent_in(dataset.path)
    other_jobs = [fitting(job) for job in dataset.jobs if job.id not in ordered]
    costs = [
        job.files_approved * job.price_per_file_cents
        for job in other_jobs
        if job.files_approved is not None and job.price_per_file_cents is not None
    ]
    is_known = len(costs) == len(other_jobs) and bool(dataset.jobs)
    stars = Counter(str(record.ai_star_rating or "none") for record in dataset)
    return {
        "path": str(dataset.path),
        "title": (job and (job.title or job.description)) or dataset.path.name,
        "job_id": job.id if job else None,
        "jobs": [job.id for job in dataset.jobs],
        "status": job.status if job else None,
        "files": len(dataset),
        "files_needed": job.files_needed if job else None,
        "labels": {label: sum(record.label == label for record in dataset) for label in dataset.labels},
        "cost_cents": spent + sum(costs) if is_known else None,
        "stars": {number: stars[number] for number in sorted(stars, reverse=True)},
    }


def _markdown(about: dict[str, Any]) -> str:
    title = " ".join(about["title"].split())
    needed = about["files_needed"]
    rows = [
        ("Jobs", "" if about["job_id"] or not about["jobs"] else f"{len(about['jobs']):,}"),
        ("Job", about["job_id"] and f"`{visible(about['job_id'])}`, {_plain(about['status'])}"),
        ("Files", f"{about['files']:,}" + ("" if needed is None else f" of {needed:,}")),
        ("Stars", " · ".join(f"{_stars(number)} {count:,}" for number, count in about["stars"].items())),
        ("Labels", " · ".join(f"{_plain(label)} {count:,}" for label, count in about["labels"].items())),
        ("Cost", dollars(about["cost_cents"])),
    ]
    cut = title[:_MOST_TITLE] + ("…" if len(title) > _MOST_TITLE else "")
    lines = [f"### {_plain(cut)}", "", "| | |", "|---|---|"]
    return "\n".join([*lines, *(f"| {name} | {value} |" for name, value in rows if value)])


def _stars(number: str) -> str:
    return "★" * int(number) if number.isdigit() and int(number) <= 5 else number


def _plain(text: str) -> str:
    """The text of strangers, which must not become a link, a picture, or a column."""
    escaped = html.escape(visible(text), quote=False)
    return "".join(f"\\{sign}" if sign in "\\`*_[]()#!|~@:." else sign for sign in escaped)


def _page(dataset: Dataset) -> str:
    body = dataset._repr_html_() or ""  # pyright: ignore[reportPrivateUsage] # of one house
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{count_of(len(dataset))}</title>'
        f'<meta name="viewport" content="width=device-width">{body}</html>\n'
    )
