"""Paid once: brings a folder its job, by the commands of `_core/ordering.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, Unpack

from firsthandapi._async.bridge import finish_blocking, run_blocking
from firsthandapi._core import refusals
from firsthandapi._core.order_requests import read_jobs, request_for
from firsthandapi._core.ordering import (
    Continue,
    Known,
    LookFor,
    Question,
    Refuse,
    Shown,
    WriteDown,
    learn,
    next_command,
)
from firsthandapi._keys import new_key
from firsthandapi.errors import DeadlineExceededError, FirstHandError

if TYPE_CHECKING:
    from firsthandapi._async.transport import Transport
    from firsthandapi._core.job_file import JobFile, UnreadableJobFile
    from firsthandapi.types.job import Job
    from firsthandapi.types.options import RequestOptions


class Record(Protocol):
    """Where an order is written down: the folder of its job, or the ledger of a campaign."""

    def known_jobs(self) -> tuple[JobFile | UnreadableJobFile | None, tuple[str, ...]]: ...

    def create_job(self, job_file: JobFile) -> None: ...

    def write_job(self, job_file: JobFile) -> None: ...

    def forget_job(self) -> None: ...


class Ordering:
    """One call's way to the job of a folder.

    Attributes:
        job: the job, as soon as the service has shown it.
    """

    def __init__(
        self,
        transport: Transport,
        record: Record,
        *,
        ends: float | None,
        may_read: bool = False,
        way_out: str = Known.way_out,
        **options: Unpack[RequestOptions],
    ) -> None:
        self.job: Job | None = None
        self._transport = transport
        self._record = record
        self._ends = ends
        self._may_read = may_read
        self._way_out = way_out
        self._options = options

    async def order(self, request: dict[str, Any], key: str | None) -> JobFile:
        """The folder's `job.json`, with its job; bought now if it was not before.

        Raises:
            FirstHandError: the job was not bought, or the folder belongs to another job.
        """
        job_file, rows_of = await run_blocking(self._record.known_jobs)
        known = Known(
            request,
            key,
            new_key(),
            self._transport.clock.time(),
            job_file,
            rows_of,
            may_read=self._may_read,
            way_out=self._way_out,
        )
        while True:
            answer: Shown | FirstHandError = Shown()
            match command := next_command(known):
                case Continue(job_file):
                    return job_file
                case Refuse(error, forget):
                    if forget:
                        await finish_blocking(self._record.forget_job)
                    raise error
                case WriteDown(job_file, create):
                    await self._write(job_file, create)
                case _:
                    answer = await self._ask(command)
            known = learn(known, command, answer)

    async def _write(self, job_file: JobFile, create: bool) -> None:
        write = self._record.create_job if create else self._record.write_job
        try:
            await finish_blocking(write, job_file)
        except FirstHandError as error:
            error.job = None if job_file.job is None else self.job
            raise

    async def _ask(self, question: Question) -> Shown | FirstHandError:
        left = None if self._ends is None else self._ends - self._transport.clock.monotonic()
        if left is not None and left <= 0 and isinstance(question, LookFor) and question.cursor:
            return refusals.timed_out()  # a list may have no end; a first request gets a moment
        try:
            time_limit = None if left is None else max(left, 1.0)
            request = request_for(question, time_limit=time_limit, **self._options)
            response, content = await self._transport.send(request)
            shown, job = read_jobs(question, content, response)
        except DeadlineExceededError as error:
            # The caller's timeout has passed, or the client's own deadline.
            is_over = self._ends is not None and self._transport.clock.monotonic() >= self._ends
            return refusals.timed_out(error) if is_over else error
        except FirstHandError as error:
            return error
        self.job = job or self.job
        return shown
