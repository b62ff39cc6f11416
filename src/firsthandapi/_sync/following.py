# Made from _async/following.py by `make generate`. Do not edit.
"""The approved files of a job, each once, as the service lists them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING

from firsthandapi._core.calls import arguments
from firsthandapi._core.calls.decode import DecodedPage, decode_items
from firsthandapi._core.calls.integers import int_or_none
from firsthandapi._core.calls.longpoll import LIST_LAGS, Pauses, count_lags, count_pause
from firsthandapi._core.calls.pages import LARGEST_PAGE, MOST_PAGES, follow_cursor
from firsthandapi._core.calls.request import build_request
from firsthandapi._sync.bridge import Lock, ended
from firsthandapi._sync.calls import Calls
from firsthandapi._sync.reader import SharedReader
from firsthandapi.errors import DownloadError, FirstHandError
from firsthandapi.types._base import fitting
from firsthandapi.types.file import DownloadUrl, File, FileListParams

if TYPE_CHECKING:
    from firsthandapi._sync.transport import Transport
    from firsthandapi._sync.waiting import Waiting

# Seconds between two reads of the head of the list. An approved file does not change the status of its job, so a poll
# does not report it.
HEAD_EVERY = 10.0
# The walk reads this many files beyond those that the job needs or counts without a pause: more may be approved than a
# job needs, and since its count was read.
_MOST_UNCOUNTED = 5 * LARGEST_PAGE
# The first expired URLs are refreshed one by one; after these, a page of the list renews a hundred with one request.
_SINGLE_REFRESHES = 3


class Following(Calls):
    """Repeated walks over a job's list of files.

    Attributes:
        failures: the files that the service described with unusable data, and the error of each.
        again: returns the ids of files that the last walk yields again, to retry their downloads.
        repeats: the number of items in the latest whole walk that repeat an earlier item of it.
        waits_for_count: whether to wait until a completed job counts the files that it needs.
    """

    def __init__(self, transport: Transport, waiting: Waiting) -> None:
        super().__init__(transport)
        self.failures: dict[str, FirstHandError] = {}
        self.again: Callable[[], Collection[str]] = frozenset
        self.repeats = 0
        self.waits_for_count = True
        self._waiting = waiting
        # By file: the first and the last walk that met it, and the cursor of the page where it was last seen.
        self._walks = 0
        self._ahead: DecodedPage[File] | None = None
        self._seen: dict[str, int] = {}
        self._seen_last: dict[str, int] = {}
        self._cursors: dict[str, str | None] = {}
        self._fresh: dict[str, tuple[str, datetime | None]] = {}
        self._refreshes = 0
        self._lock = Lock()

    def rounds(self) -> Iterator[list[File]]:
        """Yield new files until the job is finished and the list has shown all of them.

        While the job is unfinished, each round ends with an empty list, so that the caller can work in between.
        """
        clock = self._transport.clock
        job = self._waiting.first()
        yield []  # so that the caller can report the job before the first wait
        reader = SharedReader(self._transport, self._waiting)
        reader.join()
        try:
            has_moved = True
            while not job.is_terminal:
                due = clock.monotonic() + HEAD_EVERY
                # The list of jobs shows how many files are approved. A poll of a single job reports no new files.
                if has_moved or self.unlisted or int_or_none(job.files_approved) is None:
                    with ended(self.walk(to_known=True)) as batches:
                        for files in batches:
                            yield files
                yield []
                if reader.is_alone:
                    self._waiting.change(due)
                    has_moved = True
                else:
                    has_moved = reader.change(HEAD_EVERY)
                job = self._waiting.first()
        finally:
            reader.leave()
        # Files approved since, or listed where no read of the head could find them.
        with ended(self._rest()) as batches:
            for files in batches:
                yield files

    def all(self, only: frozenset[str] | None) -> Iterator[list[File]]:
        """Yield every file approved so far, page by page; with `only`, these files, and stop after the last one."""
        ids_left = set(only or ())
        complete = only is None and (self._waiting.first()).is_terminal
        with ended(self._rest() if complete else self.walk(to_known=False)) as batches:
            for files in batches:
                yield files if only is None else [file for file in files if file.id in ids_left]
                ids_left.difference_update(file.id for file in files)
                if only is not None and not ids_left:
                    return

    @property
    def unlisted(self) -> int:
        """How many of the files that the job counts as approved the list has not shown."""
        return max(self._counted - len({*self._seen, *self.failures}), 0)

    @property
    def listed(self) -> int:
        """How many files the latest walk has met; files withdrawn before it do not count."""
        return sum(walk == self._walks for walk in self._seen_last.values())

    @property
    def ids(self) -> frozenset[str]:
        """The ids of the files that the list has shown."""
        return frozenset(self._seen)

    def count_lags(self, waited: float) -> float:
        """For how many more seconds the finished job may count more files, after a wait of so many."""
        waiting, listed = self._waiting, len({*self._seen, *self.failures})
        if 0 < self.listed < len(self._seen):
            return 0.0  # a file was withdrawn
        return count_lags(waiting.job, listed=listed, most=waiting.most_approved, waited=waited)

    def has_all(self, files: int) -> bool:
        """Whether the list can show no further file: the walks have met, and the job counts, exactly `files` files."""
        return len({*self._seen, *self.failures}) == self._counted == files

    def has_met(self, file_ids: Collection[str]) -> bool:
        """Whether the list has shown at least one of these files."""
        return not self._seen.keys().isdisjoint(file_ids)

    @property
    def _is_beyond_count(self) -> bool:
        """Whether the list has shown more files than the job can have. Its count may be late, so what it needs counts
        as well."""
        job = self._waiting.job
        if job is None or int_or_none(job.files_approved) is None:
            return False
        most = max(self._counted, int_or_none(job.files_needed) or 0)
        return len(self._seen) > most + _MOST_UNCOUNTED

    @property
    def _counted(self) -> int:
        job = self._waiting.job
        return 0 if job is None else int_or_none(job.files_approved) or 0

    def _rest(self) -> Iterator[list[File]]:
        """Yield the remaining files of a finished job: those that no walk has met, and those that show up late. The job
        no longer counts withdrawn files."""
        clock, pauses = self._transport.clock, Pauses()
        began: float | None = None
        since, counted = 0.0, -1
        while True:
            with ended(self.walk(to_known=False)) as batches:
                for files in batches:
                    yield files
            now = clock.monotonic()
            began = now if began is None else began
            if counted != self._counted:
                since, counted = now, self._counted
            seconds_left = self.count_lags(now - began) if self.waits_for_count else 0.0
            if self.unlisted:
                seconds_left = max(seconds_left, since + LIST_LAGS - now)
            if seconds_left <= 0:
                return
            yield []  # so that the caller can report the downloads
            self._waiting.pause(min(max(pauses.longer(), count_pause(now - began)), seconds_left))
            self._waiting.look()

    def walk(self, *, to_known: bool) -> Iterator[list[File]]:
        """Yield the files that no walk has met. With `to_known`, stop after a page with a file of an earlier walk."""
        retry_ids = set(() if to_known else self.again())
        cursor: str | None = None
        cursors: frozenset[str] = frozenset()
        self._walks += 1
        walk, pauses, items = self._walks, Pauses(), 0
        self._waiting.count()
        while True:
            page, self._ahead = self._ahead or self._page_patiently(cursor), None
            items += len(page.data)
            unseen: list[File] = []
            met = moved = False
            for file in page.data:
                moved |= self._seen_last.get(file.id) != walk
                self._seen_last[file.id] = walk
                self._cursors[file.id] = cursor
                self.failures.pop(file.id, None)
                if file.id not in self._seen or file.id in retry_ids:
                    unseen.append(file)
                    retry_ids.discard(file.id)
                met |= self._seen.setdefault(file.id, walk) < walk
            if unseen:
                yield unseen
            if page.next_cursor is None:
                self.repeats = items - self.listed
            # The list is newest first: an earlier walk has also met all files after this one.
            if page.next_cursor is None or (to_known and met):
                return
            # After the timeout, continue only while pages have new files that the job counts.
            if not unseen or len(self._seen) > self._counted:
                self._waiting.check_time()
            if not moved or self._is_beyond_count:
                # An empty page does not end a list. A faulty list may never end, even with new files on each page.
                self._waiting.rest(pauses)
                self._waiting.count()
            cursors = follow_cursor(cursors, page.next_cursor, most=MOST_PAGES)
            cursor = page.next_cursor

    def read_ahead(self) -> None:
        """Read the first page for the next walk, which meets the failure of this by itself."""
        with suppress(FirstHandError):
            self._ahead = self._page(None, retry=self._waiting.retry)

    def _page_patiently(self, cursor: str | None) -> DecodedPage[File]:
        pauses = Pauses()
        while True:
            try:
                page = self._page(cursor, retry=self._waiting.retry)
            except FirstHandError as error:
                self._waiting.bear(error, pauses)
                self._waiting.count()
            else:
                self._waiting.succeeded()
                return page

    def _page(self, cursor: str | None, *, retry: bool = True) -> DecodedPage[File]:
        # List every approved file, even below the job's min_score.
        params = arguments.check(FileListParams, {"min_score": 1, "limit": LARGEST_PAGE, "cursor": cursor})
        request = build_request(
            "GET",
            f"/v1/jobs/{self._waiting.job_id}/files",
            query=arguments.query(params),
            time_limit=self._waiting.time_limit(),
            retry=retry,
            **self._waiting.options,
        )
        response, content = self._transport.send(request)
        page, unusable = decode_items(File, content, response)
        self.failures.update(unusable)
        return page

    # ── URLs ─────────────────────────────────────────────────────────────────────────────────────────────

    def fresh_url(self, file_id: str) -> tuple[str, datetime | None]:
        with self._lock:
            if file_id not in self._fresh:
                self._refreshes += 1
                if self._refreshes > _SINGLE_REFRESHES:
                    self._renew(file_id)
            if file_id in self._fresh:
                return self._fresh.pop(file_id)
            fresh = fitting(
                self._write(DownloadUrl, "POST", f"/v1/files/{file_id}/refresh_url", **self._waiting.options)
            )
        if fresh.download_url is None:
            raise DownloadError(f"the service returned no URL for {file_id}")
        return fresh.download_url, fresh.download_url_expires_at

    def _renew(self, file_id: str) -> None:
        """Read the list from the page where the file was, until the file appears. Each page renews a hundred URLs."""
        cursor = self._cursors.get(file_id)
        cursors: frozenset[str] = frozenset()
        while True:
            page = self._page(cursor)
            for file in map(fitting, page.data):
                self._cursors[file.id] = cursor
                if file.download_url is not None:
                    self._fresh[file.id] = file.download_url, file.download_url_expires_at
            if file_id in self._fresh or page.next_cursor is None:
                return
            self._waiting.check_time()
            cursors = follow_cursor(cursors, page.next_cursor, most=MOST_PAGES)
            cursor = page.next_cursor
