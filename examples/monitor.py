"""Watch the submissions of a job come in, live in the terminal.

    pip install firsthandapi rich
    FIRSTHAND_API_KEY=fh_test_… python examples/monitor.py job_…

Without an account, run `firsthandapi mock-server` and set the two variables that it prints. Without a job id, this
program posts a small job for $3; within a day, it watches the same job again. It survives dropped connections, and ends
when the job is finished, or at Ctrl-C, which does not cancel the job. Without a terminal, it prints plain lines.
"""

import sys
import time
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.table import Column, Table
from rich.text import Text

from firsthandapi import (
    FirstHandApiError,
    FirstHandClient,
    FirstHandConnectionError,
    FirstHandError,
    idempotency_key,
)
from firsthandapi.types import Job, Submission, SubmissionSummary

EVERY = 5  # seconds
ROWS = 15  # the newest; totals are of all
COLORS = {"approved": "green", "rejected": "red", "retry_pending": "yellow"}


def plain(value: object, style: str = "") -> Text:
    """Text as text: no markup, and no control character that could move the cursor or recolor the screen."""
    return Text("".join(char for char in str(value) if char.isprintable()), style=style)


def cells(submission: Submission) -> tuple[Text, Text, Text, Text]:
    texts = (
        plain(submission.id),
        plain(submission.status, COLORS.get(submission.status, "")),
        plain("★" * (submission.ai_star_rating or 0)),
        plain(submission.ai_reasoning or ""),
    )
    for text in texts:
        text.no_wrap, text.overflow = True, "ellipsis"
    return texts


def totals(job: Job, summary: SubmissionSummary) -> Text:
    parts = [f"{count} {status}" for status, count in sorted((summary.by_status or {}).items()) if count]
    if summary.average_star_rating is not None:
        parts.append(f"{summary.average_star_rating:.1f} ★ on average")
    state = f"{job.id} {job.status}: {job.files_approved} of {job.files_needed} files approved"
    return plain(" · ".join([state, *parts]))


class Screen:
    """A live table on a terminal, or a line for each change elsewhere."""

    def __init__(self, console: Console, live: Live) -> None:
        self._console = console
        self._live = live
        self._draws = console.is_terminal and not console.is_dumb_terminal
        self._printed: dict[str, str] = {}

    def show(self, job: Job, summary: SubmissionSummary, newest: list[Submission]) -> None:
        self._printed.pop("trouble", None)
        if self._draws:
            # One line each, so that the table fits the screen; the reason gives way, and then the id.
            columns = [Column("submission"), Column("status", no_wrap=True), Column("stars", no_wrap=True)]
            columns.append(Column("reason", ratio=1))
            table = Table(*columns, expand=True)
            for submission in newest:
                table.add_row(*cells(submission))
            # The totals first: a terminal cuts the end of a table that is too high.
            self._live.update(Group(totals(job, summary), table), refresh=True)
            return
        for submission in reversed(newest):
            self._line(submission.id, Text(" ").join(cell for cell in cells(submission) if cell))
        self._line(job.id, totals(job, summary))

    def trouble(self, error: Exception) -> None:
        if "trouble" not in self._printed:  # once, however long it lasts
            self._line("trouble", plain(f"{error}; trying again"))

    def _line(self, key: str, line: Text) -> None:
        if self._printed.get(key) != line.plain:
            self._printed[key] = line.plain
            # A log has no width.
            self._console.print(line, soft_wrap=not self._draws)


def watch(client: FirstHandClient, job_id: str, screen: Screen) -> None:
    wait: int | None = None
    while True:
        try:
            # The long-poll is the pause between two looks, and ends early when the job does.
            job = client.jobs.get(job_id, wait=wait)
            summary = client.submissions.summary(job_id=job_id)
            newest = client.submissions.list(job_id, limit=ROWS).data
        except (FirstHandConnectionError, FirstHandApiError) as error:
            if isinstance(error, FirstHandApiError) and not error.retryable:
                raise  # a wrong key or id does not heal
            screen.trouble(error)
            time.sleep(EVERY)
            continue
        screen.show(job, summary, newest)
        if job.is_terminal:
            return
        wait = EVERY


def post(client: FirstHandClient) -> str:
    job = client.jobs.create(
        title="Street signs",
        description="Photos of street signs in daylight, the sign filling most of the frame",
        files_needed=6,
        accepted_formats=["image/jpeg"],
        price_per_file_cents=50,
        max_spend_cents=300,
        idempotency_key=idempotency_key("examples/monitor.py"),
    )
    return job.id


def main() -> None:
    stdout: Any = sys.stdout  # a TextIO to type checkers, which cannot be reconfigured
    stdout.reconfigure(errors="replace")  # a log may be in an encoding that has no ★
    console = Console()
    try:
        with FirstHandClient() as client, Live(console=console, auto_refresh=False) as live:
            job_id = sys.argv[1] if len(sys.argv) > 1 else post(client)
            watch(client, job_id, Screen(console, live))
    except KeyboardInterrupt:
        console.print("Stopped watching; the job continues.")
    except FirstHandError as error:
        raise SystemExit(str(error)) from None


if __name__ == "__main__":
    main()
