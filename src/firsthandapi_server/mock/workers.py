"""Simulated workers: they take jobs by themselves, and a seed decides what they submit."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from weakref import WeakKeyDictionary

from firsthandapi_server.contract.text import new_id
from firsthandapi_server.rules.jobs import Workforce
from firsthandapi_server.rules.world import World
from firsthandapi_server.state.model import Details, Facts, File, Job, Submission

from .annotations import MadeUp, annotate
from .media import Media
from .media import make as make_media
from .scenes import SUBJECTS, subjects_of

FIRST_ARRIVAL = 15.0
# Of a job's simulated files, every third has objects with a confidence, every twentieth no annotations.
_WITH_CONFIDENCE, _WITHOUT_ANNOTATIONS = 3, 20
_STARS = ((5, 4, 3, 2, 1), (30, 40, 20, 7, 3))
_DEVICES = (("iPhone 15", "iOS 18.1"), ("Pixel 8", "Android 15"), ("Galaxy S24", "Android 14"))
# Why the simulated service gives so many stars.
REASONS = {
    1: "Off-topic or corrupted: the file does not show what the job asks for.",
    2: "Below threshold: major deficiencies against the job description.",
    3: "Acceptable: meets the basic requirements, with some gaps.",
    4: "Good: minor issues only, well executed.",
    5: "Excellent: fully addresses the job description.",
}
_REGIONS = ("US-CA", "US-TX", "GB-LND", "JP-13", "DE-BE", "IN-KA")


@dataclass(slots=True)
class Capture:
    """A captured file: its bytes are made from a seed when they are needed, unless they were given."""

    content_type: str
    seed: str
    created_at: float
    min_width: int = 0
    min_height: int = 0
    given: bytes | None = None
    given_size: tuple[int | None, int | None] = (None, None)
    annotations: dict[str, Any] | MadeUp | None = "made up"
    subject: str | None = None  # what a picture shows
    is_simulated: bool = False

    def read(self, start: int, stop: int) -> Iterable[bytes]:
        """The bytes, in one piece."""
        return (self._content()[start:stop],)

    def facts(self) -> Facts:
        """Size, hash, width, height, and duration; of given bytes, those measures that came with them."""
        if self.given is not None:
            return _facts(self.given, *self.given_size, None)
        media = self._made()
        return _facts(media.content, media.width, media.height, media.duration_seconds)

    def details(self) -> Details:
        """The worker's device and region, the time of the capture, and the annotations."""
        chance = random.Random(self.seed)  # noqa: S311 - a seed is the point
        model, system = chance.choice(_DEVICES)
        annotations = self.annotations
        if isinstance(annotations, str):
            annotations = annotate(self.content_type, self.seed, annotations, self.subject)
        return Details(
            captured_at=self.created_at - chance.randrange(5, 120),
            device_info={"device_model": model, "device_os": system, "app_version": "4.2.0"},
            worker_region=chance.choice(_REGIONS),
            annotations=annotations,
            more={"simulated": True} if self.is_simulated else {},
        )

    def _content(self) -> bytes:
        return self._made().content if self.given is None else self.given

    def _made(self) -> Media:
        width, height = max(640, self.min_width), max(480, self.min_height)
        if (width, height) == (640, 480):
            return _usual(self.content_type, self.seed, self.subject)
        try:
            return make_media(self.content_type, self.seed, width=width, height=height, subject=self.subject)
        except ValueError:  # the format cannot be as large as the job asks: the worker does its best
            return _usual(self.content_type, self.seed, self.subject)


# A file is needed for its facts, by each of its readers, and by the next server of the same seed.
@lru_cache(maxsize=1024)  # at most 20 MB
def _usual(content_type: str, seed: str, subject: str | None) -> Media:
    """A file of the usual size, at most 20 KB."""
    return make_media(content_type, seed, subject=subject)


def _facts(content: bytes, width: int | None, height: int | None, duration: float | None) -> Facts:
    return Facts(len(content), hashlib.sha256(content).hexdigest(), width, height, duration)


def capture(
    job: Job,
    content_type: str,
    at: float,
    *,
    rating: int,
    name: str | None = None,
    given: bytes | None = None,
    given_size: tuple[int | None, int | None] = (None, None),
    annotations: dict[str, Any] | MadeUp | None = "made up",
    is_simulated: bool = False,
) -> File:
    """A file that a worker made for a job."""
    seed = f"{job.seed}:{job.chance.getrandbits(64):016x}"
    if name is None:
        extension = content_type.partition("/")[2].replace("jpeg", "jpg").replace("quicktime", "mov")
        name = f"capture_{job.chance.randrange(10000):04d}.{extension}"
    least = (job.fields.get("min_width") or 0, job.fields.get("min_height") or 0)
    subject = _subject(job, seed, rating) if content_type.startswith("image/") else None
    source = Capture(content_type, seed, at, *least, given, given_size, annotations, subject, is_simulated)
    return File(new_id("file_", at), content_type, source, name, at, wanted_rating=rating)


def _subject(job: Job, seed: str, rating: int) -> str | None:
    """What a picture shows: what the job asks for, or, where its file is off topic, something else."""
    asked = subjects_of(f"{job.fields.get('title') or ''} {job.fields['description']}")
    if not asked:
        return None
    chance = random.Random(f"{seed}:subject")  # noqa: S311 - a seed is the point
    if rating == 1:
        return chance.choice([name for name in SUBJECTS if name not in asked] or asked)
    return chance.choice(asked)


class SimulatedWorkers(Workforce):
    """A workforce: the first worker comes 15 seconds after a job was posted, and others as slots are free."""

    in_sandbox_only = False

    def __init__(self, world: World) -> None:
        self._state = world.state
        self._jobs = world.jobs
        # Weak: a server that keeps its jobs in rows would hold every job that was ever worked on.
        self._files: WeakKeyDictionary[Job, int] = WeakKeyDictionary()

    def job_posted(self, job: Job, at: float) -> None:
        """Send workers, one after the other."""
        if job.account.is_sandbox or not self.in_sandbox_only:
            start = at + FIRST_ARRIVAL
            self._state.later(start, lambda when: self._stream(job, 0, start, when))

    def slots_freed(self, job: Job, count: int, at: float) -> None:
        """Send others for the freed slots. In the sandbox nobody would do better, so nobody comes."""
        is_alone = job.account.is_sandbox or self.in_sandbox_only
        if is_alone or len(job.submissions) > 100 * job.files_needed + 100:
            return
        for _ in range(count):
            self._state.later(at + job.chance.uniform(5, 15), lambda when: self._arrive(job, when))

    def retry_asked(self, submission: Submission, at: float) -> None:
        """Retry a little later, and do better."""
        if submission.account.is_sandbox or not self.in_sandbox_only:
            when = at + submission.job.chance.uniform(5, 15)
            self._state.later(when, lambda due: self._retry(submission, due))

    def _stream(self, job: Job, number: int, start: float, at: float) -> None:
        """One arrival and the next: a chain, so that a large job does not fill the clock's heap."""
        if job.is_terminal:
            return
        self._arrive(job, at)
        if number + 1 < job.files_needed:
            when = start + (number + 1) * min(1.0, 30 / job.files_needed)
            self._state.later(when, lambda due: self._stream(job, number + 1, start, due))

    def _arrive(self, job: Job, at: float) -> None:
        count = min(job.fields["files_per_submission"], job.free_slots)
        if job.is_terminal or count < 1:
            return
        files = [self._file(job, at, job.chance.choices(*_STARS)[0]) for _ in range(count)]
        self._jobs.submit(job, files, at)

    def _retry(self, submission: Submission, at: float) -> None:
        if submission.status == "retry_pending":
            job = submission.job
            files = [
                self._file(job, at, job.chance.randint(3, 5), file.content_type) for file in submission.files
            ]
            self._jobs.resubmit(submission, files, at)

    def _file(self, job: Job, at: float, rating: int, content_type: str | None = None) -> File:
        content_type = content_type or job.chance.choice(job.fields["accepted_formats"])
        number = self._files[job] = self._files.get(job, 0) + 1
        annotations: MadeUp | None = "made up"
        if number % _WITHOUT_ANNOTATIONS == 0:
            annotations = None
        elif number % _WITH_CONFIDENCE == 0:
            annotations = "made up, with confidence"
        is_simulated = not self.in_sandbox_only
        return capture(
            job, content_type, at, rating=rating, annotations=annotations, is_simulated=is_simulated
        )


class SandboxWorkers(SimulatedWorkers):
    """A workforce for jobs of the sandbox alone, on a server whose live jobs are worked by people."""

    in_sandbox_only = True
