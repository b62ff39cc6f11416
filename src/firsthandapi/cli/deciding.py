"""`firsthandapi exclude`, `include`, `accept`, and `relabel`: what was decided about files of a folder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from firsthandapi._core.calls.counts import count_of

from .options import Folder, argument, option
from .output import Output, command
from .pages import group

if TYPE_CHECKING:
    from firsthandapi import Dataset

app = group()

Ids = Annotated[list[str], argument("FILE_ID...", "Ids of the files, file_….")]
Reason = Annotated[str | None, option("TEXT", "Reason for the decision.")]
By = Annotated[str | None, option("NAME", "Who decides.")]


@command(app)
def exclude(folder: Folder, ids: Ids, reason: Reason = None, by: By = None) -> Output:
    """Exclude files: loaders no longer see them, and no run downloads them again.

    The files move to .excluded/. To undo it, use include.

    Example: firsthandapi exclude signs file_01JP… --reason blurred
    """
    dataset = _opened(folder)
    dataset.exclude(ids, reason=reason, by=by)
    return _output(dataset)


@command(app)
def include(folder: Folder, ids: Ids, by: By = None) -> Output:
    """Include excluded files again.

    Example: firsthandapi include signs file_01JP…
    """
    dataset = _opened(folder)
    dataset.include(ids, by=by)
    return _output(dataset)


@command(app)
def accept(folder: Folder, ids: Ids, by: By = None) -> Output:
    """Keep files, and mark them as reviewed.

    Example: firsthandapi accept signs file_01JP… --by ana
    """
    dataset = _opened(folder)
    dataset.accept(ids, by=by)
    return _output(dataset)


@command(app)
def relabel(
    folder: Folder,
    ids: Ids,
    to: Annotated[str, option("LABEL", "New label.")],
    reason: Reason = None,
    by: By = None,
) -> Output:
    """Give files another label, and move them to its folder.

    Example: firsthandapi relabel signs file_01JP… --to yield
    """
    dataset = _opened(folder)
    dataset.relabel(ids, to, reason=reason, by=by)
    return _output(dataset)


def _opened(folder: str) -> Dataset:
    from firsthandapi import Dataset

    return Dataset.open(folder)


def _output(dataset: Dataset) -> Output:
    files, excluded = len(dataset), len(dataset.excluded)
    reviewed = len({row.file_id for row in dataset} & {each.file_id for each in dataset.decisions})
    return Output(
        {"files": files, "excluded": excluded, "reviewed": reviewed},
        f"{count_of(files)}, {reviewed:,} reviewed; {excluded:,} excluded",
    )
