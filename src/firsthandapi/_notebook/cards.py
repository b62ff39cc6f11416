"""Files, jobs, and lists as a notebook shows them. The HTML contains the media, but no URL and no path: people save,
commit, and share notebooks."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import isfinite
from typing import TYPE_CHECKING, Any, Final

from firsthandapi._base.counts import count_of, dollars, money
from firsthandapi._base.names import EXTENSIONS
from firsthandapi._core.campaigns.plan import columns_of, rows_of, summary_of
from firsthandapi._core.files.annotations import speech_in, unified
from firsthandapi._core.files.kinds import Kind, kind_of
from firsthandapi._core.rows.manifest import Record
from firsthandapi.types._base import fitting
from firsthandapi.types.file import File

from .html import MOST_ROWS, cell, facts, heading, note, table, text

if TYPE_CHECKING:
    from firsthandapi._core.campaigns.plan import CampaignPlan
    from firsthandapi.types.job import Job

MOST_CARDS: Final = 24
# Maximum bytes of media in one cell, before base64 makes them a third larger.
MOST_IN_CELL: Final = 2 * 1024 * 1024
# Maximum bytes of one recording or clip, which a cell contains completely or not at all, and of an image that is not
# scaled down.
LARGEST_CLIP: Final = 1024 * 1024
LARGEST_ORIGINAL: Final = 256 * 1024

_MOST_LABELS = 8
_STARS = 5
_KINDS: dict[Kind, str] = {"image": "Image", "audio": "Recording", "video": "Video"}
# The first bytes of a file of each type: alternatives of (offset, bytes).
_BEGINNINGS: dict[str, tuple[tuple[int, bytes], ...]] = {
    "image/jpeg": ((0, b"\xff\xd8\xff"),),
    "image/png": ((0, b"\x89PNG\r\n\x1a\n"),),
    "image/webp": ((8, b"WEBP"),),
    "image/gif": ((0, b"GIF87a"), (0, b"GIF89a")),
    "audio/mpeg": ((0, b"ID3"), (0, b"\xff\xfb"), (0, b"\xff\xfa"), (0, b"\xff\xf3"), (0, b"\xff\xf2")),
    "audio/wav": ((8, b"WAVE"),),
    "audio/mp4": ((4, b"ftyp"),),
    "video/mp4": ((4, b"ftyp"),),
    "video/quicktime": ((4, b"ftyp"), (4, b"moov"), (4, b"mdat"), (4, b"wide"), (4, b"free")),
}


@dataclass(frozen=True)
class Embedded:
    """Media to embed. Only known types, so that a cell can contain nothing but media."""

    content_type: str
    content: bytes

    def __post_init__(self) -> None:
        if self.content_type not in EXTENSIONS:
            raise ValueError("only known media types are embedded")

    @property
    def uri(self) -> str:
        return f"data:{self.content_type};base64,{base64.b64encode(self.content).decode()}"


# The content of a card: media, or the reason why there are none.
Media = Embedded | str


def media_type(content_type: str | None) -> str | None:
    """The type as one of the media types that this version knows, or None."""
    name = (content_type or "").partition(";")[0].strip().lower()
    return name if name in EXTENSIONS else None


def begins_like(content: bytes, content_type: str) -> bool:
    """Whether `content` begins as a file of that (known) type does."""
    return any(content.startswith(mark, offset) for offset, mark in _BEGINNINGS[content_type])


# ── Words ────────────────────────────────────────────────────────────────────────────────────────────────


def bytes_of(size: int) -> str:
    """A size, formatted for people. In integers: the service may send a number that no float can represent."""
    if size < 1000:
        return f"{size} B"
    tenths = (size + 50_000) // 100_000
    return f"{(size + 500) // 1000:,} KB" if size < 1_000_000 else f"{tenths // 10:,}.{tenths % 10} MB"


def seconds_of(duration: float) -> str:
    """A duration as media players show it; a short one with tenths of a second."""
    return f"{duration:.1f} s" if duration < 60 else f"{int(duration // 60):,}:{int(duration % 60):02}"


def _cost(job: Job, cents: int | None) -> str | None:
    return None if cents is None else money(cents, job.currency)


def _time(moment: datetime | None) -> str | None:
    # No conversion of time zones: it fails for the years 1 and 9999.
    return None if moment is None else moment.isoformat(" ", "minutes").replace("+00:00", " UTC")


def _stars(rating: int | None) -> str | None:
    return None if rating is None else count_of(rating, "star")


def _labels(kind: Kind | None, annotations: Mapping[str, Any]) -> list[str]:
    """The recognized objects, as short labels."""
    if kind == "image":
        names = [seen["label"] for seen in annotations["objects"]]
    elif kind == "audio":
        names = [*annotations["topics"], *annotations["keywords"]]
    else:
        names = [*annotations["actions"], *(seen["label"] for seen in annotations["tracked_objects"])]
    return list(dict.fromkeys(label for label in names if label))


def _words_in(kind: Kind | None, annotations: Mapping[str, Any]) -> str:
    """The text in a picture, or the words in a recording."""
    if kind == "image":
        return annotations["text_extraction"] or ""
    return speech_in(annotations) or ""


# ── Cards ────────────────────────────────────────────────────────────────────────────────────────────────


def card(file: File | Record, media: Media) -> str:
    """The card of a file: its media or why they are missing, stars, labels, and facts."""
    kind = kind_of(file.content_type)
    annotations = _annotations_of(file, kind)
    labels = [] if annotations is None else _labels(kind, annotations)
    words = "" if annotations is None else _words_in(kind, annotations)
    file_id = file.file_id if isinstance(file, Record) else file.id
    parts = [
        _rating(file.ai_star_rating),
        _details(file),
        _label_list(labels),
        f'<div class="fh-dim" dir="auto">“{text(words, 140)}”</div>' if words else "",
        f'<div class="fh-dim" dir="auto">{text(file.original_filename, 60)}</div>'
        if file.original_filename
        else "",
        f'<div class="fh-id">{text(file_id, 60)}</div>',
    ]
    preview = _shown(media, _alternative(kind, labels, file_id))
    return (
        f'<figure class="fh-card"><div class="fh-media">{preview}</div>'
        f"<figcaption>{''.join(parts)}</figcaption></figure>"
    )


def _annotations_of(file: File | Record, kind: Kind | None) -> Mapping[str, Any] | None:
    raw: Any = file.annotations
    if raw is not None and not isinstance(file, Record):
        raw = raw.model_dump()
    # Rows already have this shape, unless somebody wrote them by hand.
    return unified(raw, kind)


def _shown(media: Media, alternative: str) -> str:
    if isinstance(media, str):
        return f'<div class="fh-none">{text(media)}</div>'
    kind = kind_of(media.content_type)
    if kind == "image":
        # An untrusted notebook loses the style, so the width is repeated here.
        return f'<img src="{media.uri}" alt="{alternative}" width="240">'
    return f'<{kind} controls preload="metadata" src="{media.uri}" aria-label="{alternative}"></{kind}>'


def _alternative(kind: Kind | None, labels: Sequence[str], file_id: str) -> str:
    kind_name = "File" if kind is None else _KINDS[kind]
    return text(f"{kind_name} {file_id}" + (f": {', '.join(labels[:_MOST_LABELS])}" if labels else ""), 300)


def _rating(rating: int | None) -> str:
    if rating is None:
        return '<div class="fh-dim">not rated</div>'
    full = min(max(rating, 0), _STARS)
    stars = "★" * full + "☆" * (_STARS - full)
    label = f"{full} of {_STARS} stars"
    return f'<div class="fh-stars" role="img" aria-label="{label}" title="{label}">{stars}</div>'


def _details(file: File | Record) -> str:
    details = [
        file.content_type,
        f"{file.width} × {file.height}" if file.width and file.height else None,
        seconds_of(file.duration_seconds)
        if file.duration_seconds is not None and isfinite(file.duration_seconds)
        else None,
        None if file.size_bytes is None else bytes_of(file.size_bytes),
        file.worker_region,
    ]
    return f'<div class="fh-dim">{" · ".join(f"<bdi>{text(detail, 60)}</bdi>" for detail in details if detail)}</div>'


def _label_list(labels: Sequence[str]) -> str:
    if not labels:
        return ""
    # Commas are for pages that strip styles, such as a notebook on a forge, where the labels would be one word.
    names = '<span class="fh-and">, </span>'.join(
        f'<span dir="auto">{text(label, 40)}</span>' for label in labels[:_MOST_LABELS]
    )
    more = f" +{len(labels) - _MOST_LABELS}" if len(labels) > _MOST_LABELS else ""
    return f'<div class="fh-labels">{names}{more}</div>'


# ── Cells ────────────────────────────────────────────────────────────────────────────────────────────────


def galleries(
    head: str, groups: Iterable[tuple[str | None, Iterable[tuple[File | Record, Media]]]], more: str | None
) -> str:
    """Grids of cards, each with a title if it has one; `more` says how many files are not shown."""
    parts: list[str] = []
    for title, cards in groups:
        grid = "".join(card(file, media) for file, media in cards)
        parts += [heading(title)] if title is not None else []
        parts += [f'<div class="fh-grid">{grid}</div>'] if grid else []
    return cell(head, *parts, note(more) if more else "")


def file_cell(file: File | Record, hint: str) -> str:
    """A single file, with `hint` in place of its media."""
    return cell(f'<div class="fh-grid">{card(file, hint)}</div>')


def dataset_heading(job: Job | None, name: str, records: Sequence[Record]) -> str:
    """The heading of a dataset: the title and status of its job, and its size."""
    size = bytes_of(sum(record.size_bytes for record in records))
    title = (job.title or job.description if job else None) or name or "Dataset"
    state = [] if job is None else [job.id, job.status]
    return heading(title, *state, count_of(len(records)), size)


def job_cell(job: Job) -> str:
    done, needed = job.files_approved or 0, job.files_needed
    far = "" if needed is None else f"{done:,} of {count_of(needed)} approved"
    bar = f'<progress value="{done}" max="{needed}" aria-label="{text(far)}"></progress>' if needed else ""
    formats = ", ".join(job.accepted_formats or ())
    return cell(
        heading(job.title or job.type or "Job", job.id, job.status),
        f"<p>{bar}{text(far)}</p>" if far else "",
        facts(
            [
                ("description", job.description),
                ("accepted formats", formats),
                ("price per file", _cost(job, job.price_per_file_cents)),
                ("total cost", _cost(job, job.total_cost_cents)),
                ("min star rating", _stars(job.min_star_rating)),
                ("buyer rating", _stars(job.buyer_rating)),
                ("created", _time(job.created_at)),
                ("deadline", _time(job.deadline)),
                ("completed", _time(job.completed_at)),
                ("cancelled", _time(job.cancelled_at)),
            ]
        ),
    )


def plan_cell(plan: CampaignPlan) -> str:
    """The plan of a campaign: a row for each label, and its effect on the budget."""
    columns = columns_of(plan)
    rows: list[dict[str, object]] = [dict(zip(columns, row, strict=True)) for row in rows_of(plan)]
    # If the table cannot show all labels, it still shows the total.
    visible_rows = [*rows[: MOST_ROWS - 1], rows[-1]] if len(rows) > MOST_ROWS else rows
    hidden = len(rows) - len(visible_rows)
    return cell(
        heading("Campaign plan", count_of(len(plan.orders), "order"), dollars(plan.cost_cents)),
        table(visible_rows, len(columns)),
        note(summary_of(plan) + (f"; {count_of(hidden, 'more label')} not shown" if hidden else "")),
    )


def page_cell(items: Sequence[Any], *, has_more: bool) -> str:
    """A page of a list: a gallery of files, or a table of anything else."""
    of_files = bool(items) and isinstance(items[0], File)
    more = len(items) - (MOST_CARDS if of_files else MOST_ROWS)
    notes = [f"{more:,} more on this page not shown"] if more > 0 else []
    notes += ["there are more pages: iterate over it for all of them"] if has_more else []
    if of_files:
        notes.append("files.download_all(job_id, dest) downloads them, for a gallery with pictures")
        cards = [(fitting(file), "not downloaded") for file in items[:MOST_CARDS]]
        return galleries(heading("Page of files", count_of(len(items))), [(None, cards)], "; ".join(notes))
    rows: list[dict[str, object]] = [dict(item.__repr_args__()) for item in items[:MOST_ROWS]]
    return cell(
        heading(f"Page of {_name_of(items)}" if items else "Empty page", count_of(len(items), "item")),
        table(rows) if rows else "",
        note("; ".join(notes)) if notes else "",
    )


def _name_of(items: Sequence[Any]) -> str:
    """The name of the class that all items share: each type of event has its own class."""
    classes: Sequence[type] = type(items[0]).__mro__
    return next(kind.__name__ for kind in classes if all(isinstance(item, kind) for item in items))
