"""Approved files (contract §2)."""

from __future__ import annotations

import os
import threading
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from firsthandapi._async.bridge import Callback, calls_from_threads, run_until_cancelled
from firsthandapi._async.calls import Resource
from firsthandapi._async.pages import AsyncPageRequest
from firsthandapi._base.forks import importing
from firsthandapi._base.progress import progress_line
from firsthandapi._core.calls.arguments import check
from firsthandapi._core.calls.request import check_id, check_timeout
from firsthandapi.errors import InvalidArgumentError
from firsthandapi.types._base import fitting
from firsthandapi.types.file import DownloadUrl, File, FileListParams
from firsthandapi.types.options import ExtraOptions, PostOptions, RequestOptions
from firsthandapi.types.submission import Submission

if TYPE_CHECKING:
    from firsthandapi._core.orders.reports import Progress
    from firsthandapi.datasets import Dataset
    from firsthandapi.types.job import Job


def _files_of(job_id: Job | str) -> str:
    return f"/v1/jobs/{check_id(job_id, 'job_id')}/files"


class Files(Resource):
    """Approved files; the API key needs the scope `jobs:read`."""

    def list(
        self,
        job_id: Job | str | None = None,
        *,
        submission_id: Submission | str | None = None,
        min_score: int | None = None,
        limit: int | None = None,
        cursor: str | None = None,
        **options: Unpack[RequestOptions],
    ) -> AsyncPageRequest[File]:
        """List a job's approved files, with annotations and fresh download URLs; or those of one submission, which an
        event `submission.approved` names.

        Args:
            job_id: the job, or its id (`job_…`). May be left out where `submission_id` is given, which costs one more
                request unless it is a Submission.
            submission_id: the submission, or its id (`sub_…`): only the files that it brought, whatever their rating.
                Pages leave the others out, so walk them: a page may be empty.
            min_score: minimum rating, 1 to 5 stars. The service's default is 3, so for a job with a lower
                `min_star_rating` pass 1 to see every approved file.
            limit: items per page, 1 to 100; None asks for 100, since requests are limited.
            cursor: `next_cursor` of an earlier page: start after that page.
            **options: `timeout` (seconds for one attempt, above 0), `extra_headers`, `extra_query`; see `jobs.create`.

        Returns:
            The first page when awaited; `async for` walks the items of every page, newest first.

        Raises:
            NotFoundError: no job has this id.
            PaginationError: the service repeated a cursor (while walking).
            FirstHandError: any other failure; its subclass names it.

        Contract: §2 "Files".
        """
        if submission_id is not None and min_score is None:
            min_score = 1
        params = check(FileListParams, {"min_score": min_score, "limit": limit, "cursor": cursor})
        if submission_id is None:
            if job_id is None:
                raise InvalidArgumentError("job_id is required, or submission_id=", field="job_id")
            return self._list(File, _files_of(job_id), params, **options)
        target_id = check_id(submission_id, "submission_id")
        job_id = job_id or getattr(submission_id, "job_id", None)
        paths = [] if job_id is None else [_files_of(job_id)]

        async def find() -> str:
            if not paths:
                submission = await self._get(Submission, f"/v1/submissions/{target_id}", **options)
                paths.append(_files_of(fitting(submission).job_id or ""))
            return paths[0]

        return self._list(
            File, "/v1/jobs", params, find, lambda file: file.submission_id == target_id, **options
        )

    async def refresh_url(self, file_id: File | str, **options: Unpack[PostOptions]) -> DownloadUrl:
        """Get a fresh download URL: the one in a file expires after 7 days.

        Args:
            file_id: the file, or its id (`file_…`).
            **options: `timeout` (seconds for one attempt, above 0), `extra_headers`, `extra_query`,
                `extra_body`, `idempotency_key`; see `jobs.create`.

        Returns:
            The URL and when it expires. Whoever has the URL has the file: `repr` masks it.

        Raises:
            NotFoundError: no file has this id.
            FirstHandError: any other failure; its subclass names it.

        Contract: §2 "Files".
        """
        path = f"/v1/files/{check_id(file_id, 'file_id')}/refresh_url"
        return await self._write(DownloadUrl, "POST", path, **options)

    async def download(
        self,
        file: File,
        path: str | os.PathLike[str],
        *,
        timeout: float | None = None,
        **options: Unpack[ExtraOptions],
    ) -> Path:
        """Download one file. It appears under its name only when it is complete.

        Args:
            file: a file that `list` returned. An expired URL is refreshed.
            path: a file name, or a folder (one that exists, or a name that ends with a slash), in which the file is
                named after its id and type. Or such a name in a bucket, as a URL (extra `remote`).
            timeout: seconds without a byte, above 0; None uses the client's.
            **options: `extra_headers`, `extra_query`; see `jobs.create`.

        Returns:
            The path of the downloaded file.

        Raises:
            IntegrityError: the size or the SHA-256 was wrong, twice.
            InvalidArgumentError: `file` is not a File, such as an id, or `path` is not a path.
            DownloadError: the file could not be downloaded or written.
            FirstHandError: any other failure; its subclass names it.

        Contract: §2 "Files".
        """
        with importing():
            from firsthandapi.datasets._download.network import Network
            from firsthandapi.datasets._download.single import download_file, target_of
        if not isinstance(file, File):
            raise InvalidArgumentError(
                f"file must be a File, not a value of type {type(file).__name__}: pass one that "
                "client.files.list(job_id) returned, or call client.files.download_all(job_id, dest)",
                field="file",
            )
        if not (isinstance(path, (str, os.PathLike)) or hasattr(path, "protocol")):
            raise InvalidArgumentError(
                f"path must be a str or a Path, not a value of type {type(path).__name__}", field="path"
            )
        self._transport.check_open()
        config = self._transport.config
        timeout = check_timeout(timeout)
        network = Network(
            proxy=config.proxy,
            verify=config.verify,
            timeout=timeout or config.timeout,
            stop=threading.Event(),
        )

        async def fresh_url(file_id: str) -> tuple[str, datetime | None]:
            where = f"/v1/files/{check_id(file_id, 'file_id')}/refresh_url"
            fresh = fitting(
                await self._write(
                    DownloadUrl,
                    "POST",
                    where,
                    timeout=timeout,
                    extra_body=None,
                    idempotency_key=None,
                    **options,
                )
            )
            return fresh.download_url or "", fresh.download_url_expires_at

        target: Any = target_of(path)
        download_to: Any = download_file
        if target is None:
            with importing():
                from firsthandapi.datasets._single import download_into_bucket
            target, download_to = path, download_into_bucket
        async with calls_from_threads() as call:

            def refresh(file_id: str) -> Any:
                return call(fresh_url, file_id)

            written: Path = await run_until_cancelled(
                network.cancel,
                download_to,
                file,
                target,
                base_url=config.base_url,
                network=network,
                max_retries=config.max_retries,
                refresh=refresh,
                on_attempt=config.on_attempt,
                clock=self._transport.clock,
                tracing=config.tracing,
            )
        return written  # to type checkers the context manager might swallow an exception

    async def download_all(
        self,
        job_id: Job | str,
        dest: str | os.PathLike[str],
        *,
        concurrency: int = 32,
        on_progress: Callback[Progress] | None = None,
        progress: bool = True,
        label: str | None = None,
        **options: Unpack[RequestOptions],
    ) -> Dataset:
        """Download all approved files of a job into a folder that loaders can read.

        Run it again to download only missing files.

        Args:
            job_id: the job, or its id (`job_…`). The job need not be finished: the files approved so far are
                downloaded.
            dest: the folder; created if missing. Two processes in one folder take turns. Or a bucket, as a URL such
                as `s3://bucket/signs` (extra `remote`), to which only one process may write at a time.
            concurrency: connections at once, 1 to 64.
            on_progress: called with a `Progress`, in your thread or loop, in place of the line of `progress`.
            progress: whether to redraw one line on standard error, on a terminal and in a notebook. With
                `FIRSTHAND_PROGRESS=0` in the environment, none is shown.
            label: the class of the files: they go to `data/<label>/`, and their rows contain it and the worker. Calls
                with labels fill one folder from several jobs. 1 to 64 letters, digits, spaces, and `_ - .`, and no word
                that loaders take for a split, such as `test`.
            **options: `timeout` (seconds for one attempt, above 0), `extra_headers`, `extra_query`; see `jobs.create`.

        Returns:
            The dataset: `len`, iteration, `verify`, `to_pandas`.

        Raises:
            DownloadError: some files could not be downloaded; all others are in the folder, and the same call
                tries again.
            NotFoundError: no job has this id.
            ConfigurationError: `dest` cannot be written to, is not a dataset of ours, or its extra is missing.
            InvalidArgumentError: `dest` belongs to another job, has labels and none was given, or `label` is not
                allowed.
            FirstHandError: any other failure; its subclass names it.

        Contract: §2 "Files".
        """
        with importing():
            from firsthandapi._async.collecting import Collecting
        job_id = check_id(job_id, "job_id")
        with self._span("files.download_all", job_id), progress_line(on_progress, progress, dest) as callback:
            return await Collecting(self._transport, **options).download_all(
                job_id, dest, concurrency=concurrency, on_progress=callback, label=label
            )

    async def _listed(self, job_id: str) -> tuple[Job, dict[str, str | None]]:
        """A job, and the ids of all files that its list shows before that, each with its consent, for
        `Dataset.reconcile`."""
        from firsthandapi.types.job import Job

        listed = {file.id: file.consent_id async for file in self.list(job_id, min_score=1)}
        return await self._get(Job, f"/v1/jobs/{job_id}"), listed

    async def _refetch(
        self,
        job_id: str,
        dest: str | os.PathLike[str],
        file_ids: frozenset[str],
        *,
        concurrency: int,
        on_progress: Callback[Progress] | None,
        label: str | None = None,
    ) -> None:
        """Download these files of a job again, for `Dataset.repair`."""
        with importing():
            from firsthandapi._async.collecting import Collecting
        await Collecting(self._transport).download_all(
            job_id, dest, concurrency=concurrency, on_progress=on_progress, label=label, only=file_ids
        )
