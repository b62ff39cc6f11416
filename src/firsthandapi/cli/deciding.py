"""`firsthandapi exclude`, `include`, `accept`, and `relabel`: what was decided about files of a folder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from firsthandapi._core.calls.counts import count_of

from .output import Output, prints

if TYPE_CHECKING:
    from firsthandapi import Dataset

Folder = Annotated[
    str, typer.Argument(metavar="DIR", help="Folder or bucket URL, created by collect or files download.")
]
Ids = Annotated[list[str], typer.Argument(metavar="ID...", help="Ids of files, as in file_id of the rows.")]
Reason = Annotated[str | None, typer.Option(help="Why, in words.")]
By = Annotated[str | None, typer.Option(help="Who says so.")]


@prints
def exclude(folder: Folder, ids: Ids, reason: Reason = None, by: By = None) -> Output:
    """Say no to files: loaders no longer see them, and no run brings them back.

    Their bytes go to .excluded/; include takes them back.

    Example: firsthandapi exclude signs file_01JP… --reason blurred
    """
    dataset = _opened(folder)
    dataset.exclude(ids, reason=reason, by=by)
    return _output(dataset)


@prints
def include(folder: Folder, ids: Ids, by: By = None) -> Output:
    """Take back that files are excluded.

    Example: firsthandapi include signs file_01JP…
    """
    dataset = _opened(folder)
    dataset.include(ids, by=by)
    return _output(dataset)


@prints
def accept(folder: Folder, ids: Ids, by: By = None) -> Output:
    """Note that you looked at files, and keep them.

    Example: firsthandapi accept signs file_01JP… --by ana
    """
    dataset = _opened(folder)
    dataset.accept(ids, by=by)
    return _output(dataset)


@prints
def relabel(
    folder: Folder,
    ids: Ids,
    to: Annotated[str, typer.Option(metavar="LABEL", help="The new label.")],
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
