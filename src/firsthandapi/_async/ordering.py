"""Find or post the job of a folder, so that you pay once: execute the commands of `_core/orders/ordering.py`."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, Unpack

from firsthandapi._async.bridge import finish_blocking, run_blocking
from firsthandapi._core.orders import refusals
from firsthandapi._core.orders.order_requests import read_jobs, request_for
from firsthandapi._core.orders.ordering import (
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
from firsthandapi.errors import DeadlineExceededError, FirstHandError, NotFoundError

if TYPE_CHECKING:
    from firsthandapi._async.transport import Transport
    from firsthandapi._core.orders.job_file import JobFile, UnreadableJobFile
    from firsthandapi.types.job import Job
    from firsthandapi.types.options import RequestOptions


class Record(Protocol):
    """The record of an order: in a folder, or an entry of a ledger."""

    def known_jobs(self) -> tuple[JobFile | UnreadableJobFile | None, tuple[str, ...]]:
        """The recorded job, if any; without one, also the jobs that the rows of the folder name."""
        ...

    def create_job(self, job_file: JobFile) -> None:
        """Record the order for the first time."""
        ...

    def write_job(self, job_file: JobFile) -> None:
        """Update the recorded order."""
        ...

    def forget_job(self) -> None:
        """Remove the order, which bought nothing."""
        ...


async def order_once(
    transport: Transport,
    record: Record,
    request: dict[str, Any],
    key: str | None,
    *,
    ends: float | None,
    may_read: bool = False,
    way_out: str = Known.way_out,
    derived: str | None = None,
    taken: frozenset[str] = frozenset(),
    unaffordable: FirstHandError | None = None,
    gone: NotFoundError | None = None,
    **options: Unpack[RequestOptions],
) -> tuple[JobFile, Job | None]:
    """Record the job of `request` in `record`; post the job if it does not exist.

    `gone` is the service's error if it does not have the job in `record`. A new order without a `key` uses the
    `derived` key, which other machines may have sent, or a random key. `taken` are jobs of other orders. With
    `unaffordable`, an existing job is found, but none is posted: that error is raised instead.
    Returns the recorded order with its job, and the job itself if this call has read it.
    Raises FirstHandError: no job was bought, or the folder belongs to another job.
    """
    job: Job | None = None
    job_file, rows_of = await run_blocking(record.known_jobs)
    began = transport.clock.time()
    known = Known(
        request,
        key,
        new_key() if derived is None else derived,
        began,
        began,
        job_file,
        rows_of,
        may_read=may_read,
        gone=gone,
        hidden_repeats=transport.shared.http_client is not None,
        way_out=way_out,
        derived=derived is not None,
        taken=taken,
        unaffordable=unaffordable,
    )
    while True:
        answer: Shown | FirstHandError = Shown()
        match command := next_command(known):
            case Continue(job_file):
                return job_file, job
            case Refuse(error, forget):
                if forget:
                    await finish_blocking(record.forget_job)
                raise error
            case WriteDown(job_file, create):
                try:
                    await finish_blocking(record.create_job if create else record.write_job, job_file)
                except FirstHandError as error:
                    error.job = None if job_file.job is None else job
                    raise
            case _:
                try:
                    answer, shown = await ask(transport, command, ends, **options)
                    job = shown or job
                except FirstHandError as error:
                    answer = error
        known = replace(learn(known, command, answer), now=transport.clock.time())


async def ask(
    transport: Transport, question: Question, ends: float | None, **options: Unpack[RequestOptions]
) -> tuple[Shown, Job | None]:
    """Ask the service a question, and return what it shows and the first job among it.
    Raises WaitTimeoutError: the time `ends` has passed.
    Raises FirstHandError: the request failed.
    """
    left = None if ends is None else ends - transport.clock.monotonic()
    if left is not None and left <= 0 and isinstance(question, LookFor) and question.cursor:
        raise refusals.timed_out()  # a faulty list may never end; a first request gets a moment
    try:
        request = request_for(question, time_limit=None if left is None else max(left, 1.0), **options)
        return await transport.read(request, partial(read_jobs, question))
    except DeadlineExceededError as error:
        if ends is not None and transport.clock.monotonic() >= ends:
            raise refusals.timed_out(error) from error
        raise  # the client's own deadline
