"""The read tasks of a dataset, and what each does on its worker: download files, and verify them."""

# Ray is an extra, so type checkers may not find it.
# pyright: reportMissingImports=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false, reportMissingTypeStubs=false
from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from firsthandapi._base.masking import Secret
from firsthandapi._core.calls.config import DEFAULT_MAX_RETRIES, DEFAULT_TIMEOUT, Config
from firsthandapi._core.files.download import failure, is_too_old
from firsthandapi._core.files.kinds import kind_of
from firsthandapi._core.rows.manifest import COLUMNS, SUBMISSION_COLUMNS, Record, manifest_line
from firsthandapi.errors import FirstHandError

from ._urls import Keeper, Url

if TYPE_CHECKING:
    from firsthandapi.datasets._download.ranges import RangeReader, Readers

# What a worker that is killed has to download again: at most this.
_FILES_PER_TASK = 16
_BYTES_PER_TASK = 64 * 1024 * 1024

# Readers that no thread uses at the moment, with their connections, by the dataset that they read: a process runs
# many tasks of one.
_idle: dict[Keeper, Readers] = {}


def tasks_of(files: list[Record], parallelism: int, *, download: bool = True) -> list[list[Record]]:
    """The files in tasks: as many as asked for, and more if they would download too much."""
    most = max(1, len(files) // max(parallelism, 1))
    if download:
        most = min(_FILES_PER_TASK, most)
    tasks: list[list[Record]] = [[]]
    size = 0
    for file in files:
        if tasks[-1] and (len(tasks[-1]) == most or (download and size + file.size_bytes > _BYTES_PER_TASK)):
            tasks.append([])
            size = 0
        tasks[-1].append(file)
        size += file.size_bytes
    return tasks


def schema_of(files: list[Record]) -> Any:
    """The columns of every block, whatever its rows contain."""
    import pyarrow

    from firsthandapi.datasets._parquet import schema_of as manifest_schema

    manifest: Any = manifest_schema({kind_of(file.content_type) for file in files})
    # Without what only tables have: these rows become a manifest again.
    return pyarrow.schema([("bytes", pyarrow.large_binary()), *map(manifest.field, COLUMNS)])


def unknown_columns(files: list[Record]) -> set[str]:
    """The columns that nobody knows before the files are downloaded."""
    promised = all(file.size_bytes and file.sha256 for file in files)
    return {"bytes"} if promised else {"bytes", "size_bytes", "sha256"}


def table_of(files: list[Record], schema: Any) -> Any:
    """The columns of `schema` for some files, without a download: a row for each, in order."""
    import pyarrow

    # Through the manifest's own text: what it cannot say, such as half a character, no table can.
    rows = [json.loads(manifest_line(file)) for file in files]
    return pyarrow.Table.from_pylist(rows, schema=schema)


def blocks_of(files: list[Record], keeper: Keeper, schema: Any) -> Iterator[Any]:
    """Download the files of a task: a table of one row for each, in order, with the columns of `schema`.
    Raises DownloadError: one could not be downloaded, or its bytes are not the promised ones.
    """
    import pyarrow

    if not SUBMISSION_COLUMNS.isdisjoint(schema.names):
        files = keeper.completed(files)
    if unknown_columns(files).isdisjoint(schema.names) or not files:
        yield table_of(files, schema)
        return
    ids = [(file.job_id or "", file.file_id) for file in files]
    urls = keeper.urls(ids)
    readers = _readers_for(keeper)

    def read(file: Record, url: Secret[Url]) -> dict[str, Any]:
        with readers.take() as reader:
            return _row(file, url, reader, keeper)

    with ThreadPoolExecutor(len(files)) as pool:
        try:
            for row in pool.map(read, files, urls):
                yield pyarrow.Table.from_pylist([row], schema=schema)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _row(file: Record, url: Secret[Url], reader: RangeReader, keeper: Keeper) -> dict[str, Any]:
    def url_of(stale: bool) -> str:
        nonlocal url
        if stale or is_too_old(url.reveal()[1], now=time.time()):
            try:
                url = Secret(keeper.fresh(file.file_id))
            except FirstHandError as error:
                reported = failure(file.file_id, f"no fresh URL: {error}")
                reported.failures = ((file.file_id, error),)
                raise reported from None
        return url.reveal()[0]

    content, size = reader.read(
        file.file_id, url_of, 0, None, size_bytes=file.size_bytes or None, sha256=file.sha256 or None
    )
    row = replace(file, size_bytes=size, sha256=hashlib.sha256(content).hexdigest())
    return {"bytes": content, **json.loads(manifest_line(row))}


def _readers_for(keeper: Keeper) -> Readers:
    from firsthandapi.datasets._download.ranges import Readers

    for old_keeper in [idle_keeper for idle_keeper in _idle if idle_keeper != keeper]:
        _idle.pop(old_keeper).close()
    config = Config(
        api_key=None,
        base_url=keeper.base_url,
        timeout=DEFAULT_TIMEOUT,
        deadline=None,
        max_retries=DEFAULT_MAX_RETRIES,
        max_spend_cents=None,
        proxy=None,
        verify=True,
    )
    return _idle.setdefault(keeper, Readers(config))
