"""Programs that look at what people send: a scorer, a model. What they say is kept, and asked for only once."""

from __future__ import annotations

import dataclasses
import logging
import os
import queue
import tempfile
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Generator, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar

from firsthandapi._base.host import replacing
from firsthandapi._base.names import file_name_on_disk
from firsthandapi.ai import Opinion, Work
from firsthandapi.errors import AnnotationError, ConfigurationError
from firsthandapi.types import Job
from firsthandapi_server.rules import show
from firsthandapi_server.rules.world import World
from firsthandapi_server.state.model import File, Submission

from .access import Access
from .opinions import Opinions, checked
from .tasks import made_for

# How the names of raters begin.
MODEL, SCORER = "model:", "scorer:"
_TWINS = 3
_COPIES = 1000
# After so long it is asked again, if its service was busy, broken, or could not be reached; and so much later each time
# that it may have cost something.
AGAIN_SECONDS = 600.0
_LATER, _LATEST = 4, 4
_STOP_SECONDS = 5.0
# How often it looks whether a new day has begun, or what is under way has cost less than it might.
_PATIENCE = 1.0
_log = logging.getLogger("firsthandapi.serve")


@dataclass(frozen=True, slots=True)
class Answers:
    """What a program has said of the files of an attempt, by their ids: nothing of those it left or failed on.

    Attributes:
        rater: its name, as `model:NAME` or `scorer:NAME`.
        versions: which version of the program rated each family of media.
    """

    rater: str
    submission: str
    attempt: int
    opinions: Mapping[str, Opinion]
    versions: Mapping[str, str]


class _StoppedError(Exception):
    """The server stops: it is asked again at the next start."""


class Program(ABC):
    """What waits for a program, and threads that ask it.

    Attributes:
        rater: its name, as `model:NAME` or `scorer:NAME`.
        decides: whether it decides alone where people have found it right.
        listener: what is called with what it has said, under the lock of the world.
    """

    threads: ClassVar[int] = 1
    decides = False

    def __init__(
        self, world: World, access: Access, folder: Path, rater: str, cents_a_day: float | None = None
    ) -> None:
        self.rater = rater
        self.listener: Callable[[Answers], None] = lambda _answers: None
        self.opinions = Opinions(access)
        self._world = world
        self._access = access
        self._folder = folder  # where a start removes what it does not know
        self._cents_a_day = cents_a_day
        self._work: queue.SimpleQueue[tuple[str, int] | None] = queue.SimpleQueue()
        self._taken: dict[tuple[str, int], None] = {}  # what is in the queue, or under way
        self._running: list[threading.Thread] = []
        self._stopping = threading.Event()
        self._budget = threading.Lock()
        self._asking: set[tuple[str, str]] = set()
        self._answered = threading.Condition()

    # --- what the program is ----------------------------------------------------------------------------

    @abstractmethod
    def takes(self, content_type: str) -> bool:
        """Whether it looks at files of a type."""

    @abstractmethod
    def question(self, work: Work) -> str:
        """The key of what it is asked of a file; without a job, its version."""

    @abstractmethod
    def look(self, work: Work) -> Opinion | None:
        """Ask it.
        Raises AnnotationError: it has given none.
        Raises ConfigurationError: it would give none of any file.
        """

    def most(self, work: Work) -> float | None:  # noqa: ARG002 - of those that cost something
        """The most that it may cost, in cents; None if unknown."""
        return 0.0

    # --- what waits -------------------------------------------------------------------------------------

    def take(self, submission: Submission) -> None:
        """Have it look at a submission; the lock of the world is held."""
        attempt = submission.id, submission.attempt
        if self._running:
            self.opinions.plan(self.rater, [attempt])
        self._put(attempt)

    def resume(self, attempts: Iterable[tuple[str, int]]) -> None:
        """Have it look at what waits, before it starts."""
        for attempt in attempts:
            self._put(attempt)

    def taken(self) -> Collection[tuple[str, int]]:
        """The attempts that wait for it."""
        return self._taken.keys()

    def _put(self, attempt: tuple[str, int]) -> None:
        if attempt not in self._taken:
            self._taken[attempt] = None
            self._work.put(attempt)

    def start(self) -> None:
        """Start it, with what an earlier start has left, and what waits for people."""
        with self._world.lock:
            for attempt in self.opinions.planned(self.rater):
                self._put(attempt)
            self.opinions.plan(self.rater, self._taken)  # at once: each change waits for the disk
            for _ in range(self.threads):
                thread = threading.Thread(target=self._run, name=f"firsthandapi-{self.rater}", daemon=True)
                thread.start()
                self._running.append(thread)

    def stop(self) -> None:
        """End it. It looks at the rest after the next start."""
        self._stopping.set()
        for _ in self._running:
            self._work.put(None)
        # No longer than that: a service may be slow, or a thread sleeps until it tries again.
        for thread in self._running:
            thread.join(_STOP_SECONDS / self.threads)

    def _run(self) -> None:
        while (item := self._work.get()) is not None and not self._stopping.is_set():
            try:
                self._see(*item)
            except _StoppedError:
                return
            except Exception:
                if not self._stopping.is_set():
                    _log.exception("%s left %s to the reviewers", self.rater, item[0])
            finally:
                self._taken.pop(item, None)

    def _see(self, submission_id: str, attempt: int) -> None:
        world = self._world
        with world.lock:
            submission = world.state.submissions.get(submission_id)
            files = () if submission is None or submission.attempt != attempt else submission.files
            job = None if submission is None else _asked(submission)
            twins = {file.id: self._alike(file) for file in files}
        opinions: dict[str, Opinion] = {}
        versions: dict[str, str] = {}
        is_done, is_temporary = True, False
        for file in files:
            if self._is_gone(file) or not self.takes(file.content_type):
                continue
            try:
                work = _work(file, job, attempt, twins[file.id])
                opinion = self._opinion(file, work)
                versions[family(file)] = self.question(dataclasses.replace(work, job=None))
            except (AnnotationError, ConfigurationError, OSError, ValueError) as error:
                if self._stopping.is_set():
                    raise _StoppedError from None
                is_temporary |= isinstance(error, AnnotationError) and error.is_temporary
                is_done &= not isinstance(error, ConfigurationError)
                _log.warning("%s left %s to the reviewers: %s", self.rater, submission_id, error)
            else:
                if opinion is not None:
                    opinions[file.id] = opinion
        if opinions:
            with world.lock:
                self.listener(Answers(self.rater, submission_id, attempt, opinions, versions))
        if is_temporary:
            with world.lock:
                lost = min(_LATEST, self.opinions.lost(file.id for file in files))
                retry_at = world.clock.now() + AGAIN_SECONDS * _LATER**lost
                world.state.later(retry_at, lambda _at: self._put((submission_id, attempt)))
        elif is_done:
            self.opinions.done(self.rater, submission_id, attempt)

    def _alike(self, file: File) -> tuple[str, ...]:
        """The ids of files with the same bytes, or that look the same."""
        state, twin_id = self._world.state, file.source.details().like
        twin = state.submissions.get(twin_id) if twin_id else None
        return tuple(copy.id for copy in [*state.same_as(file, _TWINS), *(twin.files if twin else ())])

    def _is_gone(self, file: File) -> bool:
        """Whether it is nobody's to look at any more, as whoever sent it does not want it."""
        return file.is_erased or file.withdrawn or self._access.has_withdrawn(file.submission.worker_id)

    def is_copy(self, file: File) -> bool:
        """Whether an earlier file has the same bytes, or looks the same. Later ones change nothing: whoever sent them
        could take a file out of what is compared."""
        same = self._world.state.same_as(file, _COPIES)
        return file.source.details().like is not None or any(copy.id < file.id for copy in same)

    @contextmanager
    def _copied(self, file: File, suffix: str) -> Generator[Path]:
        """A copy of a file for this block. What a kill leaves of a person's file is removed by the next start."""
        number, name = tempfile.mkstemp(suffix, "upload_seen_", self._folder)
        try:
            with os.fdopen(number, "wb") as copy:
                for piece in file.source.read(0, file.facts().size):
                    copy.write(piece)
            yield Path(name)
        finally:
            replacing.remove(name)

    @contextmanager
    def _alone(self, question: tuple[str, str]) -> Generator[None]:
        """Let no other thread ask the same meanwhile."""
        with self._answered:
            self._answered.wait_for(lambda: question not in self._asking)
            self._asking.add(question)
        try:
            yield
        finally:
            with self._answered:
                self._asking.remove(question)
                self._answered.notify_all()

    def _opinion(self, file: File, work: Work) -> Opinion | None:
        """What is known of a file already, or what the program says now; None if it was paid for none."""
        question = self.question(work)
        with self._alone((work.sha256, question)):
            return self._known_or_asked(file, work, question)

    def _known_or_asked(self, file: File, work: Work, question: str) -> Opinion | None:
        if (kept_answer := self.opinions.known(work.sha256, question)) is not None:
            return kept_answer[0]
        row = self._begin(file, work, question)
        opinion: Opinion | None = None
        cents: float | None = None
        is_temporary = False
        try:
            with self._copied(file, work.path.suffix) as path:
                answer = self.look(dataclasses.replace(work, path=path))
            cents = 0.0 if answer is None else answer.cents
            opinion = checked(answer or Opinion(), family(file))
        except AnnotationError as error:
            cents, is_temporary = error.cents, error.is_temporary
            raise
        except (ConfigurationError, OSError):
            cents = 0.0
            raise
        finally:
            if opinion is None and self._stopping.is_set():  # perhaps only since the server stops
                raise _StoppedError
            with self._world.lock:  # so that what is erased meanwhile is not kept
                is_kept = not file.is_erased
                self.opinions.end(row, opinion, cents, is_kept=is_kept, is_temporary=is_temporary)
        return opinion

    def _begin(self, file: File, work: Work, question: str) -> int:
        most, budget = self.most(work), self._cents_a_day
        # No day would have enough, and all others would wait.
        if budget is not None and most is not None and most > budget:
            raise AnnotationError(f"it may cost {most:.2f} cents, and a day has {budget:g}", cents=0.0)
        with self._budget:
            while not self._stopping.is_set():
                if self._is_gone(file):  # meanwhile
                    raise AnnotationError("the file is withdrawn", cents=0.0)
                at = self._world.clock.now()
                row = self.opinions.begin(self.rater, work.sha256, question, file.id, at, most, budget)
                if row is not None:
                    return row
                self._stopping.wait(_PATIENCE)
        raise _StoppedError


def family(file: File) -> str:
    """The family of its media: `image`, `audio`, or `video`."""
    return file.content_type.partition("/")[0]


def _asked(submission: Submission) -> Job:
    """The job of a submission, with the task that it was made for."""
    job, task = show.job(submission.job), made_for(submission)
    if task:
        job["description"] += f"\n\nThe task of this file: {task['task_text']}"
    return Job(**job)


def _work(file: File, job: Job | None, attempt: int, twins: tuple[str, ...]) -> Work:
    facts, details = file.facts(), file.source.details()
    credentials = details.more.get("content_credentials")
    return Work(
        path=Path(file_name_on_disk(file.id, file.content_type)),
        content_type=file.content_type,
        sha256=facts.sha256,
        job=job,
        attempt=attempt,
        width=facts.width,
        height=facts.height,
        duration_seconds=facts.duration,
        captured_at=datetime.fromtimestamp(details.captured_at, UTC),
        device=details.device_info.get("device_model"),
        content_credentials=credentials and credentials.get("state"),
        near_duplicates=twins,
    )
