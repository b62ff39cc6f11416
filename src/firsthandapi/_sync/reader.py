# Made from _async/reader.py by `make generate`. Do not edit.
"""One reader for all jobs that are followed at the same time: ten jobs cost as few requests as one."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from firsthandapi._base.watching import logger
from firsthandapi._core.calls import arguments
from firsthandapi._core.calls.decode import decode_items
from firsthandapi._core.calls.longpoll import Pauses
from firsthandapi._core.calls.lost_answers import advise
from firsthandapi._core.calls.pages import LARGEST_PAGE
from firsthandapi._core.calls.request import build_request
from firsthandapi._core.orders.record import ShownJob, dump, key_of
from firsthandapi._core.orders.refusals import rewriting_warning
from firsthandapi._core.orders.twins import warning
from firsthandapi.errors import FirstHandError
from firsthandapi.types.job import Job
from firsthandapi.types.job_arguments import JobListParams

if TYPE_CHECKING:
    from firsthandapi._sync.transport import KeyState, Transport
    from firsthandapi._sync.waiting import Waiting

# Seconds between checks whether another follower has read the list, or a webhook has arrived.
_LOOK_EVERY = 0.2
_LISTEN_EVERY = 0.5
# One read shows the changes of all jobs, so the more jobs, the fewer reads each one needs.
_SECONDS_A_JOB = 0.1
# Changes come in groups, and one read shows all of them: after a few reads in a minute, the next ones keep a distance,
# so that no minute has more than 20.
_FREE = 4
_SOONEST = 3.5
# Jobs that the list does not show, because newer ones hide them or the list fails, are read one by one: in turn, at
# most this many after each read of the list.
_MOST_SINGLE = 3


class Board:
    """The last read of the list, for all jobs that are followed with one API key."""

    def __init__(self) -> None:
        self.start()

    def start(self) -> None:
        """Start without followers: a forked child has none of its parent's threads."""
        # The job of each follower. Threads change it, each in one step.
        self.followers: dict[SharedReader, str] = {}
        self.jobs: dict[str, Job] = {}
        # By its id, a job that has the key of another one: the id of that one, the job, and what to say of it.
        self.twins: dict[str, tuple[str, ShownJob, str]] = {}
        # The fields that the service has shown otherwise than they were sent.
        self.rewritten: set[str] = set()
        # The followers that may read their own job. Each keeps its turn until it uses it.
        self.turns: set[SharedReader] = set()
        # The error of the last read, or None.
        self.failure: FirstHandError | None = None
        self.reads = 0
        self.read_at = self.due = 0.0
        self.latest: deque[float] = deque(maxlen=_FREE)
        self.is_being_read = False
        # Reads are frequent after a change of a status, and become rarer without one.
        self.pauses = Pauses()

    @property
    def followed(self) -> set[str]:
        """The ids of the jobs that are followed."""
        return set(self.followers.values())

    def note_twins(self, used: ShownJob, twins: Iterable[ShownJob]) -> None:
        """Note jobs that have the key of the one that is used, and warn of each once."""
        for twin in twins:
            if used["id"] not in self.twins and twin["id"] not in self.twins:
                self.twins[twin["id"]] = (used["id"], twin, text := warning(used, twin))
                logger().warning("%s", text)

    def note_rewritten(self, job: ShownJob, names: Iterable[str]) -> None:
        """Note the fields of a job that differ from those of its order, and warn of each once."""
        if new := set(names) - self.rewritten:
            self.rewritten |= new
            logger().warning("%s", rewriting_warning(job, sorted(new)))

    def show(self, jobs: dict[str, Job]) -> None:
        """Publish a read of the list, and give turns to followers of unlisted jobs."""
        # In one step, so that a follower that wakes late sees the previous read or this one.
        self.jobs = jobs
        unlisted = [reader for reader, job_id in self.followers.copy().items() if job_id not in self.jobs]
        unlisted.sort(key=lambda reader: reader.had_turn_at)
        for reader in [reader for reader in unlisted if reader not in self.turns][:_MOST_SINGLE]:
            reader.had_turn_at = self.reads
            self.turns.add(reader)

    def wake(self, job_id: str) -> None:
        """Make the next read earlier, after a webhook for this job."""
        if job_id in self.followed:
            self.due = min(self.due, self.read_at + _SOONEST)


_boards: WeakKeyDictionary[KeyState, dict[str, Board]] = WeakKeyDictionary()


def board_of(transport: Transport) -> Board:
    """The board of an API key and a service."""
    return _boards.setdefault(transport.key_state, {}).setdefault(transport.config.base_url, Board())


def name_twins(transport: Transport, error: FirstHandError, job_ids: Collection[str]) -> None:
    """Add the jobs that have the keys of these to the error."""
    for used, _, text in board_of(transport).twins.values():
        if used in job_ids and text not in error.message:
            advise(error, f"; {text}")


class SharedReader:
    """One follower of a job; the followers of an API key share the list.

    Attributes:
        waiting: the wait for the job.
        had_turn_at: the number of reads of the list at this follower's last turn, or when it joined.
    """

    def __init__(self, transport: Transport, waiting: Waiting) -> None:
        self._transport = transport
        self.waiting = waiting
        self._board = board_of(transport)
        self.had_turn_at = 0

    def join(self) -> None:
        """Add this follower."""
        self.had_turn_at = self._board.reads  # its job was just read
        self._board.followers[self] = self.waiting.job_id

    def leave(self) -> None:
        """Remove this follower."""
        self._board.followers.pop(self, None)  # a fork may have removed it
        self._board.turns.discard(self)

    @property
    def is_alone(self) -> bool:
        """Whether no other job is followed: then a long-poll shows changes sooner."""
        return len(self._board.followed) < 2

    @property
    def is_listed(self) -> bool:
        """Whether the last read of the list shows the job."""
        return self.waiting.job_id in self._board.jobs

    @property
    def has_turn(self) -> bool:
        """Whether `take` has something to do: the list shows the job, or it is this follower's turn to read it."""
        return self.is_listed or self in self._board.turns

    @property
    def failure(self) -> FirstHandError | None:
        """The error of the last read of the list, or None."""
        return self._board.failure

    @property
    def twins(self) -> list[ShownJob]:
        """The jobs that have the key of another one."""
        return [job for _, job, _ in self._board.twins.values()]

    @property
    def due(self) -> float:
        """When the list is read next."""
        return self._board.due

    def change(self, every: float) -> bool:
        """Wait until the list is due, and read it unless another follower does. Returns whether this job has changed.
        Raises WaitTimeoutError: the timeout has passed.
        """
        self.next_read(every)
        return self.take()

    def take(self) -> bool:
        """Take the job from the list, or read it if it is this follower's turn. Returns whether it has changed."""
        if (job := self._board.jobs.get(self.waiting.job_id)) is not None:
            return self.waiting.change_to(job)
        return self in self._board.turns and self.read()

    def read(self) -> bool:
        """Read the job by itself. Returns whether it has changed."""
        self._board.turns.discard(self)
        return self.waiting.change_to(None)

    def read_now(self, every: float) -> None:
        """Read the list now, unless another follower does. Raises WaitTimeoutError: the timeout has passed."""
        self._board.due = self._transport.clock.monotonic()
        self.next_read(every)

    def next_read(self, every: float) -> None:
        """Wait until the list is due, and read it unless another follower does.
        Raises WaitTimeoutError: the timeout has passed.
        """
        clock, board = self._transport.clock, self._board
        reads, now = board.reads, clock.monotonic()
        if not now - every < board.due <= now + every:
            # The last read is long ago.
            board.pauses.reset()
            board.due = now + min(board.pauses.longer(), every)
        while board.reads == reads:
            now = clock.monotonic()
            if now < board.due:
                self.waiting.pause(min(board.due - now, _LISTEN_EVERY))
            elif board.is_being_read:
                self.waiting.pause(_LOOK_EVERY)
            else:
                board.is_being_read = True
                try:
                    self._read_list()
                finally:
                    board.is_being_read, board.reads = False, board.reads + 1
                    board.read_at = clock.monotonic()
                    pause = max(board.pauses.longer(), _SECONDS_A_JOB * len(board.followed))
                    if len(board.latest) == _FREE and board.read_at - board.latest[0] < 60:
                        pause = max(pause, _SOONEST)
                    board.latest.append(board.read_at)
                    board.due = board.read_at + min(pause, every)

    def _read_list(self) -> None:
        """Read the newest jobs until every followed job is found, or one page more than these could fill."""
        board, followed = self._board, self._board.followed
        board.failure = None
        jobs: dict[str, Job] = {}
        other_jobs: list[Job] = []
        cursor: str | None = None
        for _ in range(len(followed) // LARGEST_PAGE + 2):
            params = arguments.check(JobListParams, {"limit": LARGEST_PAGE, "cursor": cursor})
            request = build_request(
                "GET",
                "/v1/jobs",
                query=arguments.query(params),
                time_limit=self.waiting.time_limit(),
                retry=False,
                # Headers only, such as a gateway's: the query of one follower may hide the jobs of others.
                extra_headers=self.waiting.options.get("extra_headers"),
            )
            try:
                response, content = self._transport.send(request)
                page, _ = decode_items(Job, content, response)
            except FirstHandError as error:
                board.failure = error
                break  # each follower reads its own job in turn, and meets the error itself
            jobs.update((job.id, job) for job in page.data if job.id in followed)
            other_jobs += [job for job in page.data if job.id not in followed]
            cursor = page.next_cursor
            if cursor is None or jobs.keys() >= followed:
                break
        if any(
            job_id in board.jobs and board.jobs[job_id].status != job.status for job_id, job in jobs.items()
        ):
            board.pauses.reset()
        board.show(jobs)
        keys = {key: job for job in jobs.values() if (key := key_of({"metadata": job.metadata}))}
        for job in other_jobs:
            if (used := keys.get(key_of({"metadata": job.metadata}) or "")) is not None:
                board.note_twins(dump(used), [dump(job)])


def _start_in_child() -> None:  # pragma: no cover # it runs in a forked child, which is not measured
    for boards in list(_boards.values()):
        for board in boards.values():
            board.start()


if hasattr(os, "register_at_fork"):  # pragma: no branch # Windows has no fork
    os.register_at_fork(after_in_child=_start_in_child)
