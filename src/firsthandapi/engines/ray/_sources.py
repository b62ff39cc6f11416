"""What Ray Data calls: where rows come from, and where they go. The one module that needs Ray to be imported."""

# Ray is an extra, so type checkers may not find it.
# pyright: reportMissingImports=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false, reportUntypedBaseClass=false
# pyright: reportMissingTypeStubs=false
from __future__ import annotations

import copy
from collections.abc import Iterable
from functools import partial
from typing import Any

from ray.data import Datasource, ReadTask
from ray.data.block import BlockAccessor, BlockMetadata
from ray.data.datasource import Datasink

from firsthandapi._core.rows.manifest import SUBMISSION_COLUMNS, Record

from ._downloading import blocks_of, schema_of, table_of, tasks_of, unknown_columns
from ._placing import Written, write_rows
from ._urls import Keeper

# A row without its file takes about this much memory.
_ROW_BYTES = 1024


class FilesDatasource(Datasource):  # type: ignore[misc] # without Ray it is of no type
    """The files of jobs. It contains neither key nor URL.

    Ray moves the columns and filters of a pipeline into it, so that it downloads only what the pipeline needs.
    """

    def __init__(self, files: list[Record], keeper: Keeper) -> None:
        super().__init__()
        self._files = files
        self._keeper = keeper
        self._schema = schema_of(files)
        self._unknown = unknown_columns(files)
        self._columns: list[str] = self._schema.names

    def get_name(self) -> str:
        return "FirstHandFiles"

    def supports_projection_pushdown(self) -> bool:
        return True

    def get_projection_map(self) -> dict[str, str]:
        return {name: name for name in self._columns}

    def apply_projection(self, projection_map: dict[str, str] | None) -> FilesDatasource:
        projected = copy.copy(self)
        if projection_map is not None:
            # Without any column, a block would not know how many rows it has.
            projected._columns = [*projection_map] or ["file_id"]
        return projected

    def supports_predicate_pushdown(self) -> bool:
        return True

    def apply_predicate(self, predicate_expr: Any) -> FilesDatasource:
        import pyarrow

        expression, files = predicate_expr.to_pyarrow(), self._files
        if any(column in str(expression) for column in SUBMISSION_COLUMNS):
            files = self._keeper.completed(files)
        table = table_of(files, self._schema).drop_columns([*self._unknown])
        numbered = table.append_column("", pyarrow.array(range(len(files))))
        try:
            matches = numbered.filter(expression)
        except pyarrow.ArrowException:  # it needs what is unknown before the download: Ray filters then
            return self
        filtered = copy.copy(self)
        filtered._files = [files[number] for number in matches[""].to_pylist()]
        return filtered

    def _size(self, files: list[Record]) -> int:
        return sum(_ROW_BYTES + file.size_bytes * ("bytes" in self._columns) for file in files)

    def estimate_inmemory_data_size(self) -> int:
        return self._size(self._files)

    def get_read_tasks(
        self,
        parallelism: int,
        per_task_row_limit: int | None = None,
        data_context: Any = None,  # noqa: ARG002 # Ray passes it
    ) -> list[ReadTask]:
        import pyarrow

        download = not self._unknown.isdisjoint(self._columns)
        schema = pyarrow.schema([self._schema.field(name) for name in self._columns])
        return [
            ReadTask(
                partial(blocks_of, files[:per_task_row_limit], self._keeper, schema),
                BlockMetadata(len(files), self._size(files), None, None),
                schema=schema,
            )
            for files in tasks_of(self._files, parallelism, download=download)
        ]


class FolderDatasink(Datasink):  # type: ignore[misc] # without Ray it is of no type
    """A dataset's folder. Workers write its files; their rows come back to the driver, which writes the manifests."""

    def __init__(self, dest: str) -> None:
        self._dest = dest
        self.written: list[Written] = []

    def get_name(self) -> str:
        return "FirstHandDataset"

    def write(self, blocks: Iterable[Any], ctx: Any) -> list[Written]:  # noqa: ARG002 # of no use here
        return [
            written
            for block in blocks
            for written in write_rows(self._dest, BlockAccessor.for_block(block).to_arrow())
        ]

    def on_write_complete(self, write_result: Any) -> None:
        self.written = [row for task in write_result.write_returns for row in task]
