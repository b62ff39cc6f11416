"""The splits of a dataset as folders that loaders can read."""
# A part of Dataset:
# pyright: reportPrivateUsage=false

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from firsthandapi._core.orders.record import ORDERS
from firsthandapi._core.rows.manifest import MANIFEST, Record, label_of
from firsthandapi.errors import ConfigurationError, InvalidArgumentError

from ._copying import copied
from ._store import store_at, writing
from ._withdrawing import note_export

if TYPE_CHECKING:
    from ._dataset import Dataset, DatasetView


class Splits(dict[str, "DatasetView"]):
    """The splits of a dataset: a view for each, by name."""

    def copy_to(self, dest: str | os.PathLike[str]) -> Path:
        """Copy the verified files of each split into its own folder, as loaders expect them: `train/<label>/…` and
        `test/<label>/…`, or without labels `train/…` and `test/…`.

        The folder has no manifest, so it is not a dataset. Run it again to copy missing files.

        Args:
            dest: the folder or bucket; created if missing.

        Returns:
            The path of the folder.

        Raises:
            ConfigurationError: a file is missing or mismatched, or `dest` cannot be written to, or a folder of a split
                contains other files, which would leak.
            InvalidArgumentError: `dest` is neither a path nor the URL of a bucket, or is a dataset, or in the folder of
                these views' dataset.
        """
        root = _copied(self, dest)
        for dataset in _datasets_of(self):
            rows = [row for view in self.values() if view.dataset is dataset for row in view]
            note_export(dataset._store, str(root.absolute()), rows)
        return root


def _datasets_of(splits: Splits) -> list[Dataset]:
    return [*{id(view.dataset): view.dataset for view in splits.values()}.values()]


def _copied(splits: Splits, dest: str | os.PathLike[str]) -> Path:
    """Copy the files of each split into the folder of its name, with a subfolder for each label."""
    store = store_at(dest, "dest")
    root = store.root
    if store.exists(root / MANIFEST) or store.names(root / ORDERS):
        raise InvalidArgumentError(f"dest is a dataset: {root}; use a different folder", field="dest")
    for dataset in _datasets_of(splits):
        if dataset.path.resolve() in root.resolve().parents:
            raise InvalidArgumentError(
                f"dest is in the folder of the dataset, {dataset.path}; use a folder outside it", field="dest"
            )
    with writing(store) as writer:
        for name, view in splits.items():
            view._whole._catch_up()
            rows: dict[Path, list[Record]] = {root / name: []}
            for record in view:
                label = label_of(record)
                rows.setdefault(root / name / label if label else root / name, []).append(record)
            for folder, records in rows.items():
                writer.prepare(folder)
                targets = {folder / record.file_name.rpartition("/")[2]: record for record in records}
                _refuse_others(set(store.names(folder)), {*targets, *rows}, folder)
                for path, record in targets.items():
                    if writer.size_of(path) != record.size_bytes:
                        copied(view._store, view.path_of(record), record, writer.fetch_to(path))
                        writer.put(path)
    return root


def _refuse_others(names: set[str], ours: set[Path], folder: Path) -> None:
    others = {name for name in names if folder / name not in ours}
    if others:
        raise ConfigurationError(
            f"{folder} contains {min(others)}, which is not in this split: it would leak; use an empty folder"
        )
