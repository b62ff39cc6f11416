"""Jobs followed at the same time: one list reports all of them, so that ten jobs cost the requests of one."""

from __future__ import annotations

import os
from collections import deque
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from firsthandapi._async.calls import Resource
from firsthandapi._core.calls import arguments
from firsthandapi._core.calls.decode import decode_items
from firsthandapi._core.calls.longpoll import Pauses
from firsthandapi._core.calls.pages import LARGEST_PAGE
from firsthandapi._core.calls.request import build_request
from firsthandapi.errors import FirstHandError
from firsthandapi.types.job import Job, JobListParams

if TYPE_CHECKING:
    from firsthandapi._async.transport import KeyState, Transport
    from firsthandapi._async.waiting import Waiting

# How often one who waits looks whether another has read the list by now, or a webhook has come.
_LOOK_EVERY = 0.2
_LISTEN_EVERY = 0.5
# One read shows the news of all jobs: the more there are, the fewer reads a job needs.
_SECONDS_A_JOB = 0.1
# News come in swarms, and one read shows all of them: after a few reads in a minute, the others keep a distance, so
# that no minute has more than 20.
_FREE = 4
_SOONEST = 3.5
# Jobs that the list does not show, hidden by newer ones or because it fails, are read by themselves: so many after
# each read of the list, in turn.
_MOST_SINGLE = 3


class Board:
    """What the list last reported about the jobs followed with one API key; the first that needs it reads it."""

    def __init__(self) -> None:
        self.start()

    def start(self) -> None:
        """Start with nobody; a forked child has none of the threads that follow, nor the one that reads the list."""
        # By follower, its job. Threads change it, each in one step.
        self.followers: dict[SharedReader, str] = {}
        self.jobs: dict[str, Job] = {}
        # Those whose turn it is to read their job by itself. Each has it until it takes it, which may be late.
        self.turns: set[SharedReader] = set()
        # How the last read failed; None if it did not.
        self.failure: FirstHandError | None = None
        self.reads = 0
        self.read_at = self.due = 0.0
        self.latest: deque[float] = deque(maxlen=_FREE)
        self.is_being_read = False
        # The list is read often after a status has changed, and less and less often while none does.
        self.pauses = Pauses()

    @property
    def followed(self) -> set[str]:
        """The ids of the jobs that are followed."""
        return set(self.followers.values())

    def show(self, jobs: dict[str, Job]) -> None:
        """Report what a read of the list has shown, and whose turn it is of those whose job it has not."""
        # In one step: a follower that woke late still finds what the previous read reported.
        self.jobs = jobs
        unlisted = [each for each, job_id in self.followers.copy().items() if job_id not in self.jobs]
        unlisted.sort(key=lambda each: each.had_turn_at)
        for each in [each for each in unlisted if each not in self.turns][:_MOST_SINGLE]:
            each.had_turn_at = self.reads
            self.turns.add(each)

    def wake(self, job_id: str) -> None:
        """Have the list read soon: something has happened to a job."""
        if job_id in self.followed:
            self.due = min(self.due, self.read_at + _SOONEST)


_boards: WeakKeyDictionary[KeyState, dict[str, Board]] = WeakKeyDictionary()


def board_of(transport: Transport) -> Board:
    """The board of an API key and a service."""
    return _boards.setdefault(transport.key_state, {}).setdefault(transport.config.base_url, Board())


class SharedReader(Resource):
    """One follower among those of its API key.

    Attributes:
        had_turn_at: how often the list had been read when this follower last had a turn, or came.
    """

    def __init__(self, transport: Transport, waiting: Waiting) -> None:
        super().__init__(transport)
        self._waiting = waiting
        self._board = board_of(transport)
        self.had_turn_at = 0

    def join(self) -> None:
        """Count this follower in."""
        self.had_turn_at = self._board.reads  # its job was just read
        self._board.followers[self] = self._waiting.job_id

    def leave(self) -> None:
        """Count it out."""
        self._board.followers.pop(self, None)  # a fork may have done so
        self._board.turns.discard(self)

    @property
    def is_alone(self) -> bool:
        """Whether no other job is followed: then a poll, which the service holds, brings news sooner."""
        return len(self._board.followed) < 2

    @property
    def has_turn(self) -> bool:
        """Whether `take` brings anything: the list shows this job, or it is its turn to be read by itself."""
        return self._waiting.job_id in self._board.jobs or self in self._board.turns

    @property
    def failure(self) -> FirstHandError | None:
        """How the list could not be read the last time; None if it could."""
        return self._board.failure

    @property
    def due(self) -> float:
        """When the list is read next."""
        return self._board.due

    async def change(self, every: float) -> bool:
        """Wait until the list is due, and read it unless another does; whether it reports a change of this job.

        Raises:
            WaitTimeoutError: the timeout has passed.
        """
        await self.next_read(every)
        return await self.take()

    async def take(self) -> bool:
        """Take what the list reports of this job, or in its turn read the job by itself; whether it has changed."""
        board = self._board
        job = board.jobs.get(self._waiting.job_id)
        if job is None:
            if self not in board.turns:
                return False
            board.turns.discard(self)
        return await self._waiting.change_to(job)

    async def read_now(self, every: float) -> None:
        """Read the list, unless another does: none of its jobs was seen yet.

        Raises:
            WaitTimeoutError: the timeout has passed.
        """
        self._board.due = self._transport.clock.monotonic()
        await self.next_read(every)

    async def next_read(self, every: float) -> None:
        """Wait until the list is due, and read it unless another does.

        Raises:
            WaitTimeoutError: the timeout has passed.
        """
        clock, board = self._transport.clock, self._board
        reads, now = board.reads, clock.monotonic()
        if not now - every < board.due <= now + every:
            # Nobody has read it for long.
            board.pauses.reset()
            board.due = now + min(board.pauses.longer(), every)
        while board.reads == reads:
            now = clock.monotonic()
            if now < board.due:
                await self._waiting.pause(min(board.due - now, _LISTEN_EVERY))
            elif board.is_being_read:
                await self._waiting.pause(_LOOK_EVERY)
            else:
                board.is_being_read = True
                try:
                    await self._read_list()
                finally:
                    board.is_being_read, board.reads = False, board.reads + 1
                    board.read_at = clock.monotonic()
                    pause = max(board.pauses.longer(), _SECONDS_A_JOB * len(board.followed))
                    if len(board.latest) == _FREE and board.read_at - board.latest[0] < 60:
                        pause = max(pause, _SOONEST)
                    board.latest.append(board.read_at)
                    board.due = board.read_at + min(pause, every)

    async def _read_list(self) -> None:
        """Read the newest jobs until all that are followed were found, or a page in vain."""
        board, followed = self._board, self._board.followed
        board.failure = None
        jobs: dict[str, Job] = {}
        cursor: str | None = None
        for _ in range(len(followed) // LARGEST_PAGE + 2):
            params = arguments.check(JobListParams, {"limit": LARGEST_PAGE, "cursor": cursor})
            request = build_request(
                "GET",
                "/v1/jobs",
                query=arguments.query(params),
                time_limit=self._waiting.time_limit(),
                retry=False,
                # One of a gateway's, say; the query of one follower may hide the jobs of others.
                extra_headers=self._waiting.options.get("extra_headers"),
            )
            try:
                response, content = await self._transport.send(request)
                page, _ = decode_items(Job, content, response)
            except FirstHandError as error:
                board.failure = error
                break  # each follower reads its own job in turn, and sees by itself what is wrong
            jobs.update((job.id, job) for job in page.data if job.id in followed)
            cursor = page.next_cursor
            if cursor is None or jobs.keys() >= followed:
                break
        if any(
            job_id in board.jobs and board.jobs[job_id].status != job.status for job_id, job in jobs.items()
        ):
            board.pauses.reset()
        board.show(jobs)


def _start_in_child() -> None:  # pragma: no cover # it runs in a forked child, which is not measured
    for boards in list(_boards.values()):
        for board in boards.values():
            board.start()


if hasattr(os, "register_at_fork"):  # pragma: no branch # Windows has no fork
    os.register_at_fork(after_in_child=_start_in_child)
