# Made from _async/ordering.py by `make generate`. Do not edit.
"""Paid once: brings a folder its job, by the commands of `_core/ordering.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Unpack

from firsthandapi._core import arguments
from firsthandapi._core.decode import decode_items, rows_of
from firsthandapi._core.job_file import KEY_METADATA, JobFile
from firsthandapi._core.ordering import (
    Continue,
    Known,
    LookFor,
    Post,
    Read,
    Refuse,
    TryReading,
    WriteDown,
    is_wanted,
    learn,
    next_command,
)
from firsthandapi._core.pages import LARGEST_PAGE, follow_cursor
from firsthandapi._core.request import build_request
from firsthandapi._keys import new_key
from firsthandapi._sync.bridge import finish_blocking, run_blocking
from firsthandapi._sync.calls import Resource
from firsthandapi.errors import DeadlineExceededError, FirstHandError, NotFoundError, WaitTimeoutError
from firsthandapi.types.job import Job, JobListParams

if TYPE_CHECKING:
    from firsthandapi._core.ordering import JobRow
    from firsthandapi._sync.transport import Transport
    from firsthandapi.datasets._folder import Folder
    from firsthandapi.types.options import RequestOptions

    Answer = JobRow | tuple[JobRow, ...] | FirstHandError | None


class Ordering(Resource):
    """One call's way to the job of a folder.

    Attributes:
        job: the job, as soon as the service has shown it.
    """

    def __init__(
        self, transport: Transport, folder: Folder, *, ends: float | None, **options: Unpack[RequestOptions]
    ) -> None:
        super().__init__(transport)
        self.job: Job | None = None
        self._folder = folder
        self._ends = ends
        self._options = options

    def order(self, request: dict[str, Any], key: str | None) -> JobFile:
        """The folder's `job.json`, with its job; bought now if it was not before.

        Raises:
            FirstHandError: it was not bought, or the folder is another job's.
        """
        folder, rows_of = run_blocking(self._folder.known_jobs)
        known = Known(request, key, new_key(), self._transport.clock.time(), folder, rows_of)
        while True:
            command = next_command(known)
            match command:
                case Continue(job_file):
                    return job_file
                case Refuse(error, forget):
                    if forget:
                        finish_blocking(self._folder.forget_job)
                    raise error
                case WriteDown(job_file, create):
                    write = self._folder.create_job if create else self._folder.write_job
                    try:
                        finish_blocking(write, job_file)
                    except FirstHandError as error:
                        error.job = None if job_file.job is None else self.job
                        raise
                    known = learn(known, command, None)
                case _:
                    known = learn(known, command, self._ask(command))

    def _ask(self, command: TryReading | LookFor | Read | Post) -> Answer:
        try:
            match command:
                case TryReading():
                    # Whatever it brings: a key that may not read is refused.
                    self._transport.send(self._list_request(None, limit=1))
                    return None
                case LookFor():
                    return self._look_for(command)
                case Read(job_id):
                    try:
                        return self._note(self._get(Job, f"/v1/jobs/{job_id}", **self._options))
                    except NotFoundError:
                        return None
                case Post(request, key):  # pragma: no branch # there is no other command
                    return self._note(self._post(request, key))
        except DeadlineExceededError as error:
            return self._timed_out(error)
        except FirstHandError as error:
            return error

    def _post(self, fields: dict[str, Any], key: str) -> Job:
        metadata: dict[str, Any] = {**(fields.get("metadata") or {}), KEY_METADATA: key}
        body = arguments.body(None, {**fields, "metadata": metadata})
        request = build_request(
            "POST",
            "/v1/jobs",
            body=body,
            idempotency_key=key,
            time_limit=self._time_limit(),
            **self._options,
        )
        return self._read(Job, request)

    def _look_for(self, command: LookFor) -> tuple[JobRow, ...]:
        """The jobs that were looked for. Every page is read: no clock knows when a job was posted."""
        found: list[JobRow] = []
        cursor: str | None = None
        cursors: frozenset[str] = frozenset()
        while True:
            response, content = self._transport.send(self._list_request(cursor, limit=LARGEST_PAGE))
            page, unusable = decode_items(Job, content, response)
            for job in page.data:
                if job.metadata and is_wanted(command, row := dump(job)):
                    if command.key is not None:
                        self.job = job
                        return (row,)
                    found.append(row)
            if unusable and any(is_wanted(command, row) for row in rows_of(content)):
                raise next(iter(unusable.values()))
            if page.next_cursor is None:
                return tuple(found)
            cursors = follow_cursor(cursors, page.next_cursor)
            cursor = page.next_cursor
            if self._ends is not None and self._transport.clock.monotonic() >= self._ends:
                raise self._timed_out(None)

    def _list_request(self, cursor: str | None, *, limit: int) -> Any:
        params = arguments.check(JobListParams, {"limit": limit, "cursor": cursor})
        return build_request(
            "GET",
            "/v1/jobs",
            query=arguments.query(params),
            time_limit=self._time_limit(),
            # The caller's query is for the order: here it could hide what was bought.
            extra_headers=self._options.get("extra_headers"),
        )

    def _note(self, job: Job) -> JobRow:
        self.job = job
        return dump(job)

    def _time_limit(self) -> float | None:
        return None if self._ends is None else max(self._ends - self._transport.clock.monotonic(), 1.0)

    def _timed_out(self, error: DeadlineExceededError | None) -> FirstHandError:
        """The caller's timeout, if it is that which has passed, and not the client's deadline."""
        if error is not None and (self._ends is None or self._transport.clock.monotonic() < self._ends):
            return error
        timed_out = WaitTimeoutError(
            "timed out before the service confirmed the job; run the same call again: it cannot post a second job"
        )
        timed_out.__cause__ = error
        return timed_out


def dump(job: Job) -> dict[str, Any]:
    """A job as `job.json` contains it."""
    return job.model_dump(mode="json", exclude_none=True)
