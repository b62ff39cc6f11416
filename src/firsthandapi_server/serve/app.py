"""Your own server as an ASGI application: routes each request to a part of the server, within limits."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from email.utils import formatdate
from pathlib import Path
from typing import Any

from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route, Router
from starlette.types import Message, Receive, Scope, Send

from firsthandapi_server.console import PREFIX, Console
from firsthandapi_server.console.face import PageError, no_page
from firsthandapi_server.contract.errors import ApiError
from firsthandapi_server.contract.text import said
from firsthandapi_server.http.app import App
from firsthandapi_server.http.browsers import HEADERS
from firsthandapi_server.http.forms import MAX_FORM
from firsthandapi_server.http.gate import forwarded, refusal
from firsthandapi_server.http.reading import MAX_BODY, read_body
from firsthandapi_server.http.requests import ReceivedRequest, RequestLog, replay
from firsthandapi_server.http.responses import error_response
from firsthandapi_server.rules.world import World
from firsthandapi_server.state.keeping import NotKeptError

from .access import Access
from .appealing import Appealing
from .assigning import Assigning
from .bounds import BOUNDS
from .developing import Developing
from .erasing import Eraser
from .health import HEALTH, METRICS, Health
from .joining import Joining
from .limits import Limits
from .offline import Offline
from .operating import Operating
from .overseeing import Overseeing
from .panel import Panel
from .payees import Payees, PayPage
from .paying import Paying
from .payouts import Payouts
from .persons import Persons
from .posting import Posting
from .programs import Program
from .receiving import FULL, Receiving
from .reception import Reception, SignInNeeded
from .resuming import Resuming
from .reviewing import Reviewing
from .signing_in import SigningIn
from .study import Reviews, Study
from .tasks import Task, Tasks
from .working import Working

_log = logging.getLogger("firsthandapi.serve")

_API = ("/v1/", "/openapi.json/", "/files/")
# The bytes of a worker's upload that must arrive in each span of time.
UPLOAD_PART = 16 << 10


class Site:
    """The ASGI callable that the server runs.

    Args:
        url: the address by which people reach the server, without a slash at the end.
        public: the same address if other machines reach it, else None.
        is_proxied: whether a proxy passes on what people send.
        on_request: called with each request of the API after its response.
        tasks: the rows of the study's tasks, by the titles of jobs.
    """

    def __init__(
        self,
        world: World,
        access: Access,
        programs: Sequence[Program],
        eraser: Eraser,
        *,
        folder: Path,
        url: str,
        public: str | None,
        is_proxied: bool,
        on_request: Callable[[ReceivedRequest], None] | None,
        study: Study | None,
        tasks: Mapping[str, Sequence[Task]],
    ) -> None:
        self.world = world
        self.api = App(world, url)
        self.reception = Reception(world, access, url, is_open=public is None, study=study)
        self._is_proxied = is_proxied
        self.limits = Limits(self.reception, is_behind_proxy=is_proxied)
        self.links = self.reception.links
        settings = Reviews() if study is None else study.reviews
        self.panel = Panel(world, access, settings, programs)
        self.tasks = Tasks(world, self.panel.ratings, tasks)
        self.log = RequestLog(on_request)
        self._public = public
        self._statuses: Counter[int] = Counter()
        self._health = Health(self.reception, folder, self._statuses, programs)
        operating = Operating(self.reception, eraser)
        overseeing = Overseeing(self.reception, self.panel)
        posting = Posting(self.reception)
        payouts = Payouts(access, folder)
        payees = Payees(access)
        paying = Paying(self.reception, payouts, payees)
        persons = Persons(self.reception, eraser, payouts)
        developing = Developing(self.reception)
        assigning = Assigning(self.reception, self.tasks)
        self._console = Console(
            self.reception,
            log=self.log,
            style=lambda: "plain",
            pages={
                **posting.pages,
                **operating.pages,
                **overseeing.pages,
                **paying.pages,
                **persons.pages,
                **assigning.pages,
                **developing.pages,
            },
            forms={
                **posting.forms,
                **operating.forms,
                **overseeing.forms,
                **paying.forms,
                **developing.forms,
            },
        )
        receiving = Receiving(self.reception, folder, self.tasks)
        routes = [
            *SigningIn(self.reception, self.limits).routes(),
            *Reviewing(self.reception, self.panel).routes(),
            *operating.routes(),
            *Working(self.reception, receiving, self.limits).routes(),
            *Offline(self.reception).routes(),
            Route("/static/{name}", self.reception.asset, methods=["GET"]),
            Route(METRICS, self._health.metrics, methods=["GET"]),
        ]
        if study is not None and self.reception.consents is not None:
            decides, consents = any(program.decides for program in programs), self.reception.consents
            joining = Joining(self.reception, study, consents, eraser, self.limits, payouts, decides=decides)
            routes += joining.routes()
            routes += PayPage(self.reception, payees).routes()
            routes += Appealing(self.reception, self.panel).routes()
        routes += Resuming(self.reception, receiving).routes()
        # A Router rather than an application, so that the errors of pages get out and become pages.
        self._pages = Router(routes, redirect_slashes=False, default=_nothing)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        send = _at_start(send, _date)
        path = scope["path"] + "/"
        if scope["path"] == HEALTH and scope["method"] in ("GET", "HEAD"):
            # By any name of the machine: it tells nobody anything, and who watches it may know only the address.
            await (await self._health.health())(scope, receive, send)
            return
        send = _at_start(send, self._count)
        refused = refusal(scope["method"], scope["headers"], self._public)
        if scope["path"] == METRICS and any(name == b"authorization" for name, _ in scope["headers"]):
            refused = None  # as the API's key, the token is all that counts: browsers send none by themselves
        elif not self._is_proxied:
            refused = forwarded(scope["headers"]) or refused
        refused = refused or self._no_signup(scope)
        try:
            if refused:
                send = _at_its_head(receive, send)
                raise refused
            if path.startswith(_API):
                await self._call(scope, receive, send)
            elif scope["method"] == "POST" and path.startswith("/w/"):
                # Not read into memory: an upload goes to disk as it arrives.
                await self._visit(scope, _bounded(receive), send)
            elif path.startswith("/uploads/") and path != "/uploads/":
                await self._visit(scope, _bounded(receive), send)
            else:
                body = await read_body(receive, MAX_FORM + 1)
                await self._visit(scope, replay(body, receive), send)
        except ClientDisconnect:
            return  # the client disconnected before the end of its request
        except ApiError as error:
            response = error_response(error)
            response.headers["connection"] = "close"
            await response(scope, receive, send)

    def _count(self, start: Message) -> None:
        self._statuses[start["status"]] += 1

    # --- the API ----------------------------------------------------------------------------------------

    async def _call(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = b""
        if self._is_stranger(scope):
            send = _at_its_head(receive, send)
        else:
            body = await read_body(receive, MAX_BODY + 1)
        entry = self.log.add(scope, body)
        start: dict[str, Any] = {}
        try:
            await self.api.asgi(scope, replay(body, receive), _at_start(send, start.update))
        except ClientDisconnect:
            pass  # for example, during a download
        except Exception:
            # The client already has a response, or a part of one.
            _log.exception("the server failed on %s %s", scope["method"], scope["path"])
        finally:
            self.log.ended(entry, start.get("status"), start.get("headers", []))

    def _is_stranger(self, scope: Scope) -> bool:
        """Whether a call has a body, but no valid key: it gets its response before the body is read."""
        if not scope["path"].startswith("/v1/") or _is_signup(scope):
            return False
        if not any(name in (b"content-length", b"transfer-encoding") for name, _ in scope["headers"]):
            return False
        with self.world.lock:
            return self.api.key(Request(scope)) is None

    def _no_signup(self, scope: Scope) -> ApiError | None:
        """The reason to refuse a signup, or None: strangers may not post jobs to a team's own people."""
        if not _is_signup(scope):
            return None
        if self._public is not None:
            message = "This server does not allow signups: ask its operator for an API key."
            return ApiError(403, "authorization_error", message)
        if not self.limits.take_signup(Request(scope)):
            return ApiError(429, "rate_limit_exceeded", "Too many signups.", headers={"retry-after": "3600"})
        return None

    # --- pages ------------------------------------------------------------------------------------------

    async def _visit(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope.setdefault("state", {})
        request = Request(scope, receive)
        start: dict[str, Any] = {}
        noted = _at_start(send, start.update)
        try:
            if f"{scope['path']}/".startswith(f"{PREFIX}/"):
                self.reception.need(request, "operator")
                await self._console.asgi(scope, receive, noted)
            else:
                await self._pages(scope, receive, noted)
            return
        except SignInNeeded as needed:
            response = self.reception.sign_in_first(request, needed.where)
        except PageError as error:
            response = self.reception.refused(request, error)
        except NotKeptError as error:
            response = self._unkept(request, error)
        except (ClientDisconnect, ApiError):
            raise
        except Exception as error:
            failed = _exhausted(error)
            if failed is None:
                # The log must not contain the link of a job.
                page = "/".join(scope["path"].split("/")[:2])
                _log.exception("a page failed on %s %s", scope["method"], page)
                failed = PageError(500, "The server failed and logged the reason. Try again.")
            if start:
                raise
            response = self.reception.refused(request, failed)
        await response(scope, receive, send)

    def _unkept(self, request: Request, error: NotKeptError) -> Response:
        """A page that says why nothing could be kept, or read."""
        try:
            return self.reception.refused(request, PageError(503, error.message))
        except NotKeptError:  # the page itself needs the database of people
            return PlainTextResponse(error.message, 503, HEADERS)


def _exhausted(error: Exception) -> PageError | None:
    """What to say where the machine had no space, or no more descriptors; None for other errors."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return PageError(507, FULL)
    if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
        return PageError(503, "The server failed. Try again.")
    return None


def _is_signup(scope: Scope) -> bool:
    return bool(scope["path"] == "/v1/auth/signup" and scope["method"] == "POST")


async def _nothing(_scope: Scope, _receive: Receive, _send: Send) -> None:
    raise no_page()


def _at_start(send: Send, look: Callable[[Message], None]) -> Send:
    """A `send` that first passes the start of a response to `look`, which may change it."""

    async def looked_at(message: Message) -> None:
        if message["type"] == "http.response.start":
            look(message)
        await send(message)

    return looked_at


def _date(start: Message) -> None:
    MutableHeaders(scope=start)["date"] = formatdate(usegmt=True)


def _at_its_head(receive: Receive, send: Send) -> Send:
    """A `send` that responds to a stranger before the body has arrived, then reads some of it, so that the response
    arrives."""

    async def answered(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message)["connection"] = "close"
        elif not message.get("more_body", False):
            await send({**message, "more_body": True})
            with contextlib.suppress(ApiError, ClientDisconnect):
                await read_body(receive, 0)
            message = {"type": "http.response.body"}
        await send(message)

    return answered


def _bounded(receive: Receive) -> Receive:
    """A `receive` that refuses a body that is too large or too slow."""
    read = counted = 0
    waited = 0.0
    is_whole = False

    async def part() -> Message:
        nonlocal read, counted, waited, is_whole
        if is_whole:
            return await receive()
        began = time.monotonic()
        try:
            async with asyncio.timeout(max(0.0, BOUNDS.upload_seconds - waited)):
                message = await receive()
        except TimeoutError:
            words = said(
                "Almost nothing arrived for {seconds} seconds: try again with a better connection.",
                seconds=round(BOUNDS.upload_seconds),
            )
            raise PageError(408, words) from None
        waited += time.monotonic() - began
        read += len(message.get("body", b""))
        if read >= counted + UPLOAD_PART:
            counted, waited = read, 0.0
        is_whole = not message.get("more_body", False)
        if read > BOUNDS.upload_bytes:
            words = said("The upload is larger than {most} MB.", most=BOUNDS.upload_bytes >> 20)
            raise PageError(413, words)
        return message

    return part
