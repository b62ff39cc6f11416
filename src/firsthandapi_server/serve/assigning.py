"""The operators' page about tasks: the status of each row of a study's tables."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from firsthandapi_server.console.face import PREFIX, Page, existing, whole
from firsthandapi_server.http.browsers import attachment

from .reception import TASKS, Reception
from .sheets import csv_line
from .tasks import Count, Tasks

_ROWS = 100  # on one page
_COLUMNS = ("id", "text", "quota", "gold", "approved", "waiting", "assigned")


@dataclass(frozen=True, slots=True)
class TablePart:
    """A part of a table, as pages show it.

    Attributes:
        title: that of its jobs.
        rows: how many it has in all.
        wanted: how many files they want.
        taken: how many of these wait or are approved.
        counts: the rows of this part.
        more: the address of the next part; None where it is the last.
    """

    title: str
    rows: int
    wanted: int
    taken: int
    counts: list[Count]
    more: int | None


class Assigning:
    """The pages under `/console/tasks`."""

    def __init__(self, reception: Reception, tasks: Tasks) -> None:
        self._reception = reception
        self._world = reception.world
        self._tasks = tasks
        reception.table_of = self.table
        reception.without_job = lambda: [title for title in tasks.tables if tasks.job_of(title) is None]
        self.pages: dict[str, Page] = (
            {TASKS: self._show, f"{TASKS}.csv": self._export} if tasks.tables else {}
        )

    def table(self, title: str | None, after: int = 0) -> TablePart | None:
        """The part of the table of a title after a row; None if it has none."""
        title = (title or "").strip()
        if title not in self._tasks.tables:
            return None
        counts = self._tasks.counts(title, after, _ROWS + 1)
        more = counts[_ROWS - 1].number if len(counts) > _ROWS else None
        return TablePart(title, *self._tasks.sums(title), counts[:_ROWS], more)

    def _show(self, request: Request) -> Response:
        """The tables, or the part of one that follows a row."""
        title = request.query_params.get("title")
        titles = [*self._tasks.tables] if title is None else [title]
        after = whole(request.query_params.get("after"), "after", 0, 10**9, 0)
        tables = [existing(self.table(title, after)) for title in titles]
        return self._reception.page(
            request,
            "tasks.html",
            section=f"{PREFIX}{TASKS}",
            tables=[(table, self._tasks.job_of(table.title)) for table in tables],
        )

    def _export(self, request: Request) -> Response:
        table = existing(self.table(request.query_params.get("title")))
        return attachment("tasks.csv", self._lines(table.title), "text/csv")

    def _lines(self, title: str) -> Iterator[str]:
        yield csv_line(_COLUMNS)
        after: int | None = 0
        while after is not None:
            with self._world.lock:
                table = existing(self.table(title, after))
            for task in table.counts:
                row: list[Any] = [task.id, task.text, task.quota, task.gold]
                yield csv_line([*row, task.approved, task.taken - task.approved, task.assigned])
            after = table.more
