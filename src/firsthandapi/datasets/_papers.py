"""The papers of a folder, README.md and croissant.json: written, and compared with what is there now."""
# A part of Dataset:
# pyright: reportPrivateUsage=false

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from firsthandapi._core.rows.card import (
    CARD,
    CROISSANT,
    LARGEST_CARD,
    Facts,
    Marker,
    card_of,
    check_text,
    croissant_of,
    hash_of_prices,
    hash_of_rows,
    is_unchanged,
    read_marker,
)
from firsthandapi._core.rows.manifest import MANIFEST, Record
from firsthandapi._visible import visible
from firsthandapi.errors import ConfigurationError
from firsthandapi.types._base import fitting

from ._ledger import spent_in

if TYPE_CHECKING:
    from ._dataset import Dataset
    from ._store import Store


def write_papers(dataset: Dataset, *, license: str | None, name: str | None, overwrite: bool) -> Path:
    """Write both; the path of the card.

    Raises:
        ConfigurationError: one is not ours, was edited, or cannot be written.
        InvalidArgumentError: `license` or `name` is not text on one line.
    """
    store = dataset._store
    labels = {each.job_id: each.label for each in dataset._job_files}
    spent_cents, ordered = spent_in(dataset.path)
    facts = Facts(
        name=check_text(name, "name") or visible(dataset._name),
        license=check_text(license, "license"),
        subfolders=_rows_of(dataset),
        jobs=[(fitting(job), labels[job.id]) for job in dataset.jobs],
        manifests={each.subfolder: _hash_of(store, each.path) or "" for each in dataset._manifests},
        spent_cents=spent_cents,
        ordered=ordered,
    )
    card, croissant = dataset.path / CARD, dataset.path / CROISSANT
    if not overwrite:
        _check_ours(store, card, croissant)
    metadata = croissant_of(facts)
    # The card last: it knows the other's hash.
    store.replace(croissant, metadata)
    store.replace(card, card_of(facts, metadata))
    return card


def altered_in(dataset: Dataset) -> tuple[str, ...]:
    """What is not as the card says, if there is a card of ours."""
    _, marker = _card_at(dataset._store, dataset.path / CARD)
    if marker is None:
        return ()
    altered = [MANIFEST] if marker.rows != hash_of_rows(_rows_of(dataset)) else []
    altered += ["prices"] if marker.prices != hash_of_prices(dataset.jobs) else []
    return tuple(altered)


def _check_ours(store: Store, card: Path, croissant: Path) -> None:
    """Make sure that nobody else's papers are overwritten."""
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
    return None if size is None else store.sha256_of(path, size)


def _rows_of(dataset: Dataset) -> dict[str, list[Record]]:
    return {each.subfolder: list(each.records.values()) for each in dataset._manifests}
