"""The dataset card, README.md, in the form of Hugging Face. It depends only on the rows, the jobs, and a person's
statements, so the same folder gives the same bytes."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeGuard, cast

from firsthandapi._base.counts import count_of, money
from firsthandapi._base.visible import visible
from firsthandapi._core.files.kinds import KINDS, Kind, kind_of, place_in, within

from .consents import Consents
from .licenses import LICENSES
from .manifest import MANIFEST, Origins, Record, manifest_line, with_origin
from .statements import MORE, NEEDED
from .witness import Witness

if TYPE_CHECKING:
    from firsthandapi.types.job import Job

CARD = "README.md"
# Maximum bytes of a card that is read; one of ours is far smaller.
LARGEST_CARD = 4 * 1024 * 1024

_MARKER = re.compile(
    rb"^<!-- firsthandapi card rows=([0-9a-f]{64}) prices=([0-9a-f]{64}) card=([0-9a-f]{64}) "
    rb"croissant=([0-9a-f]{64}) -->$",
    re.MULTILINE,
)
# Words that a reader of Markdown, or of GitHub's, makes a link.
_ADDRESS = re.compile(r"://|www\.|mailto:|xmpp:|@\w", re.IGNORECASE)
_MOST_JOBS = 500
_MOST_TEXT = 500
_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))


@dataclass(frozen=True)
class Marker:
    """The line in a card of ours with hashes of the card and of the folder at the time of writing.

    Attributes:
        rows: the hash of all rows.
        prices: the hash of what each job paid per file.
        card: the hash of the card without this line.
        croissant: the hash of croissant.json.
    """

    rows: str
    prices: str
    card: str
    croissant: str


@dataclass(frozen=True)
class Facts:
    """The content of the card and the Croissant metadata.

    Attributes:
        name: the name of the dataset.
        said: a person's statements, by the argument of `write_card`.
        subfolders: the rows of each manifest, by its folder relative to the dataset's.
        jobs: the jobs, each with its label.
        manifests: the SHA-256 of each manifest, by its folder.
        spent_cents: the cents that a campaign has spent on the folder.
        ordered: the jobs that the campaign has ordered for them.
        splits: the rows of each split, if the rows do not contain their split.
        version: the version of the dataset.
        parts: by folder, the split that its rows are, if they are published in splits.
        table: the file beside the files that `load_dataset` reads their rows from.
        consents: the lines of consents.jsonl.
        origins: by job, the environment and the server that the record of its order names, which outrank the rows.
        edited: the number of files whose rows others have edited, and whose owner has not accepted that.
        withdrawn: the number of files of the dataset whose workers have withdrawn their consent.
    """

    name: str
    said: Mapping[str, Any]
    subfolders: Mapping[str, Sequence[Record]]
    jobs: Sequence[tuple[Job, str | None]]
    manifests: Mapping[str, str]
    spent_cents: int = 0
    ordered: frozenset[str] = frozenset()
    splits: Mapping[str, Sequence[Record]] = field(default_factory=dict[str, Sequence[Record]])
    version: str = "1.0.0"
    parts: Mapping[str, str] = field(default_factory=dict[str, str])
    table: str = MANIFEST
    consents: Consents = field(default_factory=dict[str, Mapping[str, Any]])
    origins: Origins = field(default_factory=dict[str | None, tuple[str | None, str | None]])
    edited: int = 0
    withdrawn: int = 0

    @property
    def license(self) -> str | None:
        """The license that a person has stated; else the one that the workers of all files have granted, or None."""
        granted = self.witness.licenses
        whole = next(iter(granted)) if [*granted.values()] == [len(self.witness.standing)] else None
        return self.said.get("license") or whole

    @cached_property
    def witness(self) -> Witness:
        """What the rows prove."""
        return Witness(self.records, self.consents)

    @cached_property
    def records(self) -> list[Record]:
        """All rows, each from where the record of its order says."""
        return [
            with_origin(record, *self.origins.get(record.job_id, (None, None)))
            for records in self.subfolders.values()
            for record in records
        ]


# ── Hashes ───────────────────────────────────────────────────────────────────────────────────────────────


def hash_of_rows(subfolders: Mapping[str, Sequence[Record]]) -> str:
    """The hash of all rows in any order. Rows contain the hashes of their files, so it covers every byte."""
    lines = sorted(
        subfolder.encode() + b"\0" + manifest_line(record)
        for subfolder, records in subfolders.items()
        for record in records
    )
    return hashlib.sha256(b"".join(lines)).hexdigest()


def hash_of_prices(jobs: Iterable[Job]) -> str:
    prices = {job.id: job.price_per_file_cents for job in jobs}
    return hashlib.sha256(json.dumps(prices, sort_keys=True).encode()).hexdigest()


def read_marker(card: bytes) -> Marker | None:
    """The marker of a card; None if the card is not ours."""
    match = _MARKER.search(card)
    return None if match is None else Marker(*(group.decode() for group in match.groups()))


def is_unchanged(card: bytes) -> bool:
    """Whether a card is ours and unedited."""
    marker = read_marker(card)
    return marker is not None and marker.card == hashlib.sha256(_MARKER.sub(b"", card, count=1)).hexdigest()


# ── The card ─────────────────────────────────────────────────────────────────────────────────────────────


def card_of(facts: Facts, croissant: bytes) -> bytes:
    """The dataset card, with its marker."""
    head, body = _header(facts), _body(facts)
    # The card without the marker's line.
    bare = f"{head}\n\n{body}".encode("utf-8", "replace")
    marker = (
        f"<!-- firsthandapi card rows={hash_of_rows(facts.subfolders)} "
        f"prices={hash_of_prices(job for job, _ in facts.jobs)} "
        f"card={hashlib.sha256(bare).hexdigest()} croissant={hashlib.sha256(croissant).hexdigest()} -->"
    )
    return f"{head}\n{marker}\n{body}".encode("utf-8", "replace")


def _header(facts: Facts) -> str:
    """The YAML header for Hugging Face. Written as JSON, which is valid YAML and quotes any name."""
    fields: dict[str, Any] = {"pretty_name": facts.name}
    if facts.license is not None:
        fields["license"] = _hub_license(facts.license)
        if fields["license"] == "other":
            fields["license_name"] = facts.license
    elif facts.witness.licenses:
        granted = {_hub_license(name) for name in facts.witness.licenses}
        unknown = {"unknown"} if facts.witness.licenses.total() < len(facts.witness.standing) else set[str]()
        fields["license"] = sorted(granted | unknown)
    records = facts.records
    fields["size_categories"] = [size_category(len(records))]
    kinds = {kind_of(record.content_type) for record in records}
    fields["tags"] = ["firsthandapi", "croissant", *(kind for kind in KINDS if kind in kinds)]
    # Of several kinds the first: `load_dataset` reads all tables of a card with one loader, so sound would be pictures.
    if configs := _configs(facts):
        fields["configs"] = configs[:1]
    lines = [f"{key}: {json.dumps(value, ensure_ascii=True)}" for key, value in fields.items()]
    return "\n".join(["---", *lines, "---"])


def _hub_license(name: str) -> str:
    """A license as Hugging Face calls it, or `other`."""
    return next((hub for hub, spdx in LICENSES.items() if name.lower() in (hub, spdx.lower())), "other")


def _configs(facts: Facts) -> list[dict[str, Any]]:
    """What `load_dataset` reads as one table. Left to itself, it counts endings, and takes a few pictures for JSON."""
    tables: dict[str, dict[str, list[str]]] = {}
    for subfolder in facts.subfolders:
        kind = place_in(subfolder)
        if kind != "other":
            splits = tables.setdefault(kind or "default", {})
            paths = splits.setdefault(facts.parts.get(subfolder, "train"), [])
            paths += [within(subfolder, facts.table), within(subfolder, "data/**")]
    return [
        {
            "config_name": name,
            "data_files": [{"split": split, "path": paths} for split, paths in splits.items()],
        }
        for name, splits in tables.items()
    ]


def size_category(files: int) -> str:
    return next((name for most, name in _SIZES if files < most), "n>1M")


def _body(facts: Facts) -> str:
    records = facts.records
    parts = [f"# {_text(facts.name)}", "", summary_of(facts, _text), ""]
    parts += [*edits_of(facts), ""] if facts.edited else []
    parts += _table("Files", ("Label", "Files", "Workers"), _by_label(records))
    stars = Counter(record.ai_star_rating for record in records)
    parts += _table(
        "Ratings",
        ("Stars", "Files"),
        [
            ("unrated" if star is None else star, f"{stars[star]:,}")
            for star in sorted(stars, key=lambda x: -(x or 0))
        ],
    )
    for sentences in (facts.witness.ratings(), facts.witness.flagged(), facts.witness.descriptions()):
        if paragraph := " ".join(sentences):
            parts += [_text(paragraph, most=10_000), ""]
    files_of = Counter(record.job_id for record in records)
    parts += _table(
        "Jobs",
        ("Job", "Label", "Task", "Created", "Status", "Files", "Price per file"),
        [_job_row(job, label, files_of[job.id]) for job, label in facts.jobs[:_MOST_JOBS]],
    )
    if len(facts.jobs) > _MOST_JOBS:
        parts += [f"And {count_of(len(facts.jobs) - _MOST_JOBS, 'more job')}.", ""]
    roots = dict.fromkeys(path.removesuffix(place_in(path)).strip("/") for path in facts.subfolders) or [""]
    parts += ["## Use", "", "```python", "from firsthandapi import Dataset", ""]
    for root in roots:
        parts += [f'dataset = Dataset.open("{root or "."}")', "assert dataset.verify()"]
    if facts.table == MANIFEST:
        parts += [_loader(subfolder, rows) for subfolder, rows in facts.subfolders.items()]
    else:  # which loaders of a folder do not take beside the rows
        parts += ['# datasets.load_dataset(".")']
    parts += ["```", ""]
    parts += ["## License", "", *_licenses(facts), ""]
    if consents := " ".join((*facts.witness.consenting(), *withdrawals_of(facts))):
        parts += ["## Consent", "", consents, ""]
    for title, text in _said(facts):
        parts += [f"## {title}", "", f"Stated by the publisher: {_text(text, most=10_000)}", ""]
    return "\n".join(parts)


def summary_of(facts: Facts, show: Callable[[str], str] = str) -> str:
    """The numbers of the dataset in a sentence, for the card and the Croissant metadata. `show` is how the platform is
    shown, which may be any text."""
    records = facts.records
    real = [record for record in records if record.environment not in ("simulated", "sandbox")]
    workers = {record.worker_id for record in real} - {None}
    # Where a program drew some, all are not by workers.
    by = f" by {count_of(len(workers), 'worker')}" if workers and len(real) == len(records) else ""
    if by and None in {record.worker_id for record in real}:
        by = f" by at least {count_of(len(workers), 'worker')}"
    days = days_of(records)
    when = f" from {days[0]} to {days[-1]}" if days else ""
    if days and days[0] == days[-1]:
        when = f" on {days[0]}"
    bought = Counter(record.job_id for record in real)
    costs = Counter[str]()  # by currency
    # Of volunteers' jobs, the price is a unit of budget that nobody is paid.
    paying = [job for job, _ in facts.jobs if job.pay != "none"]
    for job in paying:
        if job.id not in facts.ordered:
            costs[job.currency or "USD"] += (job.price_per_file_cents or 0) * bought[job.id]
    if (real or not records) and len(paying) == len(facts.jobs):
        ordered = (job.currency for job in paying if job.id in facts.ordered)
        costs[next(ordered, None) or "USD"] += facts.spent_cents
    amounts = [money(cents, currency) for currency, cents in costs.items() if cents]
    paid = f" for {' and '.join(amounts)}" if amounts else ""
    unpaid = sum(bought[job.id] for job, _ in facts.jobs if job.pay == "none")
    # A copy without the records of its jobs has their ids in its rows.
    jobs = count_of(len(facts.jobs) or len({record.job_id for record in records}), "job")
    platform = facts.witness.platform
    on = f" on {show(platform)}" if platform else ""
    return " ".join([
        f"{count_of(len(records))}{by}{when}, from {jobs}{on}{paid}.",
        *([f"Nobody was paid for {count_of(unpaid)}."] if unpaid else []),
        *facts.witness.origins(),
        f"Version {facts.version}. The SHA-256 of each file is in its row of `metadata.jsonl`.",
    ])  # fmt: skip


def edits_of(facts: Facts) -> Iterator[str]:
    """How many rows others have edited; nothing if they edited none."""
    if facts.edited:
        rows = count_of(facts.edited, "row")
        yield f"{rows} {'was' if facts.edited == 1 else 'were'} edited by hand or by another program."


def withdrawals_of(facts: Facts) -> Iterator[str]:
    """How many files `publish` leaves out, and why; nothing if it leaves out none."""
    if facts.withdrawn == 1:
        yield "1 file is not published: its worker has withdrawn the consent."
    elif facts.withdrawn:
        yield f"{count_of(facts.withdrawn)} are not published: their workers have withdrawn the consent."


def _licenses(facts: Facts) -> list[str]:
    """The license, and whose word it is; or the licenses that workers have granted, each with its files."""
    granted, denied, files = facts.witness.licenses, facts.witness.denied, len(facts.witness.standing)
    if "license" in facts.said:
        return [f"License: {_text(facts.license)}. Stated by the publisher."]
    if facts.license is not None:
        return [f"License: {_text(facts.license)}, as the workers of {count_of(files)} granted it."]
    if not granted and not denied:
        return ["No license is named."]
    unknown = files - granted.total() - denied.total()
    lines = [f"- {_text(name)}: {count_of(number)}" for name, number in sorted(granted.items())]
    lines += [
        f"- {_text(consented)} by the consents, {_text(named)} by the rows: {count_of(number)}"
        for (named, consented), number in sorted(denied.items())
    ]
    return [*lines, *([f"- none named: {count_of(unknown)}"] if unknown else [])]


def days_of(records: Iterable[Record]) -> list[str]:
    """The days on which files were created, in order. A row may say anything; what is no time is left out."""
    times = (record.created_at for record in records)
    return sorted(datetime.fromisoformat(time).date().isoformat() for time in times if is_time(time))


def is_time(text: str | None) -> TypeGuard[str]:
    """Whether every version of pandas also reads the text as a time: older ones count nanoseconds, which limits the
    range."""
    try:
        return text is not None and 1678 <= datetime.fromisoformat(text).year < 2262
    except ValueError:
        return False


def _said(facts: Facts) -> Iterator[tuple[str, object]]:
    """A person's statements, except for the license."""
    for name in (*NEEDED, *MORE):
        fact = facts.said.get(name)
        if name == "license" or fact is None:
            continue
        title = name.replace("_", " ").capitalize()
        if isinstance(fact, list):
            yield title, " ".join(cast("list[str]", fact))
        elif isinstance(fact, dict):
            yield title, " ".join(text for key, text in cast("dict[str, str]", fact).items() if key != "type")
        else:
            yield title, "yes" if fact is True else "no" if fact is False else fact


def _by_label(records: Sequence[Record]) -> list[tuple[object, ...]]:
    files = Counter(record.label for record in records)
    workers: dict[str | None, set[str]] = {label: set() for label in files}
    for record in records:
        if record.worker_id is not None:
            workers[record.label].add(record.worker_id)
    return [
        (
            "none" if label is None else label,
            f"{files[label]:,}",
            f"{len(workers[label]):,}" if workers[label] else "unknown",
        )
        for label in sorted(files, key=lambda name: (name is None, name or ""))
    ]


def _job_row(job: Job, label: str | None, files: int) -> tuple[object, ...]:
    return (
        job.id,
        label or "",
        job.title or job.description or "",
        "" if job.created_at is None else job.created_at.date().isoformat(),
        job.status,
        f"{files:,}",
        ""
        if job.price_per_file_cents is None or job.pay == "none"
        else money(job.price_per_file_cents, job.currency),
    )


def _loader(subfolder: str, rows: Sequence[Record]) -> str:
    return f'# datasets.load_dataset("{main_kind(rows)}folder", data_dir="{subfolder or "."}")'


def main_kind(rows: Sequence[Record]) -> Kind:
    """The main kind of media in a manifest."""
    row_kinds = {kind_of(row.content_type) for row in rows}
    kinds: list[Kind] = [kind for kind in KINDS if kind in row_kinds]
    return kinds[0] if kinds else KINDS[0]


def _table(title: str, names: Sequence[str], rows: Sequence[Sequence[object]]) -> list[str]:
    if not rows:
        return []
    lines = [f"## {title}", "", f"| {' | '.join(names)} |", f"|{'---|' * len(names)}"]
    lines += [f"| {' | '.join(_text(cell) for cell in row)} |" for row in rows]
    return [*lines, ""]


def _text(value: object, most: int = _MOST_TEXT) -> str:
    """A value as one line of plain text in Markdown: untrusted text cannot create links, HTML, or columns. Addresses
    are code, which no reader links."""
    text = visible(" ".join(str(value).split()))
    short = text if len(text) <= most else f"{text[: most - 1]}…"
    return re.sub(r"[^\s`|]+|[`|]", _escaped, short)


def _escaped(word: re.Match[str]) -> str:
    if _ADDRESS.search(word[0]):
        return f"`{word[0]}`"
    return re.sub(r"([\\`*\[\]<>|#!&])", r"\\\1", word[0]).replace("\\<", "&lt;").replace("\\&", "&amp;")
