"""The one way from bytes to a submission, for both doors: forms (`working`), and uploads in pieces (`resuming`).

A door lets an upload in (`admit`), writes what comes of it (`write`), one request at a time (`turn`), has it cleaned
and submitted (`submit`), and lets its space go (`release`).
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import shutil
from collections.abc import AsyncGenerator, Hashable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, asynccontextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO
from weakref import WeakValueDictionary

from anyio import CapacityLimiter, to_thread

from firsthandapi_server.console.face import PageError, no_page
from firsthandapi_server.contract.text import Said, new_id, said
from firsthandapi_server.media import LIMITS, MediaError, clean, credentials, is_like
from firsthandapi_server.media.exif import printable
from firsthandapi_server.state.limits import Slot, StoredResponse
from firsthandapi_server.state.model import Assignment, Details, File, Job, Submission
from firsthandapi_server.state.state import DAY
from firsthandapi_server.state.storage import Upload

from .bounds import BOUNDS
from .links import PREFIX
from .reception import Reception
from .sending import Sending
from .tasks import Tasks, columns_of, made_for

# Uploads that are cleaned at the same time, each in a thread that waits for the decoder of pictures. Of those with more
# bytes than that, few: a picture is in memory meanwhile.
_CLEANED, _LARGE_CLEANED, _LARGE = 32, 4, 8 << 20
_MOST_READ = 128 * 1024 * 1024  # maximum size of a file to read Content Credentials from
_ALL = 1_000_000
_IDLE_SECONDS = 600.0
_BEGUN_SECONDS = 30.0

FULL = "The server has no space left for files: tell whoever gave you the link."
_ENDED = said("This job has ended, so nothing was submitted. Thank you for your work.")
_FILLED = said(
    "Somebody else has just submitted the last file that was wanted, so yours was not submitted. If a file is "
    "rejected, a slot opens: check back later."
)


@dataclass(frozen=True, slots=True)
class SentFile:
    """A file that has arrived.

    Attributes:
        name: the sender's name for it, unchecked.
        size: how many bytes it has.
        content: where they are.
    """

    name: str
    size: int
    content: BinaryIO | Path

    def open(self) -> AbstractContextManager[BinaryIO]:
        """The bytes, to be read. What the door has opened, it closes."""
        return self.content.open("rb") if isinstance(self.content, Path) else nullcontext(self.content)


@dataclass(slots=True)
class _Claim:
    """The space of an upload and of its clean copy; `path` has the bytes of one that may stand still."""

    worker: str
    bytes: int
    path: Path | None
    written: int = 0


class UnwelcomeError(PageError):
    """One file of an upload that is not taken; the words need not name it."""

    def __init__(self, sent: SentFile, status: int, words: str) -> None:
        named = Said("{name}: {words}", {"name": _name(sent.name), "words": words})
        super().__init__(status, named, said("This file was not submitted"))


class Receiving:
    """What uploads do to the disk with `folder`, and to the state. The files of some jobs are made for `tasks`."""

    def __init__(self, reception: Reception, folder: Path, tasks: Tasks) -> None:
        self.folder = folder
        self.tasks = tasks
        self._reception = reception
        self._world = reception.world
        self._claims: dict[Hashable, _Claim] = {}
        self._turns: dict[Hashable, asyncio.Timeout] = {}
        self._cleaned_of: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._small, self._large = CapacityLimiter(_CLEANED), CapacityLimiter(_LARGE_CLEANED)

    # --- what may be submitted: the lock is held --------------------------------------------------------

    def is_done(self, job: Job, worker: str, act: str) -> bool:
        """Whether an act was done."""
        return self._world.state.replies.get(_slot(job, worker, act), self._world.clock.now()) is not None

    def retried(self, worker: str, submission_id: str) -> Submission:
        """The submission that its worker tries again. Raises PageError: they cannot."""
        submission = self._world.state.submissions.get(submission_id)
        if submission is None or submission.worker_id != worker:
            raise no_page()
        if submission.status != "retry_pending":
            raise PageError(409, "This submission can no longer be tried again: reload the page.")
        return submission

    def most_files(self, job: Job, retried: Submission | None) -> int:
        """How many files of a job may be submitted together, in place of those that are tried again."""
        free = max(0, job.free_slots) + (0 if retried is None else len(retried.files))
        return 0 if job.is_terminal else min(job.fields["files_per_submission"], free)

    def assign(self, job: Job, worker: str) -> Assignment | None:
        """The task that somebody is to work on; None if none is open, or they may send nothing for it."""
        try:
            self.check(job, worker, None, 1)
        except PageError:
            return None
        return self.tasks.assign(job, worker)

    def claim_task(self, sending: Sending, count: int) -> Assignment | None:
        """The task that somebody sends so many files for; None for a job that has none, or a second attempt.
        Raises PageError: they may not.
        """
        if sending.retry or not self.tasks.has(sending.job):
            return None
        return self.tasks.claim(sending.job, sending.worker, sending.task_id, count)

    def check(
        self, job: Job, worker: str, retry: str | None, count: int, begun: int = 0
    ) -> Submission | None:
        """Check that somebody may submit so many files to a job, beside those that they have `begun` to send. What they
        try again, if they do.

        Raises PageError: they may not.
        """
        retried = self.retried(worker, retry) if retry else None
        if retried is not None and retried.job is not job:
            raise no_page()
        if job.is_terminal:
            raise PageError(410, _ENDED)
        free = self.most_files(job, retried)
        if not free:
            raise PageError(409, _FILLED)
        if count > free:
            words = said(
                "You sent more files than are still wanted, so none was submitted: send at most {free}.",
                free=free,
            )
            raise PageError(409, words)
        most: int | None = job.fields.get("max_workers")
        workers = () if most is None else self._world.state.workers_of(job)
        if most is not None and worker not in workers and len(workers) >= most:
            words = said(
                "The limit of people for this job is {count}, and it is reached, so nothing was submitted.",
                count=most,
            )
            raise PageError(409, words)
        study = self._reception.study
        most = None if study is None else study.max_files_per_worker
        if most is not None:
            rows = self._world.state.submissions_of(job, worker, _ALL)
            held = sum(len(row.files) for row in rows if row.status != "rejected" and row is not retried)
            if held + begun + count > most:
                words = said(
                    "The limit of files per person for this job is {count}, and you have reached it.",
                    count=most,
                )
                raise PageError(403, words)
        return retried

    def admit(self, upload: Hashable, sending: Sending, size: int) -> None:
        """Let an upload in that comes now, and reserve its space, until `release`; the lock is not held. What was done
        is not checked, so that whoever sends it again learns so.

        Raises PageError: it may not come.
        """
        with self._world.lock:
            if not self.is_done(sending.job, sending.worker, sending.act):
                self.check(sending.job, sending.worker, sending.retry, 1)
                self.claim_task(sending, 1)
        self.claim(upload, sending.worker, size)

    # --- the disk: what is free, less what stays free, and less what others have announced ---------------

    def _check_disk(self, more: int) -> None:
        """Check that the disk has space for so many bytes. Raises PageError: it has not."""
        if self._free() < more:
            raise PageError(507, FULL)

    def claim(self, upload: Hashable, worker: str, size: int, path: Path | None = None) -> None:
        """Reserve the space of an upload and of its clean copy, until `release`.

        Args:
            upload: names it.
            worker: whose it is. Whoever has others on their way leaves as much space to everybody else as they take.
            size: its bytes in all.
            path: has its bytes, if it may stand still.

        Raises PageError: the space is not there.
        """
        # A copy, since other threads end uploads.
        claims = [(claim, self._open(claim)) for claim in [*self._claims.values()]]
        own_bytes = sum(claim.bytes for claim, rest in claims if claim.worker == worker and rest is not None)
        room, needed = self._free() - sum(rest or 0 for _, rest in claims), 2 * size
        if needed > (room - own_bytes) / 2 if own_bytes else needed > room:
            raise PageError(507, FULL)
        self.keep(upload, worker, size, path)

    def keep(self, upload: Hashable, worker: str, size: int, path: Path | None) -> None:
        """Reserve the space of an upload that was let in."""
        self._claims[upload] = _Claim(worker, 2 * size, path)

    def release(self, upload: Hashable) -> None:
        """Let the space of an upload go, whether or not it had any."""
        self._claims.pop(upload, None)

    def _free(self) -> int:
        return shutil.disk_usage(self.folder).free - BOUNDS.spare_bytes

    def _open(self, claim: _Claim) -> int | None:
        """How many bytes an upload is still to write, with its clean copy; None if it is gone. What has not moved for a
        while is not waited for: else, whoever announced much and sent nothing would hold the disk for a day."""
        if claim.path is None:
            return max(0, claim.bytes - claim.written)
        arrived = arrived_at(claim.path)
        if arrived is None:
            return None
        return 0 if self.is_idle(claim.path) else claim.bytes - arrived

    def is_idle(self, path: Path) -> bool:
        """Whether nothing comes any more. Of one without a byte, the response may have been lost."""
        seconds = _IDLE_SECONDS if arrived_at(path) else _BEGUN_SECONDS
        return moved_at(path) < self._world.clock.now() - seconds

    # --- bytes ------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def turn(self, upload: Hashable, size: int = 0) -> AsyncGenerator[asyncio.Timeout, None]:
        """The turn of a request, with a deadline as soon as another one sends the same upload, since the connection of
        the first may be lost in silence. `size` bytes are still to come.

        Raises PageError: another request has taken the turn, or the disk is full.
        """
        self._check_disk(size)
        earlier = self._turns.pop(upload, None)
        if earlier is not None:
            earlier.reschedule(asyncio.get_running_loop().time())
        turn = self._turns[upload] = asyncio.timeout(None)
        try:
            async with turn:
                yield turn
        except TimeoutError:
            raise PageError(408, "The upload continues in another connection.") from None
        except OSError:
            self._check_disk(size)
            raise
        finally:
            if self._turns.get(upload) is turn:
                del self._turns[upload]

    def write(self, upload: Hashable, file: BinaryIO, chunk: bytes) -> None:
        """Write what came of an upload. Raises PageError: the disk is full, whatever else fills it."""
        claim = self._claims.get(upload)
        if claim is not None:  # else these are the first bytes of a form, which came with its fields
            self._check_disk(len(chunk))
            claim.written += len(chunk)
        file.write(chunk)

    # --- the submission ---------------------------------------------------------------------------------

    async def submit(self, sending: Sending, files: Sequence[SentFile]) -> None:
        """Clean the files in a thread, and submit them as one act, once: after a crash there is all of it, or nothing.
        Of each person one upload at a time, so that whoever sends many holds up only themselves.

        Raises PageError: they are not taken.
        """
        limiter = self._large if sum(file.size for file in files) > _LARGE else self._small
        async with self._cleaned_of.setdefault(sending.worker, asyncio.Lock()):
            # A stop does not wait.
            await to_thread.run_sync(self._submit, sending, files, limiter=limiter, abandon_on_cancel=True)

    def _submit(self, sending: Sending, sent: Sequence[SentFile]) -> None:
        job, worker, state = sending.job, sending.worker, self._world.state
        with self._world.lock:
            if self.is_done(job, worker, sending.act):
                return
            assignment = self.claim_task(sending, len(sent))
            if assignment is not None:
                task = columns_of(assignment)
                sending = replace(sending, task_id=task["task_id"])
            else:
                task = made_for(self.retried(worker, sending.retry)) if sending.retry else {}
        self._check_disk(sum(file.size for file in sent))
        granted = {**self._reception.granted(worker), **task}
        with ExitStack() as stack:
            uploads = [stack.enter_context(state.upload(max(LIMITS.values()) + 4096)) for _ in sent]
            files = [
                self._cleaned(sending, file, stack.enter_context(file.open()), upload, granted)
                for file, upload in zip(sent, uploads, strict=True)
            ]
            with self._world.lock:
                self._reception.granted(worker)  # which they may have withdrawn meanwhile
                if self.is_done(job, worker, sending.act):
                    for upload in uploads:  # the same arrived twice, and the other was faster
                        upload.abort()
                    return
                at = self._world.clock.now()
                retried = self.check(job, worker, sending.retry, len(files))
                assignment = self.claim_task(sending, len(files))
                self._check_new(sending, sent, files)
                if retried is None:
                    submission = self._world.jobs.submit(
                        job, files, at, worker=worker, location=sending.location
                    )
                else:
                    submission = retried
                    self._world.jobs.resubmit(retried, files, at, sending.location)
                if assignment is not None:
                    self.tasks.fulfill(assignment, submission)
                state.replies.put(_slot(job, worker, sending.act), StoredResponse("", 303, b"", at + DAY), at)
        if task:
            with self._world.lock:
                self.tasks.mark(submission)
        event = "upload.received" if retried is None else "upload.repeated"
        self._reception.access.note(event, at, worker, job.id, files=len(files))

    def _cleaned(
        self, sending: Sending, sent: SentFile, file: BinaryIO, upload: Upload, granted: Mapping[str, str]
    ) -> File:
        at, accepted = self._world.clock.now(), sending.job.fields["accepted_formats"]
        try:
            result = clean(file, upload, accepted, now=at, utc_offset=sending.utc_offset)
        except MediaError as error:
            raise UnwelcomeError(sent, 422, error.args[0]) from None
        details = Details(
            more={**_credentials_in(file, result.content_type), **granted},
            captured_at=at if result.captured_at is None else result.captured_at,
            device_info={**sending.device, **({"device_model": result.device} if result.device else {})},
            worker_region=None,
            annotations=None,
            look=result.look,
            like=self._like(sending, result.look),
        )
        source = upload.finish(details, width=result.width, height=result.height, duration=result.duration)
        return File(new_id("file_", at), result.content_type, source, _name(sent.name), at)

    def _like(self, sending: Sending, look: str | None) -> str | None:
        """The latest submission of a worker to a job, but that which they try again, with a picture that looks so."""
        if look is None:
            return None
        with self._world.lock:
            for submission in self._world.state.submissions_of(sending.job, sending.worker, _ALL):
                looks = (file.source.details().look for file in submission.files)
                is_retried = submission.id == sending.retry
                if not is_retried and any(twin is not None and is_like(look, twin) for twin in looks):
                    return submission.id
        return None

    def _check_new(self, sending: Sending, sent: Sequence[SentFile], files: Sequence[File]) -> None:
        """Check that none of the files is there already: of this person, and this job."""
        submissions = self._world.state.submissions_of(sending.job, sending.worker, _ALL)
        digests = {file.facts().sha256 for submission in submissions for file in submission.files}
        for sent_file, file in zip(sent, files, strict=True):
            if file.facts().sha256 in digests:
                words = said("you have sent this file to this job before. Send another one.")
                raise UnwelcomeError(sent_file, 409, words)
            digests.add(file.facts().sha256)


def _credentials_in(file: BinaryIO, content_type: str) -> dict[str, Any]:
    """Content Credentials and the hash of the file before cleaning."""
    if not credentials.is_installed():
        return {}
    file.seek(0)
    sha256 = hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type] # it reads any file
    file.seek(0)
    content = file.read(_MOST_READ + 1)
    verdict = None
    if len(content) <= _MOST_READ:
        verdict = credentials.verdict_of(content, content_type)
    return {} if verdict is None else {"content_credentials": {**verdict, "original_sha256": sha256}}


def _slot(job: Job, worker: str, act: str) -> Slot:
    return f"{job.id} {worker}", "POST", PREFIX, act


def _name(text: str) -> str:
    """A worker's name for a file, as one short line; never part of a path."""
    return printable(re.split(r"[/\\\\]", text)[-1]) or "file"


def arrived_at(path: Path) -> int | None:
    """How many bytes of an upload are there; None if it is gone, for its owner may be erased meanwhile."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return None


def moved_at(path: Path) -> float:
    """When a file was written to; 0 if it is gone."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0
