# Made from _async/collecting.py by `make generate`. Do not edit.
"""From a job to a dataset: post it once, follow it, fetch its files, write down what is there."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Unpack

from firsthandapi._core import arguments
from firsthandapi._core.decode import DecodedPage, decode_items
from firsthandapi._core.idempotency import check_key, new_key
from firsthandapi._core.job_file import KEY_METADATA, JobFile, check_same_request, next_step
from firsthandapi._core.longpoll import Pauses, poll_wait, was_held
from firsthandapi._core.pages import LARGEST_PAGE, follow_cursor
from firsthandapi._core.reports import Progress
from firsthandapi._core.request import build_request
from firsthandapi._sync.bridge import (
    Callback,
    Lock,
    call_back,
    calls_from_threads,
    check_callback,
    finish_blocking,
    run_blocking,
)
from firsthandapi._sync.calls import Resource
from firsthandapi.datasets import Dataset
from firsthandapi.datasets._fetching import Fetching
from firsthandapi.datasets._folder import Folder
from firsthandapi.errors import (
    ConfigurationError,
    DeadlineExceededError,
    DownloadError,
    FirstHandApiError,
    FirstHandError,
    IncompleteJobError,
    InvalidArgumentError,
    NotFoundError,
    WaitTimeoutError,
)
from firsthandapi.types.file import DownloadUrl, File, FileListParams
from firsthandapi.types.job import Job, JobListParams

if TYPE_CHECKING:
    from firsthandapi._sync.transport import Transport
    from firsthandapi.types.job import JobCreateParams
    from firsthandapi.types.options import RequestOptions

# While a job is in progress no status change tells of a file, so the head of the list is read this often.
HEAD_EVERY = 10.0
_LOCK_EVERY = 0.25
_TELL_EVERY = 0.1
# A URL that ends is asked for alone; when many end, a page of the list brings a hundred for the same price.
_SINGLE_REFRESHES = 3
_MOST_CONNECTIONS = 64
# The list is read no further ahead, so that memory stays flat and URLs fresh.
_MOST_PENDING = 500
_MOST_METADATA = 20
# How far a clock of ours may be off when a job is looked for by when it was posted.
_SKEW = timedelta(days=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Approved(Resource):
    """The approved files of one job: each once, newly approved ones as they come."""

    def __init__(
        self,
        transport: Transport,
        job_id: str,
        *,
        ends: float | None,
        patient: bool,
        options: RequestOptions | None = None,
    ) -> None:
        super().__init__(transport)
        self.job_id = job_id
        # Files that the service described in a way nobody can use, and what is wrong with them.
        self.failures: dict[str, FirstHandError] = {}
        self._options: RequestOptions = options or {}
        self._failure: FirstHandError | None = None
        self.job: Job | None = None
        self._ends = ends
        self._patient = patient
        self._pauses = Pauses()
        # By file: the walk over the list that met it first, and the cursor of the page it was last seen on.
        self._walks = 0
        self._seen: dict[str, int] = {}
        self._cursors: dict[str, str | None] = {}
        self._fresh: dict[str, tuple[str, datetime | None]] = {}
        self._refreshes = 0
        self._lock = Lock()

    def rounds(self) -> Iterator[list[File]]:
        """New files as they come, until the job is over and all have come.

        While it is not, each round ends with an empty list: time for whoever has something else to do.
        """
        job = self.job or self.first_job()
        yield []  # so that the job is reported before anything is waited for
        while not job.is_terminal:
            due = self._transport.clock.monotonic() + HEAD_EVERY
            for files in self._unseen(stop_at_seen=True):
                yield files
            yield []
            job = self._watch(job, due)
        # What was approved since, or stood where no look at the head could see it.
        for files in self._unseen(stop_at_seen=False):
            yield files

    def all(self, only: frozenset[str] | None) -> Iterator[list[File]]:
        """Every file approved so far, a page at a time; or these only, with no page read in vain."""
        left = set(only or ())
        for files in self._unseen(stop_at_seen=False):
            yield files if only is None else [file for file in files if file.id in left]
            left.difference_update(file.id for file in files)
            if only is not None and not left:
                return

    def first_job(self) -> Job:
        """The job as it stands."""
        while self.job is None:
            self.job = self._poll(None)
        return self.job

    def fresh_url(self, file_id: str) -> tuple[str, datetime | None]:
        """A URL for a file whose own has ended."""
        with self._lock:
            if file_id not in self._fresh:
                self._refreshes += 1
                if self._refreshes > _SINGLE_REFRESHES:
                    self._renew(file_id)
            if file_id in self._fresh:
                return self._fresh.pop(file_id)
            fresh = self._write(DownloadUrl, "POST", f"/v1/files/{file_id}/refresh_url", **self._options)
        if fresh.download_url is None:
            raise DownloadError(f"the service gave no URL for {file_id}")
        return fresh.download_url, fresh.download_url_expires_at

    def _renew(self, file_id: str) -> None:
        """Read the list from where the file was, until it is met: every page read renews a hundred URLs."""
        cursor = self._cursors.get(file_id)
        cursors: frozenset[str] = frozenset()
        while True:
            page = self._page(cursor)
            for file in page.data:
                self._cursors[file.id] = cursor
                if file.download_url is not None:
                    self._fresh[file.id] = file.download_url, file.download_url_expires_at
            if file_id in self._fresh or page.next_cursor is None:
                return
            cursors = follow_cursor(cursors, page.next_cursor)
            cursor = page.next_cursor

    def _watch(self, job: Job, due: float) -> Job:
        """The job when its status has changed, or when the head of the list is to be read again."""
        clock = self._transport.clock
        ends = due if self._ends is None else min(due, self._ends)
        looked = False
        while True:
            asked_at = clock.monotonic()
            hold = poll_wait(max(ends - asked_at, 0.0), self._transport.config.deadline)
            if looked and hold is None:
                clock.sleep(max(ends - asked_at, 0.0))
                break
            looked = True
            latest = self._poll(hold)
            if latest is None:
                continue
            changed = latest.status != job.status
            self.job = job = latest
            # A service without long-poll, which answers too early, is not to be hammered.
            held = was_held(hold, clock.monotonic() - asked_at)
            pause = self._pauses.after_answer(expected=changed or held)
            clock.sleep(max(min(pause, ends - clock.monotonic()), 0.0))
            if changed:
                break
        if not job.is_terminal:
            self.check_time()
        return job

    def _unseen(self, *, stop_at_seen: bool) -> Iterator[list[File]]:
        cursor: str | None = None
        cursors: frozenset[str] = frozenset()
        self._walks += 1
        walk = self._walks
        while True:
            page = self._page_patiently(cursor)
            unseen: list[File] = []
            met = False
            for file in page.data:
                self._cursors[file.id] = cursor
                if file.id not in self._seen:
                    self._seen[file.id] = walk
                    unseen.append(file)
                met |= self._seen[file.id] < walk
            if unseen:
                yield unseen
            # Newest first: behind a file that an earlier walk met, all were.
            if page.next_cursor is None or (stop_at_seen and met):
                return
            cursors = follow_cursor(cursors, page.next_cursor)
            cursor = page.next_cursor

    def _page_patiently(self, cursor: str | None) -> DecodedPage[File]:
        pauses = Pauses()
        while True:
            try:
                page = self._page(cursor)
            except FirstHandError as error:
                self._bear(error, pauses)
            else:
                self._failure = None
                return page

    def _page(self, cursor: str | None) -> DecodedPage[File]:
        # Whatever the job's bar was, what was approved comes.
        params = arguments.check(FileListParams, {"min_score": 1, "limit": LARGEST_PAGE, "cursor": cursor})
        request = build_request(
            "GET",
            f"/v1/jobs/{self.job_id}/files",
            query=arguments.query(params),
            time_limit=self._time_limit(),
            **self._options,
        )
        response, content = self._transport.send(request)
        page, unusable = decode_items(File, content, response)
        self.failures.update(unusable)
        return page

    def _poll(self, hold: int | None) -> Job | None:
        """The job after at most `hold` seconds, or None if the poll failed in a way that heals."""
        request = build_request(
            "GET",
            f"/v1/jobs/{self.job_id}",
            wait=hold,
            time_limit=self._time_limit(),
            retry=not self._patient,
            **self._options,
        )
        try:
            job = self._read(Job, request)
        except FirstHandError as error:
            self._bear(error, self._pauses)
            return None
        self._failure = None
        return job

    def _bear(self, error: FirstHandError, pauses: Pauses) -> None:
        """Pause after a failure that may heal while there is time; raise any other."""
        if not self._patient:
            raise error
        self._failure = error
        clock = self._transport.clock
        left = None if self._ends is None else self._ends - clock.monotonic()
        pause = pauses.after_failure(error, now=clock.time(), left=left)
        clock.sleep(pause if left is None else max(min(pause, left), 0.0))
        self.check_time()

    def _time_limit(self) -> float | None:
        """Seconds for a request; the last of a wait needs a moment too."""
        return None if self._ends is None else max(self._ends - self._transport.clock.monotonic(), 1.0)

    def check_time(self) -> None:
        """Raises if the time is over.

        Raises:
            WaitTimeoutError: it is.
        """
        if self._ends is None or self._ends > self._transport.clock.monotonic():
            return
        job = self.job
        if job is not None and job.is_terminal:
            state = f"is {job.status}, but its files were not all here in time"
        else:
            seen = "" if job is None else f": it is {job.status}, {job.files_approved} files approved"
            state = f"was not done in time{seen}; the job goes on"
        failure = "" if self._failure is None else f" The last failure on the way: {self._failure}"
        raise WaitTimeoutError(
            f"{self.job_id} {state}. The same call continues.{failure}", job=job
        ) from self._failure


class Collecting(Resource):
    """The three ways to files: follow, download_all, collect."""

    def __init__(
        self,
        transport: Transport,
        **options: Unpack[RequestOptions],
    ) -> None:
        super().__init__(transport)
        self._options = options
        # Bad ones are told at once, not when a folder was made.
        build_request("GET", "/v1/jobs", **self._options)

    def follow(self, job_id: str, *, timeout: float | None) -> Iterator[File]:
        approved = Approved(
            self._transport, job_id, ends=self._ends(timeout), patient=True, options=self._options
        )
        for files in approved.rounds():
            for file in files:
                yield file
        for failure in approved.failures.values():
            raise failure

    def download_all(
        self,
        job_id: str,
        dest: str | os.PathLike[str],
        *,
        concurrency: int,
        on_progress: Callback[Progress] | None,
        only: frozenset[str] | None = None,
    ) -> Dataset:
        folder = self._folder(dest, concurrency, on_progress)
        try:
            self._enter(folder, None)
            found = run_blocking(folder.read_job)
            if found is not None and (found.job or {}).get("id") != job_id:
                raise InvalidArgumentError("dest belongs to another job; use another folder", field="dest")
            approved = Approved(self._transport, job_id, ends=None, patient=False, options=self._options)
            job = _job_of(folder, approved) if found else approved.first_job()
            if found is None:
                found = JobFile(None, None, None, _dump(job))
                run_blocking(folder.create_job, found)
            fetching = self._fetch(
                folder, approved, approved.all(only), concurrency, on_progress, anew=only is not None
            )
            run_blocking(folder.write_job, _with_job(found, job))
        finally:
            finish_blocking(folder.close)
        fetching.check(approved.failures)
        return run_blocking(Dataset._of, folder)  # pyright: ignore[reportPrivateUsage] # of one house

    def collect(
        self,
        dest: str | os.PathLike[str],
        params: JobCreateParams,
        *,
        timeout: float | None,
        concurrency: int,
        on_progress: Callback[Progress] | None,
        idempotency_key: str | None,
        extra_body: Any,
    ) -> Dataset:
        request: dict[str, Any] = json.loads(arguments.body(params, extra_body))
        metadata: dict[str, Any] = request.get("metadata") or {}
        if KEY_METADATA in metadata or len(metadata) >= _MOST_METADATA:
            raise InvalidArgumentError(
                f"metadata may have {_MOST_METADATA - 1} keys here, and not {KEY_METADATA}: collect adds that "
                "one, to find the job again",
                field="metadata",
            )
        if idempotency_key is not None:
            check_key(idempotency_key)
        ends = self._ends(timeout)
        folder = self._folder(dest, concurrency, on_progress)
        try:
            self._enter(folder, ends)
            found, job = self._order(folder, request, idempotency_key, ends)
            job_id = (found.job or {})["id"]
            approved = Approved(self._transport, job_id, ends=ends, patient=True, options=self._options)
            approved.job = job or _job_of(folder, approved)
            fetching = self._fetch(folder, approved, approved.rounds(), concurrency, on_progress)
            job = approved.first_job()
            run_blocking(folder.write_job, _with_job(found, job))
        finally:
            finish_blocking(folder.close)
        fetching.check(approved.failures)
        dataset = run_blocking(Dataset._of, folder)  # pyright: ignore[reportPrivateUsage] # of one house
        if len(dataset) < (job.files_needed or 0):
            raise IncompleteJobError(
                f"{job.id} is {job.status} with {len(dataset)} of {job.files_needed} files; "
                f"they are in {dest}, and what was not delivered is refunded",
                job=job,
                dataset=dataset,
            )
        return dataset

    def _folder(
        self, dest: str | os.PathLike[str], concurrency: int, on_progress: Callback[Progress] | None
    ) -> Folder:
        check_callback(on_progress, "on_progress")
        if isinstance(concurrency, bool) or not isinstance(concurrency, int):
            concurrency = 0
        if not 1 <= concurrency <= _MOST_CONNECTIONS:
            raise InvalidArgumentError(
                f"concurrency must be an int from 1 to {_MOST_CONNECTIONS}", field="concurrency"
            )
        return Folder(dest)

    def _enter(self, folder: Folder, ends: float | None) -> None:
        """Take the folder, waiting for another writer to be done with it."""
        clock = self._transport.clock
        while not run_blocking(folder.lock):
            if ends is not None and clock.monotonic() >= ends:
                raise WaitTimeoutError(
                    f"another process was still writing to {folder.path} when the timeout was over; "
                    "let it finish, or use another folder"
                )
            clock.sleep(_LOCK_EVERY)

    def _order(
        self, folder: Folder, request: dict[str, Any], key: str | None, ends: float | None
    ) -> tuple[JobFile, Job | None]:
        """The job of the folder, bought now if it was not before; the Job itself only if the service gave it."""
        found = run_blocking(folder.read_job)
        fresh = found is None
        if found is None:
            found = JobFile(request, key or new_key(), self._transport.clock.time(), None)
            run_blocking(folder.create_job, found)
        else:
            check_same_request(found, request, key)
        step = next_step(found, now=self._transport.clock.time())
        if step == "continue":
            return found, None
        # What an earlier run sent may have arrived, and how long ago that was, a clock that jumped does not tell.
        job = None if fresh else self._find(found, everywhere=step == "find")
        if job is None and step == "find":
            raise ConfigurationError(
                f"the job of this folder was sent with idempotency key {found.idempotency_key} more than 23 hours "
                "ago, or the clock was set back since, and no job has that key in its metadata. To send it again "
                "could buy a second one: if there is none in your account, remove job.json and try again"
            )
        try:
            job = job or self._post(found, ends)
        except FirstHandApiError as error:
            # A key that was sent once, and refused, has bought nothing: the folder is free for other arguments.
            # After a second attempt, or a 409 (the key is in use), the first may yet become a job that no list
            # shows so far.
            refused = error.status < 500 and not error.retryable and error.status != 409
            if refused and fresh and error.attempts == 1:
                finish_blocking(folder.forget_job)
            raise
        found = _with_job(found, job)
        finish_blocking(folder.write_job, found)
        return found, job

    def _post(self, found: JobFile, ends: float | None) -> Job:
        # Always from what job.json holds, so that the bytes are the same after a crash.
        body: dict[str, Any] = {**(found.request or {})}
        body["metadata"] = {**(body.get("metadata") or {}), KEY_METADATA: found.idempotency_key}
        request = build_request(
            "POST",
            "/v1/jobs",
            body=arguments.body(None, body),
            idempotency_key=found.idempotency_key,
            time_limit=None if ends is None else max(ends - self._transport.clock.monotonic(), 1.0),
            **self._options,
        )
        try:
            return self._read(Job, request)
        except DeadlineExceededError as error:
            if ends is None or self._transport.clock.monotonic() < ends:
                raise
            raise WaitTimeoutError(
                "the service did not take the job in time; the same call tries again, and buys nothing twice"
            ) from error

    def _find(self, found: JobFile, *, everywhere: bool) -> Job | None:
        """The job that has the key in its metadata: among those since it was sent, then `everywhere`."""
        since = _EPOCH + timedelta(seconds=found.first_sent_at or 0.0)
        # Our clock may have been ahead when it was sent.
        for created_after in (since - _SKEW, None) if everywhere else (since - _SKEW,):
            params = arguments.check(JobListParams, {"created_after": created_after})
            for job in self._list(Job, "/v1/jobs", params, **self._options):
                if (job.metadata or {}).get(KEY_METADATA) == found.idempotency_key:
                    return job
        return None

    def _fetch(
        self,
        folder: Folder,
        approved: Approved,
        batches: Iterator[list[File]],
        concurrency: int,
        on_progress: Callback[Progress] | None,
        *,
        anew: bool = False,
    ) -> Fetching:
        """Fetch what comes, telling of it in the caller's own thread or loop."""
        clock = self._transport.clock
        job = approved.first_job()
        told: Progress | None = None

        def settle(most: int, until: float | None) -> None:
            """Wait until at most `most` files are under way, or it is `until`."""
            nonlocal told
            while True:
                done = run_blocking(fetching.wait, most, _TELL_EVERY)
                progress = replace(fetching.progress(), job=approved.job)
                if progress != told:
                    told = progress
                    call_back(on_progress, progress)
                if done or (until is not None and until <= clock.monotonic()):
                    return
                approved.check_time()

        with calls_from_threads() as call:
            fetching = Fetching(
                folder,
                job,
                self._transport.config,
                concurrency=concurrency,
                anew=anew,
                refresh=lambda file_id: call(approved.fresh_url, file_id),
            )
            try:
                for files in batches:
                    if files:
                        run_blocking(fetching.add, files)
                        settle(_MOST_PENDING, None)
                    else:
                        settle(0, clock.monotonic() + HEAD_EVERY)
                settle(0, None)
            finally:
                finish_blocking(fetching.stop)
        return fetching

    def _ends(self, timeout: float | None) -> float | None:
        return None if timeout is None else self._transport.clock.monotonic() + timeout


def _job_of(folder: Folder, approved: Approved) -> Job:
    """The job that `folder` was begun for."""
    try:
        return approved.first_job()
    except NotFoundError as error:
        # Such as the folder of a bundled server that is gone.
        error.message += (
            f"; {folder.path} is the folder of {approved.job_id}: use the key and base_url that it was begun "
            "with, or another folder"
        )
        raise


def _dump(job: Job) -> dict[str, Any]:
    return job.model_dump(mode="json", exclude_none=True)


def _with_job(job_file: JobFile, job: Job) -> JobFile:
    return JobFile(job_file.request, job_file.idempotency_key, job_file.first_sent_at, _dump(job))
