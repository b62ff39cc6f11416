"""`write_dataset`: workers write files, the driver writes the manifest."""

# Ray is an extra, so type checkers may not find it.
# pyright: reportMissingImports=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false
from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from firsthandapi._core.orders.record import ORDERS
from firsthandapi._core.rows.manifest import Record, manifest_line, parse_manifest
from firsthandapi.datasets import Dataset
from firsthandapi.datasets._manifest import Manifest
from firsthandapi.datasets._store import store_at, writing
from firsthandapi.errors import ConfigurationError, InvalidArgumentError

from ._cluster import ours, ray_data

if TYPE_CHECKING:
    import ray.data

    from firsthandapi.datasets._store import Store

# The option that our own Dataset.path has; any other may be a credential.
_PLAIN_OPTIONS = {"use_listings_cache"}


def write_dataset(ds: ray.data.Dataset, dest: str | os.PathLike[str]) -> Dataset:
    """Write a Ray dataset of files as a folder, like the one that `jobs.collect` leaves.

        photos = firsthandapi.ray.read_files(["job_01JP…"])
        firsthandapi.ray.write_dataset(photos.filter(is_sharp), "s3://bucket/signs")

    Workers write the files, each task its share, and compare each with the size and SHA-256 of its row. When all are
    written, the driver writes `metadata.jsonl`. Run again, it replaces the files and rows of the same ids, and keeps
    the others. A worker that is killed writes the files of its task again.

    Args:
        ds: rows with `bytes` and the columns of the manifest, as `read_files` gives them. Other columns become columns
            of the manifest, if JSON can say them. A step that changes `bytes` must set `size_bytes` and `sha256`.
        dest: the folder, or the URL of one in a bucket (extra `remote`). Every worker must be able to write to it:
            on several machines, use a bucket or a shared folder. The credentials of a bucket come from the
            environment of each worker.

    Returns:
        The dataset. It records no job, since its rows may be of several.

    Raises:
        ConfigurationError: an extra is missing, `dest` cannot be written to, belongs to a job that was collected, or
            is not the same folder for each worker.
        InvalidArgumentError: `ds` is not a Ray dataset of files, or `dest` is neither a path nor the URL of a bucket.
        IntegrityError: the bytes of a row are not those of its SHA-256.
    """
    data = ray_data()
    if not isinstance(ds, data.Dataset):
        raise InvalidArgumentError(
            f"ds must be a ray.data.Dataset, not a value of type {type(ds).__name__}", field="ds"
        )
    store = _store_for_workers(dest)
    from ._sources import FolderDatasink

    if store.names(store.root / ORDERS):
        raise ConfigurationError(f"{store.root} is the folder of a job; write into a different folder")
    with writing(store) as writer:
        sink = FolderDatasink(str(store.root))
        try:
            ds.write_datasink(sink)
        except Exception as error:
            if (own_error := ours(error)) is not None:
                raise own_error from None
            raise
        if not sink.written:
            raise InvalidArgumentError("ds has no rows, so there is nothing to write", field="ds")
        for place in sorted({place for place, _ in sink.written}):
            manifest = Manifest(store, place)
            manifest.read()
            manifest.prepare(writer)
            _write_rows(manifest, writer, [record for folder, record in sink.written if folder == place])
    return Dataset.open(dest)


def _store_for_workers(dest: str | os.PathLike[str]) -> Store:
    options: dict[str, Any] = getattr(dest, "storage_options", None) or {}
    if {*options} - _PLAIN_OPTIONS:
        raise InvalidArgumentError(
            "dest has storage options, which every worker would get and which may be credentials; pass the URL, and "
            "set the options in the environment of the workers",
            field="dest",
        )
    return store_at(dest, "dest")


def _write_rows(manifest: Manifest, writer: Any, records: list[Record]) -> None:
    for record in records:
        path = manifest.file(record)
        manifest.open_folder(path.parent, writer)
        if writer.size_of(path) != record.size_bytes:
            raise ConfigurationError(
                f"{path} is not what a worker wrote: dest must be the same folder for every worker; use a bucket or "
                "a shared folder"
            )
        manifest.keep(record)
    try:
        parse_manifest(b"".join(map(manifest_line, manifest.records.values())))
    except ConfigurationError as error:
        raise InvalidArgumentError(f"ds cannot be written: {error}", field="ds") from None
    manifest.close()
