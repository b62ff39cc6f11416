# Made from _async/collecting.py by `make generate`. Do not edit.
"""From a job to a dataset: post it once, follow it, fetch its files, write down what is there."""

from __future__ import annotations

import json
import queue
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from firsthandapi._core import arguments
from firsthandapi._core.dataset import (
    KEY_METADATA,
    JobFile,
    Progress,
    check_same_request,
    is_mixed,
    next_step,
)
from firsthandapi._core.idempotency import check_key, new_key
from firsthandapi._core.longpoll import Pauses, heals, poll_wait
from firsthandapi._core.pages import follow_cursor
from firsthandapi._core.request import build_request
from firsthandapi._core.retry import asked_to_wait
from firsthandapi._download.engine import Engine
from firsthandapi._download.fetch import Outcome
from firsthandapi._sync.bridge import (
    Callback,
    Lock,
    call_back,
    calls_from_threads,
    check_callback,
    finish_blocking,
    run_blocking,
)
from firsthandapi._sync.resources._base import Resource
from firsthandapi.datasets import Dataset
from firsthandapi.datasets._folder import Folder
from firsthandapi.errors import (
    ConfigurationError,
    DownloadError,
    FirstHandApiError,
    FirstHandError,
    IncompleteJobError,
    InvalidArgumentError,
    WaitTimeoutError,
)
from firsthandapi.types.file import DownloadUrl, File, FileList
from firsthandapi.types.job import Job, JobList

if TYPE_CHECKING:
    from firsthandapi._core.decode import DecodedPage
    from firsthandapi._sync.transport import Transport
    from firsthandapi.types.job import JobCreate

# While a job is in progress no status change tells of a file, so the head of the list is read this often.
HEAD_EVERY = 10.0
_LOCK_EVERY = 0.25
# A URL that ends is asked for alone; when many end, a page of the list brings a hundred for the same price.
_SINGLE_REFRESHES = 3
_MOST_CONNECTIONS = 64
# How far a clock of ours may be off when a job is looked for by when it was posted.
_SKEW = timedelta(days=1)


@dataclass(frozen=True)
class Round:
    """One look at a job: how it stands, which files are new, and whether these are the last."""

    job: Job
    files: list[File]
    last: bool


class Approved(Resource):
    """The approved files of one job: each once, newly approved ones as they come."""

    def __init__(self, transport: Transport, job_id: str, *, ends: float | None, patient: bool) -> None:
        super().__init__(transport)
        self.job_id = job_id
        self.job: Job | None = None
        self._ends = ends
        self._patient = patient
        self._seen: set[str] = set()
        # The cursor of the page each file stood on: what its fresh URL is asked with.
        self._cursors: dict[str, str | None] = {}
        self._fresh: dict[str, tuple[str, datetime | None]] = {}
        self._refreshes = 0
        self._lock = Lock()

    def rounds(self) -> Iterator[Round]:
        """Look until the job is over; the last looks cover the whole list, so that nothing is missed."""
        clock = self._transport.clock
        self.job = self.job or self.first_job()
        pauses = Pauses()
        while not self.job.is_terminal:
            read_at = clock.monotonic()
            for files in self._unseen(stop_at_seen=True):
                yield Round(self.job, files, last=False)
            while not self.job.is_terminal:
                rest = read_at + HEAD_EVERY - clock.monotonic()
                if rest <= 0:
                    break
                hold = poll_wait(min(rest, self._left(rest)))
                if hold is None:
                    clock.sleep(rest)
                    break
                asked_at, before = clock.monotonic(), self.job
                self.job = self._poll(hold) or before
                if self.job.status != before.status:
                    pauses.reset()
                    break
                if clock.monotonic() - asked_at < hold * 0.9:
                    # Answered too early: a service without long-poll is not to be hammered.
                    rest = read_at + HEAD_EVERY - clock.monotonic()
                    clock.sleep(max(min(pauses.after_early_answer(), rest, self._left(rest)), 0.0))
            self._check_time()
        for files in self._unseen(stop_at_seen=False):
            yield Round(self.job, files, last=False)
        yield Round(self.job, [], last=True)

    def all(self) -> Iterator[list[File]]:
        """Every file approved so far, a page at a time."""
        for files in self._unseen(stop_at_seen=False):
            yield files

    def first_job(self) -> Job:
        """The job as it stands."""
        job = None
        while job is None:
            job = self._poll(None)
        return job

    def fresh_url(self, file_id: str) -> tuple[str, datetime | None]:
        """A URL for a file whose own has ended."""
        with self._lock:
            if file_id not in self._fresh:
                self._refreshes += 1
                if self._refreshes > _SINGLE_REFRESHES and file_id in self._cursors:
                    page = self._page(self._cursors[file_id])
                    for file in page.data:
                        if file.download_url is not None:
                            self._fresh[file.id] = file.download_url, file.download_url_expires_at
            if file_id in self._fresh:
                return self._fresh.pop(file_id)
            fresh = self._write(DownloadUrl, "POST", f"/v1/files/{file_id}/refresh_url")
        if fresh.download_url is None:
            raise DownloadError(f"the service gave no URL for {file_id}")
        return fresh.download_url, fresh.download_url_expires_at

    def _unseen(self, *, stop_at_seen: bool) -> Iterator[list[File]]:
        cursor: str | None = None
        cursors: frozenset[str] = frozenset()
        while True:
            page = self._page_patiently(cursor)
            unseen = [file for file in page.data if file.id not in self._seen]
            self._seen.update(file.id for file in unseen)
            self._cursors.update((file.id, cursor) for file in page.data)
            if unseen:
                yield unseen
            # Newest first: behind a file that was seen, all were.
            if page.next_cursor is None or (stop_at_seen and len(unseen) < len(page.data)):
                return
            cursors = follow_cursor(cursors, page.next_cursor)
            cursor = page.next_cursor

    def _page_patiently(self, cursor: str | None) -> DecodedPage[File]:
        pauses = Pauses()
        while True:
            try:
                return self._page(cursor)
            except FirstHandError as error:
                self._bear(error, pauses)

    def _page(self, cursor: str | None) -> DecodedPage[File]:
        # Whatever the job's bar was, what was approved comes.
        params = arguments.check(FileList, {"min_score": 1, "limit": 100, "cursor": cursor})
        path = f"/v1/jobs/{self.job_id}/files"
        request = build_request("GET", path, query=arguments.query(params))
        return self._read_page(File, request)

    def _poll(self, hold: int | None) -> Job | None:
        """The job after at most `hold` seconds, or None if the poll failed in a way that heals."""
        left = self._left(None)
        request = build_request(
            "GET",
            f"/v1/jobs/{self.job_id}",
            wait=hold,
            time_limit=None if left is None else max(left, 1.0),
            retry=not self._patient,
        )
        try:
            return self._read(Job, request)
        except FirstHandError as error:
            self._bear(error, Pauses())
            return None

    def _bear(self, error: FirstHandError, pauses: Pauses) -> None:
        """Pause after a failure that may heal while there is time; raise any other."""
        if not self._patient or not heals(error):
            raise error
        clock = self._transport.clock
        asked = asked_to_wait(error, now=clock.time())
        pause = pauses.after_early_answer() if asked is None else asked
        left = self._left(None)
        if left is not None and pause > left:
            if asked is not None:
                raise error
            pause = max(left, 0.0)
        clock.sleep(pause)
        self._check_time()

    def _left(self, default: Any) -> Any:
        return default if self._ends is None else self._ends - self._transport.clock.monotonic()

    def _check_time(self) -> None:
        left = self._left(None)
        if left is not None and left <= 0:
            raise out_of_time(self.job_id, self.job)


class Collecting(Resource):
    """The three ways to files: follow, download_all, collect."""

    def follow(self, job_id: str, *, timeout: float | None) -> Iterator[File]:
        approved = Approved(self._transport, job_id, ends=self._ends(timeout), patient=True)
        for round_ in approved.rounds():
            for file in round_.files:
                yield file

    def download_all(
        self, job_id: str, dest: Path, *, concurrency: int, on_progress: Callback[Progress] | None
    ) -> Dataset:
        check_concurrency(concurrency)
        check_callback(on_progress, "on_progress")
        folder = Folder(dest)
        self._enter(folder, None)
        try:
            found = run_blocking(folder.read_job)
            if found is not None and (found.job or {}).get("id") != job_id:
                raise InvalidArgumentError("dest belongs to another job; use another folder", field="dest")
            approved = Approved(self._transport, job_id, ends=None, patient=False)
            job = approved.first_job()
            if found is None:
                found = JobFile(None, None, None, _dump(job))
                run_blocking(folder.create_job, found)
            fetching = Fetching(self._transport, folder, approved, job, concurrency, on_progress)
            with calls_from_threads() as call:
                fetching.start(call)
                try:
                    for files in approved.all():
                        fetching.add(files)
                        fetching.collect(0.0)
                    fetching.finish()
                finally:
                    finish_blocking(fetching.stop)
            run_blocking(folder.write_job, _with_job(found, job))
        finally:
            finish_blocking(folder.close)
        return run_blocking(fetching.dataset)

    def collect(
        self,
        dest: Path,
        params: JobCreate,
        *,
        timeout: float | None,
        concurrency: int,
        on_progress: Callback[Progress] | None,
        idempotency_key: str | None,
        extra_body: Any,
    ) -> Dataset:
        check_concurrency(concurrency)
        check_callback(on_progress, "on_progress")
        request: dict[str, Any] = json.loads(arguments.body(params, extra_body))
        metadata: dict[str, Any] = request.get("metadata") or {}
        if KEY_METADATA in metadata or len(metadata) > 19:
            raise InvalidArgumentError(
                f"metadata may have 19 keys here, and not {KEY_METADATA}: collect adds that one, to find the job again",
                field="metadata",
            )
        if idempotency_key is not None:
            check_key(idempotency_key)
        ends = self._ends(timeout)
        folder = Folder(dest)
        self._enter(folder, ends)
        try:
            found = run_blocking(folder.read_job)
            if found is None:
                now = self._transport.clock.time()
                found = JobFile(request, idempotency_key or new_key(), now, None)
                run_blocking(folder.create_job, found)
                job = self._post(folder, found, fresh=True)
            else:
                check_same_request(found, request, idempotency_key)
                step = next_step(found, now=self._transport.clock.time())
                if step == "post":
                    job = self._post(folder, found, fresh=False)
                elif step == "find":
                    job = self._find(found)
                else:
                    job = None
            if job is not None:
                found = _with_job(found, job)
                run_blocking(folder.write_job, found)
            job_id = str((found.job or {}).get("id"))
            approved = Approved(self._transport, job_id, ends=ends, patient=True)
            approved.job = job or approved.first_job()
            fetching = Fetching(self._transport, folder, approved, approved.job, concurrency, on_progress)
            with calls_from_threads() as call:
                fetching.start(call)
                try:
                    for round_ in approved.rounds():
                        fetching.add(round_.files)
                        fetching.collect(HEAD_EVERY if not round_.job.is_terminal else 0.0)
                    fetching.finish()
                finally:
                    finish_blocking(fetching.stop)
            run_blocking(folder.write_job, _with_job(found, approved.job))
        finally:
            finish_blocking(folder.close)
        dataset = run_blocking(fetching.dataset)
        job = approved.job
        if len(dataset) < (job.files_needed or 0):
            raise IncompleteJobError(
                f"{job.id} is {job.status} with {len(dataset)} of {job.files_needed} files; "
                f"they are in {dest}, and what was not delivered is refunded",
                job=job,
                dataset=dataset,
            )
        return dataset

    def _enter(self, folder: Folder, ends: float | None) -> None:
        """Take the folder, waiting for another writer to be done with it."""
        clock = self._transport.clock
        run_blocking(folder.prepare)
        while not run_blocking(folder.lock):
            if ends is not None and clock.monotonic() >= ends:
                raise WaitTimeoutError(
                    f"another process was still writing to {folder.path} when the timeout was over; "
                    "let it finish, or use another folder"
                )
            clock.sleep(_LOCK_EVERY)

    def _post(self, folder: Folder, found: JobFile, *, fresh: bool) -> Job:
        # Always from what job.json holds, so that the bytes are the same after a crash.
        body: dict[str, Any] = dict(found.request or {})
        metadata: dict[str, Any] = dict(body.get("metadata") or {})
        body["metadata"] = {**metadata, KEY_METADATA: found.idempotency_key}
        try:
            return self._write(
                Job, "POST", "/v1/jobs", extra_body=body, idempotency_key=found.idempotency_key
            )
        except FirstHandApiError as error:
            # Refused at the first attempt of all: nothing was bought, and the folder is free for other arguments.
            if fresh and error.attempts == 1 and error.status < 500 and not error.retryable:
                finish_blocking(folder.forget_job)
            raise

    def _find(self, found: JobFile) -> Job:
        """The job that a key was sent for so long ago that it must not be sent again."""
        since = datetime.fromtimestamp(found.first_sent_at or 0.0, timezone.utc) - _SKEW
        params = arguments.check(JobList, {"created_after": since})
        for job in self._list(Job, "/v1/jobs", params):
            if (job.metadata or {}).get(KEY_METADATA) == found.idempotency_key:
                return job
        raise ConfigurationError(
            f"the job of this folder was posted over 23 hours ago with idempotency key {found.idempotency_key}, and no "
            "job has it in its metadata. Posting it again could buy a second one: if there is none in your "
            "account, remove job.json and try again"
        )

    def _ends(self, timeout: float | None) -> float | None:
        return None if timeout is None else self._transport.clock.monotonic() + timeout


class Fetching:
    """The files of one run: handed to the engine, written down as they come."""

    def __init__(
        self,
        transport: Transport,
        folder: Folder,
        approved: Approved,
        job: Job,
        concurrency: int,
        on_progress: Callback[Progress] | None,
    ) -> None:
        self._transport = transport
        self._folder = folder
        self._approved = approved
        self._job = job
        self._mixed = is_mixed(job.accepted_formats)
        self._concurrency = concurrency
        self._on_progress = on_progress
        self._outcomes: queue.SimpleQueue[Outcome] = queue.SimpleQueue()
        # A queue too, since it is fed from many threads.
        self._bytes: queue.SimpleQueue[int] = queue.SimpleQueue()
        self._pending: dict[str, File] = {}
        self._failures: list[tuple[str, Exception]] = []
        self._files_done = self._files_known = self._bytes_done = self._bytes_known = 0
        self._told: Progress | None = None
        self._engine: Engine | None = None
        self._finished = False

    def start(self, call: Any) -> None:
        config = self._transport.config
        self._engine = Engine(
            base_url=config.base_url,
            proxy=config.proxy,
            verify=config.verify,
            timeout=config.timeout,
            max_retries=config.max_retries,
            concurrency=self._concurrency,
            refresh=lambda file_id: call(self._approved.fresh_url, file_id),
            on_done=self._outcomes.put,
            on_bytes=self._bytes.put,
        )

    def add(self, files: list[File]) -> None:
        """Fetch what of these is not there."""
        if not files or self._engine is None:
            return
        wanted, there = run_blocking(
            self._folder.plan, files, mixed=self._mixed, job_id=self._approved.job_id
        )
        by_id = {file.id: file for file in files}
        self._files_known += len(files)
        self._bytes_known += sum(file.size_bytes or 0 for file in files)
        self._files_done += len(there)
        self._bytes_done += sum(file.size_bytes or 0 for file in there)
        for one in wanted:
            self._pending[one.file_id] = by_id[one.file_id]
            self._engine.submit(one)
        self._tell()

    def collect(self, seconds: float) -> None:
        """Write down what has come, and wait for what is under way, `seconds` at most."""
        clock = self._transport.clock
        ends = clock.monotonic() + seconds
        while True:
            outcomes = run_blocking(self._next_outcomes, 0.1 if seconds and self._pending else 0.0)
            self._take(outcomes)
            if not self._pending or clock.monotonic() >= ends:
                return

    def finish(self) -> None:
        """Wait for all that was handed over."""
        while self._pending:
            self._take(run_blocking(self._next_outcomes, 0.1))
        self._finished = True
        self._tell()

    def stop(self) -> None:
        """End the engine; what is under way is given up unless all is done. Blocks, for a second at most."""
        if self._engine is not None:
            self._engine.close(cancel=not self._finished)
            # What came in the meantime is on disk and verified: it gets its row.
            self._write(list(self._next_outcomes(0.0)))

    def dataset(self) -> Dataset:
        """What there is, or the error that lists what could not be fetched."""
        if self._failures:
            shown = "; ".join(f"{file_id}: {error}" for file_id, error in self._failures[:3])
            more = f", and {len(self._failures) - 3} more" if len(self._failures) > 3 else ""
            raise DownloadError(
                f"{len(self._failures)} of {self._files_known} files could not be fetched ({shown}{more}); "
                "the same call again tries only these",
                failures=self._failures,
            )
        return Dataset.open(self._folder.path)

    def _next_outcomes(self, seconds: float) -> list[Outcome]:
        outcomes: list[Outcome] = []
        try:
            outcomes.append(self._outcomes.get(timeout=seconds) if seconds else self._outcomes.get_nowait())
            while len(outcomes) < 100:
                outcomes.append(self._outcomes.get_nowait())
        except queue.Empty:
            pass
        return outcomes

    def _take(self, outcomes: list[Outcome]) -> None:
        if outcomes:
            # Shielded: a row that belongs to a file on disk must not be lost to a cancelled task.
            finish_blocking(self._write, outcomes)
        self._tell()

    def _write(self, outcomes: list[Outcome]) -> None:
        done: list[tuple[File, int, str]] = []
        for outcome in outcomes:
            file = self._pending.pop(outcome.wanted.file_id)
            if outcome.error is not None:
                self._failures.append((file.id, outcome.error))
            else:
                done.append((file, outcome.size_bytes, outcome.sha256))
                self._files_done += 1
        self._folder.add(done, mixed=self._mixed, job_id=self._approved.job_id)

    def _tell(self) -> None:
        while not self._bytes.empty():
            self._bytes_done += self._bytes.get_nowait()
        progress = Progress(
            files_done=self._files_done,
            files_total=max(self._files_known, self._job.files_needed or 0),
            bytes_done=self._bytes_done,
            bytes_total=self._bytes_known,
        )
        if self._on_progress is not None and progress != self._told:
            self._told = progress
            call_back(self._on_progress, progress)


def check_concurrency(value: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= _MOST_CONNECTIONS:
        raise InvalidArgumentError(
            f"concurrency must be an int from 1 to {_MOST_CONNECTIONS}", field="concurrency"
        )


def out_of_time(job_id: str, job: Job | None) -> WaitTimeoutError:
    state = f": it is {job.status}, {job.files_approved} files approved" if job is not None else ""
    return WaitTimeoutError(
        f"{job_id} was not done in time{state}; the job goes on, and the same call continues it", job=job
    )


def _dump(job: Job) -> dict[str, Any]:
    return job.model_dump(mode="json", exclude_none=True)


def _with_job(job_file: JobFile, job: Job) -> JobFile:
    return JobFile(job_file.request, job_file.idempotency_key, job_file.first_sent_at, _dump(job))
