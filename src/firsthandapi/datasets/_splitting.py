"""The splits of a dataset: what the folder remembers of them, and a dataset for each."""
# A part of Dataset:
# pyright: reportPrivateUsage=false

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from firsthandapi._base.watching import logger
from firsthandapi._core.files.labels import is_label
from firsthandapi._core.orders.record import ORDERS
from firsthandapi._core.rows.manifest import MANIFEST, Record
from firsthandapi._core.rows.splits import (
    LARGEST_SPLITS,
    SPLITS,
    Rule,
    faults,
    parse_splits,
    split_rows,
    splits_line,
)
from firsthandapi.errors import ConfigurationError, FirstHandError, InvalidArgumentError

from ._lock import taking_notes
from ._manifest import all_manifests
from ._store import refuse_earlier, store_at

if TYPE_CHECKING:
    from ._dataset import DatasetView
    from ._rows import Rows


class Splits(dict[str, "DatasetView"]):
    """The splits of a dataset: a view for each, by name."""

    def copy_to(self, dest: str | os.PathLike[str]) -> Path:
        """Copy each split, with its verified files, into a dataset of its own: `train/`, `test/`, and so on.

            parts.copy_to("signs-split")
            train = Dataset.open("signs-split/train")

        Each has all columns, and its files as loaders expect them, in `train/data/<label>/…` or, without labels,
        `train/data/…`. Run it again to copy missing files.

        Args:
            dest: the folder or bucket for the datasets; created if missing.

        Returns:
            The path of the folder.

        Raises:
            ConfigurationError: a file is missing or mismatched, another process is writing to a split, `dest` cannot be
                written to, or a folder of a split contains files of another one, which would leak. Files copied so far
                are good, and the same call copies the rest.
            InvalidArgumentError: `dest` is neither a path nor the URL of a bucket, or is a dataset, or in the folder of
                these views' dataset; or the name of a split cannot name a folder.
        """
        for name in self:
            if not is_label(name):
                raise InvalidArgumentError(
                    f"{name!r} cannot name the folder of a split; use letters, digits, and _ - .", field=name
                )
        store = store_at(dest, "dest")
        root = store.root
        refuse_earlier(store)
        if store.exists(root / MANIFEST) or store.names(root / ORDERS):
            raise InvalidArgumentError(f"dest is a dataset: {root}; use a different folder", field="dest")
        for dataset in {id(view.dataset): view.dataset for view in self.values()}.values():
            dataset._catch_up()
            if dataset.path.resolve() in root.resolve().parents:
                raise InvalidArgumentError(
                    f"dest is in the folder of the dataset, {dataset.path}; use a folder outside it",
                    field="dest",
                )
        for name, view in self.items():
            _refuse_others(root / name, view)
        for name, view in self.items():
            if len(view) or view.dataset.jobs:  # else it would be no dataset
                view.copy_to(root / name)
        return root


def _refuse_others(folder: Path, view: DatasetView) -> None:
    """Refuse a folder with rows of another split. Those that were excluded since leave it when it is written to."""
    ours = {row.file_id for row in (*view, *view.dataset.excluded)}
    for manifest in all_manifests(store_at(folder, "dest")):
        manifest.read()
        if strays := [row for row in manifest.records.values() if row.file_id not in ours]:
            raise ConfigurationError(
                f"{folder} contains {strays[0].file_name}, which is not in this split: it would leak; use an empty "
                "folder"
            )


def split(rows: Rows, rule: Rule) -> dict[str, list[Record]]:
    """The rows of each split by this rule, which the folder remembers from then on.
    Raises ConfigurationError: what it remembers is damaged, or near duplicates need an extra.
    """
    dataset = rows._whole
    store, path = dataset._store, dataset.path / SPLITS
    # In the order of their ids, since that of the rows is that of their downloads.
    ordered = rows._view("split", sorted(rows.records, key=lambda row: row.file_id))
    near = ordered._near_pairs(rule.near)
    all_rows = (*dataset.records, *dataset.excluded)

    def assigned(content: bytes | None) -> tuple[dict[str, list[Record]], bytes]:
        memory = parse_splits(content, rule, path)
        parts = split_rows(ordered.records, rule, near, memory, all_rows)
        return parts, splits_line(rule, parts, memory)

    content = store.read(path, LARGEST_SPLITS)
    parts, line = assigned(content)
    if line and dataset._kept is None:
        try:
            with taking_notes(store):
                if (now := store.read(path, LARGEST_SPLITS)) != content:  # of another process, just now
                    content, (parts, line) = now, assigned(now)
                if len(content or b"") + len(line) > LARGEST_SPLITS:
                    raise ConfigurationError(
                        f"{path} would be too large; remove lines of splits that you do not use"
                    )
                store.replace(path, (content or b"") + line)
        except FirstHandError as error:
            logger().warning("%s", f"this split is not remembered, so later files may change it: {error}")
    names = {row.file_id: name for name, part in parts.items() for row in part}
    return {name: [row for row in rows.records if names.get(row.file_id) == name] for name in parts}


def warn(parts: Mapping[str, Sequence[Record]], rule: Rule, number: int) -> None:
    """Log what is wrong with splits of `number` rows."""
    for line in faults(parts, rule, number):
        logger().warning("%s", line)
