"""`firsthandapi review`: a page on which somebody looks at the files of a folder, and decides."""

from __future__ import annotations

from typing import Annotated

import typer

from .stopping import stoppable


def review(
    folder: Annotated[str, typer.Argument(metavar="DIR", help="Folder or bucket of a dataset.")],
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 uses any free port.")] = 0,
    open_browser: Annotated[
        bool, typer.Option("--open/--no-open", help="Open the page in a browser.")
    ] = True,
    by: Annotated[
        str | None, typer.Option(metavar="NAME", help="Name to write beside each decision.")
    ] = None,
) -> None:
    """Show the files of DIR in a browser, to keep, exclude, or relabel them.

    The page runs only on this machine and needs no account. Click Done or close
    the tab to end it. Excluded files stay on disk, where no loader sees them.

    Example: firsthandapi review signs
    """
    from firsthandapi import Dataset

    dataset = Dataset.open(folder)
    with stoppable():
        dataset.review(port=port, open_browser=open_browser, by=by)
