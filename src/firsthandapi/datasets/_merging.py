"""Several folders, copied into one."""
# A part of Dataset:
# pyright: reportPrivateUsage=false

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from firsthandapi._core.files.labels import check_label, check_spelling
from firsthandapi._core.orders.job_file import dump
from firsthandapi._core.rows.manifest import label_of
from firsthandapi.errors import InvalidArgumentError

if TYPE_CHECKING:
    from ._dataset import Dataset, DatasetView
    from ._folder import Folder


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


def merge_into(folder: Folder, sources: Sequence[tuple[Dataset | DatasetView, str | None]]) -> None:
    """Copy the files of datasets or views, each verified, with their rows and jobs, and what was decided about them.
    The folder is locked.
    Raises ConfigurationError: a file is missing or mismatched, a manifest would be too large to be read again, or the
    folder cannot be written to.
    Raises InvalidArgumentError: the folder is that of a job, a file would have two labels, or two labels would be one
    folder.
    """
    formats = [record.content_type or "" for rows, _ in sources for record in rows]
    mixed = folder.start_merging(formats)
    known = set(folder.labels())
    for rows, label in sources:
        for name in rows.labels if label is None else [label]:
            check_spelling(name, known)
            known.add(name)
    folder.check_taking(
        ((row, label_of(row) if label is None else label) for rows, label in sources for row in rows),
        mixed=mixed,
    )
    for rows, label in sources:
        dataset = rows._whole
        folder.take_decisions(dataset._decided, (row.file_id for row in rows), labels=label is None)
        files = {each.job_id: each for each in dataset._job_files}
        for job in dataset.jobs:
            file = files[job.id]
            folder.note_job(
                job.id,
                dump(job),
                file.label if label is None else label,
                (file.repeated or 0) + sum(row.job_id == job.id for row in dataset.excluded),
                selected=file.selected or rows is not dataset,
            )
        for record in rows:
            own = label_of(record) if label is None else label
            folder.take(dataset._store, dataset.path_of(record), record, own, mixed=mixed)
