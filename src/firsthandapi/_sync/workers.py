# Made from _async/workers.py by `make generate`. Do not edit.
"""The worker and the ratings of each file, which only the job's submissions contain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from firsthandapi._base.watching import DOWNLOADS, logger
from firsthandapi._core.calls import arguments
from firsthandapi._core.calls.decode import decode_items
from firsthandapi._core.calls.pages import LARGEST_PAGE, MOST_PAGES, follow_cursor
from firsthandapi._core.calls.request import build_request
from firsthandapi._core.rows.manifest import columns_of_submission
from firsthandapi._sync.bridge import at_once, run_blocking
from firsthandapi._sync.consents import note_consents
from firsthandapi.errors import FirstHandError
from firsthandapi.types._base import fitting
from firsthandapi.types.submission import Submission, SubmissionListParams

if TYPE_CHECKING:
    from firsthandapi._sync.transport import Transport
    from firsthandapi._sync.waiting import Waiting
    from firsthandapi.datasets._folder import Folder


class Workers:
    """Reads the workers and the ratings of a job's files, with one request per 100 submissions."""

    def __init__(self, transport: Transport, waiting: Waiting) -> None:
        self._transport = transport
        self._waiting = waiting

    def read(self, submissions: frozenset[str], columns: dict[str, Mapping[str, Any]]) -> None:
        """Add the columns of these submissions to `columns`. A failure of the service does not end the run; the next
        run tries again."""
        try:
            self._walk(submissions, columns)
        except FirstHandError as error:
            logger(DOWNLOADS).warning(
                "%s",
                f"the workers and ratings of {self._waiting.job_id} are unknown so far: {error}; run the same call "
                "again",
            )

    def _walk(self, submissions: frozenset[str], columns: dict[str, Mapping[str, Any]]) -> None:
        ids_left = set(submissions)
        cursor: str | None = None
        cursors: frozenset[str] = frozenset()
        while True:
            values = {"status": "approved", "limit": LARGEST_PAGE, "cursor": cursor}
            request = build_request(
                "GET",
                f"/v1/jobs/{self._waiting.job_id}/submissions",
                query=arguments.query(arguments.check(SubmissionListParams, values)),
                time_limit=self._waiting.time_limit(),
                # The caller's query is for the files.
                extra_headers=self._waiting.options.get("extra_headers"),
            )
            response, content = self._transport.send(request)
            page, _ = decode_items(Submission, content, response)
            columns.update((item.id, columns_of_submission(item)) for item in map(fitting, page.data))
            ids_left.difference_update(item.id for item in page.data)
            if not ids_left or page.next_cursor is None:
                return
            cursors = follow_cursor(cursors, page.next_cursor, most=MOST_PAGES)
            cursor = page.next_cursor


def note_workers(transport: Transport, waiting: Sequence[Waiting], folder: Folder) -> None:
    """Complete the rows of these jobs that have no worker, and write down what workers agreed to."""
    submissions = run_blocking(folder.unknown_submissions, {job.job_id for job in waiting})
    columns: dict[str, Mapping[str, Any]] = {}
    jobs = [job for job in waiting if job.job_id in submissions]
    at_once([partial(Workers(transport, job).read, submissions[job.job_id], columns) for job in jobs])
    if columns:
        run_blocking(folder.note_submissions, columns)
    note_consents(transport, waiting[0], folder)
