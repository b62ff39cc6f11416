"""The papers of a dataset: its card (README.md, as Hugging Face reads it) and its Croissant metadata.

Both are made from the rows and the jobs alone, so the same folder gives the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from firsthandapi._core.calls.counts import count_of, dollars
from firsthandapi._core.files.kinds import KINDS, Kind, kind_of
from firsthandapi._visible import visible
from firsthandapi.errors import InvalidArgumentError

from .manifest import COLUMNS, MANIFEST, Record, column_types, manifest_line

if TYPE_CHECKING:
    from firsthandapi.types.job import Job

CARD = "README.md"
CROISSANT = "croissant.json"
# Of a card that is read again; one of ours is far smaller.
LARGEST_CARD = 4 * 1024 * 1024

_MARKER = re.compile(
    rb"^<!-- firsthandapi card rows=([0-9a-f]{64}) prices=([0-9a-f]{64}) card=([0-9a-f]{64}) "
    rb"croissant=([0-9a-f]{64}) -->$",
    re.MULTILINE,
)
_MOST_JOBS = 500
_MOST_TEXT = 500
# What Hugging Face knows by these names; any other license is `other`, with its name.
_LICENSES = frozenset({
    "apache-2.0", "mit", "cc", "cc0-1.0", "cc-by-2.0", "cc-by-2.5", "cc-by-3.0", "cc-by-4.0", "cc-by-sa-3.0",
    "cc-by-sa-4.0", "cc-by-nc-2.0", "cc-by-nc-3.0", "cc-by-nc-4.0", "cc-by-nd-4.0", "cc-by-nc-nd-3.0",
    "cc-by-nc-nd-4.0", "cc-by-nc-sa-3.0", "cc-by-nc-sa-4.0", "cdla-sharing-1.0", "cdla-permissive-1.0",
    "cdla-permissive-2.0", "odc-by", "odbl", "pddl", "unlicense", "unknown", "other",
})  # fmt: skip
_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))


@dataclass(frozen=True)
class Marker:
    """What a card of ours says of itself and of the folder when it was written.

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
    """What the card and the Croissant metadata say.

    Attributes:
        name: what the dataset is called.
        license: as the user names it, or None.
        subfolders: the folders of the manifests, relative to the dataset's, with their rows.
        jobs: the jobs, each with its label.
        manifests: the SHA-256 of each manifest, by its folder.
        spent_cents: what a campaign has spent on the folder.
        ordered: the jobs that it has spent that on.
    """

    name: str
    license: str | None
    subfolders: Mapping[str, Sequence[Record]]
    jobs: Sequence[tuple[Job, str | None]]
    manifests: Mapping[str, str]
    spent_cents: int = 0
    ordered: frozenset[str] = frozenset()

    @property
    def records(self) -> list[Record]:
        return [record for records in self.subfolders.values() for record in records]


def check_text(value: object, field: str) -> str | None:
    """A name of the caller's for the papers.

    Raises:
        InvalidArgumentError: it is no text, or text that cannot be shown.
    """
    if value is None:
        return None
    if not isinstance(value, str) or not value.strip() or not value.isprintable() or len(value) > _MOST_TEXT:
        raise InvalidArgumentError(
            f"{field} must be a str of 1 to {_MOST_TEXT} printable characters on one line", field=field
        )
    return value.strip()


# ── Hashes ───────────────────────────────────────────────────────────────────────────────────────────────


def hash_of_rows(subfolders: Mapping[str, Sequence[Record]]) -> str:
    """The hash of all rows, whatever their order: with the files' own hashes in them, of every byte."""
    lines = sorted(
        subfolder.encode() + b"\0" + manifest_line(record)
        for subfolder, records in subfolders.items()
        for record in records
    )
    return hashlib.sha256(b"".join(lines)).hexdigest()


def hash_of_prices(jobs: Iterable[Job]) -> str:
    """The hash of what each job paid per file."""
    prices = {job.id: job.price_per_file_cents for job in jobs}
    return hashlib.sha256(json.dumps(prices, sort_keys=True).encode()).hexdigest()


def read_marker(card: bytes) -> Marker | None:
    """What a card says of itself; None if it is not ours."""
    found = _MARKER.search(card)
    return None if found is None else Marker(*(group.decode() for group in found.groups()))


def is_unchanged(card: bytes) -> bool:
    """Whether a card is ours, and nobody has edited it since."""
    marker = read_marker(card)
    return marker is not None and marker.card == hashlib.sha256(_MARKER.sub(b"", card, count=1)).hexdigest()


# ── The card ─────────────────────────────────────────────────────────────────────────────────────────────


def card_of(facts: Facts, croissant: bytes) -> bytes:
    """The dataset card, with its marker."""
    head, body = _header(facts), _body(facts)
    # Where the marker's line stands, empty.
    bare = f"{head}\n\n{body}".encode("utf-8", "replace")
    marker = (
        f"<!-- firsthandapi card rows={hash_of_rows(facts.subfolders)} "
        f"prices={hash_of_prices(job for job, _ in facts.jobs)} "
        f"card={hashlib.sha256(bare).hexdigest()} croissant={hashlib.sha256(croissant).hexdigest()} -->"
    )
    return f"{head}\n{marker}\n{body}".encode("utf-8", "replace")


def _header(facts: Facts) -> str:
    """The YAML that Hugging Face reads. JSON is YAML, and quotes whatever a name contains."""
    fields: dict[str, Any] = {"pretty_name": facts.name}
    if facts.license is not None:
        known = facts.license.lower() in _LICENSES
        fields["license"] = facts.license.lower() if known else "other"
        if not known:
            fields["license_name"] = facts.license
    records = facts.records
    fields["size_categories"] = [size_category(len(records))]
    kinds = {kind_of(record.content_type) for record in records}
    fields["tags"] = ["firsthandapi", "croissant", *(kind for kind in KINDS if kind in kinds)]
    lines = [f"{key}: {json.dumps(value, ensure_ascii=True)}" for key, value in fields.items()]
    return "\n".join(["---", *lines, "---"])


def size_category(files: int) -> str:
    """The category of so many files, as Hugging Face names them."""
    return next((name for most, name in _SIZES if files < most), "n>1M")


def _body(facts: Facts) -> str:
    records = facts.records
    parts = [f"# {_text(facts.name)}", "", _summary(facts), ""]
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
    parts += _table(
        "Jobs",
        ("Job", "Label", "Task", "Created", "Status", "Files", "Price per file"),
        [_job_row(job, label, records) for job, label in facts.jobs[:_MOST_JOBS]],
    )
    if len(facts.jobs) > _MOST_JOBS:
        parts += [f"And {count_of(len(facts.jobs) - _MOST_JOBS, 'more job')}.", ""]
    loaders = "\n".join(_loader(subfolder, rows) for subfolder, rows in facts.subfolders.items())
    parts += ["## Use", "", "```python", "from firsthandapi import Dataset", ""]
    parts += ['dataset = Dataset.open(".")', "assert dataset.verify()", loaders, "```", ""]
    license_ = "No license is named." if facts.license is None else f"License: {_text(facts.license)}."
    parts += ["## License", "", license_, ""]
    return "\n".join(parts)


def _summary(facts: Facts) -> str:
    records = facts.records
    workers = {record.worker_id for record in records} - {None}
    by = f" by {count_of(len(workers), 'worker')}" if workers else ""
    days = sorted(record.created_at[:10] for record in records if record.created_at)
    when = f" from {_text(days[0])} to {_text(days[-1])}" if days else ""
    if days and days[0] == days[-1]:
        when = f" on {_text(days[0])}"
    cents = facts.spent_cents + sum(
        (job.price_per_file_cents or 0) * sum(record.job_id == job.id for record in records)
        for job, _ in facts.jobs
        if job.id not in facts.ordered
    )
    paid = f" for {dollars(cents)}" if cents else ""
    jobs = count_of(len(facts.jobs), "job")
    return (
        f"{count_of(len(records))}{by}, made by people{when} in {jobs} of FirstHandAPI{paid}. The SHA-256 of each file "
        "is in its row of `metadata.jsonl`."
    )


def _by_label(records: Sequence[Record]) -> list[tuple[object, ...]]:
    labels = Counter(record.label for record in records)
    rows: list[tuple[object, ...]] = []
    for label in sorted(labels, key=lambda name: (name is None, name or "")):
        workers = {record.worker_id for record in records if record.label == label} - {None}
        rows.append(
            (
                "none" if label is None else label,
                f"{labels[label]:,}",
                f"{len(workers):,}" if workers else "unknown",
            )
        )
    return rows


def _job_row(job: Job, label: str | None, records: Sequence[Record]) -> tuple[object, ...]:
    return (
        job.id,
        label or "",
        job.title or job.description or "",
        "" if job.created_at is None else job.created_at.date().isoformat(),
        job.status,
        f"{sum(record.job_id == job.id for record in records):,}",
        "" if job.price_per_file_cents is None else dollars(job.price_per_file_cents),
    )


def _loader(subfolder: str, rows: Sequence[Record]) -> str:
    return f'# datasets.load_dataset("{_kind_of(rows)}folder", data_dir="{subfolder or "."}")'


def _kind_of(rows: Sequence[Record]) -> Kind:
    """The kind of media that a manifest is of."""
    here = {kind_of(row.content_type) for row in rows}
    kinds: list[Kind] = [kind for kind in KINDS if kind in here]
    return kinds[0] if kinds else KINDS[0]


def _table(title: str, names: Sequence[str], rows: Sequence[Sequence[object]]) -> list[str]:
    if not rows:
        return []
    lines = [f"## {title}", "", f"| {' | '.join(names)} |", f"|{'---|' * len(names)}"]
    lines += [f"| {' | '.join(_text(cell) for cell in row)} |" for row in rows]
    return [*lines, ""]


def _text(value: object) -> str:
    """A value as plain text in Markdown, on one line: what a stranger wrote makes no link, no HTML, and no column."""
    text = visible(" ".join(str(value).split()))
    short = text if len(text) <= _MOST_TEXT else f"{text[: _MOST_TEXT - 1]}…"
    return re.sub(r"([\\`*\[\]<>|#!&])", r"\\\1", short).replace("\\<", "&lt;").replace("\\&", "&amp;")


# ── Croissant ────────────────────────────────────────────────────────────────────────────────────────────

# Of https://docs.mlcommons.org/croissant/docs/croissant-spec.html, as the specification prescribes it.
_CROISSANT_TERMS = (
    "citeAs", "column", "equivalentProperty", "extract", "field", "fileObject", "fileProperty", "fileSet", "format",
    "includes", "isLiveDataset", "jsonPath", "key", "md5", "parentField", "path", "recordSet", "references", "regex",
    "repeated", "replace", "samplingRate", "separator", "source", "subField", "transform",
)  # fmt: skip
_CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "dct": "http://purl.org/dc/terms/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "sc": "https://schema.org/",
    **{term: f"cr:{term}" for term in _CROISSANT_TERMS},
}
_TYPES: dict[type, str] = {str: "sc:Text", int: "sc:Integer", float: "sc:Float"}


def croissant_of(facts: Facts) -> bytes:
    """The Croissant metadata: the manifests, and a record set of the rows of each."""
    days = sorted(record.created_at[:10] for record in facts.records if record.created_at)
    document: dict[str, Any] = {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "name": facts.name,
        "description": _summary(facts),
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "citeAs": facts.name,
        "version": "1.0.0",
        **({"license": facts.license} if facts.license is not None else {}),
        **({"datePublished": days[-1]} if days else {}),
        "distribution": [_file_object(subfolder, sha256) for subfolder, sha256 in facts.manifests.items()],
        "recordSet": [_record_set(subfolder, facts.subfolders[subfolder]) for subfolder in facts.manifests],
    }
    return json.dumps(document, ensure_ascii=True, indent=2).encode() + b"\n"


def _file_object(subfolder: str, sha256: str) -> dict[str, Any]:
    path = _manifest_at(subfolder)
    return {
        "@type": "cr:FileObject",
        "@id": path,
        "name": path,
        "contentUrl": path,
        "encodingFormat": "application/jsonlines",
        "sha256": sha256,
    }


def _record_set(subfolder: str, rows: Sequence[Record]) -> dict[str, Any]:
    name = f"{subfolder}_rows" if subfolder else "rows"
    types = column_types(_kind_of(rows))
    fields = [
        {
            "@type": "cr:Field",
            "@id": f"{name}/{column}",
            "name": column,
            "dataType": _TYPES[types[column]],
            "source": {"fileObject": {"@id": _manifest_at(subfolder)}, "extract": {"column": column}},
        }
        for column in COLUMNS
        if column != "annotations"  # of many shapes; `annotations_json` is the same as text
    ]
    return {
        "@type": "cr:RecordSet",
        "@id": name,
        "name": name,
        "key": {"@id": f"{name}/file_id"},
        "field": fields,
    }


def _manifest_at(subfolder: str) -> str:
    return f"{subfolder}/{MANIFEST}" if subfolder else MANIFEST
