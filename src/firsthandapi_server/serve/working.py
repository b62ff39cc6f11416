"""The page behind a job's link: the task, a camera, and the status of the visitor's submissions."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import math
import os
import re
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, cast
from weakref import WeakValueDictionary

from anyio import CapacityLimiter, to_thread
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from firsthandapi_server.console.face import PageError, no_page
from firsthandapi_server.contract.text import Said, id_of, new_id, said
from firsthandapi_server.http.browsers import CAMERA_POLICY, HEADERS
from firsthandapi_server.media import LIMITS, MediaError, clean, credentials, is_like, name_of, types_of
from firsthandapi_server.media.exif import printable
from firsthandapi_server.rules.jobs import NO_RETRY
from firsthandapi_server.rules.places import area_of, lies_within
from firsthandapi_server.state.limits import Slot, Stored
from firsthandapi_server.state.model import Details, File, Job, Location, Submission
from firsthandapi_server.state.state import DAY
from firsthandapi_server.state.storage import Upload

from .bounds import BOUNDS
from .limits import Limits
from .links import PREFIX, qr_code
from .reception import ME, REFUSALS, Reception, worker_id
from .room import Room
from .speaking import Words
from .uploads import BROKEN, SentFile, SentForm, Turns

_UPLOAD_ID = re.compile(r"[0-9a-f]{32}")
# Forms of one worker that are read at the same time. The others wait.
_MOST_OF_ONE = 4
# Uploads that are cleaned at the same time, each in a thread that waits for the decoder of pictures. Of those with more
# bytes than that, few: a picture is in memory meanwhile.
_CLEANED, _LARGE_CLEANED, _LARGE = 32, 4, 8 << 20
_MOST_READ = 128 * 1024 * 1024  # maximum size of a file to read Content Credentials from
_SHOWN = 30
_ALL = 1_000_000
_ANDROID = re.compile(r"Android ([0-9.]{1,10})(?:; ([^;)]{1,60}))?")
_IPHONE = re.compile(r"(iPhone|iPad)\b.{0,40}? OS ([0-9]{1,3})_([0-9]{1,3})")
_SYSTEMS = (("Windows", "Windows"), ("Macintosh", "macOS"), ("CrOS", "ChromeOS"), ("Linux", "Linux"))

_ENDED = said("This job has ended, so nothing was submitted. Thank you for your work.")
_FILLED = said(
    "Somebody else has just submitted the last file that was wanted, so yours was not submitted. If a file is "
    "rejected, a slot opens: check back later."
)


class UnwelcomeError(PageError):
    """One file of an upload that is not taken; the words need not name it."""

    def __init__(self, sent: SentFile, status: int, words: str) -> None:
        named = Said("{name}: {words}", {"name": _name(sent.name), "words": words})
        super().__init__(status, named, said("This file was not submitted"))


class Working:
    """The pages under `/w`. Files in progress are in `folder`; `limits` tells addresses apart."""

    def __init__(self, reception: Reception, folder: Path, limits: Limits) -> None:
        self._reception = reception
        self._limits = limits
        self._links = reception.links
        self._folder = folder
        self._world = reception.world
        self._secret = reception.access.secret("workers")
        self._places = asyncio.Semaphore(BOUNDS.uploads)
        self._places_of: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()
        self._turns = Turns()
        self._cleaned_of: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self.room = Room(folder)
        self._small, self._large = CapacityLimiter(_CLEANED), CapacityLimiter(_LARGE_CLEANED)

    def routes(self) -> Iterable[Route]:
        """The routes of the pages."""
        yield Route(f"{PREFIX}/{{link}}", self._show, methods=["GET"])
        yield Route(f"{PREFIX}/{{link}}", self._take, methods=["POST"])
        yield Route(f"{PREFIX}/{{link}}/media/{{submission}}/{{file}}", self._media, methods=["GET"])
        # Not below the link of a job: uploads go there, which are large.
        yield Route(f"{ME}/give-up", self._give_up, methods=["POST"])

    # --- who, and which job -----------------------------------------------------------------------------

    def worker(self, request: Request) -> str:
        """The worker's id: that of their token, or one derived from a cookie of their browser."""
        visitor = self._reception.need(request, "worker")
        return worker_id(visitor) if visitor.id is not None else self._of_browser(request)

    def _of_browser(self, request: Request) -> str:
        browser = self._reception.browser(request).encode("utf-8", "replace")
        return id_of("wkr_", int.from_bytes(hmac.digest(self._secret, browser, hashlib.sha256)[:16]))

    def own(self, request: Request) -> frozenset[str]:
        """All worker's ids that whoever asks may have worked under: they must not rate that."""
        visitor = self._reception.visitor(request)
        signed_in = [] if visitor is None else [worker_id(visitor)]
        return frozenset([self._of_browser(request), *signed_in])

    def _job(self, request: Request) -> Job:
        job = self._links.job(request.path_params["link"])
        if job is None:
            raise no_page()
        return job

    # --- the page ---------------------------------------------------------------------------------------

    async def _show(self, request: Request) -> Response:
        words = self._reception.words(request)
        with self._world.lock:
            job = self._job(request)
            worker = self.worker(request)
            own = [*self._world.state.submissions_of(job, worker, _SHOWN)]
            wanted = request.query_params.get("retry")
            retry = next((each for each in own if each.id == wanted and each.status == "retry_pending"), None)
            response = self._reception.page(
                request,
                "work.html",
                job=job,
                own=own,
                retry=retry,
                is_new=request.query_params.get("sent") == "1",
                link=self._links.path(job),
                most_files=self._most_files(job, retry),
                upload=secrets.token_hex(16),
                formats=name_of(job.fields["accepted_formats"]),
                types=types_of(job.fields["accepted_formats"]),
                worker_id=worker,
                kinds=sorted({each.partition("/")[0] for each in job.fields["accepted_formats"]}),
                limits=LIMITS,
                size=_size_in_words(words, job.fields.get("min_width"), job.fields.get("min_height")),
                place=_place_in_words(words, job.fields.get("location")),
                qr=qr_code(self._links.url(job)),
                worker_address=self._links.url(job),
            )
        if response.status_code == 200:
            response.headers["content-security-policy"] = CAMERA_POLICY
        return response

    def _most_files(self, job: Job, retry: Submission | None) -> int:
        free = max(0, job.free_slots) + (0 if retry is None else len(retry.files))
        return 0 if job.is_terminal else min(job.fields["files_per_submission"], free)

    async def _media(self, request: Request) -> Response:
        """A file of this worker."""
        with self._world.lock:
            job, reception = self._job(request), self._reception
            worker = self.worker(request) if reception.study is None else reception.participant(request)
            submission = self._world.state.submissions.get(request.path_params["submission"])
            if submission is None or submission.job is not job or submission.worker_id != worker:
                raise no_page()
        return await self._reception.media(request, submission)

    async def _give_up(self, request: Request) -> Response:
        """Give up a second attempt, so that its slot is free for others."""
        worker = self.worker(request)
        fields = await self._reception.form(request)
        with self._world.lock:
            found = self._retried(worker, fields.get("submission", ""))
            self._world.jobs.give_up(found, self._world.clock.now(), NO_RETRY, worker)
            return self._reception.go(ME if "home" in fields else self._links.path(found.job))

    # --- an upload --------------------------------------------------------------------------------------

    async def _take(self, request: Request) -> Response:
        """Receive files. Respond to a script with JSON, and to a plain form with a redirect."""
        if "application/json" not in request.headers.get("accept", ""):
            return self._reception.go(await self._upload(request))
        try:
            return JSONResponse({"next": await self._upload(request)}, headers=HEADERS)
        except REFUSALS as error:
            return self._reception.refused_to_script(request, error)

    async def _upload(self, request: Request) -> str:
        """Submit the received files. Returns the address of the next page."""
        with self._world.lock:
            job = self._job(request)
        worker = self.worker(request)
        own = self._places_of.setdefault(worker, asyncio.Semaphore(_MOST_OF_ONE))
        # Whoever sends halves of forms from one address leaves places for the others.
        half = asyncio.Semaphore(max(1, BOUNDS.uploads // 2))
        near = self._places_of.setdefault(self._limits.address(request), half)
        most = job.fields["files_per_submission"]
        async with own, near, self._places:
            with closing(SentForm(request, self._folder, most)) as sent:
                await sent.read(to_files=True)
                self._reception.check_form(request, sent.fields.get("form_token"))
                try:
                    await self._receive(sent, job, worker, _announced(request))
                    device = device_of(request.headers.get("user-agent", ""))
                    act = partial(self.submit, job, worker, sent.files, sent.fields, device)
                    await self.in_turn(worker, sent.size, act)
                except PageError as error:
                    if error.status not in (408, 413):
                        await sent.drain()
                    raise
                finally:
                    self.room.release(sent)
        return f"{self._links.path(job)}?sent=1"

    async def _receive(self, sent: SentForm, job: Job, worker: str, size: int) -> None:
        """Check what the fields of a form say, and read its files."""
        upload = sent.fields.get("upload", "")
        if not _UPLOAD_ID.fullmatch(upload):
            raise PageError(400, BROKEN)
        with self._world.lock:
            if not self.is_done(job, worker, upload):
                self.check(job, worker, sent.fields.get("retry"), 1)
        self.room.claim(sent, worker, size, lambda: max(0, 2 * size - sent.size))
        async with self._turns.take((job.id, worker, upload)):
            await sent.read()
        if not sent.files:
            raise PageError(400, "No file was chosen: take a picture or choose a file first.")

    async def in_turn(self, worker: str, size: int, act: Callable[[], None]) -> None:
        """Do in a thread what cleans so many bytes of somebody: of each person one upload at a time, so that whoever
        sends many holds up only themselves."""
        async with self._cleaned_of.setdefault(worker, asyncio.Lock()):
            limiter = self._large if size > _LARGE else self._small
            await to_thread.run_sync(act, limiter=limiter, abandon_on_cancel=True)  # a stop does not wait

    def submit(
        self,
        job: Job,
        worker: str,
        sent: Sequence[SentFile],
        fields: dict[str, str],
        device: dict[str, str],
    ) -> None:
        """Clean the files, and submit them as one act, once: after a crash there is all of it, or nothing.

        Of the fields, `upload` names this act.
        Raises PageError: they are not taken.
        """
        with self._world.lock:
            if self.is_done(job, worker, fields["upload"]):
                return
        self.room.check(sum(each.file.seek(0, os.SEEK_END) for each in sent))
        with ExitStack() as stack:
            uploads = [
                stack.enter_context(self._world.state.upload(max(LIMITS.values()) + 4096)) for _ in sent
            ]
            files = [
                self._cleaned(job, worker, each, upload, fields, device)
                for each, upload in zip(sent, uploads, strict=True)
            ]
            with self._world.lock:
                self._reception.granted(worker)  # which they may have withdrawn meanwhile
                if self.is_done(job, worker, fields["upload"]):
                    for upload in uploads:  # the same arrived twice, and the other was faster
                        upload.abort()
                    return
                at = self._world.clock.now()
                retried = self.check(job, worker, fields.get("retry"), len(files))
                self._check_new(job, worker, sent, files)
                location = _location(job.fields.get("location"), fields)
                if retried is None:
                    self._world.jobs.submit(job, files, at, worker=worker, location=location)
                else:
                    self._world.jobs.resubmit(retried, files, at, location)
                done = Stored("", 303, b"", at + DAY)
                self._world.state.replies.put(_slot(job, worker, fields["upload"]), done, at)
        what = "upload.received" if retried is None else "upload.repeated"
        self._reception.access.note(what, at, worker, job.id, files=len(files))

    def _cleaned(
        self,
        job: Job,
        worker: str,
        sent: SentFile,
        upload: Upload,
        fields: dict[str, str],
        device: dict[str, str],
    ) -> File:
        at, granted = self._world.clock.now(), self._reception.granted(worker)
        accepted = job.fields["accepted_formats"]
        try:
            found = clean(sent.file, upload, accepted, now=at, utc_offset=_utc_offset(fields))
        except MediaError as error:
            raise UnwelcomeError(sent, 422, error.args[0]) from None
        details = Details(
            more={**self._more_of(sent.file, found.content_type), **granted},
            captured_at=at if found.captured_at is None else found.captured_at,
            device_info={**device, **({"device_model": found.device} if found.device else {})},
            worker_region=None,
            annotations=None,
            look=found.look,
            like=self._like(job, worker, found.look, fields.get("retry")),
        )
        source = upload.finish(details, width=found.width, height=found.height, duration=found.duration)
        return File(new_id("file_", at), found.content_type, source, _name(sent.name), at)

    def _like(self, job: Job, worker: str, look: str | None, retry: str | None) -> str | None:
        """The latest submission of a worker to a job, but that which they try again, with a picture that looks so."""
        if look is None:
            return None
        with self._world.lock:
            for each in self._world.state.submissions_of(job, worker, _ALL):
                looks = (file.source.details().look for file in each.files)
                if each.id != retry and any(other is not None and is_like(look, other) for other in looks):
                    return each.id
        return None

    def _more_of(self, file: BinaryIO, content_type: str) -> dict[str, Any]:
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

    # --- what may be submitted --------------------------------------------------------------------------

    def is_done(self, job: Job, worker: str, upload: str) -> bool:
        """Whether an upload with this id was submitted."""
        slot = _slot(job, worker, upload)
        return self._world.state.replies.get(slot, self._world.clock.now()) is not None

    def _retried(self, worker: str, submission_id: str) -> Submission:
        found = self._world.state.submissions.get(submission_id)
        if found is None or found.worker_id != worker:
            raise no_page()
        if found.status != "retry_pending":
            raise PageError(409, "This submission can no longer be tried again: reload the page.")
        return found

    def check(
        self, job: Job, worker: str, retry: str | None, count: int, begun: int = 0
    ) -> Submission | None:
        """Check that somebody may submit so many files to a job, beside those that they have `begun` to send; the lock
        is held. What they try again, if they do.

        Raises PageError: they may not.
        """
        retried = self._retried(worker, retry) if retry else None
        if retried is not None and retried.job is not job:
            raise no_page()
        if job.is_terminal:
            raise PageError(410, _ENDED)
        free = self._most_files(job, retried)
        if not free:
            raise PageError(409, _FILLED)
        if count > free:
            words = said(
                "You sent more files than are still wanted, so none was submitted: send at most {free}.",
                free=free,
            )
            raise PageError(409, words)
        most: int | None = job.fields.get("max_workers")
        known = () if most is None else self._world.state.workers_of(job)
        if most is not None and worker not in known and len(known) >= most:
            words = said(
                "The limit of people for this job is {count}, and it is reached, so nothing was submitted.",
                count=most,
            )
            raise PageError(409, words)
        study = self._reception.study
        most = None if study is None else study.max_files_per_worker
        if most is not None:
            own = self._world.state.submissions_of(job, worker, _ALL)
            held = sum(len(each.files) for each in own if each.status != "rejected" and each is not retried)
            if held + begun + count > most:
                words = said(
                    "The limit of files per person for this job is {count}, and you have reached it.",
                    count=most,
                )
                raise PageError(403, words)
        return retried

    def _check_new(
        self,
        job: Job,
        worker: str,
        sent: Sequence[SentFile],
        files: Sequence[File],
    ) -> None:
        """Check that none of the files is there already: of this person, and this job."""
        own = self._world.state.submissions_of(job, worker, _ALL)
        known = {file.facts().sha256 for each in own for file in each.files}
        for each, file in zip(sent, files, strict=True):
            if file.facts().sha256 in known:
                raise UnwelcomeError(
                    each, 409, said("you have sent this file to this job before. Send another one.")
                )
            known.add(file.facts().sha256)


def _slot(job: Job, worker: str, upload: str) -> Slot:
    return f"{job.id} {worker}", "POST", PREFIX, upload


def _announced(request: Request) -> int:
    """How many bytes of files a form may have."""
    text = request.headers.get("content-length", "")
    return min(int(text), BOUNDS.upload_bytes) if text.isascii() and text.isdigit() else BOUNDS.upload_bytes


def _name(text: str) -> str:
    """A worker's name for a file, as one short line; never part of a path."""
    return printable(re.split(r"[/\\\\]", text)[-1]) or "file"


def _utc_offset(fields: Mapping[str, str]) -> float:
    """Seconds east of UTC, as the browser reports them, or 0."""
    minutes = _number(fields.get("utc_offset"), 14 * 60)
    return 0.0 if minutes is None else minutes * 60


def _number(text: str | None, most: float) -> float | None:
    try:
        found = float(text or "")
    except ValueError:
        return None
    return found if math.isfinite(found) and abs(found) <= most else None


def _location(place: object, fields: Mapping[str, str]) -> Location | None:
    """The location that a browser reports with its owner's consent; only for a job that names a place."""
    latitude, longitude = _number(fields.get("latitude"), 90), _number(fields.get("longitude"), 180)
    if place is None or latitude is None or longitude is None:
        return None
    return Location(latitude, longitude, lies_within(place, latitude, longitude))


def _size_in_words(words: Words, width: int | None, height: int | None) -> str | None:
    if width and height:
        return words("at least {width} × {height} pixels", width=width, height=height)
    if width or height:
        english = said("at least {count} pixels wide") if width else said("at least {count} pixels high")
        return words(english, count=width or height)
    return None


def _place_in_words(words: Words, place: object) -> str | None:
    area = area_of(place)
    if area is not None:
        return words("within {count} km of {place}", count=f"{area[2]:g}", place=f"{area[0]:g}, {area[1]:g}")
    given = cast("dict[str, Any]", place) if isinstance(place, dict) else {}
    names = [str(given[name]) for name in ("city", "state") if given.get(name)]
    return words("in {place}", place=", ".join(names)) if names else None


def device_of(agent: str) -> dict[str, str]:
    """The device, as the browser names it."""
    agent = agent[:500]
    device = {"app_version": "web"}
    iphone, android = _IPHONE.search(agent), _ANDROID.search(agent)
    if iphone is not None:
        device |= {"device_model": iphone[1], "device_os": f"iOS {iphone[2]}.{iphone[3]}"}
    elif android is not None:
        model = printable(android[2])
        device |= {"device_os": f"Android {android[1]}"}
        if model and model != "K":  # Chrome reports K for every phone
            device["device_model"] = model
    else:
        system = next((name for word, name in _SYSTEMS if word in agent), None)
        if system is not None:
            device["device_os"] = system
    return device
