"""What Ray Data calls: where rows come from, and where they go. The one module that needs Ray to be imported."""

# Ray is an extra, so type checkers may not find it.
# pyright: reportMissingImports=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false, reportUntypedBaseClass=false
from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any

from ray.data import Datasource, ReadTask
from ray.data.block import BlockAccessor, BlockMetadata
from ray.data.datasource import Datasink

from ._downloading import blocks_of, schema_of, tasks_of
from ._placing import Written, write_rows
from ._urls import Keeper, Planned


class FilesDatasource(Datasource):  # type: ignore[misc] # without Ray it is of no type
    """The files of jobs. It contains neither key nor URL."""

    def __init__(self, files: list[Planned], keeper: Keeper) -> None:
        super().__init__()
        self._files = files
        self._keeper = keeper

    def get_name(self) -> str:
        return "FirstHandFiles"

    def estimate_inmemory_data_size(self) -> int:
        return _size(self._files)

    def get_read_tasks(
        self,
        parallelism: int,
        per_task_row_limit: int | None = None,
        data_context: Any = None,  # noqa: ARG002 # Ray passes it
    ) -> list[ReadTask]:
        schema = schema_of(self._files)
        return [
            ReadTask(
                partial(blocks_of, files[:per_task_row_limit], self._keeper, schema),
                BlockMetadata(len(files), _size(files), None, None),
                schema=schema,
            )
            for files in tasks_of(self._files, parallelism)
        ]


def _size(files: Iterable[Planned]) -> int:
    return sum(file.size_bytes or 0 for file in files)


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
        self.written = [each for task in write_result.write_returns for each in task]
