"""What a write task does on its worker: put the files of its rows into the folder, each verified."""

from __future__ import annotations

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from firsthandapi._base.masking import mask_secrets
from firsthandapi._base.visible import visible
from firsthandapi._core.rows.manifest import DATA, Record, parse_manifest
from firsthandapi.datasets import _disk as disk
from firsthandapi.datasets._local import Local
from firsthandapi.datasets._manifest import Manifest, place_named
from firsthandapi.datasets._store import store_at
from firsthandapi.errors import ConfigurationError, IntegrityError, InvalidArgumentError

_WRITES_AT_ONCE = 8

# The folder of the manifest that a row belongs to, and the row.
Written = tuple[str, Record]


def write_rows(dest: str, table: Any) -> list[Written]:
    """Write the files of a block, each verified.
    Raises FirstHandError: a row is not one of a file, or its file could not be written.
    """
    store = store_at(dest, "dest")
    rows = [_checked(row) for row in table.to_pylist()]
    if isinstance(store, Local):
        for folder in {Manifest(store, place).file(record).parent for place, record, _ in rows}:
            store.refuse_link(folder)
            disk.make_directory(folder)

    def write(row: tuple[str, Record, bytes]) -> Written:
        place, record, content = row
        store.replace(Manifest(store, place).file(record), content)
        return place, record

    with ThreadPoolExecutor(_WRITES_AT_ONCE) as pool:
        return [*pool.map(write, rows)]


def _checked(row: dict[str, Any]) -> tuple[str, Record, bytes]:
    content = row.pop("bytes", None)
    if not isinstance(content, bytes):
        raise InvalidArgumentError(
            "ds must have a column bytes with the bytes of a file, as read_files gives it", field="ds"
        )
    # `image/data/file_….jpg` of jobs of mixed media, else `data/file_….jpg`.
    folder, _, name = str(row.get("file_name")).partition("/")
    if name.startswith(f"{DATA}/") and folder != DATA:  # a label may be called data as well
        row["file_name"] = name
    else:
        folder = ""
    try:
        line = json.dumps(row, allow_nan=False).encode() + b"\n"
    except (TypeError, ValueError) as error:
        reason = visible(mask_secrets(str(error))[:200])
        raise InvalidArgumentError(f"ds has a column that JSON cannot say: {reason}", field="ds") from None
    try:
        (record,) = parse_manifest(line)
        place = place_named(folder)
    except ConfigurationError as error:
        reason = str(error).partition(": ")[2].partition("; ")[0]  # what to do is about a manifest
        raise InvalidArgumentError(f"ds has a row that is not one of a file: {reason}", field="ds") from None
    if len(content) != record.size_bytes or hashlib.sha256(content).hexdigest() != record.sha256:
        raise IntegrityError(
            f"{record.file_id}: its bytes are not those of its row; a step that changes bytes must set size_bytes and "
            "sha256"
        )
    return place, record, content
