"""The pages and forms behind `/console`."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlencode

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from firsthandapi.server.contract.bodies import JobBody
from firsthandapi.server.contract.errors import ApiError
from firsthandapi.server.contract.text import iso
from firsthandapi.server.http.browsers import HEADERS, MEDIA_HEADERS
from firsthandapi.server.http.deliveries import SignatureStyle
from firsthandapi.server.http.downloads import file_response
from firsthandapi.server.http.reading import validate
from firsthandapi.server.http.requests import MAX_REQUESTS, ReceivedRequest
from firsthandapi.server.rules.faults import Fault
from firsthandapi.server.rules.world import World
from firsthandapi.server.state.keeping import Log
from firsthandapi.server.state.model import Account, Job, Submission

from . import shown
from .forms import read_form, whole
from .tools import Tools

PREFIX = "/console"
T = TypeVar("T")

_HERE = Path(__file__).parent
_PER_PAGE = 100
# Items that a filter looks at for one page: those that are kept are loaded for it, some 70 µs each.
_MOST_LOOKED_AT = 2_000
_JOBS_IN_LEDGER = 24
_MAX_STREAMS = 50
_LOOK_SECONDS = 0.4
_BEAT_SECONDS = 15.0
_STATIC = {
    "console.css": "text/css; charset=utf-8",
    "console.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}
_UNITS = {"seconds": 1, "minutes": 60, "hours": 3600, "days": 86_400}
# What happened, after a form was handled. Only these words, never those of the address.
_DONE = {
    "posted": "The job is posted.",
    "cancelled": "The job is cancelled, and the rest of its escrow refunded.",
    "submitted": "The files are submitted. Scoring takes 5 to 15 seconds of the server's time.",
    "scored": "The submission is scored.",
    "withdrawn": "The file is withdrawn.",
    "replayed": "The event is on its way again, to every endpoint that wants it.",
    "added": "The fault is added.",
    "removed": "The fault is removed.",
    "cleared": "All faults are removed.",
    "advanced": "Time has moved on, and all that fell due has happened.",
    "reset": "Everything is as at the start.",
}
_FAULTS: dict[str, dict[str, Any]] = {
    "503": {"status": 503},
    "500": {"status": 500},
    "429": {"status": 429, "retry_after": 2},
    "drop-before": {"drop": "before"},
    "drop-after": {"drop": "after"},
    "cut": {"cut": 100},
    "slow": {"delay": 3},
    "dribble": {"dribble": 0.05},
    "garbage": {"garbage": True},
    "expired": {"expired_url": True},
    "cursor": {"repeat_cursor": True},
}
_EXAMPLE = {
    "type": "data_collection",
    "title": "Street signs",
    "description": "Photos of street signs in daylight, the sign filling most of the frame",
    "files_needed": 8,
    "accepted_formats": ["image/jpeg", "image/png"],
    "price_per_file_cents": 50,
}


class Console:
    """The ASGI application behind `/console`.

    Args:
        world: the rules and the state.
        requests: the latest requests with their numbers, oldest first.
        changes: a number that grows with every request and response.
        address: the address of the server.
        style: how webhooks are signed.
        tools: what only a server for tests can do; None for one that serves people.
        form_token: what forms of a page send, where somebody checks it before they come here.
        is_welcome: whether whoever asked for an open page may still see it.
    """

    def __init__(
        self,
        world: World,
        *,
        requests: Callable[[], Sequence[tuple[int, ReceivedRequest]]],
        changes: Callable[[], int],
        address: Callable[[], str],
        style: Callable[[], SignatureStyle],
        tools: Tools | None,
        form_token: Callable[[Request], str] = lambda _request: "",
        is_welcome: Callable[[Request], bool] = lambda _request: True,
    ) -> None:
        self._world = world
        self._requests = requests
        self._changes = changes
        self._address = address
        self._style = style
        self._tools = tools
        self._form_token = form_token
        self._is_welcome = is_welcome
        self._streams = 0
        self._templates = shown.templates(_HERE / "templates")
        self.asgi = Starlette(
            routes=[*self._routes()],
            exception_handlers={
                404: self._no_page,
                405: self._no_page,
                ApiError: self._refused,
                ValueError: self._refused,
            },
        )
        self.asgi.router.redirect_slashes = False

    def _routes(self) -> list[Route]:
        pages: dict[str, Callable[[Request], Response]] = {
            "": self._jobs,
            "/jobs/{id}": self._job,
            "/deliveries": self._deliveries,
            "/events/{id}": self._event,
            "/requests": self._request_list,
            "/requests/{number:int}": self._request,
            "/ledger": self._ledger,
        }
        forms: dict[str, Callable[[Request, dict[str, str]], Awaitable[str] | str]] = {
            "/jobs/{id}/cancel": self._cancel,
            "/events/{id}/replay": self._replay,
        }
        if self._tools is not None:
            pages |= {"/faults": self._faults, "/clock": self._clock}
            tools = self._tools
            forms |= {
                "/jobs": self._post_example,
                "/jobs/{id}/submit": partial(self._submit, tools),
                "/submissions/{id}/score": partial(self._score, tools),
                "/files/{id}/withdraw": partial(self._withdraw, tools),
                "/faults": partial(self._add_fault, tools),
                "/faults/remove": partial(self._remove_fault, tools),
                "/clock": partial(self._advance, tools),
                "/reset": partial(self._reset, tools),
            }
        return [
            *(
                Route(PREFIX + path, partial(self._show, page), methods=["GET"])
                for path, page in pages.items()
            ),
            *(
                Route(PREFIX + path, partial(self._take, form), methods=["POST"])
                for path, form in forms.items()
            ),
            Route(f"{PREFIX}/media/{{submission}}/{{id}}", self._media, methods=["GET"]),
            Route(f"{PREFIX}/static/{{name}}", self._asset, methods=["GET"]),
            Route(f"{PREFIX}/live", self._live, methods=["GET"]),
        ]

    # --- how a page is served ---------------------------------------------------------------------------

    async def _show(self, page: Callable[[Request], Response], request: Request) -> Response:
        with self._world.lock:
            return page(request)

    async def _take(
        self, form: Callable[[Request, dict[str, str]], Awaitable[str] | str], request: Request
    ) -> Response:
        fields = await read_form(request)
        where = form(request, fields)
        return RedirectResponse(where if isinstance(where, str) else await where, 303, HEADERS)

    def _page(self, request: Request, name: str, *, status: int = 200, **values: Any) -> Response:
        tools = self._tools
        navigation = [
            ("Jobs", ""),
            ("Deliveries", "/deliveries"),
            ("Requests", "/requests"),
            ("Ledger", "/ledger"),
        ]
        if tools is not None:
            navigation += [("Faults", "/faults"), ("Clock", "/clock")]
        query = {key: value for key, value in request.query_params.items() if key != "done"}

        def link(**changes: object) -> str:
            """The address of this page with other parameters."""
            return "?" + urlencode(
                {name: value for name, value in {**query, **changes}.items() if value != ""}
            )

        text = self._templates.get_template(name).render(
            navigation=navigation,
            section={"job": "", "event": "/deliveries", "request": "/requests", "jobs": ""}.get(
                name.removesuffix(".html"), "/" + name.removesuffix(".html")
            ),
            prefix=PREFIX,
            address=self._address(),
            now=self._world.clock.now(),
            speed=self._world.clock.speed,
            faults_active=0 if tools is None else len(tools.faults.active()),
            has_tools=tools is not None,
            form_token=self._form_token(request),
            done=_DONE.get(request.query_params.get("done", "")),
            link=link,
            before=query.get("before"),
            **values,
        )
        return Response(text, status, HEADERS, "text/html; charset=utf-8")

    async def _no_page(self, request: Request, error: Exception) -> Response:
        status = getattr(error, "status_code", 404)
        words = (
            "This page takes no such request." if status == 405 else "There is no such page, or no longer."
        )
        return self._page(request, "error.html", status=status, heading="Not found", words=words)

    async def _refused(self, request: Request, error: Exception) -> Response:
        status = error.status if isinstance(error, ApiError) else 400
        words = error.message if isinstance(error, ApiError) else str(error)
        return self._page(request, "error.html", status=status, heading="That did not work", words=words)

    def _positions(self, request: Request, items: Log[T]) -> Iterator[tuple[int, T]]:
        """The items before the one that the address of the page names, newest first, with their positions."""
        most = len(items)
        before = min(whole(request.query_params.get("before"), "before", 0, 10**11, most), most)
        return ((at, items[at]) for at in range(before - 1, -1, -1))

    # --- pages ------------------------------------------------------------------------------------------

    def _accounts(self) -> list[Account]:
        return [
            account
            for organization in self._world.state.organizations
            for account in organization.accounts.values()
        ]

    def _own(self) -> Account:
        return self._world.state.organizations[0].accounts["live"]

    def _jobs(self, request: Request) -> Response:
        status = request.query_params.get("status", "")
        state = self._world.state
        jobs = ((job.id, job) for job in state.jobs_before(request.query_params.get("before")))
        return self._page(
            request,
            "jobs.html",
            status_filter=status,
            total=len(state.jobs),
            book=self._own().book,
            **_part(jobs, lambda job: not status or (status == "active") == (not job.is_terminal)),
        )

    def _found_job(self, request: Request) -> Job:
        job = self._world.state.jobs.get(request.path_params["id"])
        if job is None:
            raise HTTPException(404)
        return job

    def _job(self, request: Request) -> Response:
        job = self._found_job(request)
        status = request.query_params.get("status", "")
        submissions = self._positions(request, job.submissions)
        part = _part(submissions, lambda each: status in ("", each.status))
        return self._page(request, "job.html", job=job, status_filter=status, **part)

    def _deliveries(self, request: Request) -> Response:
        status = request.query_params.get("status", "")
        deliveries = self._world.state.deliveries
        endpoints = [
            endpoint for account in self._accounts() for endpoint in account.endpoints if not endpoint.deleted
        ]
        return self._page(
            request,
            "deliveries.html",
            status_filter=status,
            endpoints=endpoints,
            total=len(deliveries),
            **_part(self._positions(request, deliveries), lambda each: status in ("", each.status)),
        )

    def _event(self, request: Request) -> Response:
        event = self._world.state.events.get(request.path_params["id"])
        if event is None:
            raise HTTPException(404)
        return self._page(request, "event.html", event=event, style=self._style())

    def _request_list(self, request: Request) -> Response:
        query = request.query_params
        method, path, outcome = query.get("method", ""), query.get("path", ""), query.get("outcome", "")
        before = whole(query.get("before"), "before", 0, 10**11, 10**11)
        requests = (
            (number, (number, each)) for number, each in reversed(self._requests()) if number < before
        )

        def is_chosen(entry: tuple[int, ReceivedRequest]) -> bool:
            _, each = entry
            return method in ("", each.method) and path in each.path and _is(each, outcome)

        # All of them are in memory, and no more than some thousands: so all are looked at.
        part = _part(requests, is_chosen, MAX_REQUESTS)
        return self._page(request, "requests.html", method=method, path=path, outcome=outcome, **part)

    def _request(self, request: Request) -> Response:
        requests = self._requests()
        number = request.path_params["number"]
        found = next((each for at, each in requests if at == number), None)
        if found is None:
            raise HTTPException(404)
        keyed = "idempotency-key" in found.headers
        return self._page(
            request,
            "request.html",
            number=number,
            seen=found,
            story=shown.story(requests, found) if keyed else [],
            command=shown.curl(found, self._address()),
            is_whole=shown.curl_is_whole(found),
        )

    def _ledger(self, request: Request) -> Response:
        accounts = [account for account in self._accounts() if account.book.transactions][:20]
        name = request.query_params.get("account", "")
        chosen = next(
            (each for each in accounts if _account_name(each) == name), accounts[0] if accounts else None
        )
        fault = None
        if chosen is not None:
            try:
                chosen.book.check(self._world.state.sums_of(chosen))
            except AssertionError as error:
                fault = str(error)
        moves = () if chosen is None else self._positions(request, chosen.book.transactions)
        return self._page(
            request,
            "ledger.html",
            accounts=[(_account_name(each), each) for each in accounts],
            account=chosen,
            fault=fault,
            # Newest first; those of the sandbox cost nothing.
            jobs=[]
            if chosen is None or chosen.is_sandbox
            else [*islice(reversed(chosen.jobs), _JOBS_IN_LEDGER)],
            **_part(moves),
        )

    def _faults(self, request: Request) -> Response:
        active: Sequence[Fault] = () if self._tools is None else self._tools.faults.active()
        return self._page(request, "faults.html", faults=active)

    def _clock(self, request: Request) -> Response:
        return self._page(request, "clock.html", units=_UNITS)

    # --- forms ------------------------------------------------------------------------------------------

    def _post_example(self, _request: Request, _fields: dict[str, str]) -> str:
        with self._world.lock:
            fields = validate(JobBody, _EXAMPLE).model_dump()
            fields.pop("deadline")
            account = self._own()
            address = f"{self._address()}/purchase/{account.organization.id}"
            job = self._world.jobs.create(account, fields, None, "console", self._world.clock.now(), address)
        return f"{PREFIX}/jobs/{job.id}?done=posted"

    def _cancel(self, request: Request, _fields: dict[str, str]) -> str:
        with self._world.lock:
            job = self._found_job(request)
            self._world.jobs.cancel(job, "console", self._world.clock.now())
        return f"{PREFIX}/jobs/{job.id}?done=cancelled"

    def _replay(self, request: Request, _fields: dict[str, str]) -> str:
        with self._world.lock:
            event = self._world.state.events.get(request.path_params["id"])
            if event is None:
                raise HTTPException(404)
            self._world.events.dispatch(event, self._world.clock.now())
        return f"{PREFIX}/events/{event.id}?done=replayed"

    def _submit(self, tools: Tools, request: Request, fields: dict[str, str]) -> str:
        with self._world.lock:
            job = self._found_job(request)
            rating = whole(fields.get("rating"), "rating", 1, 5, 4)
            files = whole(fields.get("files"), "files", 1, 5, 1)
            tools.submit(job.id, content_type=fields.get("content_type"), rating=rating, files=files)
        return f"{PREFIX}/jobs/{job.id}?done=submitted"

    def _found_submission(self, submission_id: str) -> Submission:
        submission = self._world.state.submissions.get(submission_id)
        if submission is None:
            raise HTTPException(404)
        return submission

    def _score(self, tools: Tools, request: Request, fields: dict[str, str]) -> str:
        with self._world.lock:
            submission = self._found_submission(request.path_params["id"])
            tools.score(submission.id, whole(fields.get("rating"), "rating", 1, 5, 4))
        return f"{PREFIX}/jobs/{submission.job.id}?done=scored#{submission.id}"

    def _withdraw(self, tools: Tools, request: Request, _fields: dict[str, str]) -> str:
        with self._world.lock:
            file = self._world.state.files.get(request.path_params["id"])
            if file is None:
                raise HTTPException(404)
            tools.withdraw(file.id)
        return f"{PREFIX}/jobs/{file.submission.job.id}?done=withdrawn"

    def _add_fault(self, tools: Tools, _request: Request, fields: dict[str, str]) -> str:
        kind = _FAULTS.get(fields.get("kind", ""))
        if kind is None:
            raise ValueError("choose what happens to the request")
        times = None if fields.get("times") == "all" else whole(fields.get("times"), "times", 1, 10**6, 1)
        path, method = fields.get("path", "*"), fields.get("method")
        if len(path) > 500 or len(method or "") > 20:
            raise ValueError("path takes 500 characters, and method 20")
        after = whole(fields.get("after"), "after", 0, 10**6, 0)
        tools.faults.add(path=path, method=method, times=times, after=after, **kind)
        return f"{PREFIX}/faults?done=added"

    def _remove_fault(self, tools: Tools, _request: Request, fields: dict[str, str]) -> str:
        fault = fields.get("id")
        if fault is None:
            tools.faults.clear()
            return f"{PREFIX}/faults?done=cleared"
        tools.faults.remove(fault)
        return f"{PREFIX}/faults?done=removed"

    async def _advance(self, tools: Tools, _request: Request, fields: dict[str, str]) -> str:
        unit = fields.get("unit", "seconds")
        if unit not in _UNITS:
            raise ValueError(f"unit is one of {', '.join(_UNITS)}")
        amount = whole(fields.get("amount"), "amount", 0, 100_000, 0)
        # Deliveries happen meanwhile, and their receiver may call this server.
        await asyncio.to_thread(tools.clock.advance, seconds=amount * _UNITS[unit])
        return f"{PREFIX}/clock?done=advanced"

    async def _reset(self, tools: Tools, _request: Request, _fields: dict[str, str]) -> str:
        await asyncio.to_thread(tools.reset)
        return f"{PREFIX}/clock?done=reset"

    # --- other responses --------------------------------------------------------------------------------

    async def _media(self, request: Request) -> Response:
        with self._world.lock:
            submission = self._found_submission(request.path_params["submission"])
            file = next((file for file in submission.files if file.id == request.path_params["id"]), None)
        if file is None:
            raise HTTPException(404)
        response = file_response(request, file)
        response.headers.update(MEDIA_HEADERS)
        return response

    async def _asset(self, request: Request) -> Response:
        kind = _STATIC.get(request.path_params["name"])
        if kind is None:
            raise HTTPException(404)
        content = _HERE.joinpath("static", request.path_params["name"]).read_bytes()
        return Response(content, 200, {**HEADERS, "cache-control": "no-cache"}, kind)

    async def _live(self, request: Request) -> Response:
        if self._streams >= _MAX_STREAMS:
            raise ApiError(503, "service_unavailable", "Too many pages are open.")
        headers = {**HEADERS, "x-accel-buffering": "no"}
        return StreamingResponse(self._stream(request), 200, headers, "text/event-stream")

    async def _stream(self, request: Request) -> AsyncIterator[bytes]:
        """`change` whenever a page would look different; a comment now and then shows that the server lives.

        It ends when whoever asked may no longer see the pages: tokens are revoked and expire while a page is open.
        """
        self._streams += 1
        try:
            yield b"retry: 2000\n\n"
            seen, silent = self._pulse(), 0.0
            while True:
                await asyncio.sleep(_LOOK_SECONDS)
                silent += _LOOK_SECONDS
                if not self._is_welcome(request):
                    return
                now = self._pulse()
                if now != seen:
                    seen, silent = now, 0.0
                    yield (
                        b"event: change\ndata: "
                        + json.dumps({"now": iso(self._world.clock.now())}).encode()
                        + b"\n\n"
                    )
                elif silent >= _BEAT_SECONDS:
                    silent = 0.0
                    yield b": still here\n\n"
        finally:
            self._streams -= 1

    def _pulse(self) -> tuple[object, ...]:
        """A value that changes when anything does that a page shows. Nothing reports changes: counting is fast."""
        clock = self._world.clock
        with self._world.lock:
            counts = self._world.state.changes()
            # Time that flows changes nothing; time that jumped does.
            jumped = round(clock.now() - time.time() * clock.speed)
        faults = (
            ()
            if self._tools is None
            else tuple((each.id, each.times) for each in self._tools.faults.active())
        )
        return (*counts, self._changes(), jumped // 5 if clock.speed else jumped, faults)


def _part(
    items: Iterable[tuple[object, T]],
    is_chosen: Callable[[T], bool] = lambda _item: True,
    most: int | None = None,
) -> dict[str, Any]:
    """One page of `items`, which come newest first, each with what names it in the address of the next page."""
    found: list[T] = []
    last: object = None
    for looked_at, (name, item) in enumerate(items):
        if len(found) == _PER_PAGE or looked_at == (most or _MOST_LOOKED_AT):
            return {"items": found, "older": last}
        last = name
        if is_chosen(item):
            found.append(item)
    return {"items": found, "older": None}


def _account_name(account: Account) -> str:
    return f"{account.organization.id}-{account.environment}"


def _is(request: ReceivedRequest, outcome: str) -> bool:
    """Whether a request ended in the way that a filter names."""
    if outcome == "open":
        return request.status is None and request.dropped is None
    if outcome == "dropped":
        return request.dropped is not None
    if outcome == "replayed":
        return request.replayed
    if outcome == "failed":
        return request.status is not None and request.status >= 400
    return not outcome or (request.status is not None and request.status < 400)
