"""How a campaign is going, on a terminal: a row for each label, and below them how fast it goes."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from firsthandapi._base.counts import count_of, dollars

from .output import clock, printable, star
from .progress import displayed

if TYPE_CHECKING:
    from firsthandapi import Progress

# Columns of a terminal: the table shows less below it.
_WIDE = 80
# Lines: of more labels, those that still lack files are shown.
_MOST_LABELS = 30
# The rate is that of the last minutes: a night without workers says little about the morning.
_SECONDS = 600.0


class Forecast:
    """How fast files come."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()

    def words(self, now: float, done: int, total: int) -> str:
        """The rate and the time left; empty while neither is known."""
        self._seen.append((now, done))
        while now - self._seen[0][0] > _SECONDS:
            self._seen.popleft()
        old_time, old_done = self._seen[0]
        if done == old_done or now == old_time or done >= total:
            return ""
        rate = (done - old_done) / (now - old_time)
        return f"{rate * 60:,.0f} files per minute, {clock((total - done) / rate)} left"


@contextmanager
def live_table(console: Any, dest: str) -> Generator[Callable[[Progress], None]]:
    """Show each `CampaignProgress` as a table that replaces the last."""
    from rich.live import Live

    forecast = Forecast()
    live = Live(f"{printable(dest)}: looking at the campaign", console=console, auto_refresh=False)

    def show(now: Any) -> None:
        live.update(
            table_of(now, forecast.words(time.monotonic(), now.files_done, now.files_total), console.width)
        )
        live.refresh()

    with displayed(live):
        yield show


def table_of(now: Any, rate: str, width: int) -> Any:
    """The table: label, bar, files, stars, and spent."""
    from rich.console import Group
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, show_header=False)
    labels = now.labels
    if len(labels) > _MOST_LABELS:
        labels = [item for item in labels if item.files_done < item.files_total][:_MOST_LABELS]
    hidden = len(now.labels) - len(labels)
    sign = star(sys.stderr)
    for item in labels:
        stars = "" if item.average_stars is None else f"{item.average_stars:.1f} {sign}"
        cells: list[Any] = [
            Text(printable(item.label), style="bold", overflow="ellipsis", no_wrap=True),
            Text(f"{item.files_done:,}/{item.files_total:,}", justify="right"),
            Text(stars, justify="right"),
            Text(dollars(item.spent_cents), justify="right"),
        ]
        if width >= _WIDE:
            cells.insert(1, ProgressBar(total=max(item.files_total, 1), completed=item.files_done, width=20))
        table.add_row(*cells)
    facts = [
        f"{now.files_done:,} of {count_of(now.files_total)}",
        f"{dollars(now.spent_cents)} of {dollars(now.budget_cents)} spent",
        *([count_of(hidden, "more label")] if hidden else []),
        *([f"{now.files_failed:,} failed"] if now.files_failed else []),
        *([rate] if rate else []),
    ]
    return Group(table, Text("  ".join(facts)))
