# Made from _async/resources/jobs.py by `make generate`. Do not edit.
"""Jobs (contract §2)."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING, Any, Required

from typing_extensions import TypedDict, Unpack

from firsthandapi._core.arguments import check
from firsthandapi._core.longpoll import Pauses, poll_wait, was_held
from firsthandapi._core.request import build_request, check_id, check_limit_seconds, check_mapping
from firsthandapi._core.spend import check_limit, check_spend
from firsthandapi._sync.bridge import Callback, call_back, check_callback
from firsthandapi._sync.calls import Body, Headers, Query, Resource
from firsthandapi._sync.pages import Page
from firsthandapi.errors import FirstHandError, WaitTimeoutError
from firsthandapi.types.enums import JobStatus, JobType, MediaFormat
from firsthandapi.types.job import Job, JobCreate, JobGet, JobList, JobRate

if TYPE_CHECKING:
    from firsthandapi._core.reports import Progress
    from firsthandapi.datasets import Dataset
    from firsthandapi.types.file import File

# A day: longer than nearly every job takes.
DEFAULT_WAIT = 86_400.0


class CollectFields(TypedDict, total=False):
    """What describes a job."""

    description: Required[str]
    files_needed: Required[int]
    accepted_formats: Required[Sequence[MediaFormat]]
    price_per_file_cents: Required[int]
    type: JobType
    title: str | None
    min_star_rating: int | None
    files_per_submission: int | None
    scoring_criteria: str | None
    min_width: int | None
    min_height: int | None
    worker_guidelines: str | None
    location: Mapping[str, Any] | None
    deadline: date | str | None
    max_workers: int | None
    metadata: Mapping[str, Any] | None
    max_spend_cents: int | None
    extra_body: Body | None


class JobFields(CollectFields, total=False):
    """What `jobs.create` takes, but `timeout`."""

    idempotency_key: str | None
    extra_headers: Headers | None
    extra_query: Query | None


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
        idempotency_key: str | None = None,
        max_spend_cents: int | None = None,
        timeout: float | None = None,
        extra_headers: Headers | None = None,
        extra_query: Query | None = None,
        extra_body: Body | None = None,
    ) -> Job:
        """Post a job. It costs `files_needed` × `price_per_file_cents`, held in escrow at once.

        Args:
            description: what workers are asked for, 10 to 5,000 characters.
            files_needed: how many files, 1 to 10,000.
            accepted_formats: MIME types, at least one, such as `["image/jpeg"]`.
            price_per_file_cents: what one approved file costs, in US cents, 10 to 50,000.
            type: `data_collection`, or `feedback` on content that the description links to.
            title: a short label, at most 100 characters.
            min_star_rating: approve what is rated so or better, 1 to 5; the service's default is 3.
            files_per_submission: how many files one submission may bring, 1 to 5; the service's default is 1.
            scoring_criteria: what the scorer looks for besides the description, at most 1,000 characters.
            min_width, min_height: pixels, at least 1; smaller files are rejected before scoring.
            worker_guidelines: further instructions.
            location: where workers must be: `{"latitude", "longitude", "radius_km"}` or `{"city", "state"}`.
            deadline: when the job is cancelled and refunded if it is not done: an aware datetime or an ISO
                8601 string.
            max_workers: how many workers may take part; None means any number.
            metadata: your own values, at most 20 keys.
            idempotency_key: 1 to 255 printable ASCII characters; within 24 hours the same key and arguments
                buy one job. None makes one for this call and its retries.
            max_spend_cents: the most the job may cost, in US cents; with the client's own, the smaller wins.
            timeout, extra_headers, extra_query, extra_body: see `FirstHandClient`, "Every method".

        Returns:
            The job, `open`.

        Raises:
            SpendLimitError: it would cost more than allowed. Nothing was sent.
            InvalidArgumentError: an argument is not what the contract allows. Nothing was sent.
            InsufficientCreditsError: the balance does not cover the job.
            IdempotencyError: the key was used with other arguments.
            FirstHandApiError: the service answered with another error.
            FirstHandConnectionError: the service could not be reached.

        Contract: §2 "Jobs".
        """
        check_limit(max_spend_cents)
        params = check(
            JobCreate,
            {
                "type": type,
                "description": description,
                "files_needed": files_needed,
                "accepted_formats": accepted_formats,
                "price_per_file_cents": price_per_file_cents,
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
        # What is sent decides what is paid, and extra_body may have the last word on it.
        sent = {
            "files_needed": params.files_needed,
            "price_per_file_cents": params.price_per_file_cents,
            **check_mapping(extra_body, "extra_body"),
        }
        limits = (max_spend_cents, self._transport.config.max_spend_cents)
        check_spend(sent["files_needed"], sent["price_per_file_cents"], *limits)
        return self._write(
            Job,
            "POST",
            "/v1/jobs",
            params,
            idempotency_key=idempotency_key,
            timeout=timeout,
            extra_headers=extra_headers,
            extra_query=extra_query,
            extra_body=extra_body,
        )

    def get(
        self,
        job_id: str,
        *,
        wait: int | None = None,
        timeout: float | None = None,
        extra_headers: Headers | None = None,
        extra_query: Query | None = None,
    ) -> Job:
        """Read a job, at once or when its status changes.

        Args:
            job_id: its id (`job_…`).
            wait: seconds, 1 to 60, that the service may hold the answer until the status changes.
            timeout, extra_headers, extra_query: see `FirstHandClient`, "Every method". `wait` comes on
                top of the timeout.

        Returns:
            The job; after `wait` seconds without a change, as it is.

        Raises:
            NotFoundError: there is no such job.
            InvalidArgumentError: an argument is not what the contract allows. Nothing was sent.
            FirstHandApiError: the service answered with an error.
            FirstHandConnectionError: the service could not be reached.

        Contract: §1 "Long-poll", §2 "Jobs".
        """
        path = f"/v1/jobs/{check_id(job_id, 'job_id')}"
        return self._get(
            Job,
            path,
            wait=check(JobGet, {"wait": wait}).wait,
            timeout=timeout,
            extra_headers=extra_headers,
            extra_query=extra_query,
        )

    def cancel(
        self,
        job_id: str,
        *,
        idempotency_key: str | None = None,
        timeout: float | None = None,
        extra_headers: Headers | None = None,
        extra_query: Query | None = None,
        extra_body: Body | None = None,
    ) -> Job:
        """Cancel a job that is not done. The unused escrow is refunded at once; approved files stay yours.

        Args:
            job_id: its id (`job_…`).
            idempotency_key, timeout, extra_headers, extra_query, extra_body: see `FirstHandClient`,
                "Every method".

        Returns:
            The job, `cancelled`.

        Raises:
            ConflictError: it is over already.
            NotFoundError: there is no such job.
            FirstHandApiError: the service answered with another error.
            FirstHandConnectionError: the service could not be reached.

        Contract: §2 "Jobs".
        """
        path = f"/v1/jobs/{check_id(job_id, 'job_id')}/cancel"
        return self._write(
            Job,
            "POST",
            path,
            idempotency_key=idempotency_key,
            timeout=timeout,
            extra_headers=extra_headers,
            extra_query=extra_query,
            extra_body=extra_body,
        )

    def rate(
        self,
        job_id: str,
        *,
        rating: int,
        feedback: str | None = None,
        idempotency_key: str | None = None,
        timeout: float | None = None,
        extra_headers: Headers | None = None,
        extra_query: Query | None = None,
        extra_body: Body | None = None,
    ) -> Job:
        """Rate a completed job.

        Args:
            job_id: its id (`job_…`).
            rating: 1 to 5 stars.
            feedback: your words on it.
            idempotency_key, timeout, extra_headers, extra_query, extra_body: see `FirstHandClient`,
                "Every method".

        Returns:
            The job, with its `buyer_rating`.

        Raises:
            ConflictError: it is not completed.
            NotFoundError: there is no such job.
            InvalidArgumentError: an argument is not what the contract allows. Nothing was sent.
            FirstHandApiError: the service answered with another error.
            FirstHandConnectionError: the service could not be reached.

        Contract: §2 "Jobs".
        """
        path = f"/v1/jobs/{check_id(job_id, 'job_id')}/rate"
        return self._write(
            Job,
            "POST",
            path,
            check(JobRate, {"rating": rating, "feedback": feedback}),
            idempotency_key=idempotency_key,
            timeout=timeout,
            extra_headers=extra_headers,
            extra_query=extra_query,
            extra_body=extra_body,
        )

    def wait(
        self,
        job_id: str,
        *,
        timeout: float | None = DEFAULT_WAIT,
        on_update: Callback[Job] | None = None,
        extra_headers: Headers | None = None,
        extra_query: Query | None = None,
    ) -> Job:
        """Wait until a job is completed or cancelled. The service holds each poll until the status changes.

        Args:
            job_id: its id (`job_…`).
            timeout: seconds for the whole wait, 0 or more; None waits without limit. The client's own
                `timeout` holds for each poll.
            on_update: called with the job as first read, after each change of `status` or `files_approved`,
                and as it ended.
            extra_headers, extra_query: see `FirstHandClient`, "Every method".

        Returns:
            The job, `completed` or `cancelled`.

        Raises:
            WaitTimeoutError: it was not over in time; `.job` is its last state seen. The job goes on.
            NotFoundError: there is no such job.
            AuthenticationError: the key was revoked.
            RateLimitError: the service asks for a longer pause than the wait has left.
            InvalidArgumentError: an argument is not what the contract allows. Nothing was sent.

        Contract: §1 "Long-poll", §4 "Status of a job".
        """
        check_id(job_id, "job_id")
        check_limit_seconds(timeout, "timeout")
        check_callback(on_update, "on_update")
        return self._wait(
            job_id,
            None,
            timeout=timeout,
            on_update=on_update,
            extra_headers=extra_headers,
            extra_query=extra_query,
        )

    def create_and_wait(
        self,
        *,
        timeout: float | None = DEFAULT_WAIT,
        on_update: Callback[Job] | None = None,
        **fields: Unpack[JobFields],
    ) -> Job:
        """Post a job and wait until it is completed or cancelled.

        Args:
            timeout: seconds for the wait, 0 or more; None waits without limit.
            on_update: called with the job as created, after each change of `status` or `files_approved`, and
                as it ended.
            fields: what `create` takes, but `timeout`.

        Returns:
            The job, `completed` or `cancelled`.

        Raises:
            WaitTimeoutError: it was not over in time; `.job` is its last state seen. The job goes on.
            FirstHandError: what `create` and `wait` raise.

        Contract: §1 "Long-poll", §2 "Jobs".
        """
        check_limit_seconds(timeout, "timeout")
        check_callback(on_update, "on_update")
        job = self.create(**fields)
        check_id(job.id, "id")  # it becomes part of a path
        return self._wait(job.id, job, timeout=timeout, on_update=on_update)

    def _wait(
        self,
        job_id: str,
        job: Job | None,
        *,
        timeout: float | None,
        on_update: Callback[Job] | None,
        extra_headers: Headers | None = None,
        extra_query: Query | None = None,
    ) -> Job:
        clock = self._transport.clock
        ends = None if timeout is None else clock.monotonic() + timeout
        pauses = Pauses()
        failure: FirstHandError | None = None
        first = True
        if job is not None:
            first = False
            call_back(on_update, job)
        while job is None or not job.is_terminal:
            started = clock.monotonic()
            left = None if ends is None else ends - started
            # With a timeout of 0 the job is still looked at once.
            if left is not None and left <= 0 and not first:
                seen = "" if job is None else f": it is {job.status}, {job.files_approved} files approved"
                raise WaitTimeoutError(
                    f"{job_id} was not done after {timeout:g} s{seen}; the job goes on: call jobs.wait again",
                    job=job,
                ) from failure
            # The first read is not held, so that the caller sees the job at once.
            hold = None if job is None else poll_wait(left, self._transport.config.deadline)
            request = build_request(
                "GET",
                f"/v1/jobs/{job_id}",
                wait=hold,
                # The last poll of a wait needs a moment too.
                time_limit=None if left is None else max(left, 1.0),
                retry=False,
                extra_headers=extra_headers,
                extra_query=extra_query,
            )
            try:
                latest = self._read(Job, request)
            except FirstHandError as error:
                failure = error
                pause = pauses.after_failure(error, now=clock.time(), left=left)
            else:
                failure = None
                if job is None or (latest.status, latest.files_approved) != (job.status, job.files_approved):
                    call_back(on_update, latest)
                held = was_held(hold, clock.monotonic() - started)
                pause = pauses.after_answer(expected=held or job is None or latest.status != job.status)
                job = latest
            first = False
            if pause and ends is not None:
                pause = min(pause, max(ends - clock.monotonic(), 0.0))
            if pause:
                clock.sleep(pause)
        return job

    def follow(
        self,
        job_id: str,
        *,
        timeout: float | None = DEFAULT_WAIT,
        extra_headers: Headers | None = None,
        extra_query: Query | None = None,
    ) -> Iterator[File]:
        """Iterate over a job's approved files, each once, as they are approved, until the job is over.

        Args:
            job_id: its id (`job_…`).
            timeout: seconds for the whole walk, 0 or more; None waits without limit.
            extra_headers, extra_query: see `FirstHandClient`, "Every method".

        Returns:
            An iterator of files, each with a fresh download URL; a file comes within 12 seconds of its approval.

        Raises:
            WaitTimeoutError: the job was not over in time. What came so far is good.
            NotFoundError: there is no such job.
            InvalidArgumentError: an argument is not what the contract allows. Nothing was sent.

        Contract: §2 "Files", §4 "Status of a job".
        """
        from firsthandapi._sync.collecting import Collecting

        check_id(job_id, "job_id")
        check_limit_seconds(timeout, "timeout")
        collecting = Collecting(self._transport, extra_headers=extra_headers, extra_query=extra_query)
        return collecting.follow(job_id, timeout=timeout)

    def collect(
        self,
        dest: str | os.PathLike[str],
        *,
        timeout: float | None = DEFAULT_WAIT,
        concurrency: int = 32,
        on_progress: Callback[Progress] | None = None,
        idempotency_key: str | None = None,
        extra_headers: Headers | None = None,
        extra_query: Query | None = None,
        **fields: Unpack[CollectFields],
    ) -> Dataset:
        """Post a job, wait for it and fetch its files while it runs, into a folder that loaders read as it is.

        The same call with the same `dest` continues after a crash at any point: it posts nothing twice and
        fetches what is missing only. `job.json` in the folder says what was bought.

        Args:
            dest: the folder; made if it is not there. Two processes in one folder take turns. Or a bucket, as a
                URL such as `s3://bucket/signs` (extra `remote`), which two processes must not write to at once.
            timeout: seconds for the whole call, 0 or more; None waits without limit.
            concurrency: connections at once, 1 to 64.
            on_progress: called with a `Progress`, in your thread or loop.
            idempotency_key: for a machine whose disk does not last, such as a CI runner: the same key within 24
                hours continues the same job from an empty folder. None makes one and keeps it in the folder.
            extra_headers, extra_query: see `FirstHandClient`, "Every method".
            fields: what `create` takes, but `timeout`; `metadata` may have 19 keys.

        Returns:
            The dataset: `len`, iteration, `verify`, `to_pandas`.

        Raises:
            IncompleteJobError: the job ended with fewer files than asked for; `.dataset` has what there is.
            DownloadError: some files could not be fetched; all others are there, and the same call tries again.
            WaitTimeoutError: the job was not over in time; the same call continues it.
            SpendLimitError: it would cost more than allowed. Nothing was sent.
            InvalidArgumentError: an argument is not what the contract allows, or `dest` belongs to another
                request.
            ConfigurationError: `dest` cannot be written to, its `job.json` is not one of ours, or its extra is missing.
            FirstHandError: what `create` raises.

        Contract: §1 "Idempotency", §2 "Jobs", "Files".
        """
        from firsthandapi._sync.collecting import Collecting

        check_limit_seconds(timeout, "timeout")
        max_spend_cents, extra_body = fields.pop("max_spend_cents", None), fields.pop("extra_body", None)
        check_limit(max_spend_cents)
        params = check(JobCreate, fields)
        self._check_spend(params, extra_body, max_spend_cents)
        collecting = Collecting(self._transport, extra_headers=extra_headers, extra_query=extra_query)
        return collecting.collect(
            dest,
            params,
            timeout=timeout,
            concurrency=concurrency,
            on_progress=on_progress,
            idempotency_key=idempotency_key,
            extra_body=extra_body,
        )

    def _check_spend(self, params: JobCreate, extra_body: Body | None, max_spend_cents: int | None) -> None:
        # What is sent decides what is paid, and extra_body may have the last word on it.
        sent = {"files_needed": params.files_needed, "price_per_file_cents": params.price_per_file_cents}
        sent |= check_mapping(extra_body, "extra_body")
        check_spend(
            sent["files_needed"],
            sent["price_per_file_cents"],
            max_spend_cents,
            self._transport.config.max_spend_cents,
        )

    # Below `wait` and the rest: in a class body, `list` would hide the built-in from what follows it.
    def list(
        self,
        *,
        status: JobStatus | None = None,
        type: JobType | None = None,
        created_after: date | str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
        timeout: float | None = None,
        extra_headers: Headers | None = None,
        extra_query: Query | None = None,
    ) -> Page[Job]:
        """List jobs.

        Args:
            status: only `open`, `filled`, `in_progress`, `completed` or `cancelled` ones.
            type: only `data_collection` or `feedback` ones.
            created_after: only those created since: an aware datetime or an ISO 8601 string.
            limit: items a page, 1 to 100; None asks for 100, since requests are what is scarce.
            cursor: `next_cursor` of an earlier page: start after it.
            timeout, extra_headers, extra_query: see `FirstHandClient`, "Every method".

        Returns:
            The first page; `for` walks the items of every page, newest first.

        Raises:
            PaginationError: the service repeats a cursor (while walking).
            InvalidArgumentError: an argument is not what the contract allows. Nothing was sent.
            FirstHandApiError: the service answered with an error.
            FirstHandConnectionError: the service could not be reached.

        Contract: §2 "Jobs".
        """
        values = {
            "status": status,
            "type": type,
            "created_after": created_after,
            "limit": limit,
            "cursor": cursor,
        }
        return self._list(
            Job,
            "/v1/jobs",
            check(JobList, values),
            timeout=timeout,
            extra_headers=extra_headers,
            extra_query=extra_query,
        )
