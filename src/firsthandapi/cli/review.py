"""`firsthandapi review`: a page on which somebody looks at the files of a folder, and decides."""

from __future__ import annotations

from typing import Annotated

import typer

from .options import Folder, Port, option
from .output import command
from .pages import group
from .stopping import stoppable

app: typer.Typer = group()


@command(app)
def review(
    folder: Folder,
    port: Port = 0,
    open_browser: Annotated[
        bool, typer.Option("--open/--no-open", help="Open the page in a browser, or print its address only.")
    ] = True,
    by: Annotated[str | None, option("NAME", "Who decides; it is written beside each decision.")] = None,
) -> None:
    """Look at the files of a folder in a browser, and keep, exclude, or relabel them.

    The page runs only on this machine and needs no account. To end it, click Done
    or close the tab. Excluded files stay on disk, where no loader sees them.

    Example: firsthandapi review signs
    """
    from firsthandapi import Dataset

    dataset = Dataset.open(folder)
    with stoppable():
        dataset.review(port=port, open_browser=open_browser, by=by)
