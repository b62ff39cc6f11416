"""One wait for many jobs: `jobs.wait_all`. The shared reader reads all of them from one list."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from firsthandapi._async.bridge import Callback, at_once, call_back
from firsthandapi._async.reader import SharedReader
from firsthandapi._async.waiting import Waiting
from firsthandapi._base.counts import count_of
from firsthandapi._core.calls.longpoll import Pauses
from firsthandapi._core.calls.lost_answers import advise
from firsthandapi._core.calls.places import AT_ONCE
from firsthandapi.errors import FirstHandApiError, WaitTimeoutError
from firsthandapi.types.job import Job
from firsthandapi.types.options import ExtraOptions

if TYPE_CHECKING:
    from firsthandapi._async.transport import Transport

# The wait notices a finished job within this many seconds, once the list shows it.
LOOK_EVERY = 10.0
_MOST_NAMED = 3


class WaitingAll:
    """The wait for many jobs.

    Args:
        transport: sends the requests.
        jobs: ids, and for jobs that are known to be finished, the jobs themselves.
        new: the ids of jobs that were just posted.
        ends: when the wait times out; None for no limit.
        on_update: called with each job as it changes.
    """

    def __init__(
        self,
        transport: Transport,
        jobs: Sequence[str | Job],
        *,
        new: frozenset[str],
        ends: float | None,
        on_update: Callback[Job] | None,
        extra_headers: Mapping[str, str] | None = None,
        extra_query: Mapping[str, Any] | None = None,
    ) -> None:
        options = ExtraOptions(extra_headers=extra_headers, extra_query=extra_query)
        self._order = [job if isinstance(job, str) else job.id for job in jobs]
        self._finished = {job.id: job for job in jobs if not isinstance(job, str)}
        self._on_update = on_update
        # The jobs that have not finished yet.
        self._left = [
            SharedReader(transport, Waiting(transport, job_id, ends=ends, is_new=job_id in new, **options))
            for job_id in dict.fromkeys(self._order)
            if job_id not in self._finished
        ]
        self._pauses = Pauses()

    async def wait(self) -> list[Job]:
        """The finished jobs, in the order given.
        Raises WaitTimeoutError: some jobs have not finished in time.
        Raises FirstHandError: a job cannot be read, and a retry would not help.
        """
        for job in self._finished.values():
            await call_back(self._on_update, job)
        for reader in self._left:
            reader.join()
        try:
            if len(self._left) > 1:
                await self._left[0].read_now(LOOK_EVERY)
                await self._read_finished()
                await self._take()
            while self._left:
                await self._next()
        except WaitTimeoutError as error:
            raise self._timed_out() from error.__cause__
        finally:
            for reader in self._left:
                reader.leave()
        return [self._finished[job_id] for job_id in self._order]

    async def _read_finished(self) -> None:
        """Read jobs that the list does not show at the same time, as long as some are finished: most old ones are."""
        unlisted = [] if self._left[0].failure else [reader for reader in self._left if not reader.is_listed]
        while unlisted:
            some, unlisted = unlisted[:AT_ONCE], unlisted[AT_ONCE:]
            await at_once([partial(self._read_one, reader) for reader in some])
            for reader in some:
                await self._look(reader, changed=True)
            if all(reader in self._left for reader in some):
                return
            for reader in self._left[:1]:
                reader.waiting.check_time()

    async def _read_one(self, reader: SharedReader) -> None:
        with _naming(reader.waiting.job_id):
            await reader.read()

    async def _next(self) -> None:
        first = self._left[0]
        if len(self._left) == 1 and first.is_alone:
            # For a single job, the long-poll reports a change sooner than the list.
            with _naming(first.waiting.job_id):
                await first.waiting.change()
            await self._look(first, changed=True)
            return
        await first.next_read(LOOK_EVERY)
        if (failure := first.failure) is not None:
            await first.waiting.bear(failure, self._pauses)
        else:
            first.waiting.succeeded()
            self._pauses.reset()
        await self._take()

    async def _take(self) -> None:
        for reader in list(self._left):
            if reader.has_turn:
                with _naming(reader.waiting.job_id):
                    changed = await reader.take()
                await self._look(reader, changed=changed)

    async def _look(self, reader: SharedReader, *, changed: bool) -> None:
        job = reader.waiting.job
        if job is None or not changed:
            return
        if job.is_terminal:
            self._finished[reader.waiting.job_id] = job
            self._left.remove(reader)
            reader.leave()
        await call_back(self._on_update, job)

    def _timed_out(self) -> WaitTimeoutError:
        total = len(set(self._order))
        job_ids = [reader.waiting.job_id for reader in self._left]
        more = len(job_ids) - _MOST_NAMED
        named = ", ".join(job_ids[:_MOST_NAMED]) + (f", and {more:,} more" if more > 0 else "")
        return WaitTimeoutError(
            f"{total - len(job_ids):,} of {count_of(total, 'job')} finished before timeout= passed; the others "
            f"continue ({named}); run the same call again",
            job=next((reader.waiting.job for reader in self._left if reader.waiting.job is not None), None),
        )


@contextmanager
def _naming(job_id: str) -> Generator[None, None, None]:
    """Add the id of the job that cannot be read to the error."""
    try:
        yield
    except FirstHandApiError as error:
        if job_id not in error.message:
            advise(error, f"; the job is {job_id}")
        raise
