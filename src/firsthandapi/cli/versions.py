"""`firsthandapi lock` and `firsthandapi diff`: versions of a collected folder."""

from __future__ import annotations

from typing import Annotated

import typer

from firsthandapi._core.calls.counts import count_of

from .output import Output, joined

_SIDE = "Folder, bucket URL, or dataset.lock file."


def lock(
    folder: Annotated[
        str, typer.Argument(metavar="DIR", help="Folder or bucket URL, created by collect or files download.")
    ],
) -> Output:
    """Write dataset.lock, and print the version of the folder and its hash.

    The lock contains a hash per row. To check the media as well, use verify.
    Unchanged rows keep their version.

    Example: firsthandapi lock signs
    """
    from firsthandapi import Dataset

    version = Dataset.open(folder).write_lock()
    parent = None if version.parent is None else version.parent.number
    found = {"version": version.number, "parent": parent, "tree": version.tree}
    return Output(found, f"{version.number} {version.tree}")


def diff(
    one: Annotated[str, typer.Argument(metavar="A", help=_SIDE)],
    other: Annotated[str, typer.Argument(metavar="B", help=_SIDE)],
) -> Output:
    """Print how the files of B differ from those of A, a line for each.

    Example: firsthandapi diff signs-v1/dataset.lock signs
    """
    from firsthandapi import Dataset

    found = vars(Dataset.diff(one, other))
    lines = [joined(f"{what.replace('_', ' '):<13}", name) for what, names in found.items() for name in names]
    files = sum(len(names) for what, names in found.items() if what != "columns")
    lines.append(f"{count_of(files)}: {'different' if lines else 'no difference'}")
    return Output(found, "\n".join(lines))
