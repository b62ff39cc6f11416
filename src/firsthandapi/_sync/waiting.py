# Made from _async/waiting.py by `make generate`. Do not edit.
"""Waiting for a job, for `jobs.wait`, `follow`, and `collect`. `_core` decides the next step."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Unpack

from firsthandapi._base.counts import count_of
from firsthandapi._base.tracing import add_event, around_call, job_attribute, span, tracer
from firsthandapi._core.calls.integers import int_or_none
from firsthandapi._core.calls.longpoll import LIST_LAGS, End, Pause, Pauses, Poll, Wait
from firsthandapi._core.calls.request import build_request
from firsthandapi._sync.calls import Calls
from firsthandapi.errors import FirstHandError, UnexpectedResponseError, WaitTimeoutError
from firsthandapi.types.job import Job

if TYPE_CHECKING:
    from firsthandapi._sync.transport import Transport
    from firsthandapi.types.options import RequestOptions


class Waiting(Calls):
    """Follows the changes of a job until a timeout. `is_new`: the job was just posted, and may give a 404 at first.

    Attributes:
        job_id: the job's id.
        job: the job as last seen.
        most_approved: the highest number of approved files that it has counted so far.
    """

    def __init__(
        self,
        transport: Transport,
        job_id: str,
        *,
        ends: float | None = None,
        patient: bool = True,
        job: Job | None = None,
        is_new: bool = False,
        advice: str = "run the same call again",
        **options: Unpack[RequestOptions],
    ) -> None:
        super().__init__(transport)
        self._advice = advice
        self.job_id = job_id
        self.job: Job | None = None
        self.most_approved = 0
        self.options = options
        self._patient = patient
        shows_by = transport.clock.monotonic() + LIST_LAGS if is_new else None
        self._wait = Wait(ends, transport.config.deadline, shows_by)
        self._failure: FirstHandError | None = None
        # Where what it meets is noted; its requests have no spans of their own.
        self._traced = around_call()
        if job is not None:
            self._wait.polls(Poll(None), transport.clock.monotonic())
            self._note(job)

    @contextmanager
    def traced(self, name: str) -> Generator[None, None, None]:
        """A span of its own. It is not the current one: between two steps of an iteration, the caller's own is that."""
        maker = tracer(self._transport.config.tracing)
        if maker is None:
            yield
            return
        with span(maker, f"firsthandapi {name}", job_attribute(self.job_id), current=False) as self._traced:
            yield

    def first(self) -> Job:
        """The last known state of the job, read now if there is none.
        Raises WaitTimeoutError: the job could not be read in time.
        Raises FirstHandError: the job cannot be read, and waiting does not help.
        """
        while self.job is None:
            self.change()
        return self.job

    def change(self, until: float | None = None) -> bool:
        """Wait until the status or the number of approved files changes; False if `until` comes first.
        Raises WaitTimeoutError: the timeout has passed.
        Raises FirstHandError: the job cannot be read, and waiting does not help.
        """
        clock = self._transport.clock
        while True:
            match self._wait.next(clock.monotonic(), until):
                case Pause(seconds):
                    clock.sleep(seconds)
                case Poll() as poll:
                    if self._poll(poll):
                        return True
                case End.DUE:
                    return False
                case End.TIMED_OUT:  # pragma: no branch # there is no other end
                    raise self._timed_out()

    def look(self) -> None:
        """Read the job now, even if it has finished. If that fails, its last known state remains."""
        old_job = self.first()
        self._poll(Poll(None))
        if old_job.is_terminal and not (self.first()).is_terminal:
            # Finished jobs do not start again: a late replica has responded.
            self.job = old_job

    def change_to(self, job: Job | None) -> bool:
        """Take the job from another request, or read it. Returns whether it has changed."""
        if job is None:
            return self._poll(Poll(None))
        old_job, self.job, self._failure = self.job, job, None
        self._count(job)
        self._trace(old_job)
        return _news(old_job) != _news(job)

    def _poll(self, poll: Poll) -> bool:
        clock = self._transport.clock
        self._wait.polls(poll, clock.monotonic())
        request = build_request(
            "GET",
            f"/v1/jobs/{self.job_id}",
            wait=poll.hold,
            time_limit=self.time_limit(),
            retry=self.retry,
            **self.options,
        )
        old_job = self.job
        try:
            job = self._read(Job, request)
            if job.id.lower() != self.job_id.lower():
                raise UnexpectedResponseError(f"the service returned a job other than {self.job_id}")
            self._note(job)
        except FirstHandError as error:
            if not self._patient:
                raise
            self._fail(error)
            self._wait.failed(error, clock.monotonic(), clock.time())
        return old_job is not self.job and (old_job is None or _news(old_job) != _news(self.job))

    def _note(self, job: Job) -> None:
        old_job, self._failure, self.job = self.job, None, job
        self._count(job)
        self._trace(old_job)
        self._wait.answered(job.status, self._transport.clock.monotonic())

    def _fail(self, error: FirstHandError) -> None:
        old_failure, self._failure = self._failure, error
        if type(old_failure) is not type(error):  # an hour without the service is no hundred events
            attributes = {
                **job_attribute(self.job_id),
                "error.type": type(error).__name__,
                "http.response.status_code": getattr(error, "status", None),
                "firsthandapi.request.id": getattr(error, "request_id", None),
            }
            add_event(self._traced, "firsthandapi.failure", attributes)

    def _trace(self, old_job: Job | None) -> None:
        job = self.job
        if job is not None and _news(old_job) != _news(job):
            attributes = {
                **job_attribute(self.job_id),
                "firsthandapi.job.status": job.status,
                "firsthandapi.job.files_approved": int_or_none(job.files_approved),
            }
            add_event(self._traced, "firsthandapi.job", attributes)

    def _count(self, job: Job) -> None:
        self.most_approved = max(self.most_approved, int_or_none(job.files_approved) or 0)

    # ── For the other requests of the same wait ──────────────────────────────────────────────────────────

    @property
    def retry(self) -> bool:
        """Whether the transport retries a request; a patient wait repeats it by its own rules."""
        return not self._patient

    def time_limit(self) -> float | None:
        """Seconds for a request: the rest of the wait, but at least one."""
        seconds_left = self._wait.left(self._transport.clock.monotonic())
        return None if seconds_left is None else max(seconds_left, 1.0)

    def count(self) -> None:
        """Count one sent request."""
        self._wait.count(self._transport.clock.monotonic())

    def succeeded(self) -> None:
        """Record that a request succeeded."""
        self._failure = None

    def bear(self, error: FirstHandError, pauses: Pauses) -> None:
        """Pause after a failure if the service may recover in time; else raise it."""
        if not self._patient:
            raise error
        self._fail(error)
        clock = self._transport.clock
        now = clock.monotonic()
        self.pause(self._wait.pause_after(error, pauses, now, clock.time()))

    def rest(self, pauses: Pauses) -> None:
        """Pause before a request that brings no more than the one before, perhaps."""
        self.pause(self._wait.rest(pauses, self._transport.clock.monotonic()))

    def pause(self, seconds: float) -> None:
        """Sleep, but not beyond the end."""
        clock = self._transport.clock
        seconds_left = self._wait.left(clock.monotonic())
        clock.sleep(seconds if seconds_left is None else min(seconds, seconds_left))
        self.check_time()

    def check_time(self) -> None:
        """Make sure that the timeout has not passed. Raises WaitTimeoutError: it has."""
        if self._wait.left(self._transport.clock.monotonic()) == 0:
            raise self._timed_out()

    def _timed_out(self) -> WaitTimeoutError:
        job = self.job
        if job is not None and job.is_terminal:
            state = f"is {job.status}, but its files were not all downloaded in time"
            if short := short_count(job):
                state = f"is {job.status}, but {short}"
        else:
            approved = None if job is None else int_or_none(job.files_approved)
            seen = "" if job is None else f": it is {job.status}, {count_of(approved or 0)} approved"
            state = f"did not finish before timeout= passed{seen}; the job continues"
        failure = "" if self._failure is None else f". The last failure: {self._failure}"
        error = WaitTimeoutError(f"{self.job_id} {state}; {self._advice}{failure}", job=job)
        error.__cause__ = self._failure
        return error


def short_count(job: Job) -> str:
    """How many files a completed job counts, if these are fewer than it needs; else empty."""
    needed, count = int_or_none(job.files_needed) or 0, int_or_none(job.files_approved)
    if job.status != "completed" or count is None or count >= needed:
        return ""
    return f"the service counts {count:,} of {count_of(needed)} as approved"


def _news(job: Job | None) -> tuple[object, object] | None:
    return None if job is None else (job.status, job.files_approved)
