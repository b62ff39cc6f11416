"""`firsthandapi exclude`, `include`, `accept`, `relabel`, and `accept-edits`: decisions about files and rows."""

from __future__ import annotations

from typing import Annotated, Any

from firsthandapi._base.counts import count_of

from .options import Folder, argument, option
from .output import Output, command
from .pages import group

app = group()

Ids = Annotated[list[str], argument("FILE_ID...", "Ids of the files, file_….")]
Reason = Annotated[str | None, option("TEXT", "Reason for the decision.")]
By = Annotated[str | None, option("NAME", "Who decides.")]


@command(app)
def exclude(folder: Folder, ids: Ids, reason: Reason = None, by: By = None) -> Output:
    """Exclude files: loaders no longer see them, and no run downloads them again.

    The files move to .firsthandapi/excluded/. To undo it, use include.

    Example: firsthandapi exclude signs file_01JP… --reason blurred
    """
    return _decide(folder, "exclude", ids, reason=reason, by=by)


@command(app)
def include(folder: Folder, ids: Ids, by: By = None) -> Output:
    """Include excluded files again.

    Example: firsthandapi include signs file_01JP…
    """
    return _decide(folder, "include", ids, by=by)


@command(app)
def accept(folder: Folder, ids: Ids, by: By = None) -> Output:
    """Keep files, and mark them as reviewed.

    Example: firsthandapi accept signs file_01JP… --by ana
    """
    return _decide(folder, "accept", ids, by=by)


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
    return _decide(folder, "relabel", ids, to, reason=reason, by=by)


@command(app)
def accept_edits(folder: Folder) -> Output:
    """Accept rows of metadata.jsonl that were edited outside of firsthandapi.

    Until then, verify calls the folder altered and publish says so, whatever card
    or lock was written since.

    Example: firsthandapi accept-edits signs
    """
    from firsthandapi import Dataset

    dataset = Dataset.open(folder)
    dataset.accept_edits()
    return Output({"files": len(dataset)}, f"The rows of {count_of(len(dataset))} are accepted.")


def _decide(folder: str, method: str, *arguments: Any, **more: str | None) -> Output:
    from firsthandapi import Dataset

    dataset = Dataset.open(folder)
    getattr(dataset, method)(*arguments, **more)
    files, excluded = len(dataset), len(dataset.excluded)
    reviewed = len({row.file_id for row in dataset} & {decision.file_id for decision in dataset.decisions})
    return Output(
        {"files": files, "excluded": excluded, "reviewed": reviewed},
        f"{count_of(files)}, {reviewed:,} reviewed; {excluded:,} excluded",
    )
