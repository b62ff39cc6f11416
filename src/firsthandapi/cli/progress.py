"""How a collection is going: a live display on a terminal, plain lines anywhere else."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from firsthandapi._core.places import local_path

from .output import star

if TYPE_CHECKING:
    from firsthandapi import Progress

# A CI log is read afterwards: a line now and then tells as much as one a file.
_LINE_EVERY = 5.0


class Stars:
    """The average rating of what is on disk, read from the manifests as they grow. Of a bucket there is none."""

    def __init__(self, dest: str) -> None:
        self._dest = local_path(dest, "dest")
        self._read: dict[Path, int] = {}
        self._ratings: list[int] = []

    def average(self) -> float | None:
        if self._dest is not None:
            for manifest in (self._dest / "metadata.jsonl", *self._dest.glob("*/metadata.jsonl")):
                self._take(manifest)
        return sum(self._ratings) / len(self._ratings) if self._ratings else None

    def _take(self, manifest: Path) -> None:
        start = self._read.get(manifest, 0)
        try:
            with manifest.open("rb") as rows:
                rows.seek(start)
                new = rows.read()
        except OSError:
            return
        whole = new[: new.rfind(b"\n") + 1]
        self._read[manifest] = start + len(whole)
        for line in whole.splitlines():
            rating = json.loads(line).get("ai_star_rating")
            if isinstance(rating, int):
                self._ratings.append(rating)


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
        yield _lines(dest, price_cents)


@contextmanager
def _live(
    console: object, dest: str, price_cents: int | None
) -> Generator[Callable[[Progress], None], None, None]:
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Display

    assert isinstance(console, Console)  # noqa: S101 # for type checkers: it was made above
    stars = Stars(dest)
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
                task, completed=now.files_done, total=now.files_total, facts=_facts(now, stars, price_cents)
            )

        yield show


def _lines(dest: str, price_cents: int | None) -> Callable[[Progress], None]:
    stars = Stars(dest)
    last = -_LINE_EVERY

    def show(now: Progress) -> None:
        nonlocal last
        if time.monotonic() - last >= _LINE_EVERY or now.files_done == now.files_total:
            last = time.monotonic()
            typer.echo(
                f"{now.files_done} of {now.files_total} files  {_facts(now, stars, price_cents)}", err=True
            )

    return show


def _facts(now: Progress, stars: Stars, price_cents: int | None) -> str:
    facts = [f"{now.bytes_done / 1e6:,.1f} MB"]
    average = stars.average()
    if average is not None:
        facts.append(f"{average:.1f} {star(sys.stderr)}")
    if price_cents is not None:
        facts.append(f"${now.files_done * price_cents / 100:,.2f}")
    return "  ".join(facts)
