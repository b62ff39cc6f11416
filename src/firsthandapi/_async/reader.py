"""Jobs followed at the same time: one list reports all of them, so that ten jobs cost the requests of one."""

from __future__ import annotations

import os
from collections import deque
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from firsthandapi._async.calls import Resource
from firsthandapi._core import arguments
from firsthandapi._core.decode import decode_items
from firsthandapi._core.longpoll import Pauses
from firsthandapi._core.pages import LARGEST_PAGE
from firsthandapi._core.request import build_request
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


class Board:
    """What the list last reported about the jobs followed with one API key; the first that needs it reads it."""

    def __init__(self) -> None:
        self.start()

    def start(self) -> None:
        """Start with nobody; a forked child has none of the threads that follow, nor the one that reads the list."""
        # By follower, its job. Threads change it, each in one step.
        self.followers: dict[SharedReader, str] = {}
        self.jobs: dict[str, Job] = {}
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

    def wake(self, job_id: str) -> None:
        """Have the list read soon: something has happened to a job."""
        if job_id in self.followed:
            self.due = min(self.due, self.read_at + _SOONEST)


_boards: WeakKeyDictionary[KeyState, dict[str, Board]] = WeakKeyDictionary()


def board_of(transport: Transport) -> Board:
    """The board of an API key and a service."""
    return _boards.setdefault(transport.key_state, {}).setdefault(transport.config.base_url, Board())


class SharedReader(Resource):
    """One follower among those of its API key."""

    def __init__(self, transport: Transport, waiting: Waiting) -> None:
        super().__init__(transport)
        self._waiting = waiting
        self._board = board_of(transport)

    def join(self) -> None:
        """Count this follower in."""
        self._board.followers[self] = self._waiting.job_id

    def leave(self) -> None:
        """Count it out."""
        self._board.followers.pop(self, None)  # a fork may have done so

    @property
    def is_alone(self) -> bool:
        """Whether no other job is followed: then a poll, which the service holds, brings news sooner."""
        return len(self._board.followed) < 2

    @property
    def is_listed(self) -> bool:
        """Whether the list showed this job when it was last read."""
        return self._waiting.job_id in self._board.jobs

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
        """Take what the list reports of this job, or read the job by itself; whether it has changed."""
        return await self._waiting.change_to(self._board.jobs.get(self._waiting.job_id))

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
                break  # each follower reads its own job, and sees by itself what is wrong
            jobs.update((job.id, job) for job in page.data if job.id in followed)
            cursor = page.next_cursor
            if cursor is None or jobs.keys() >= followed:
                break
        if any(
            job_id in board.jobs and board.jobs[job_id].status != job.status for job_id, job in jobs.items()
        ):
            board.pauses.reset()
        # In one step: a follower that woke late still finds what the previous read reported.
        board.jobs = jobs


def _start_in_child() -> None:  # pragma: no cover # it runs in a forked child, which is not measured
    for boards in list(_boards.values()):
        for board in boards.values():
            board.start()


if hasattr(os, "register_at_fork"):  # pragma: no branch # Windows has no fork
    os.register_at_fork(after_in_child=_start_in_child)
