"""From a job to a dataset: the steps of `collect`, `download_all`, and `follow`."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from firsthandapi._async.accounts import Charges
from firsthandapi._async.bridge import (
    Callback,
    call_back,
    calls_from_threads,
    check_callback,
    ended,
    ending_with,
    finish_blocking,
    run_blocking,
)
from firsthandapi._async.calls import Calls
from firsthandapi._async.following import HEAD_EVERY, Following
from firsthandapi._async.ordering import order_once
from firsthandapi._async.reader import name_twins
from firsthandapi._async.waiting import Waiting, short_count
from firsthandapi._async.workers import note_workers
from firsthandapi._base.counts import count_of
from firsthandapi._base.network.interception import refuse_downloads
from firsthandapi._base.tracing import name_job
from firsthandapi._base.visible import visible
from firsthandapi._base.watching import DOWNLOADS, logger
from firsthandapi._core.calls import arguments
from firsthandapi._core.calls.idempotency import check_key
from firsthandapi._core.calls.integers import int_or_none
from firsthandapi._core.calls.lost_answers import continues, name_purchase
from firsthandapi._core.calls.request import build_request
from firsthandapi._core.orders.ordering import check_download_into
from firsthandapi._core.orders.record import KEY_METADATA, OrderRecord, dump, shows_key
from firsthandapi._core.orders.reports import Progress
from firsthandapi._core.orders.request_hash import REQUEST_METADATA
from firsthandapi._core.rows.manifest import origin_of
from firsthandapi.datasets import Dataset
from firsthandapi.datasets._downloads import Downloads
from firsthandapi.datasets._folder import Folder
from firsthandapi.datasets._manifest import Source
from firsthandapi.errors import (
    FirstHandError,
    IncompleteJobError,
    InvalidArgumentError,
    NotFoundError,
    SpendLimitError,
    WaitTimeoutError,
)
from firsthandapi.types._base import fitting
from firsthandapi.types.file import File
from firsthandapi.types.job import Job
from firsthandapi.types.job_arguments import JobCreateParams
from firsthandapi.types.options import RequestOptions

if TYPE_CHECKING:
    from firsthandapi._async.transport import Transport

_LOCK_EVERY = 0.25
REPORT_EVERY = 0.1
_MOST_CONNECTIONS = 64
# The walk over the list waits at this many pending downloads, so that memory use stays flat and URLs stay fresh.
MOST_PENDING = 500
_MOST_METADATA = 20


class Collecting(Calls):
    """Three ways to get files: `follow`, `download_all`, and `collect`."""

    def __init__(
        self,
        transport: Transport,
        *,
        timeout: float | None = None,
        extra_headers: Mapping[str, str] | None = None,
        extra_query: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(transport)
        self._options = RequestOptions(timeout=timeout, extra_headers=extra_headers, extra_query=extra_query)
        # Refuse invalid options before a folder is created.
        build_request("GET", "/v1/jobs", **self._options)

    async def follow(
        self, job_id: str, *, timeout: float | None, is_new: bool = False
    ) -> AsyncIterator[File]:
        ends = self._ends(timeout)
        waiting = Waiting(self._transport, job_id, ends=ends, is_new=is_new, **self._options)
        following = Following(self._transport, waiting)
        with waiting.traced("jobs.follow"):
            try:
                async with ended(following.rounds()) as rounds:
                    async for files in rounds:
                        for file in files:
                            yield file
            except GeneratorExit:
                raise  # the caller stopped the iteration
            except BaseException as error:
                if not isinstance(error, NotFoundError):
                    error.add_note(
                        continues(job_id, "run the same call again, which returns all of its files")
                    )
                if isinstance(error, WaitTimeoutError):
                    error.failures = tuple(following.failures.items())
                raise
            for failure in following.failures.values():
                raise failure

    async def download_all(
        self,
        job_id: str,
        dest: str | os.PathLike[str],
        *,
        concurrency: int,
        on_progress: Callback[Progress] | None,
        label: str | None = None,
        only: frozenset[str] | None = None,
    ) -> Dataset:
        folder = self._folder(dest, concurrency, on_progress, label)
        waiting = Waiting(self._transport, job_id, patient=False, **self._options)
        async with ending_with(folder.close):
            await self._enter(folder, None)
            record, rows_of = await run_blocking(folder.known_order, job_id)
            waiting.most_approved = approved_of(record)
            check_download_into(folder.path, record, rows_of, job_id)
            job = await self._job_of(folder, waiting, is_own=record is not None)
            if record is None:
                record = OrderRecord("job", job=dump(job), label=label)
                await run_blocking(folder.create, record)
            try:
                following = Following(self._transport, waiting)
                following.waits_for_count = False  # there is no timeout
                downloads = await self._download(
                    folder,
                    waiting,
                    following,
                    following.all(only),
                    concurrency,
                    on_progress,
                    is_repeat=only is not None,
                )
                if only is None:
                    await note_workers(self._transport, [waiting], folder)
            finally:
                await self._write_last_seen(folder, record, waiting.job)
        downloads.check(following.failures)
        if only is None and (following.unlisted or following.count_lags(0.0)):
            job = await waiting.first()
            late = _unlisted(job, following.unlisted) if following.unlisted else f"; {short_count(job)}"
            logger(DOWNLOADS).warning("%s", f"{job_id} is not complete here{late}")
        return await run_blocking(Dataset._of, folder)  # pyright: ignore[reportPrivateUsage] # of one house

    async def collect(
        self,
        dest: str | os.PathLike[str],
        params: JobCreateParams,
        *,
        timeout: float | None,
        concurrency: int,
        on_progress: Callback[Progress] | None,
        idempotency_key: str | None,
        key_since: float | None,
        extra_body: Any,
        label: str | None = None,
        too_costly: SpendLimitError | None = None,
    ) -> Dataset:
        request = _request_of(params, extra_body)
        if idempotency_key is not None:
            check_key(idempotency_key)
        ends = self._ends(timeout)
        folder = self._folder(dest, concurrency, on_progress, label)
        record: OrderRecord | None = None
        waiting: Waiting | None = None
        if too_costly is not None and not await run_blocking(folder.has_job_for, request):
            raise too_costly
        try:
            async with ending_with(folder.close):
                # Find problems that would prevent downloads before money moves.
                Downloads.check_network(self._transport.config, self._transport.shared.http_client)
                await self._enter(folder, ends)
                await run_blocking(folder.refuse_links)
                await run_blocking(
                    folder.check,
                    request["accepted_formats"],
                    findable=idempotency_key is not None,
                    files=request["files_needed"],
                )
                charges = Charges(self._transport, folder.path, **self._options)
                order = partial(
                    order_once,
                    self._transport,
                    folder,
                    request,
                    idempotency_key,
                    ends=ends,
                    key_since=key_since,
                    label=label,
                    charges=charges,
                    **self._options,
                )
                record, job = await order()
                charges.note(record)
                await charges.look(record.cost_cents, [record])
                # From here on, the folder and every error name the job.
                is_shown = shows_key(record.job or {}, record.key)
                waiting = self._waiting_for(record, job, ends, is_new=is_shown and job is not None)
                try:
                    try:
                        await self._job_of(folder, waiting, is_own=True, is_shown=is_shown)
                    except NotFoundError as gone:
                        record, job = await order(gone=gone)
                        waiting = self._waiting_for(record, job, ends)
                    # The record may have seen the count only after a file was withdrawn.
                    count = await run_blocking(folder.known_files, waiting.job_id)
                    waiting.most_approved = max(waiting.most_approved, count)
                    following = Following(self._transport, waiting)
                    downloads = await self._download(
                        folder, waiting, following, following.rounds(), concurrency, on_progress
                    )
                    await note_workers(self._transport, [waiting], folder)
                finally:
                    await self._write_last_seen(folder, record, waiting.job)
            return await self._dataset(folder, await waiting.first(), request, downloads, following)
        except BaseException as error:
            if record is None or waiting is None:
                raise
            if waiting.job is None or not waiting.job.is_terminal:
                error.add_note(continues(waiting.job_id, "run the same call again, which posts no other job"))
            if isinstance(error, FirstHandError) and waiting.job is not None:
                name_twins(self._transport, error, {waiting.job_id})
                name_purchase(error, waiting.job, record.key)
                # Errors advise to run the same call again, which must not pay again.
                with contextlib.suppress(FirstHandError):
                    await finish_blocking(folder.restore, record.with_job(dump(waiting.job)))
            raise

    def _folder(
        self,
        dest: str | os.PathLike[str],
        concurrency: int,
        on_progress: Callback[Any] | None,
        label: str | None,
    ) -> Folder:
        check_callback(on_progress, "on_progress")
        if not 1 <= (int_or_none(concurrency) or 0) <= _MOST_CONNECTIONS:
            raise InvalidArgumentError(
                f"concurrency must be an int from 1 to {_MOST_CONNECTIONS}", field="concurrency"
            )
        refuse_downloads()
        return Folder(dest, label)

    async def _enter(self, folder: Folder, ends: float | None) -> None:
        """Lock the folder; wait while another process writes to it."""
        clock = self._transport.clock
        while not await run_blocking(folder.lock):
            if ends is not None and clock.monotonic() >= ends:
                raise WaitTimeoutError(
                    f"another process was still writing to {folder.path} when the call timed out; "
                    "wait for it to finish"
                )
            await clock.sleep(_LOCK_EVERY)

    def _waiting_for(
        self, record: OrderRecord, job: Job | None, ends: float | None, *, is_new: bool = False
    ) -> Waiting:
        job_id = (record.job or {})["id"]
        name_job(job_id)
        waiting = Waiting(self._transport, job_id, ends=ends, job=job, is_new=is_new, **self._options)
        waiting.most_approved = max(waiting.most_approved, approved_of(record))
        return waiting

    async def _job_of(self, folder: Folder, waiting: Waiting, *, is_own: bool, is_shown: bool = True) -> Job:
        """Read the job, unless a response has already shown it.

        `is_own` means that the folder was started for this job. `is_shown` is False if the response to the POST does
        not prove that the job exists, because it lacks the idempotency key.
        Raises NotFoundError: the service does not have the job.
        """
        try:
            if waiting.job is not None and not is_shown:
                await waiting.look()
            return await waiting.first()
        except NotFoundError as error:
            if is_own:
                # For example, the job of a bundled server that no longer runs.
                error.message += visible(
                    f"; {folder.path} is the folder of {waiting.job_id}: use the API key and base_url that it was "
                    "started with"
                )
            raise

    async def _write_last_seen(self, folder: Folder, record: OrderRecord, job: Job | None) -> None:
        if job is not None and dump(job) != record.job:
            # On a full disk the record stays unchanged; the error that follows explains it.
            with contextlib.suppress(FirstHandError):
                await finish_blocking(folder.write, record.with_job(dump(job)))

    async def _download(
        self,
        folder: Folder,
        waiting: Waiting,
        following: Following,
        batches: AsyncIterator[list[File]],
        concurrency: int,
        on_progress: Callback[Progress] | None,
        *,
        is_repeat: bool = False,
    ) -> Downloads:
        """Download the files of `batches`, and report progress in the caller's thread or loop."""
        clock = self._transport.clock
        job = await waiting.first()
        mixed = await run_blocking(folder.is_mixed, fitting(job).accepted_formats)
        source = Source(job.id, mixed, origin_of(self._transport.config), folder.label)
        reported: Progress | None = None

        async def wait_for_downloads(most: int, until: float | None) -> None:
            """Wait until at most `most` downloads are pending, or until the time `until`."""
            nonlocal reported
            while True:
                done = await run_blocking(downloads.wait, most, REPORT_EVERY)
                progress = replace(downloads.progress(), job=waiting.job)
                if progress != reported:
                    reported = progress
                    await call_back(on_progress, progress)
                if done or (until is not None and until <= clock.monotonic()):
                    return
                waiting.check_time()

        async with calls_from_threads() as call:
            downloads = Downloads(
                folder,
                self._transport.config,
                ordered=int_or_none(job.files_needed) or 0,
                concurrency=concurrency,
                is_repeat=is_repeat,
                refresh=lambda file_id: call(following.fresh_url, file_id),
                clock=clock,
            )
            following.again = downloads.failed
            try:
                async with ended(batches) as rounds:
                    async for files in rounds:
                        if files:
                            await run_blocking(downloads.add, files, source)
                            await wait_for_downloads(MOST_PENDING, None)
                        else:
                            await wait_for_downloads(0, clock.monotonic() + HEAD_EVERY)
                await wait_for_downloads(0, None)
            except FirstHandError as error:
                error.failures = downloads.failures(following.failures)
                raise
            finally:
                await finish_blocking(downloads.stop)
        return downloads

    async def _dataset(
        self, folder: Folder, job: Job, request: dict[str, Any], downloads: Downloads, following: Following
    ) -> Dataset:
        """The result of a finished run, or its error."""
        # The service may omit the number of files that were ordered.
        needed = int_or_none(job.files_needed) or request["files_needed"]
        approved = int_or_none(job.files_approved)
        failures = downloads.failures(following.failures)
        dataset = await run_blocking(Dataset._of, folder)  # pyright: ignore[reportPrivateUsage] # of one house
        if failures and (approved is None or approved >= needed):
            downloads.check(following.failures)
        # With labels, the folder also has files of other jobs. Excluded files count: they were downloaded.
        rows = (*dataset.records, *dataset.excluded)
        row_count = len(rows) if folder.label is None else sum(row.job_id == job.id for row in rows)
        if row_count < needed:
            raise IncompleteJobError(
                f"{job.id} is {job.status} with {row_count:,} of {count_of(needed)}, which are in {folder.path}"
                f"{_why(job, needed, following.unlisted, len(failures))}",
                job=job,
                dataset=dataset,
                failures=failures,
            )
        return dataset


def _request_of(params: JobCreateParams, extra_body: Any) -> dict[str, Any]:
    request: dict[str, Any] = json.loads(arguments.body(params, extra_body))
    metadata: dict[str, Any] = request.get("metadata") or {}
    if metadata.keys() & {KEY_METADATA, REQUEST_METADATA} or len(metadata) >= _MOST_METADATA:
        raise InvalidArgumentError(
            f"metadata may have {_MOST_METADATA - 1} keys here, and none of {KEY_METADATA}, {REQUEST_METADATA}: "
            "collect adds these, to find the job again",
            field="metadata",
        )
    return request


def _why(job: Job, needed: int, unlisted: int, failed: int) -> str:
    approved = int_or_none(job.files_approved)
    reasons = ""
    if failed:
        reasons += f"; {failed} more could not be downloaded: run the same call again to retry them"
    if unlisted:
        reasons += _unlisted(job, unlisted)
    if short := short_count(job):
        reasons += f"; {short}"
    if job.status == "cancelled" and approved is not None and approved < needed:
        reasons += f"; the escrow of the {needed - approved} not approved was refunded"
    return reasons


def approved_of(record: OrderRecord | None) -> int:
    """The count of the job as last seen."""
    return 0 if record is None else int_or_none((record.job or {}).get("files_approved")) or 0


def _unlisted(job: Job, unlisted: int) -> str:
    return (
        f"; the service counts {job.files_approved} approved files, but its list does not show {unlisted} of them yet: "
        "run the same call again later"
    )
