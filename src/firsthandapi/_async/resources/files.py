"""Approved files (contract §2)."""

from __future__ import annotations

import os
import threading
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from firsthandapi._async.bridge import Callback, calls_from_threads, run_until_cancelled
from firsthandapi._async.calls import Body, Headers, Query, Resource
from firsthandapi._async.pages import PageRequest
from firsthandapi._core.arguments import check
from firsthandapi._core.request import check_id, check_timeout
from firsthandapi.types.file import DownloadUrl, File, FileList

if TYPE_CHECKING:
    from firsthandapi._core.reports import Progress
    from firsthandapi.datasets import Dataset


class Files(Resource):
    """Approved files; the key needs the scope `jobs:read`."""

    def list(
        self,
        job_id: str,
        *,
        min_score: int | None = None,
        limit: int | None = None,
        cursor: str | None = None,
        timeout: float | None = None,
        extra_headers: Headers | None = None,
        extra_query: Query | None = None,
    ) -> PageRequest[File]:
        """List a job's approved files, with annotations and fresh download URLs.

        Args:
            job_id: the job's id (`job_…`).
            min_score: only those rated so or better, 1 to 5 stars. The service's default is 3, so for a job
                with a lower `min_star_rating` give 1 to see all that was approved.
            limit: items a page, 1 to 100; None asks for 100, since requests are what is scarce.
            cursor: `next_cursor` of an earlier page: start after it.
            timeout, extra_headers, extra_query: see `AsyncFirstHandClient`, "Every method".

        Returns:
            The first page when awaited; `async for` walks the items of every page, newest first.

        Raises:
            NotFoundError: there is no such job.
            PaginationError: the service repeats a cursor (while walking).
            InvalidArgumentError: an argument is not what the contract allows. Nothing was sent.
            FirstHandApiError: the service answered with an error.
            FirstHandConnectionError: the service could not be reached.

        Contract: §2 "Files".
        """
        return self._list(
            File,
            f"/v1/jobs/{check_id(job_id, 'job_id')}/files",
            check(FileList, {"min_score": min_score, "limit": limit, "cursor": cursor}),
            timeout=timeout,
            extra_headers=extra_headers,
            extra_query=extra_query,
        )

    async def refresh_url(
        self,
        file_id: str,
        *,
        idempotency_key: str | None = None,
        timeout: float | None = None,
        extra_headers: Headers | None = None,
        extra_query: Query | None = None,
        extra_body: Body | None = None,
    ) -> DownloadUrl:
        """Get a fresh download URL: the one in a file lives 7 days.

        Args:
            file_id: the file's id (`file_…`).
            idempotency_key, timeout, extra_headers, extra_query, extra_body: see `AsyncFirstHandClient`,
                "Every method".

        Returns:
            The URL and when it expires. Whoever has it has the file: `repr` masks it.

        Raises:
            NotFoundError: there is no such file.
            InvalidArgumentError: an argument is not what the contract allows. Nothing was sent.
            FirstHandApiError: the service answered with an error.
            FirstHandConnectionError: the service could not be reached.

        Contract: §2 "Files".
        """
        path = f"/v1/files/{check_id(file_id, 'file_id')}/refresh_url"
        return await self._write(
            DownloadUrl,
            "POST",
            path,
            idempotency_key=idempotency_key,
            timeout=timeout,
            extra_headers=extra_headers,
            extra_query=extra_query,
            extra_body=extra_body,
        )

    async def download(
        self,
        file: File,
        path: str | os.PathLike[str],
        *,
        timeout: float | None = None,
        extra_headers: Headers | None = None,
        extra_query: Query | None = None,
    ) -> Path:
        """Fetch one file. It appears under its name only when every byte is there.

        Args:
            file: a file as `list` gave it. A URL that has ended is asked for anew.
            path: where to put it: a file's name, or a directory (one that is there, or a name that ends with a
                slash), where it is named after its id and type.
            timeout: seconds without a byte, instead of the client's.
            extra_headers, extra_query: for the request of a fresh URL; see `AsyncFirstHandClient`, "Every method".

        Returns:
            Where it is.

        Raises:
            IntegrityError: size or SHA-256 is not the one promised, twice.
            DownloadError: it could not be fetched or written.
            FirstHandError: a fresh URL could not be had.

        Contract: §2 "Files".
        """
        from firsthandapi._download.network import Network
        from firsthandapi._download.single import download_file, target_of

        self._transport.check_open()
        config = self._transport.config
        check_timeout(timeout, "timeout")
        network = Network(
            proxy=config.proxy,
            verify=config.verify,
            timeout=timeout or config.timeout,
            stop=threading.Event(),
        )

        async def fresh_url(file_id: str) -> tuple[str, datetime | None]:
            fresh = await self.refresh_url(
                file_id, timeout=timeout, extra_headers=extra_headers, extra_query=extra_query
            )
            return fresh.download_url or "", fresh.download_url_expires_at

        async with calls_from_threads() as call:
            place = await run_until_cancelled(
                network.cancel,
                download_file,
                file,
                target_of(path),
                base_url=config.base_url,
                network=network,
                max_retries=config.max_retries,
                refresh=lambda file_id: call(fresh_url, file_id),
            )
        return place  # noqa: RET504 # to type checkers the context manager might swallow an exception

    async def download_all(
        self,
        job_id: str,
        dest: str | os.PathLike[str],
        *,
        concurrency: int = 32,
        on_progress: Callback[Progress] | None = None,
        timeout: float | None = None,
        extra_headers: Headers | None = None,
        extra_query: Query | None = None,
    ) -> Dataset:
        """Fetch all approved files of a job into a folder that loaders read as it is.

        Run again, it fetches what is missing only.

        Args:
            job_id: the job's id (`job_…`). It need not be over; what is approved so far comes.
            dest: the folder; made if it is not there. Two processes in one folder take turns. Or a bucket, as a
                URL such as `s3://bucket/signs` (extra `remote`), which two processes must not write to at once.
            concurrency: connections at once, 1 to 64.
            on_progress: called with a `Progress`, in your thread or loop.
            timeout, extra_headers, extra_query: see `AsyncFirstHandClient`, "Every method".

        Returns:
            The dataset: `len`, iteration, `verify`, `to_pandas`.

        Raises:
            DownloadError: some files could not be fetched; all others are there, and the same call tries again.
            NotFoundError: there is no such job.
            InvalidArgumentError: an argument is not what it may be, or `dest` belongs to another job.
            ConfigurationError: `dest` cannot be written to, or is not a dataset of ours, or its extra is missing.
            FirstHandError: what `list` raises.

        Contract: §2 "Files".
        """
        from firsthandapi._async.collecting import Collecting

        check_id(job_id, "job_id")
        collecting = Collecting(
            self._transport, timeout=timeout, extra_headers=extra_headers, extra_query=extra_query
        )
        return await collecting.download_all(job_id, dest, concurrency=concurrency, on_progress=on_progress)

    async def _refetch(
        self,
        job_id: str,
        dest: str | os.PathLike[str],
        file_ids: frozenset[str],
        *,
        concurrency: int,
        on_progress: Callback[Progress] | None,
    ) -> None:
        """Fetch these files of a job anew: what `Dataset.repair` does."""
        from firsthandapi._async.collecting import Collecting

        await Collecting(self._transport).download_all(
            job_id, dest, concurrency=concurrency, on_progress=on_progress, only=file_ids
        )
