"""How a collection is going: a live display on a terminal, plain lines anywhere else.

It shows what `Progress` says and reads no file: what lies in the folder must not end a run that was paid for.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import typer

from .output import star

if TYPE_CHECKING:
    from firsthandapi import Progress

# A CI log is read afterwards: a line now and then tells as much as one a file.
_LINE_EVERY = 5.0


@contextmanager
def progress(
    dest: str, price_cents: int | None, *, quiet: bool
) -> Generator[Callable[[Progress], None], None, None]:
    """Gives the function to pass as `on_progress`."""
    from rich.console import Console

    console = Console(stderr=True)
    if quiet:
        yield lambda _: None
    elif console.is_terminal:
        with _live(console, dest, price_cents) as show:
            yield show
    else:
        yield _lines(price_cents)


@contextmanager
def _live(
    console: object, dest: str, price_cents: int | None
) -> Generator[Callable[[Progress], None], None, None]:
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Display

    assert isinstance(console, Console)  # noqa: S101 # for type checkers: it was made above
    columns = (
        TextColumn("[bold]{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("files  {task.fields[facts]}"),
        TimeRemainingColumn(),
    )
    with Display(*columns, console=console) as display:
        task = display.add_task(escape(dest), total=None, facts="waiting for the first file")

        def show(now: Progress) -> None:
            display.update(
                task, completed=now.files_done, total=now.files_total, facts=_facts(now, price_cents)
            )

        yield show


def _lines(price_cents: int | None) -> Callable[[Progress], None]:
    last = -_LINE_EVERY

    def show(now: Progress) -> None:
        nonlocal last
        if time.monotonic() - last >= _LINE_EVERY or now.files_done == now.files_total:
            last = time.monotonic()
            # Whoever read the lines may be gone; the files are still wanted.
            with suppress(OSError, ValueError):
                typer.echo(
                    f"{now.files_done} of {now.files_total} files  {_facts(now, price_cents)}", err=True
                )

    return show


def _facts(now: Progress, price_cents: int | None) -> str:
    facts = [f"{now.bytes_done / 1e6:,.1f} MB"]
    if now.average_stars is not None:
        facts.append(f"{now.average_stars:.1f} {star(sys.stderr)}")
    if price_cents is not None:
        facts.append(f"${now.files_done * price_cents / 100:,.2f}")
    return "  ".join(facts)
