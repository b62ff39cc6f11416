# Made from _async/resources/jobs.py by `make generate`. Do not edit.
"""Jobs (contract §2)."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Unpack

from firsthandapi._base.forks import importing
from firsthandapi._base.ids import is_id
from firsthandapi._base.progress import progress_line
from firsthandapi._base.tracing import name_job
from firsthandapi._core.calls.arguments import check
from firsthandapi._core.calls.config import DEFAULT_WAIT
from firsthandapi._core.calls.idempotency import check_since
from firsthandapi._core.calls.lost_answers import confirming, naming, paid_for, several, without_usable_id
from firsthandapi._core.calls.request import check_id, check_mapping, check_whole_timeout
from firsthandapi._core.calls.spend import check_limit, check_spend
from firsthandapi._sync.bridge import Callback, call_back, check_callback
from firsthandapi._sync.calls import Resource
from firsthandapi._sync.pages import Page
from firsthandapi._sync.transport import Held
from firsthandapi.errors import InvalidArgumentError, SpendLimitError
from firsthandapi.types._base import fitting
from firsthandapi.types.enums import JobStatus, JobType, MediaFormat
from firsthandapi.types.job import Job
from firsthandapi.types.options import ExtraOptions, PostOptions, RequestOptions

if TYPE_CHECKING:
    from firsthandapi._core.calls.estimate import Estimate
    from firsthandapi._core.orders.reports import Progress
    from firsthandapi._sync.waiting import Waiting
    from firsthandapi.datasets import Dataset
    from firsthandapi.types.file import File
    from firsthandapi.types.job_arguments import JobCreateParams
    from firsthandapi.types.submission import Submission


# `make generate` writes the fields of `JobArguments` wherever they stand below: in signatures, in docstrings, and where
# `create`, `estimate`, `create_and_wait`, and `collect` pass them on.
class Jobs(Resource):
    """Jobs; reading needs the scope `jobs:read`, the rest `jobs:write`."""

    def create(
        self,
        *,
        description: str,
        files_needed: int,
        accepted_formats: Sequence[MediaFormat],
        price_per_file_cents: int,
        type: JobType = "data_collection",
        title: str | None = None,
        min_star_rating: int | None = None,
        files_per_submission: int | None = None,
        scoring_criteria: str | None = None,
        min_width: int | None = None,
        min_height: int | None = None,
        worker_guidelines: str | None = None,
        location: Mapping[str, Any] | None = None,
        deadline: date | str | None = None,
        max_workers: int | None = None,
        metadata: Mapping[str, Any] | None = None,
        max_spend_cents: int | None = None,
        extra_headers: Mapping[str, str] | None = None,
        extra_query: Mapping[str, Any] | None = None,
        extra_body: Mapping[str, Any] | None = None,
        idempotency_key: str | None = None,
        key_since: datetime | None = None,
        timeout: float | None = None,
    ) -> Job:
        """Post a job. Its cost, `files_needed` × `price_per_file_cents`, is held in escrow immediately.

        Args:
            description: what workers are asked for, 10 to 5,000 characters.
            files_needed: number of files, 1 to 10,000.
            accepted_formats: MIME types, at least one, such as `["image/jpeg"]`.
            price_per_file_cents: price of one approved file, in US cents, 10 to 50,000.
            type: `data_collection`, or `feedback` on content that the description links to.
            title: a short label, at most 100 characters.
            min_star_rating: lowest rating to approve, 1 to 5; the service's default is 3.
            files_per_submission: number of files that one submission may contain, 1 to 5; the service's default is 1.
            scoring_criteria: what the scorer looks for besides the description, at most 1,000 characters.
            min_width: lowest width, in pixels, at least 1; smaller files are rejected before scoring.
            min_height: lowest height, in pixels, at least 1; smaller files are rejected before scoring.
            worker_guidelines: further instructions to workers.
            location: where workers must be: `{"latitude", "longitude", "radius_km"}` or `{"city", "state"}`.
            deadline: when an unfinished job is cancelled and refunded: an aware datetime or an ISO 8601 string.
            max_workers: number of workers who may take part, at least 1; None means any number.
            metadata: your own values, at most 20 keys; `jobs.collect` needs one, so 19 there.
            max_spend_cents: most that the job may cost, in US cents; the smaller of this and the client's applies.
            extra_headers: headers to add; not Authorization, Idempotency-Key, or Content-Type.
            extra_query: query parameters to add, for what this version does not know yet.
            extra_body: fields to add to the body, or to replace in it, unchecked.
            idempotency_key: 1 to 255 printable ASCII characters; with the same one, calls within 24 hours act once.
            key_since: an aware datetime before which the idempotency key was not used: the search for its job reads
                only jobs that are younger, or older by less than a day. `create` and `create_and_wait` search only with
                the client's `journal`.
            timeout: seconds for one attempt, above 0; None uses the client's.

        Returns:
            The job, `open`.

        Raises:
            SpendLimitError: the job would cost more than allowed. Nothing was sent.
            InsufficientCreditsError: the balance does not cover the job.
            IdempotencyError: the idempotency key was used with other arguments.
            FirstHandError: any other failure; its subclass names it.

        Contract: §2 "Jobs".
        """
        with importing():
            from firsthandapi.types.job_arguments import JobCreateParams
        params = check(
            JobCreateParams,
            {
                "description": description,
                "files_needed": files_needed,
                "accepted_formats": accepted_formats,
                "price_per_file_cents": price_per_file_cents,
                "type": type,
                "title": title,
                "min_star_rating": min_star_rating,
                "files_per_submission": files_per_submission,
                "scoring_criteria": scoring_criteria,
                "min_width": min_width,
                "min_height": min_height,
                "worker_guidelines": worker_guidelines,
                "location": location,
                "deadline": deadline,
                "max_workers": max_workers,
                "metadata": metadata,
            },
        )
        self._check_spend(params, extra_body, max_spend_cents)
        request = self._request(
            "POST",
            "/v1/jobs",
            params,
            timeout=timeout,
            idempotency_key=idempotency_key,
            extra_headers=extra_headers,
            extra_query=extra_query,
            extra_body=extra_body,
        )
        return self._read(
            Job, replace(request, key_since=check_since(key_since, self._transport.clock.time()))
        )

    def get(self, job_id: Job | str, *, wait: int | None = None, **options: Unpack[RequestOptions]) -> Job:
        """Read a job, immediately or when its status changes.

        Args:
            job_id: the job, or its id (`job_…`).
            wait: seconds, 1 to 60, that the service may hold the response until the status changes; they are
                added to the timeout.
            **options: `timeout` (seconds for one attempt, above 0), `extra_headers`, `extra_query`; see `jobs.create`.

        Returns:
            The job; unchanged if its status does not change within `wait` seconds.

        Raises:
            NotFoundError: no job has this id.
            FirstHandError: any other failure; its subclass names it.

        Contract: §1 "Long-poll", §2 "Jobs".
        """
        path = f"/v1/jobs/{check_id(job_id, 'job_id')}"
        if wait is not None:
            with importing():
                from firsthandapi.types.job_arguments import JobGetParams
            wait = check(JobGetParams, {"wait": wait}).wait
        return self._get(Job, path, None, wait, **options)

    def cancel(self, job_id: Job | str, **options: Unpack[PostOptions]) -> Job:
        """Cancel an unfinished job. Unused escrow is refunded immediately; approved files stay yours.

        Args:
            job_id: the job, or its id (`job_…`).
            **options: `timeout` (seconds for one attempt, above 0), `extra_headers`, `extra_query`,
                `extra_body`, `idempotency_key`; see `jobs.create`.

        Returns:
            The job, `cancelled`.

        Raises:
            ConflictError: the job is finished.
            NotFoundError: no job has this id.
            FirstHandError: any other failure; its subclass names it.

        Contract: §2 "Jobs".
        """
        path = f"/v1/jobs/{check_id(job_id, 'job_id')}/cancel"
        return self._write(Job, "POST", path, **options)

    def rate(
        self, job_id: Job | str, *, rating: int, feedback: str | None = None, **options: Unpack[PostOptions]
    ) -> Job:
        """Rate a completed job.

        Args:
            job_id: the job, or its id (`job_…`).
            rating: 1 to 5 stars.
            feedback: your words on the job.
            **options: `timeout` (seconds for one attempt, above 0), `extra_headers`, `extra_query`,
                `extra_body`, `idempotency_key`; see `jobs.create`.

        Returns:
            The job, with its `buyer_rating`.

        Raises:
            ConflictError: the job is not completed.
            NotFoundError: no job has this id.
            FirstHandError: any other failure; its subclass names it.

        Contract: §2 "Jobs".
        """
        with importing():
            from firsthandapi.types.job_arguments import JobRateParams
        path = f"/v1/jobs/{check_id(job_id, 'job_id')}/rate"
        params = check(JobRateParams, {"rating": rating, "feedback": feedback})
        return self._write(Job, "POST", path, params, **options)

    def wait(
        self,
        job_id: Job | str,
        *,
        timeout: float | None = DEFAULT_WAIT,
        on_update: Callback[Job] | None = None,
        **options: Unpack[ExtraOptions],
    ) -> Job:
        """Wait until a job is completed or cancelled. The service holds each poll until the status changes.

        Args:
            job_id: the job, or its id (`job_…`).
            timeout: seconds for the whole wait, 0 or more; None waits without limit. The client's `timeout`
                applies to each poll.
            on_update: called with the job when first read, after each change of `status` or `files_approved`,
                and when finished.
            **options: `extra_headers`, `extra_query`; see `jobs.create`.

        Returns:
            The job, `completed` or `cancelled`.

        Raises:
            WaitTimeoutError: the job did not finish in time; `.job` is its last state seen. The job continues.
            NotFoundError: no job has this id.
            AuthenticationError: the API key was revoked.
            RateLimitError, ServerError: when the response came, the service asked for a longer pause than the wait
                had left.
            InvalidArgumentError: an argument is not allowed by the contract. Nothing was sent.

        Contract: §1 "Long-poll", §4 "Status of a job".
        """
        is_new = self._is_new(job_id)
        job_id = check_id(job_id, "job_id")
        timeout = check_whole_timeout(timeout)
        check_callback(on_update, "on_update")
        with self._span("jobs.wait", job_id), naming(job_id, "run the same call again", exists=False):
            waiting = self._waiting(job_id, self._ends(timeout), is_new, **options)
            return self._wait(waiting, on_update)

    def wait_all(
        self,
        ids: Iterable[Job | str],
        *,
        timeout: float | None = DEFAULT_WAIT,
        on_update: Callback[Job] | None = None,
        **options: Unpack[ExtraOptions],
    ) -> list[Job]:
        """Wait until all of these jobs are completed or cancelled. One list shows them all, so 100 cost about as
        many requests as one: at most 20 per minute.

        Args:
            ids: the ids (`job_…`) of the jobs, or the jobs; one may come twice. A `Job` that is finished is not
                read again.
            timeout: seconds for the whole wait, 0 or more; None waits without limit. The client's `timeout`
                applies to each request.
            on_update: called with each job when first read, after each change of `status` or `files_approved`,
                and when finished.
            **options: `extra_headers`, `extra_query`; see `jobs.create`.

        Returns:
            The jobs, each `completed` or `cancelled`, in the order given; an empty list for no jobs.

        Raises:
            WaitTimeoutError: some did not finish in time; `.job` is the last state seen of the first of them, and
                the message says how many did. They continue.
            NotFoundError: no job has one of the ids; the message says which.
            AuthenticationError: the API key was revoked.
            InvalidArgumentError: an argument is not allowed by the contract. Nothing was sent.
            FirstHandError: any other failure; its subclass names it.

        Contract: §2 "Jobs", §4 "Status of a job".
        """
        with importing():
            from firsthandapi._sync.waiting_all import WaitingAll
        entries = _check_jobs(ids)
        jobs = [
            entry if isinstance(entry, Job) and entry.is_terminal else getattr(entry, "id", entry)
            for entry in entries
        ]
        new = frozenset(job.id for job in entries if isinstance(job, Job) and self._is_new(job))
        timeout = check_whole_timeout(timeout)
        check_callback(on_update, "on_update")
        unfinished = [job_id for job_id in jobs if isinstance(job_id, str)]
        with (
            self._span("jobs.wait_all"),
            naming(several(unfinished), "run the same call again", exists=False),
        ):
            ends = self._ends(timeout)
            waiting = WaitingAll(self._transport, jobs, new=new, ends=ends, on_update=on_update, **options)
            return waiting.wait()

    def create_and_wait(
        self,
        *,
        description: str,
        files_needed: int,
        accepted_formats: Sequence[MediaFormat],
        price_per_file_cents: int,
        type: JobType = "data_collection",
        title: str | None = None,
        min_star_rating: int | None = None,
        files_per_submission: int | None = None,
        scoring_criteria: str | None = None,
        min_width: int | None = None,
        min_height: int | None = None,
        worker_guidelines: str | None = None,
        location: Mapping[str, Any] | None = None,
        deadline: date | str | None = None,
        max_workers: int | None = None,
        metadata: Mapping[str, Any] | None = None,
        max_spend_cents: int | None = None,
        extra_headers: Mapping[str, str] | None = None,
        extra_query: Mapping[str, Any] | None = None,
        extra_body: Mapping[str, Any] | None = None,
        idempotency_key: str | None = None,
        key_since: datetime | None = None,
        timeout: float | None = DEFAULT_WAIT,
        on_update: Callback[Job] | None = None,
    ) -> Job:
        """Post a job and wait until it is completed or cancelled.

        The call is finished when it returns. If anything stops it before that, the job continues, and with the client's
        `journal` the same call waits for that job instead of posting another one.

        Args:
            description: what workers are asked for, 10 to 5,000 characters.
            files_needed: number of files, 1 to 10,000.
            accepted_formats: MIME types, at least one, such as `["image/jpeg"]`.
            price_per_file_cents: price of one approved file, in US cents, 10 to 50,000.
            type: `data_collection`, or `feedback` on content that the description links to.
            title: a short label, at most 100 characters.
            min_star_rating: lowest rating to approve, 1 to 5; the service's default is 3.
            files_per_submission: number of files that one submission may contain, 1 to 5; the service's default is 1.
            scoring_criteria: what the scorer looks for besides the description, at most 1,000 characters.
            min_width: lowest width, in pixels, at least 1; smaller files are rejected before scoring.
            min_height: lowest height, in pixels, at least 1; smaller files are rejected before scoring.
            worker_guidelines: further instructions to workers.
            location: where workers must be: `{"latitude", "longitude", "radius_km"}` or `{"city", "state"}`.
            deadline: when an unfinished job is cancelled and refunded: an aware datetime or an ISO 8601 string.
            max_workers: number of workers who may take part, at least 1; None means any number.
            metadata: your own values, at most 20 keys; `jobs.collect` needs one, so 19 there.
            max_spend_cents: most that the job may cost, in US cents; the smaller of this and the client's applies.
            extra_headers: headers to add; not Authorization, Idempotency-Key, or Content-Type.
            extra_query: query parameters to add, for what this version does not know yet.
            extra_body: fields to add to the body, or to replace in it, unchecked.
            idempotency_key: 1 to 255 printable ASCII characters; with the same one, calls within 24 hours act once.
            key_since: an aware datetime before which the idempotency key was not used: the search for its job reads
                only jobs that are younger, or older by less than a day. `create` and `create_and_wait` search only with
                the client's `journal`.
            timeout: seconds for posting the job and the wait, 0 or more; None waits without limit. The client's
                `timeout` applies to each request.
            on_update: called with the job when posted, after each change of `status` or `files_approved`, and when
                finished.

        Returns:
            The job, `completed` or `cancelled`.

        Raises:
            WaitTimeoutError: the job did not finish in time; `.job` is its last state seen. The job continues. Without
                a `.job`, the service did not confirm it in time, and the message says how to repeat the call safely.
            SpendLimitError: the job would cost more than allowed. Nothing was sent.
            InsufficientCreditsError: the balance does not cover the job.
            IdempotencyError: the idempotency key was used with other arguments.
            FirstHandError: any other failure; its subclass names it.

        Contract: §1 "Long-poll", §2 "Jobs".
        """
        with importing():
            from firsthandapi._sync.waiting import Waiting
        timeout = check_whole_timeout(timeout)
        check_callback(on_update, "on_update")
        ends = self._ends(timeout)
        # Even without a wait, the POST gets a moment.
        seconds = None if timeout is None else max(timeout, 1.0)
        with Held() as held:
            transport = self._transport.holding(held, seconds)
            config = transport.config
            recorded = config.journal is not None
            with self._span("jobs.create_and_wait"):
                with confirming(seconds, deadline=config.deadline, recorded=recorded):
                    job = Jobs(transport).create(
                        description=description,
                        files_needed=files_needed,
                        accepted_formats=accepted_formats,
                        price_per_file_cents=price_per_file_cents,
                        type=type,
                        title=title,
                        min_star_rating=min_star_rating,
                        files_per_submission=files_per_submission,
                        scoring_criteria=scoring_criteria,
                        min_width=min_width,
                        min_height=min_height,
                        worker_guidelines=worker_guidelines,
                        location=location,
                        deadline=deadline,
                        max_workers=max_workers,
                        metadata=metadata,
                        max_spend_cents=max_spend_cents,
                        extra_headers=extra_headers,
                        extra_query=extra_query,
                        extra_body=extra_body,
                        idempotency_key=idempotency_key,
                        key_since=key_since,
                    )
                key = held.key or job.response.idempotency_key
                if not is_id(job.id):  # it becomes part of a path
                    raise without_usable_id(job, key)
                name_job(job.id)
                advice = f"client.jobs.wait({job.id!r}) waits for it; the same call would post another job"
                if recorded:
                    advice = "run the same call again, which posts no other job"
                waiting = Waiting(transport, job.id, ends=ends, job=job, is_new=True, advice=advice)
                with naming(job.id, advice), paid_for(job, key):
                    return self._wait(waiting, on_update)

    def _is_new(self, job: Job | str) -> bool:
        """Whether a job was just posted, so that reads may not show it yet."""
        if not isinstance(job, Job):
            return False
        with importing():
            from firsthandapi._core.calls.longpoll import LIST_LAGS
        created = fitting(job).created_at
        return created is not None and abs(self._transport.clock.time() - created.timestamp()) < LIST_LAGS

    def _waiting(
        self,
        job_id: str,
        ends: float | None,
        is_new: bool,
        /,
        *,
        extra_headers: Mapping[str, str] | None = None,
        extra_query: Mapping[str, Any] | None = None,
    ) -> Waiting:
        with importing():
            from firsthandapi._sync.waiting import Waiting
        options = ExtraOptions(extra_headers=extra_headers, extra_query=extra_query)
        return Waiting(self._transport, job_id, ends=ends, is_new=is_new, **options)

    def _wait(self, waiting: Waiting, on_update: Callback[Job] | None) -> Job:
        job = waiting.first()
        call_back(on_update, job)
        while not job.is_terminal:
            waiting.change()
            job = waiting.first()
            call_back(on_update, job)
        return job

    def follow(
        self, job_id: Job | str, *, timeout: float | None = DEFAULT_WAIT, **options: Unpack[ExtraOptions]
    ) -> Iterator[File]:
        """Iterate over a job's approved files, each once, as they are approved, until the job is finished.

        Args:
            job_id: the job, or its id (`job_…`).
            timeout: seconds for the whole walk, 0 or more; None waits without limit. The client's `timeout`
                applies to each request.
            **options: `extra_headers`, `extra_query`; see `jobs.create`.

        Returns:
            An iterator of files, each with a fresh download URL, at most 12 seconds after its approval.

        Raises:
            WaitTimeoutError: the job did not finish in time. The files returned so far are good.
            NotFoundError: no job has this id.
            FirstHandError: any other failure; its subclass names it.

        Contract: §2 "Files", §4 "Status of a job".
        """
        with importing():
            from firsthandapi._sync.collecting import Collecting
        is_new = self._is_new(job_id)
        job_id = check_id(job_id, "job_id")
        timeout = check_whole_timeout(timeout)
        return Collecting(self._transport, **options).follow(job_id, timeout=timeout, is_new=is_new)

    def collect(
        self,
        dest: str | os.PathLike[str],
        *,
        description: str,
        files_needed: int,
        accepted_formats: Sequence[MediaFormat],
        price_per_file_cents: int,
        type: JobType = "data_collection",
        title: str | None = None,
        min_star_rating: int | None = None,
        files_per_submission: int | None = None,
        scoring_criteria: str | None = None,
        min_width: int | None = None,
        min_height: int | None = None,
        worker_guidelines: str | None = None,
        location: Mapping[str, Any] | None = None,
        deadline: date | str | None = None,
        max_workers: int | None = None,
        metadata: Mapping[str, Any] | None = None,
        max_spend_cents: int | None = None,
        extra_headers: Mapping[str, str] | None = None,
        extra_query: Mapping[str, Any] | None = None,
        extra_body: Mapping[str, Any] | None = None,
        idempotency_key: str | None = None,
        key_since: datetime | None = None,
        timeout: float | None = DEFAULT_WAIT,
        concurrency: int = 32,
        on_progress: Callback[Progress] | None = None,
        progress: bool = True,
        label: str | None = None,
    ) -> Dataset:
        """Post a job, wait for it, and download its files into a folder that loaders can read.

        Files are downloaded while the job runs. After a crash at any point, the same call with the same `dest`
        continues the same job: it posts nothing twice and downloads only missing files. A record in
        `.firsthandapi/orders` names the job. A different order of `accepted_formats` or a different `deadline` makes no
        other call; the job keeps its own deadline. On a machine whose disk does not last, such as a CI runner, pass an
        `idempotency_key`: the same key continues the same job from an empty folder, at any age.

        Args:
            dest: the folder; created if missing. Two processes in one folder take turns. Or a bucket, as a URL such
                as `s3://bucket/signs` (extra `remote`), to which only one process may write at a time.
            description: what workers are asked for, 10 to 5,000 characters.
            files_needed: number of files, 1 to 10,000.
            accepted_formats: MIME types, at least one, such as `["image/jpeg"]`.
            price_per_file_cents: price of one approved file, in US cents, 10 to 50,000.
            type: `data_collection`, or `feedback` on content that the description links to.
            title: a short label, at most 100 characters.
            min_star_rating: lowest rating to approve, 1 to 5; the service's default is 3.
            files_per_submission: number of files that one submission may contain, 1 to 5; the service's default is 1.
            scoring_criteria: what the scorer looks for besides the description, at most 1,000 characters.
            min_width: lowest width, in pixels, at least 1; smaller files are rejected before scoring.
            min_height: lowest height, in pixels, at least 1; smaller files are rejected before scoring.
            worker_guidelines: further instructions to workers.
            location: where workers must be: `{"latitude", "longitude", "radius_km"}` or `{"city", "state"}`.
            deadline: when an unfinished job is cancelled and refunded: an aware datetime or an ISO 8601 string.
            max_workers: number of workers who may take part, at least 1; None means any number.
            metadata: your own values, at most 20 keys; `jobs.collect` needs one, so 19 there.
            max_spend_cents: most that the job may cost, in US cents; the smaller of this and the client's applies.
            extra_headers: headers to add; not Authorization, Idempotency-Key, or Content-Type.
            extra_query: query parameters to add, for what this version does not know yet.
            extra_body: fields to add to the body, or to replace in it, unchecked.
            idempotency_key: 1 to 255 printable ASCII characters; with the same one, calls within 24 hours act once.
            key_since: an aware datetime before which the idempotency key was not used: the search for its job reads
                only jobs that are younger, or older by less than a day. `create` and `create_and_wait` search only with
                the client's `journal`.
            timeout: seconds for the whole call, 0 or more; None waits without limit. The client's `timeout` applies
                to each request.
            concurrency: connections at once, 1 to 64.
            on_progress: called with a `Progress`, in your thread or loop, in place of the line of `progress`.
            progress: whether to redraw one line on standard error, on a terminal and in a notebook. With
                `FIRSTHAND_PROGRESS=0` in the environment, none is shown.
            label: the class of the files: they go to `data/<label>/`, and their rows contain it and the worker. Calls
                with different labels fill one folder, each with a job of its own. 1 to 64 letters, digits, spaces, and
                `_ - .`, and no word that loaders take for a split, such as `test`.

        Returns:
            The dataset: `len`, iteration, `verify`, `to_pandas`.

        Raises:
            IncompleteJobError: the job finished with fewer files than requested; `.dataset` contains those. A completed
                job that counts too few is waited for first, up to a day after its end.
            DownloadError: some files could not be downloaded, even in a second try at the end, or the disk is full; all
                others are in the folder, and the same call downloads the rest.
            WaitTimeoutError: the job did not finish in time; the same call continues it.
            SpendLimitError: the job would cost more than allowed, and was not posted before. Nothing was sent.
            InsufficientCreditsError: the balance does not cover the job.
            PermissionDeniedError: the API key may not read jobs, or not post them. Nothing was posted.
            ConfigurationError: `dest` cannot be written to, its record is damaged or of a later version, downloads
                cannot use the client's `proxy`, or an extra is missing. Nothing was posted.
            InvalidArgumentError: `dest` belongs to a different request, has labels and none was given, or `label` is
                not allowed.
            FirstHandError: any other failure; its subclass names it. If it ends the call after the job was posted,
                `.job` is the job.

        Contract: §1 "Idempotency", §2 "Jobs", "Files".
        """
        with importing():
            from firsthandapi._sync.collecting import Collecting
            from firsthandapi.types.job_arguments import JobCreateParams
        timeout = check_whole_timeout(timeout)
        since = check_since(key_since, self._transport.clock.time())
        params = check(
            JobCreateParams,
            {
                "description": description,
                "files_needed": files_needed,
                "accepted_formats": accepted_formats,
                "price_per_file_cents": price_per_file_cents,
                "type": type,
                "title": title,
                "min_star_rating": min_star_rating,
                "files_per_submission": files_per_submission,
                "scoring_criteria": scoring_criteria,
                "min_width": min_width,
                "min_height": min_height,
                "worker_guidelines": worker_guidelines,
                "location": location,
                "deadline": deadline,
                "max_workers": max_workers,
                "metadata": metadata,
            },
        )
        too_costly: SpendLimitError | None = None
        try:
            self._check_spend(params, extra_body, max_spend_cents)
        except SpendLimitError as error:
            too_costly = error  # unless the folder has its job already
        with self._span("jobs.collect"), progress_line(on_progress, progress, dest) as callback:
            collecting = Collecting(self._transport, extra_headers=extra_headers, extra_query=extra_query)
            return collecting.collect(
                dest,
                params,
                timeout=timeout,
                concurrency=concurrency,
                on_progress=callback,
                idempotency_key=idempotency_key,
                key_since=since,
                extra_body=extra_body,
                label=label,
                too_costly=too_costly,
            )

    def _sent(self, params: JobCreateParams, extra_body: Mapping[str, Any] | None) -> dict[str, Any]:
        """What decides the cost. It is what is sent, and extra_body may have the last word on that."""
        sent = {"files_needed": params.files_needed, "price_per_file_cents": params.price_per_file_cents}
        return sent | {**check_mapping(extra_body, "extra_body")}

    def _check_spend(
        self, params: JobCreateParams, extra_body: Mapping[str, Any] | None, max_spend_cents: int | None
    ) -> None:
        sent = self._sent(params, extra_body)
        check_spend(
            sent["files_needed"],
            sent["price_per_file_cents"],
            check_limit(max_spend_cents),
            self._transport.config.max_spend_cents,
        )

    def estimate(
        self,
        *,
        description: str,
        files_needed: int,
        accepted_formats: Sequence[MediaFormat],
        price_per_file_cents: int,
        type: JobType = "data_collection",
        title: str | None = None,
        min_star_rating: int | None = None,
        files_per_submission: int | None = None,
        scoring_criteria: str | None = None,
        min_width: int | None = None,
        min_height: int | None = None,
        worker_guidelines: str | None = None,
        location: Mapping[str, Any] | None = None,
        deadline: date | str | None = None,
        max_workers: int | None = None,
        metadata: Mapping[str, Any] | None = None,
        max_spend_cents: int | None = None,
        extra_headers: Mapping[str, str] | None = None,
        extra_query: Mapping[str, Any] | None = None,
        extra_body: Mapping[str, Any] | None = None,
        idempotency_key: str | None = None,
        key_since: datetime | None = None,
        timeout: float | None = None,
    ) -> Estimate:
        """Estimate what a job costs, and how long it may take, from your own finished jobs. Nothing is posted.

        Takes what `jobs.create` takes. It sends at most 4 requests: for the newest finished jobs of the same type that
        took one of the formats, up to 100 of them, and for the newest submissions to those.

        Args:
            description: what workers are asked for, 10 to 5,000 characters.
            files_needed: number of files, 1 to 10,000.
            accepted_formats: MIME types, at least one, such as `["image/jpeg"]`.
            price_per_file_cents: price of one approved file, in US cents, 10 to 50,000.
            type: `data_collection`, or `feedback` on content that the description links to.
            title: a short label, at most 100 characters.
            min_star_rating: lowest rating to approve, 1 to 5; the service's default is 3.
            files_per_submission: number of files that one submission may contain, 1 to 5; the service's default is 1.
            scoring_criteria: what the scorer looks for besides the description, at most 1,000 characters.
            min_width: lowest width, in pixels, at least 1; smaller files are rejected before scoring.
            min_height: lowest height, in pixels, at least 1; smaller files are rejected before scoring.
            worker_guidelines: further instructions to workers.
            location: where workers must be: `{"latitude", "longitude", "radius_km"}` or `{"city", "state"}`.
            deadline: when an unfinished job is cancelled and refunded: an aware datetime or an ISO 8601 string.
            max_workers: number of workers who may take part, at least 1; None means any number.
            metadata: your own values, at most 20 keys; `jobs.collect` needs one, so 19 there.
            max_spend_cents: most that the job may cost, in US cents; the smaller of this and the client's applies.
            extra_headers: headers to add; not Authorization, Idempotency-Key, or Content-Type.
            extra_query: query parameters to add, for what this version does not know yet.
            extra_body: fields to add to the body, or to replace in it, unchecked.
            idempotency_key: 1 to 255 printable ASCII characters; with the same one, calls within 24 hours act once.
            key_since: an aware datetime before which the idempotency key was not used: the search for its job reads
                only jobs that are younger, or older by less than a day. `create` and `create_and_wait` search only with
                the client's `journal`.
            timeout: seconds for one attempt, above 0; None uses the client's.

        Returns:
            The cost, the number of jobs that the rest is from, the share of submissions that were approved, and the
            hours that half and nine of ten of these jobs took; the last three are None where there are none.

        Raises:
            InvalidArgumentError: an argument is not allowed by the contract. Nothing was sent.
            FirstHandError: any other failure; its subclass names it.

        Contract: §2 "Jobs", "Submissions".
        """
        del max_spend_cents, idempotency_key, key_since  # nothing is spent
        with importing():
            from firsthandapi._core.calls.estimate import MOST_JOBS, estimate, finished_like
            from firsthandapi._sync.resources.submissions import Submissions
            from firsthandapi.types.job_arguments import JobCreateParams
        params = check(
            JobCreateParams,
            {
                "description": description,
                "files_needed": files_needed,
                "accepted_formats": accepted_formats,
                "price_per_file_cents": price_per_file_cents,
                "type": type,
                "title": title,
                "min_star_rating": min_star_rating,
                "files_per_submission": files_per_submission,
                "scoring_criteria": scoring_criteria,
                "min_width": min_width,
                "min_height": min_height,
                "worker_guidelines": worker_guidelines,
                "location": location,
                "deadline": deadline,
                "max_workers": max_workers,
                "metadata": metadata,
            },
        )
        sent = self._sent(params, extra_body)
        files, price_cents = sent["files_needed"], sent["price_per_file_cents"]
        check_spend(files, price_cents, sys.maxsize)  # both are ints
        options = RequestOptions(timeout=timeout, extra_headers=extra_headers, extra_query=extra_query)
        completed = self.list(status="completed", type=params.type, **options)
        cancelled = self.list(status="cancelled", type=params.type, **options)
        jobs = [*completed.data, *cancelled.data]
        similar = finished_like(jobs, params.type, params.accepted_formats)
        older_page = completed.next_page() if len(similar) < MOST_JOBS else None
        if older_page is not None:
            similar = finished_like([*jobs, *older_page.data], params.type, params.accepted_formats)
        submissions: list[Submission] = []
        if similar:
            oldest = min(job.created_at for job in similar if job.created_at)
            page = Submissions(self._transport).list(start_date=oldest, **options)
            next_page = page.next_page() if older_page is None else None
            submissions = [*page.data, *([] if next_page is None else next_page.data)]
        return estimate(files * price_cents, similar, submissions)

    # Below `wait` and the rest: in a class body, `list` would hide the built-in from what follows it.
    def list(
        self,
        *,
        status: JobStatus | None = None,
        type: JobType | None = None,
        created_after: date | str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
        **options: Unpack[RequestOptions],
    ) -> Page[Job]:
        """List jobs.

        Args:
            status: only `open`, `filled`, `in_progress`, `completed`, or `cancelled` jobs.
            type: only `data_collection` or `feedback` jobs.
            created_after: earliest creation time: an aware datetime or an ISO 8601 string.
            limit: items per page, 1 to 100; None asks for 100, since requests are limited.
            cursor: `next_cursor` of an earlier page: start after that page.
            **options: `timeout` (seconds for one attempt, above 0), `extra_headers`, `extra_query`; see `jobs.create`.

        Returns:
            The first page; `for` walks the items of every page, newest first.

        Raises:
            PaginationError: the service repeated a cursor (while walking).
            FirstHandError: any other failure; its subclass names it.

        Contract: §2 "Jobs".
        """
        with importing():
            from firsthandapi.types.job_arguments import JobListParams
        values = {
            "status": status,
            "type": type,
            "created_after": created_after,
            "limit": limit,
            "cursor": cursor,
        }
        return self._list(Job, "/v1/jobs", check(JobListParams, values), **options)


def _check_jobs(ids: Iterable[Job | str]) -> list[str | Job]:
    """The jobs and ids, as they were given.

    Raises:
        InvalidArgumentError: one is no id of a job.
    """
    if isinstance(ids, (str, Job, Mapping)) or not isinstance(ids, Iterable):
        raise InvalidArgumentError("ids must be a list of job ids, such as [job.id]", field="ids")
    entries = list(ids)
    for number, entry in enumerate(entries):
        check_id(entry.id if isinstance(entry, Job) else entry, f"ids[{number}]")
    return entries
