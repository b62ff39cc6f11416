"""Several folders, copied into one."""
# A part of Dataset:
# pyright: reportPrivateUsage=false

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, cast

from firsthandapi._core.files.labels import check_label, check_spelling
from firsthandapi._core.orders.job_file import dump
from firsthandapi._core.rows.manifest import label_of
from firsthandapi.errors import InvalidArgumentError

if TYPE_CHECKING:
    from ._dataset import Dataset
    from ._folder import Folder


def sources_of(datasets: object) -> list[tuple[object, str | None]]:
    """What is to be merged, each with the label that it gets.

    Raises:
        InvalidArgumentError: it is neither a mapping nor a list of datasets, or a label is not allowed.
    """
    if isinstance(datasets, Mapping):
        named = cast("Mapping[Any, object]", datasets)
        return [(dataset, check_label(label, "datasets")) for label, dataset in named.items()]
    if not isinstance(datasets, Iterable) or isinstance(datasets, str | bytes | os.PathLike):
        raise InvalidArgumentError(
            "datasets must be a list of datasets, or a dict of them by label", field="datasets"
        )
    return [(dataset, None) for dataset in cast("Iterable[object]", datasets)]


def merge_into(folder: Folder, sources: list[tuple[Dataset, str | None]]) -> None:
    """Copy the files of datasets, each verified, with their rows and jobs. The folder is locked.

    Raises:
        ConfigurationError: a file is missing or mismatched, or the folder cannot be written to.
        InvalidArgumentError: the folder is that of a job, a file would have two labels, or two labels would be one
            folder.
    """
    formats = [record.content_type or "" for dataset, _ in sources for record in dataset]
    mixed = folder.start_merging(formats)
    known = set(folder.labels())
    for dataset, label in sources:
        for name in dataset.labels if label is None else [label]:
            check_spelling(name, known)
            known.add(name)
    for dataset, label in sources:
        labels = {each.job_id: each.label for each in dataset._job_files}
        for job in dataset.jobs:
            folder.note_job(job.id, dump(job), labels[job.id] if label is None else label)
        for record in dataset:
            own = label_of(record) if label is None else label
            folder.take(dataset._store, dataset.path_of(record), record, own, mixed=mixed)
