"""The card and the Croissant metadata of a folder: write README.md and croissant.json, and compare them with the
folder."""
# A part of Dataset:
# pyright: reportPrivateUsage=false

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from firsthandapi._base.visible import visible
from firsthandapi._core.rows.card import (
    CARD,
    LARGEST_CARD,
    Facts,
    Marker,
    card_of,
    hash_of_prices,
    hash_of_rows,
    is_unchanged,
    read_marker,
)
from firsthandapi._core.rows.consents import is_withdrawn
from firsthandapi._core.rows.croissant import CROISSANT, croissant_of, missing_of
from firsthandapi._core.rows.manifest import MANIFEST, Origins, Record
from firsthandapi._core.rows.splits import Rule
from firsthandapi._core.rows.statements import (
    LARGEST_STATEMENTS,
    STATEMENTS_FILE,
    check_statements,
    encode_statements,
    read_statements,
)
from firsthandapi.errors import ConfigurationError
from firsthandapi.types._base import fitting

from ._consents import consents_in
from ._ledger import spent_in
from ._lock import taking_notes
from ._splitting import split
from ._store import sha256_of
from ._versions import number_of

if TYPE_CHECKING:
    from ._dataset import Dataset
    from ._store import Store


# The default shares.
SPLITS = {"train": 0.8, "test": 0.2}


@dataclass(frozen=True)
class Card:
    """The result of `Dataset.write_card`. It is an `os.PathLike`: `open(card)` opens README.md.

    Attributes:
        path: the dataset card, README.md.
        croissant: the Croissant metadata, croissant.json.
        missing: the statements that only a person can make and that are missing, by their names in the Croissant
            metadata, such as `license` or `rai:dataLimitations`. Pass them to `write_card`. Also `datePublished`, as
            long as no file has a date.
    """

    path: Path
    croissant: Path
    missing: tuple[str, ...]

    def __fspath__(self) -> str:
        return str(self.path)


def write_papers(dataset: Dataset, values: Mapping[str, object], *, overwrite: bool) -> Card:
    """Write both files, and the statements of `values`.
    Raises ConfigurationError: a file is not ours, was edited, or cannot be written.
    Raises InvalidArgumentError: a value of `values` is not allowed.
    """
    dataset._catch_up()
    store = dataset._store
    old_statements = statements_in(store)
    statements = {**old_statements, **check_statements(values)}
    rows = dataset._by_folder()
    facts = facts_of(dataset, statements, rows)
    facts.witness.check(statements)
    card, croissant = dataset.path / CARD, dataset.path / CROISSANT
    if not overwrite:
        _check_ours(store, card, croissant)
    if statements != old_statements:
        with taking_notes(store):
            store.replace(dataset.path / STATEMENTS_FILE, encode_statements(statements))
    has_split = any("split" in record.extra for record in dataset.records)
    facts = replace(
        facts,
        manifests={
            manifest.subfolder: _hash_of(store, manifest.path) or ""
            for manifest in dataset._manifests
            if manifest.subfolder in rows
        },
        splits={} if has_split else split(dataset, Rule(statements.get("splits", SPLITS))),
        version=number_of(dataset),
    )
    metadata = croissant_of(facts)
    # The card last, because it contains the hash of the metadata.
    with taking_notes(store):
        store.replace(croissant, metadata)
        store.replace(card, card_of(facts, metadata))
    return Card(card, croissant, missing_of(facts))


def statements_in(store: Store) -> dict[str, Any]:
    """What was stated about a dataset."""
    path = store.root / STATEMENTS_FILE
    return read_statements(store.read(path, LARGEST_STATEMENTS), path)


def facts_of(dataset: Dataset, statements: Mapping[str, Any], rows: Mapping[str, Sequence[Record]]) -> Facts:
    """What the card and the metadata say of these rows, by their folder, as far as the dataset knows it."""
    labels = {order.job_id: order.label for order in dataset._orders}
    spent_cents, ordered = spent_in(dataset.path)
    consents, edited = consents_in(dataset._store), edited_in(dataset)
    return Facts(
        name=statements.get("name") or visible(dataset._name),
        said=statements,
        subfolders=rows,
        jobs=[(fitting(job), labels[job.id]) for job in dataset.jobs],
        manifests={},
        spent_cents=spent_cents,
        ordered=ordered,
        consents=consents,
        origins=origins_of(dataset),
        edited=sum(row.file_id in edited for listed in rows.values() for row in listed),
        withdrawn=sum(is_withdrawn(row, consents) for row in dataset.records),
    )


def origins_of(dataset: Dataset) -> Origins:
    """Where the records of the orders say that files come from, by job. If they all say the same, this is also true of
    rows without a job, and of edited ones that name another job."""
    origins: dict[str | None, tuple[str | None, str | None]] = {
        order.job_id: (order.environment, order.server)
        for order in dataset._orders
        if order.job_id is not None
    }
    if len({*origins.values()}) != 1:
        return origins
    edited = edited_in(dataset)
    jobs = {None, *(row.job_id for row in dataset.records if row.file_id in edited)}
    return dict.fromkeys(jobs, next(iter(origins.values()))) | origins


def altered_in(dataset: Dataset) -> tuple[str, ...]:
    """The parts of the folder that have changed since our card was written, if it has one; and rows that others have
    edited."""
    _, marker = _card_at(dataset._store, dataset.path / CARD)
    is_stale = marker is not None and marker.rows != hash_of_rows(dataset._by_folder())
    altered = [MANIFEST] if is_stale or edited_in(dataset) else []
    # A copy without the records of its jobs does not know the prices; `Verification.diary` says that it has none.
    if marker is not None and dataset.jobs and marker.prices != hash_of_prices(dataset.jobs):
        altered.append("prices")
    return tuple(altered)


def edited_in(dataset: Dataset) -> frozenset[str]:
    """The ids of files whose rows others have edited, those of excluded files too, unless `accept_edits` was called
    since; none in a version, whose rows were locked."""
    places = (*dataset._manifests, *dataset._hidden) if dataset._kept is None else ()
    return frozenset[str]().union(*(manifest.edited & manifest.records.keys() for manifest in places))


def _check_ours(store: Store, card: Path, croissant: Path) -> None:
    """Make sure not to overwrite files that we did not write."""
    content, marker = _card_at(store, card)
    for path, ours in (
        (card, content is not None and is_unchanged(content)),
        (croissant, marker is not None and _hash_of(store, croissant) == marker.croissant),
    ):
        if store.exists(path) and not ours:
            raise ConfigurationError(
                f"{path} was not written by firsthandapi, or was edited since; move it away, or pass overwrite=True"
            )


def _card_at(store: Store, path: Path) -> tuple[bytes | None, Marker | None]:
    content = store.begin_of(path, LARGEST_CARD)
    return content, None if content is None else read_marker(content)


def _hash_of(store: Store, path: Path) -> str | None:
    size = store.size_of(path)
    return None if size is None else sha256_of(store, path, size)
