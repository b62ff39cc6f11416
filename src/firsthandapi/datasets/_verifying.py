"""Compare the files of a dataset with its manifest, and its rows with its jobs."""
# A part of Dataset:
# pyright: reportPrivateUsage=false

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from firsthandapi._core.calls.integers import int_or_none
from firsthandapi._core.orders.reports import Verification
from firsthandapi._core.rows.duplicates import groups, same_bytes
from firsthandapi._core.rows.manifest import Record

from ._manifest import key_of
from ._papers import altered_in
from ._store import sha256_of
from ._withdrawing import withdrawn_ids

if TYPE_CHECKING:
    from ._dataset import Dataset


def verified(dataset: Dataset) -> Verification:
    """Read every file, and compare it with its row."""

    alike = groups(dataset.records, same_bytes(dataset.records))
    duplicates = tuple(tuple(dataset._name_of(dataset.path_of(row)) for row in group) for group in alike)
    diary = bool(dataset._orders) or not (dataset.records or dataset.excluded)
    mismatched: list[str] = []
    missing: list[str] = []
    if dataset._kept is not None:  # of whose rows alone something is known
        _compare(dataset, dataset.records, mismatched, missing)
        ok = not (mismatched or missing)
        return Verification(ok, tuple(mismatched), tuple(missing), (), 0, duplicates, (), diary)
    extra: list[str] = []
    moving = [path for paths in dataset._moving.values() for path in paths]
    listed = {manifest.folder for manifest in dataset._manifests}
    # A folder whose manifest was lost may still contain files.
    strays = [place for place in dataset._places(dataset._orders) if place.folder not in listed]
    for manifest in [*dataset._manifests, *strays, *dataset._hidden]:
        records = [
            row for row in manifest.records.values() if dataset._manifest_of.get(key_of(row)) is manifest
        ]
        paths = _compare(dataset, records, mismatched, missing)
        folders = manifest.folders()
        places = {*paths, *folders, *moving}
        extra += [
            dataset._name_of(folder / name)
            for folder in folders
            for name in dataset._store.names(folder)
            if folder / name not in places and not (name.startswith(".") and name.endswith(".part"))
        ]
    short = sum(short_of(dataset).values())
    altered = altered_in(dataset)
    ok = not (mismatched or missing or short or altered)
    return Verification(
        ok, tuple(mismatched), tuple(missing), tuple(extra), short, duplicates, altered, diary
    )


def _compare(
    dataset: Dataset, records: list[Record], mismatched: list[str], missing: list[str]
) -> list[Path]:
    """Read the files of rows, and add the names of those that differ. Returns the paths of all."""

    def state_of(path: Path, record: Record) -> str:
        size = dataset._store.size_of(path)
        if size is None:
            return "missing"
        same = size == record.size_bytes and sha256_of(dataset._store, path, size) == record.sha256
        return "ok" if same else "mismatched"

    paths = [dataset.path_of(record) for record in records]
    # hashlib lets other threads run, so threads read several files at once.
    with ThreadPoolExecutor(max_workers=dataset._store.readers) as pool:
        for path, state in zip(paths, pool.map(state_of, paths, records), strict=True):
            if state != "ok":
                (missing if state == "missing" else mismatched).append(dataset._name_of(path))
    return paths


def short_of(dataset: Dataset) -> dict[str, int]:
    """How many approved files of each job have no row, except excluded ones: a copy may lack `excluded/`."""
    rows = {row.file_id for row in (*dataset.records, *dataset.excluded)}
    out = len(dataset._decided.excluded.keys() - rows - withdrawn_ids(dataset._store))
    # A merge counts the excluded files of its sources as repeated.
    out = max(out - sum(order.repeated for order in dataset._orders), 0)
    short: dict[str, int] = {}
    for job in dataset.jobs:
        files = [order for order in dataset._orders if order.job_id == job.id]
        repeated = sum(order.repeated for order in files)
        lacks = (int_or_none(job.files_approved) or 0) - len(dataset._rows_of(job)) - repeated
        lacks = 0 if any(order.selected for order in files) else max(lacks, 0)
        # Decisions do not name the job.
        short[job.id] = max(lacks - out, 0)
        out = max(out - lacks, 0)
    return short


def repairs(dataset: Dataset, client: Any, state: Verification, **options: Any) -> Iterator[Any]:
    """The downloads of the files that are mismatched, missing, or without a row. Each is made when the iterator
    gets to it; one of the async client is to be awaited."""
    names = {*state.mismatched, *state.missing}
    labels = {order.job_id: order.label for order in dataset._orders}
    short = short_of(dataset)
    for job in dataset.jobs:
        bad = {
            row.file_id for row in dataset._rows_of(job) if dataset._name_of(dataset.path_of(row)) in names
        }
        options["label"] = labels[job.id]
        if bad:
            yield client.files._refetch(job.id, dataset.path, frozenset(bad), **options)
        if short[job.id]:
            yield client.files.download_all(job.id, dataset.path, **options)
