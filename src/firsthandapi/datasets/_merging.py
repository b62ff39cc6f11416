"""Several folders, copied into one."""
# A part of Dataset:
# pyright: reportPrivateUsage=false

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import reduce
from typing import TYPE_CHECKING, Any, cast

from firsthandapi._core.files.labels import check_label, check_spelling
from firsthandapi._core.orders.record import OrderRecord, dump
from firsthandapi._core.rows.consents import with_lines
from firsthandapi._core.rows.manifest import label_of
from firsthandapi.errors import InvalidArgumentError

from ._consents import consents_in
from ._papers import edited_in

if TYPE_CHECKING:
    from ._folder import Folder
    from ._rows import Rows


def sources_of(datasets: object) -> list[tuple[object, str | None]]:
    """What is to be merged, each with the label that it gets.
    Raises InvalidArgumentError: it is neither a mapping nor a list of datasets, or a label is not allowed.
    """
    if isinstance(datasets, Mapping):
        named = cast("Mapping[Any, object]", datasets)
        return [(dataset, check_label(label, "datasets")) for label, dataset in named.items()]
    if not isinstance(datasets, Iterable) or isinstance(datasets, str | bytes | os.PathLike):
        raise InvalidArgumentError(
            "datasets must be a list of datasets, or a dict of them by label", field="datasets"
        )
    return [(dataset, None) for dataset in cast("Iterable[object]", datasets)]


def merge_into(folder: Folder, sources: Sequence[tuple[Rows, str | None]]) -> None:
    """Copy the files of datasets or views, each verified, with their rows and jobs, and what was decided about them.
    The folder is locked.
    Raises ConfigurationError: a file is missing or mismatched, a manifest or the jobs could not be read again, or the
    folder cannot be written to.
    Raises InvalidArgumentError: the folder is that of a job, a file would have two labels, or two labels would be one
    folder.
    """
    formats = [record.content_type or "" for rows, _ in sources for record in rows]
    mixed = folder.start_merging(formats)
    labels = set(folder.labels())
    for rows, label in sources:
        for name in rows.labels if label is None else [label]:
            check_spelling(name, labels)
            labels.add(name)
    folder.check_taking(
        ((row, label_of(row) if label is None else label) for rows, label in sources for row in rows),
        mixed=mixed,
    )
    records = [_records_of(rows, label) for rows, label in sources]
    folder.check_jobs({job_id: record for jobs in records for job_id, record in jobs.items()})
    for (rows, label), jobs in zip(sources, records, strict=True):
        dataset = rows._whole
        folder.take_decisions(dataset._decided, (row.file_id for row in rows), labels=label is None)
        folder.note_jobs(jobs)
        taken = ((row, dataset.path_of(row), label_of(row) if label is None else label) for row in rows)
        folder.take(dataset._store, taken, mixed=mixed, edited=edited_in(dataset))
        folder.note_opinions(dataset._store, frozenset(row.sha256 for row in rows))
    folder.note_consents(reduce(with_lines, (consents_in(rows._whole._store) for rows, _ in sources), {}))


def _records_of(rows: Rows, label: str | None) -> dict[str, OrderRecord]:
    """The records of the jobs of a source, by their ids. Files that are excluded there have no row in a copy; of those
    that a view has left out, any may be missing."""
    dataset = rows._whole
    records = {order.job_id: order for order in dataset._orders}
    repeated = Counter(row.job_id for row in dataset.excluded)
    return {
        job.id: OrderRecord(
            "job",
            job=dump(job),
            label=records[job.id].label if label is None else label,
            environment=records[job.id].environment,
            server=records[job.id].server,
            repeated=records[job.id].repeated + repeated[job.id],
            selected=records[job.id].selected or rows is not dataset or dataset._kept is not None,
        )
        for job in dataset.jobs
    }
