"""`firsthandapi lock` and `firsthandapi diff`: versions of a collected folder."""

from __future__ import annotations

from typing import Annotated

from firsthandapi._base.counts import count_of

from .options import Folder, argument
from .output import Output, command, joined
from .pages import group

_SIDE = "Folder, bucket URL, or dataset.lock."


app = group()


@command(app)
def lock(folder: Folder) -> Output:
    """Write dataset.lock, and print the version of the folder and its hash.

    The lock contains a hash per row; it does not read the files. To verify them,
    use verify. If no row has changed, the version stays the same.

    Example: firsthandapi lock signs
    """
    from firsthandapi import Dataset

    version = Dataset.open(folder).write_lock()
    parent = None if version.parent is None else version.parent.number
    facts = {"version": version.number, "parent": parent, "tree": version.tree}
    return Output(facts, f"{version.number} {version.tree}")


@command(app)
def diff(
    old_side: Annotated[str, argument("A", _SIDE)],
    new_side: Annotated[str, argument("B", _SIDE)],
) -> Output:
    """Print a line for each file that differs between A and B, and for each value.

    The values are known where A and B are folders, or the dataset.lock in one.

    Example: firsthandapi diff signs-v1/dataset.lock signs
    """
    from firsthandapi import Dataset

    report = Dataset.diff(old_side, new_side)
    changes = [vars(change) for change in report.changes]
    difference = {kind: names for kind, names in vars(report).items() if kind != "changes"}
    lines = [
        joined(f"{kind.replace('_', ' '):<13}", name) for kind, names in difference.items() for name in names
    ]
    files = sum(len(names) for kind, names in difference.items() if kind != "columns")
    lines += [
        joined("changed      ", item["file_id"], f"{item['column']}: {item['old']!r} is now {item['new']!r}")
        for item in changes
    ]
    lines.append(f"{count_of(files)}: {'different' if lines else 'no difference'}")
    return Output({**difference, "changes": changes}, "\n".join(lines))
