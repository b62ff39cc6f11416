"""The page behind a job's link: the task, a camera, and the status of the visitor's submissions."""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import Iterable
from typing import Any, cast
from weakref import WeakValueDictionary

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from firsthandapi_server.console.face import PageError, existing, no_page
from firsthandapi_server.contract.text import said
from firsthandapi_server.http.browsers import CAMERA_POLICY, HEADERS
from firsthandapi_server.media import LIMITS, name_of, types_of
from firsthandapi_server.rules.jobs import NO_RETRY
from firsthandapi_server.rules.places import area_of
from firsthandapi_server.state.model import Job

from .bounds import BOUNDS
from .judged import allowing, judged
from .limits import Limits
from .links import PREFIX, qr_code
from .receiving import Receiving
from .reception import ME, REFUSALS, Reception
from .sending import sending_of
from .speaking import Words
from .tasks import columns_of, made_for
from .uploads import BROKEN, SentForm, sent_form

_UPLOAD_ID = re.compile(r"[0-9a-f]{32}")
# Forms of one worker that are read at the same time. The others wait.
_MOST_OF_ONE = 4
_SHOWN = 30


class Working:
    """The pages under `/w`; `limits` tells addresses apart."""

    def __init__(self, reception: Reception, receiving: Receiving, limits: Limits) -> None:
        self._reception = reception
        self._receiving = receiving
        self._limits = limits
        self._links = reception.links
        self._world = reception.world
        self._places = asyncio.Semaphore(BOUNDS.uploads)
        self._places_of: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()

    def routes(self) -> Iterable[Route]:
        """The routes of the pages."""
        yield Route(f"{PREFIX}/{{link}}", self._show, methods=["GET"])
        yield Route(f"{PREFIX}/{{link}}", self._take, methods=["POST"])
        yield Route(f"{PREFIX}/{{link}}/media/{{submission}}/{{file}}", self._media, methods=["GET"])
        # Not below the link of a job: uploads go there, which are large.
        yield Route(f"{ME}/give-up", self._give_up, methods=["POST"])
        yield Route(f"{ME}/skip", self._skip, methods=["POST"])

    def _job(self, request: Request) -> Job:
        return existing(self._links.job(request.path_params["link"]))

    # --- the page ---------------------------------------------------------------------------------------

    async def _show(self, request: Request) -> Response:
        words = self._reception.words(request)
        passport = await self._reception.fresh_passport(request)
        with self._world.lock:
            job = self._job(request)
            worker = self._reception.worker(request)
            rows = [*self._world.state.submissions_of(job, worker, _SHOWN)]
            retry_id = request.query_params.get("retry")
            retry = next((row for row in rows if row.id == retry_id and row.status == "retry_pending"), None)
            has_tasks = self._receiving.tasks.has(job)
            study, consents = self._reception.study, self._reception.consents
            assignment = self._receiving.assign(job, worker) if has_tasks and retry is None else None
            most_files = self._receiving.most_files(job, retry)
            if has_tasks and retry is None:
                room = 0 if assignment is None else self._receiving.tasks.room(assignment)
                most_files = min(most_files, room)
            response = self._reception.page(
                request,
                "work.html",
                has_tasks=has_tasks,
                task=columns_of(assignment) if assignment else made_for(retry) if retry else None,
                is_shared=consents is None or not consents.lacks_passport(worker),
                task_language=None if study is None else study.languages[0],
                job=job,
                passport=passport,
                judged=(content := judged(job)),
                own=rows,
                retry=retry,
                is_new=request.query_params.get("sent") == "1",
                link=self._links.path(job),
                most_files=most_files,
                upload=secrets.token_hex(16),
                formats=name_of(job.fields["accepted_formats"]),
                types=types_of(job.fields["accepted_formats"]),
                sender=worker,
                kinds=sorted({name.partition("/")[0] for name in job.fields["accepted_formats"]}),
                limits=LIMITS,
                size=_size_in_words(words, job.fields.get("min_width"), job.fields.get("min_height")),
                place=_place_in_words(words, job.fields.get("location")),
                qr=qr_code(self._links.url(job)),
                worker_address=self._links.url(job),
            )
        if response.status_code == 200:
            response.headers["content-security-policy"] = allowing(CAMERA_POLICY, content)
        return response

    async def _media(self, request: Request) -> Response:
        """A file of this worker."""
        with self._world.lock:
            job, reception = self._job(request), self._reception
            worker = (
                self._reception.worker(request) if reception.study is None else reception.participant(request)
            )
            submission = self._world.state.submissions.get(request.path_params["submission"])
            if submission is None or submission.job is not job or submission.worker_id != worker:
                raise no_page()
        return await self._reception.media(request, submission)

    async def _give_up(self, request: Request) -> Response:
        """Give up a second attempt, so that its slot is free for others."""
        worker = self._reception.worker(request)
        fields = await self._reception.form(request)
        with self._world.lock:
            submission = self._receiving.retried(worker, fields.get("submission", ""))
            self._world.jobs.give_up(submission, self._world.clock.now(), NO_RETRY, worker)
            return self._reception.go(ME if "home" in fields else self._links.path(submission.job))

    async def _skip(self, request: Request) -> Response:
        """Give a task back, and take the next one."""
        worker = self._reception.worker(request)
        fields = await self._reception.form(request)
        with self._world.lock:
            job = existing(self._world.state.jobs.get(fields.get("job", "")))
            self._receiving.tasks.skip(job, worker, fields.get("task_id", ""))
        return self._reception.go(self._links.path(job))

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
        worker = self._reception.worker(request)
        own_places = self._places_of.setdefault(worker, asyncio.Semaphore(_MOST_OF_ONE))
        # Whoever sends halves of forms from one address leaves places for the others.
        half = asyncio.Semaphore(max(1, BOUNDS.uploads // 2))
        near = self._places_of.setdefault(self._limits.address(request), half)
        most = job.fields["files_per_submission"]
        async with own_places, near, self._places, sent_form(request, self._receiving, most) as sent:
            self._reception.check_form(request, sent.fields.get("form_token"))
            try:
                await self._submit(request, sent, job, worker)
            except PageError as error:
                if error.status not in (408, 413):
                    await sent.drain()
                raise
        return f"{request.scope['path']}?sent=1"

    async def _submit(self, request: Request, sent: SentForm, job: Job, worker: str) -> None:
        """Check what the fields of a form say, read its files, and submit them."""
        act = sent.fields.get("upload", "")
        if not _UPLOAD_ID.fullmatch(act):
            raise PageError(400, BROKEN)
        sending = sending_of(job, worker, act, sent.fields, request.headers.get("user-agent", ""))
        self._receiving.admit(sent, sending, _announced(request))
        async with self._receiving.turn((job.id, worker, act)):
            await sent.read()
        await self._receiving.submit(sending, sent.files)


def _announced(request: Request) -> int:
    """How many bytes of files a form may have."""
    text = request.headers.get("content-length", "")
    return min(int(text), BOUNDS.upload_bytes) if text.isascii() and text.isdigit() else BOUNDS.upload_bytes


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
    fields = cast("dict[str, Any]", place) if isinstance(place, dict) else {}
    names = [str(fields[name]) for name in ("city", "state") if fields.get(name)]
    return words("in {place}", place=", ".join(names)) if names else None
