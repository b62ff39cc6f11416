"""Uploads in pieces, which continue from the last byte after a lost connection or a killed server: tus 1.0.0, core,
creation, and termination (https://tus.io/protocols/resumable-upload).

An upload is two files: what is known of it, and the bytes so far, whose number is the offset. Once it is submitted, the
bytes are gone, and the first file says for a day that it was, without the name of what was sent.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import secrets
from base64 import b64decode
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, fields, replace
from functools import partial
from pathlib import Path

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from firsthandapi._base.host import replacing
from firsthandapi_server.console.face import PageError, no_page
from firsthandapi_server.http.browsers import HEADERS
from firsthandapi_server.http.forms import is_own
from firsthandapi_server.media import (
    LIMITS,
    LargeError,
    MediaError,
    check_accepted,
    check_said,
    check_size,
    sniff,
)
from firsthandapi_server.sqlite import create_for_owner
from firsthandapi_server.state.model import Job
from firsthandapi_server.state.state import DAY

from .receiving import Receiving, SentFile, arrived_at, moved_at
from .reception import FOREIGN, REFUSALS, Reception
from .reception import UPLOADS as PATH
from .sending import sending_of

VERSION = "1.0.0"
_MOST_OF_ONE = 200  # uploads of one person that are not finished
_MOST_TEXT = 500
_FIELDS = ("retry", "task_id", "utc_offset", "latitude", "longitude", "once")
_SOMEBODY_ELSE = (
    "Somebody else is signed in with this browser now, so nothing was sent. Reload the page, "
    "or sign in again."
)
_HEAD = 16  # bytes that tell the format
_TIDY_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class Part:
    """A file on its way.

    Attributes:
        id: names it in its address and its files.
        worker: whose it is.
        job: the id of the job that it is for.
        length: its bytes in all.
        name: as the sender called it, unchecked.
        group: a name for what is submitted together with it; None for nothing.
        group_size: how many files that are.
        fields: what a form may have beside files.
        metadata: all that its sender said of it, as it was sent: HEAD says it again.
    """

    id: str
    worker: str
    job: str
    length: int
    name: str
    group: str | None
    group_size: int
    fields: dict[str, str]
    metadata: str


class Resuming:
    """What is under `/uploads`."""

    def __init__(self, reception: Reception, receiving: Receiving) -> None:
        self._reception = reception
        self._receiving = receiving
        self._world = reception.world
        self._folder = receiving.folder / "uploading"
        self._ends: dict[str, asyncio.Future[None]] = {}  # what is being submitted
        self._parts: dict[str, Part] = {}
        self._open: dict[str, Part] = {}  # those that are not submitted
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._load()
        with self._world.lock:
            self._finish_submitted()
            self._tidy(self._world.clock.now())

    def routes(self) -> Iterable[Route]:
        """Where uploads are."""
        yield Route(PATH, self._take, methods=["OPTIONS", "POST"])
        yield Route(f"{PATH}/{{upload}}", self._take, methods=["OPTIONS", "HEAD", "PATCH", "POST", "DELETE"])

    async def _take(self, request: Request) -> Response:
        try:
            response = await self._answer(request)
        except REFUSALS as error:
            response = self._reception.refused_to_script(request, error)
        response.headers["tus-resumable"] = VERSION
        return response

    async def _answer(self, request: Request) -> Response:
        # Where a proxy knows no PATCH, a POST says so.
        method = request.headers.get("x-http-method-override", request.method).upper()
        if method == "OPTIONS":
            return Response(None, 204, _offered())
        if request.headers.get("tus-resumable") != VERSION:
            words = f"This server speaks tus {VERSION}: send it as Tus-Resumable."
            return JSONResponse({"words": words}, 412, _offered())
        if "upload" not in request.path_params:
            return await self._create(request)
        if method == "PATCH":
            return await self._append(request)
        if method == "HEAD":
            return await self._look(request)
        if method == "DELETE":
            return self._end(request)
        raise _wrong(405, "An upload takes HEAD, PATCH, and DELETE.")

    # --- what is asked ----------------------------------------------------------------------------------

    async def _create(self, request: Request) -> Response:
        worker = self._reception.worker(request)
        if not is_own(request):
            raise PageError(403, FOREIGN)
        length = _number(request, "upload-length")
        metadata = request.headers.get("upload-metadata", "")
        values = _metadata(metadata)
        with self._world.lock:
            job = self._world.state.jobs.get(values.get("job_id", ""))
            if job is None:
                raise no_page()
            if values.get("worker_id", worker) != worker:  # a page that somebody else has left open
                raise PageError(403, _SOMEBODY_ELSE)
            part = self._new(job, worker, length, values, metadata)
            self._check_count(job, part)
        self._receiving.claim(part.id, worker, length, self._bytes(part))
        try:
            self._open[part.id] = part
            create_for_owner(self._bytes(part))  # counted before anybody else begins one
            await asyncio.to_thread(self._write, part)
        except BaseException:
            self._remove(part)
            raise
        response = Response(None, 201, {**HEADERS, "location": f"{PATH}/{part.id}"})
        self._reception.keep_browser(request, response)
        return response

    def _new(self, job: Job, worker: str, length: int, values: dict[str, str], metadata: str) -> Part:
        name = values.get("filename", "")
        if not length:
            raise PageError(400, "The file is empty. Take it again, and send it again.")
        try:
            check_size("video/mp4", length)  # Tus-Max-Size holds for what is of no format, too
            check_said(values.get("filetype", ""), name, length, job.fields["accepted_formats"])
        except LargeError as error:
            raise PageError(413, error.args[0]) from None
        except MediaError as error:
            raise PageError(415, error.args[0]) from None
        group, size = values.get("group") or None, values.get("group_size") or "1"
        most = job.fields["files_per_submission"]
        if not (size.isascii() and size.isdigit() and len(size) < 10 and 1 <= int(size) <= most):
            raise _wrong(400, f"group_size must be a whole number from 1 to {most}.")
        if group is None and int(size) > 1:
            raise _wrong(400, "group_size needs group, the name of what is submitted together.")
        fields = {key: value for key, value in values.items() if key in _FIELDS}
        return Part(
            f"upload_{secrets.token_hex(16)}",
            worker,
            job.id,
            length,
            name,
            group,
            int(size),
            fields,
            metadata,
        )

    async def _look(self, request: Request) -> Response:
        part = self._find(request)
        offset = self._offset(part)
        if offset == part.length:
            # Whoever reads this takes it for submitted: a server that was killed in between submits it now.
            await self._finish(part, request)
        headers = {"upload-metadata": part.metadata} if part.metadata else {}
        return _at(offset, 200, {"upload-length": str(part.length), **headers})

    async def _append(self, request: Request) -> Response:
        part = self._find(request)
        if not is_own(request):
            raise PageError(403, FOREIGN)
        kind = request.headers.get("content-type", "")
        if kind.partition(";")[0].strip().lower() != "application/offset+octet-stream":
            raise _wrong(415, "Bytes come as application/offset+octet-stream.")
        offset = self._offset(part)
        if _number(request, "upload-offset") != offset:
            raise _wrong(409, f"The upload is at byte {offset}: continue there.")
        if offset < part.length:
            if int(request.headers.get("content-length", "0")) > part.length - offset:
                raise _too_much(part)
            if "task_id" in part.fields:
                with self._world.lock:
                    job = self._world.state.jobs[part.job]
                    self._claim_task(job, part)  # which would go to others during a slow upload
            offset = await self._receive(request, part, offset)
        if offset == part.length:
            await self._finish(part, request)
        return _at(offset, 204)

    def _claim_task(self, job: Job, part: Part) -> None:
        self._receiving.claim_task(sending_of(job, part.worker, "", part.fields, ""), part.group_size)

    def _end(self, request: Request) -> Response:
        """Forget an upload that its sender has given up."""
        part = self._find(request)
        if not is_own(request):
            raise PageError(403, FOREIGN)
        if self._is_done(part) or any(member.id in self._ends for member in self._together(part)):
            raise _wrong(409, "The upload is submitted, or about to be.")
        self._remove(part)
        return Response(None, 204, HEADERS)

    # --- bytes ------------------------------------------------------------------------------------------

    async def _receive(self, request: Request, part: Part, offset: int) -> int:
        """Write what comes to the end of what is there; how much that is then."""
        try:
            async with self._receiving.turn(part.id, part.length - offset) as turn:
                with self._bytes(part).open("ab") as file:
                    async for chunk in request.stream():
                        if offset + len(chunk) > part.length:
                            raise _too_much(part)
                        if turn.when() is not None:
                            raise TimeoutError
                        self._receiving.write(part.id, file, chunk)
                        file.flush()
                        offset, start = offset + len(chunk), offset
                        if start < min(_HEAD, part.length) <= offset:
                            self._check_head(part)
            return offset
        except PageError as error:
            if error.status == 415:
                self._remove(part)
            raise

    def _check_head(self, part: Part) -> None:
        """Refuse a wrong format by its first bytes: the rest need not come."""
        with self._world.lock:
            job = self._world.state.jobs[part.job]
        with self._bytes(part).open("rb") as file:
            head = file.read(_HEAD)
        try:
            kind = sniff(head)
            if kind != "video/mp4":  # which may be sound
                check_accepted(kind, job.fields["accepted_formats"])
        except MediaError as error:
            raise PageError(415, error.args[0]) from None

    async def _finish(self, part: Part, request: Request) -> None:
        """Submit a file that is complete, and those of its group, once they all are."""
        if self._is_done(part):
            return
        self._find(request)  # whoever sends may have been erased meanwhile
        parts = self._together(part)
        if not parts:
            return
        key = parts[0].id
        running = self._ends.get(key)
        if running is None:
            agent = request.headers.get("user-agent", "")
            running = asyncio.ensure_future(self._submit(parts, agent))
            self._ends[key] = running
            running.add_done_callback(lambda _: self._ends.pop(key, None))
        await asyncio.shield(running)

    def _together(self, part: Part) -> Sequence[Part]:
        """What is submitted with a part that is complete; nothing, while others of its group are not."""
        if part.group is None:
            return [part]
        group = _group(part)
        parts = [member for member in self._all() if _group(member) == group and self._is_whole(member)]
        return [] if len(parts) < part.group_size else parts

    async def _submit(self, parts: Sequence[Part], agent: str) -> None:
        first = parts[0]
        with self._world.lock:
            job = self._world.state.jobs[first.job]
        sending = sending_of(job, first.worker, _act(parts), first.fields, agent)
        files = [SentFile(part.name, part.length, self._bytes(part)) for part in parts]
        try:
            await self._receiving.submit(sending, files)
        except PageError as error:
            if error.status != 507:
                # The others too: they would count towards the limit of whoever sends them again.
                for part in parts:
                    self._remove(part)
            raise
        await asyncio.to_thread(self._mark_submitted, parts)

    # --- files ------------------------------------------------------------------------------------------

    def _find(self, request: Request) -> Part:
        worker = self._reception.worker(request)
        part = self._parts.get(request.path_params["upload"])
        # Its files go first, when its owner is erased.
        if part is None or part.worker != worker or not self._known(part).exists():
            raise no_page()
        return part

    def _all(self) -> list[Part]:
        """A copy, since other threads begin and end uploads."""
        return [*self._parts.values()]

    def _known(self, part: Part) -> Path:
        return self._folder / f"{part.id}.json"

    def _bytes(self, part: Part) -> Path:
        return self._folder / f"{part.id}.bytes"

    def _is_done(self, part: Part) -> bool:
        return not self._bytes(part).exists()

    def _offset(self, part: Part) -> int:
        return part.length if self._is_done(part) else self._bytes(part).stat().st_size

    def _is_whole(self, part: Part) -> bool:
        return not self._is_done(part) and self._offset(part) == part.length

    def _write(self, part: Part) -> None:
        content = json.dumps(asdict(part), sort_keys=True).encode()
        replacing.replace(self._known(part), content, 0o600)
        self._parts[part.id] = part

    def _forget(self, part: Part) -> None:
        """Let the place of an upload go that is submitted or removed."""
        self._open.pop(part.id, None)
        self._receiving.release(part.id)

    def _mark_submitted(self, parts: Iterable[Part]) -> None:
        """Keep for a day that parts were submitted. Their names are the submission's, and must go when it is erased."""
        for part in parts:
            self._write(replace(part, name="", fields={}, metadata=""))
            replacing.remove(self._bytes(part))
            self._forget(part)

    def _remove(self, part: Part) -> None:
        self._parts.pop(part.id, None)
        self._forget(part)
        # In this order: bytes of which nothing is known are removed by the next start.
        replacing.remove(self._known(part))
        replacing.remove(self._bytes(part))

    def _check_count(self, job: Job, part: Part) -> None:
        """Check that somebody may begin one more upload; the lock is held. What they have begun counts as sent, but
        what has not moved for a while makes room, the oldest first.

        Raises PageError: they may not.
        """
        check = partial(self._receiving.check, job, part.worker, part.fields.get("retry"), part.group_size)
        check()
        self._claim_task(job, part)
        everybodys = [*self._open.values()]  # a copy, since other threads end uploads
        files = [file for file in everybodys if file.worker == part.worker and not self._is_done(file)]
        for file in files[: max(0, len(files) + 1 - _MOST_OF_ONE)]:
            self._remove(file)
        files, once = files[-_MOST_OF_ONE + 1 :], part.fields.get("once")
        for file in files:
            # Begun again, since the response was lost.
            if once and file.fields.get("once") == once and not arrived_at(self._bytes(file)):
                self._remove(file)
        # Its own group counts with it.
        begun = [
            file
            for file in files
            if file.id in self._open
            and file.job == part.job
            and (part.group is None or _group(file) != _group(part))
        ]
        idle = [
            file for file in begun if file.id not in self._ends and self._receiving.is_idle(self._bytes(file))
        ]
        for gone, stalled in enumerate((*idle, None)):
            try:
                check(len(begun) - gone)
                return
            except PageError:
                if stalled is None:
                    raise
                self._remove(stalled)

    def _load(self) -> None:
        """What an earlier start has left."""
        for path in sorted(self._folder.glob("upload_*.json"), key=moved_at):
            with suppress(ValueError, TypeError, KeyError):
                values = json.loads(path.read_bytes())
                # Earlier versions have written more.
                part = Part(**{field.name: values[field.name] for field in fields(Part)})
                if part.id == path.stem:
                    self._parts[part.id] = part
                    if not self._is_done(part):
                        self._open[part.id] = part
                        self._receiving.keep(part.id, part.worker, part.length, self._bytes(part))
        # A kill while a file was written leaves its part, which begins with a dot.
        for path in [*self._folder.glob("upload_*"), *self._folder.glob(".upload_*")]:
            if path.name.partition(".")[0] not in self._parts:
                replacing.remove(path)

    def _finish_submitted(self) -> None:
        """Mark what an earlier start has submitted, and was killed before it said so: its bytes and its name must go
        when the file is erased."""
        for part in self._all():
            if not self._is_whole(part):
                continue
            # Of its group, some may be marked.
            parts = self._together(part) or [
                member
                for member in self._all()
                if _group(member) == _group(part) and self._offset(member) == member.length
            ]
            job = self._world.state.jobs.get(part.job)
            if job is not None and self._receiving.is_done(job, part.worker, _act(parts)):
                self._mark_submitted([part])

    def _tidy(self, at: float) -> None:
        """What has not moved for a day goes, now and each hour."""
        for part in self._all():
            # Either: the bytes may go at this moment, because the upload ends.
            if max(moved_at(self._known(part)), moved_at(self._bytes(part))) < at - DAY:
                self._remove(part)
        self._world.state.later(at + _TIDY_SECONDS, self._tidy)


def _offered() -> dict[str, str]:
    most = str(max(LIMITS.values()))
    return {**HEADERS, "tus-version": VERSION, "tus-extension": "creation,termination", "tus-max-size": most}


def _group(part: Part) -> tuple[object, ...]:
    return part.worker, part.job, part.group, part.group_size


def _act(parts: Iterable[Part]) -> str:
    """A name for the act of submitting these."""
    return hashlib.sha256("\n".join(sorted(part.id for part in parts)).encode()).hexdigest()


def _at(offset: int, status: int, more: dict[str, str] | None = None) -> Response:
    return Response(None, status, {**HEADERS, "upload-offset": str(offset), **(more or {})})


def _wrong(status: int, words: str) -> PageError:
    """What only a program meets that speaks tus wrongly. Catalogues do not have it."""
    return PageError(status, words)


def _too_much(part: Part) -> PageError:
    return _wrong(413, f"These are more bytes than the {part.length} that were announced.")


def _number(request: Request, name: str) -> int:
    text = request.headers.get(name, "")
    if not (text.isascii() and text.isdigit() and len(text) <= 30):
        raise _wrong(400, f"{name.title()} must be a whole number.")
    return int(text)


def _metadata(text: str) -> dict[str, str]:
    """The pairs of `Upload-Metadata`: names, and values in Base64."""
    values: dict[str, str] = {}
    for pair in filter(None, map(str.strip, text.split(","))):
        key, _, value = pair.partition(" ")
        try:
            values[key] = b64decode(value.strip(), validate=True).decode()[:_MOST_TEXT]
        except ValueError:
            raise _wrong(400, f"Upload-Metadata: the value of {key[:40]} is not Base64 of UTF-8.") from None
    return values
