"""How a run is going: a live display on a terminal, plain lines anywhere else.

It shows what `Progress` says and reads no file. Nothing that goes wrong in it ends a run that was paid for.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import TYPE_CHECKING, Any, TextIO, cast

import typer

from firsthandapi._base.counts import count_of, dollars, money
from firsthandapi._core.calls.integers import int_or_none

from . import is_for_an_agent
from .output import clock, cost_of, fitting, note, nowhere, printable, star
from .stopping import stoppable

if TYPE_CHECKING:
    from firsthandapi import Progress
    from firsthandapi.types import Job

# Seconds. A CI log is read afterwards: a line now and then says as much as one per file, and silence looks
# like a process that hangs.
_LINE_EVERY = 30.0
_HEARTBEAT = 60.0
# Columns of a terminal: the display shows less below each.
_WIDE, _NO_BAR = 100, 70
CAMPAIGN_CONTINUES = "The jobs of the campaign continue. Run the same command again: it orders nothing twice."
# Lines, so that a status that flaps floods no log.
_MOST_CHANGES = 20


class Report:
    """What to pass as `on_progress`, and the job once it is known."""

    def __init__(self, show: Callable[[Progress], None], announce: Callable[[Job], None]) -> None:
        self._show = show
        self._announce = announce
        self.job: Job | None = None

    def __call__(self, now: Progress) -> None:
        first = self.job is None
        self.job = now.job or self.job
        with suppress(Exception):
            if first and self.job is not None:
                self._announce(self.job)
            self._show(now)


Display = Callable[[Any, str], AbstractContextManager[Callable[["Progress"], None]]]


@contextmanager
def progress(
    dest: str,
    *,
    quiet: bool,
    posting: bool = False,
    live: Display | None = None,
    advice: str | None = None,
) -> Generator[Report]:
    """Show a run; with `posting`, first the job, its cost, and how to cancel it. `live` is what a terminal shows.

    Whoever stops it learns how to continue: by `advice`, or by what `posting` has posted.
    """
    with stoppable(), _shown(dest, quiet=quiet, posting=posting, live=live) as report:
        try:
            yield report
        except KeyboardInterrupt:
            if text := advice or (continues(report.job) if posting else None):
                note(text)
            raise


@contextmanager
def _shown(dest: str, *, quiet: bool, posting: bool, live: Display | None) -> Generator[Report]:
    from rich.console import Console

    if quiet:
        yield Report(lambda _: None, lambda _: None)
        return
    console = Console(file=cast("TextIO", _Forgiving(sys.stderr)))
    on_terminal = console.is_terminal and not is_for_an_agent()
    display = (live or _live)(console, dest) if on_terminal else _lines()

    def announce(job: Job) -> None:
        for line in _first_lines(job) if posting else ():
            if on_terminal:  # above the display, which would be in the way of any other
                console.print(line, markup=False, highlight=False, soft_wrap=True)
            else:
                note(line)

    with display as show:
        yield Report(show, announce)


def _first_lines(job: Job) -> list[str]:
    job = fitting(job)
    cost = "" if job.total_cost_cents is None else f" for {cost_of(job)}"
    first = printable(f"{job.id}: {count_of(job.files_needed or 0)}{cost}")
    if job.is_terminal:
        return [f"{first}, {printable(job.status)}"]
    return [first, printable(f"To cancel: firsthandapi jobs cancel {job.id}")]


def continues(job: Job | None) -> str | None:
    """How to continue after a run that stopped early."""
    if job is None:
        return "The job may have been posted. Run the same command again: it cannot post a second job."
    if job.is_terminal:
        return None
    from firsthandapi._core.campaigns.campaign import CAMPAIGN_METADATA

    if isinstance(job.metadata, dict) and CAMPAIGN_METADATA in job.metadata:
        return CAMPAIGN_CONTINUES
    return job_continues(job.id)


def job_continues(job_id: str) -> str:
    return (
        f"The job continues: {job_id}. Run the same command again, "
        f"or cancel with: firsthandapi jobs cancel {job_id}"
    )


@contextmanager
def _live(console: Any, dest: str) -> Generator[Callable[[Progress], None]]:
    from rich.markup import escape
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        ProgressColumn,
        TextColumn,
        TimeElapsedColumn,
    )
    from rich.progress import Progress as Bar

    # Where there is little room, the counts, the status, and the time matter more than the rest.
    width = console.width
    columns: list[ProgressColumn] = [
        TextColumn("[bold]{task.description}"),
        MofNCompleteColumn(),
        TextColumn("{task.fields[facts]}"),
        TimeElapsedColumn(),
    ]
    if width >= _NO_BAR:
        columns.insert(1, BarColumn(bar_width=20 if width >= _WIDE else 8))
    display = Bar(*columns, console=console)
    task = display.add_task(_end_of(printable(dest), width // 5), total=None, facts="waiting for the job")

    def show(now: Progress) -> None:
        facts = escape("  ".join(_facts(now, width)))
        display.update(task, completed=now.files_done, total=now.files_total, facts=facts)

    with displayed(display):
        yield show


@contextmanager
def displayed(display: Any) -> Generator[None]:
    """Start a display, and stop it at the end; one that cannot be shown ends no run."""
    with suppress(Exception):
        display.start()
    try:
        yield
    finally:
        with suppress(Exception):
            display.stop()


@contextmanager
def _lines() -> Generator[Callable[[Progress], None]]:
    lines = _Lines()
    beating = threading.Thread(target=lines.beat, daemon=True)
    beating.start()
    try:
        yield lines.show
    finally:
        lines.ended.set()
        beating.join()


class _Lines:
    def __init__(self) -> None:
        self.ended = threading.Event()
        self._lock = threading.Lock()
        self._begun = time.monotonic()
        self._printed = self._begun
        self._now: Progress | None = None
        self._status: str | None = None
        self._changes = 0

    def show(self, now: Progress) -> None:
        with self._lock:
            first, self._now = self._now is None, now
            status = now.job.status if now.job else None
            changed = status != self._status and self._changes < _MOST_CHANGES
            if changed:
                self._changes += 1
                self._status = status
            # Those of a finished job are counted next: "0 of 3 files" would be wrong of a complete folder.
            counted = now.files_done > 0 or now.job is None or not now.job.is_terminal
            if (
                ((first or changed) and counted)
                or now.files_done == now.files_total
                or self._silent(_LINE_EVERY)
            ):
                self._print()

    def beat(self) -> None:
        """Print a line while nothing else does."""
        while not self.ended.wait(max(self._printed + _HEARTBEAT - time.monotonic(), 0.05)):
            with self._lock:
                if self._silent(_HEARTBEAT):
                    self._print()

    def _silent(self, seconds: float) -> bool:
        return time.monotonic() - self._printed >= seconds

    def _print(self) -> None:
        self._printed = time.monotonic()
        elapsed = clock(self._printed - self._begun)
        now = self._now
        facts = (
            [f"{now.files_done:,} of {count_of(now.files_total)}", *_facts(now)]
            if now
            else ["waiting for the job"]
        )
        with suppress(OSError, ValueError):  # whoever read the lines may be gone; the files are still wanted
            typer.echo("  ".join([*facts, elapsed]), err=True)


def _end_of(text: str, most: int) -> str:
    """The last cells of a path, as markup: its end says more than its beginning."""
    from rich.cells import cell_len
    from rich.markup import escape

    if cell_len(text) > most:
        while text and cell_len(text) > most - 3:
            text = text[1:]
        text = f"...{text}"
    return escape(text)


def _facts(now: Progress, width: int = _WIDE) -> list[str]:
    facts = [printable(now.job.status)] if now.job else []
    if width >= _WIDE:
        facts.append(f"{now.bytes_done / 1e6:,.1f} MB")
    if now.average_stars is not None and width >= _NO_BAR:
        facts.append(f"{now.average_stars:.1f} {star(sys.stderr)}")
    if now.job and (price := int_or_none(now.job.price_per_file_cents)) is not None:
        facts.append(money(now.files_done * price, now.job.currency))
    if (spent := getattr(now, "spent_cents", None)) is not None:  # of a campaign
        facts.append(f"{dollars(spent)} spent")
    if now.files_failed:
        facts.append(f"{now.files_failed:,} failed")
    return facts


class _Forgiving:
    """A stream whose failures are nobody's business: a display that cannot be shown is not shown."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream or nowhere()  # a program without a console has none

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        with suppress(OSError, ValueError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError, ValueError):
            self._stream.flush()
