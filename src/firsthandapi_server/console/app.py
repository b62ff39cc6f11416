"""The pages and forms behind `/console`."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from functools import partial
from itertools import islice
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from firsthandapi_server.contract.errors import ApiError
from firsthandapi_server.contract.text import iso
from firsthandapi_server.http.browsers import HEADERS
from firsthandapi_server.http.deliveries import SignatureStyle
from firsthandapi_server.http.requests import ReceivedRequest, RequestLog
from firsthandapi_server.state.keeping import Condition, Growing, NotKeptError
from firsthandapi_server.state.model import Account, Job

from . import shown
from .face import LIVE, PREFIX, Face, Form, Page, PageError, T, existing, no_page, whole

_PER_PAGE = 100
_JOBS_IN_LEDGER = 24
_MAX_STREAMS = 50
_LOOK_SECONDS = 0.4
_BEAT_SECONDS = 15.0


class Console:
    """The ASGI application behind `/console`; `pages` and `forms`, by path, are those of this kind of server alone."""

    def __init__(
        self,
        face: Face,
        *,
        log: RequestLog,
        style: Callable[[], SignatureStyle],
        pages: Mapping[str, Page],
        forms: Mapping[str, Form],
    ) -> None:
        self._face = face
        self._world = face.world
        self._log = log
        self._style = style
        self._streams = 0
        views: dict[str, Page] = {
            **pages,  # first: no job has the id `new`
            "": self._jobs,
            "/jobs/{id}": self._job,
            "/deliveries": self._deliveries,
            "/events/{id}": self._event,
            "/requests": self._request_list,
            "/requests/{number:int}": self._request,
            "/ledger": self._ledger,
        }
        taken: dict[str, Form] = {
            "/jobs/{id}/cancel": self._cancel,
            "/events/{id}/replay": self._replay,
            **forms,
        }
        self.asgi = Starlette(
            routes=[
                *(
                    Route(PREFIX + path, partial(self._show, page), methods=["GET"])
                    for path, page in views.items()
                ),
                *(
                    Route(PREFIX + path, partial(self._take, form), methods=["POST"])
                    for path, form in taken.items()
                ),
                Route(f"{PREFIX}/media/{{submission}}/{{file}}", face.media, methods=["GET"]),
                Route(f"{PREFIX}/static/{{name}}", face.asset, methods=["GET"]),
                Route(LIVE, self._live, methods=["GET"]),
            ],
            exception_handlers=dict.fromkeys((404, 405, PageError, ApiError, ValueError), self._refused),
        )
        self.asgi.router.redirect_slashes = False

    # --- how a page is served ---------------------------------------------------------------------------

    async def _show(self, page: Page, request: Request) -> Response:
        with self._world.lock:
            went = page(request)
        return went if isinstance(went, Response) else await went

    async def _take(self, form: Form, request: Request) -> Response:
        went = form(request, await self._face.form(request))
        went = went if isinstance(went, Response | str) else await went
        return RedirectResponse(went, 303, HEADERS) if isinstance(went, str) else went

    async def _refused(self, request: Request, error: Exception) -> Response:
        if isinstance(error, HTTPException):
            words = "This page does not allow that request." if error.status_code == 405 else str(no_page())
            error = PageError(error.status_code, words, "Not found")
        elif isinstance(error, NotKeptError):
            error = PageError(503, error.message)
        elif not isinstance(error, PageError):
            error = PageError(getattr(error, "status", 400), str(error))
        return self._face.refused(request, error)

    def _positions(self, request: Request, items: Growing[T], status: str = "") -> Iterable[tuple[int, T]]:
        """The items of the page before the position in its address, newest first, with their positions."""
        state = self._world.state
        end = whole(request.query_params.get("before"), "before", 0, 10**11, 10**11)
        indexes = state.find(items, [Condition("status", "=", status)] if status else (), end, _PER_PAGE + 1)
        return zip(indexes, state.pick(items, indexes), strict=True)

    # --- pages ------------------------------------------------------------------------------------------

    def _jobs(self, request: Request) -> Response:
        status = request.query_params.get("status", "")
        state = self._world.state
        is_terminal = {"active": False, "finished": True}.get(status)
        jobs = state.jobs_before(request.query_params.get("before"), is_terminal)
        return self._face.page(
            request,
            "jobs.html",
            status_filter=status,
            total=len(state.jobs),
            book=state.own.book,
            **_part((job.id, job) for job in jobs),
        )

    def _found_job(self, request: Request) -> Job:
        return existing(self._world.state.jobs.get(request.path_params["id"]))

    def _job(self, request: Request) -> Response:
        job = self._found_job(request)
        status = request.query_params.get("status", "")
        part = _part(self._positions(request, job.submissions, status))
        return self._face.page(request, "job.html", section=PREFIX, job=job, status_filter=status, **part)

    def _deliveries(self, request: Request) -> Response:
        status = request.query_params.get("status", "")
        deliveries = self._world.state.deliveries
        accounts = self._world.state.accounts()
        endpoints = [
            endpoint for account in accounts for endpoint in account.endpoints if not endpoint.deleted
        ]
        return self._face.page(
            request,
            "deliveries.html",
            status_filter=status,
            endpoints=endpoints,
            total=len(deliveries),
            **_part(self._positions(request, deliveries, status)),
        )

    def _event(self, request: Request) -> Response:
        event = existing(self._world.state.events.get(request.path_params["id"]))
        return self._face.page(
            request, "event.html", section=f"{PREFIX}/deliveries", event=event, style=self._style()
        )

    def _request_list(self, request: Request) -> Response:
        query = request.query_params
        method, path, outcome = query.get("method", ""), query.get("path", ""), query.get("outcome", "")
        end = whole(query.get("before"), "before", 0, 10**11, 10**11)
        part = _part(
            (number, (number, entry))
            for number, entry in reversed(self._log.numbered())
            if number < end and method in ("", entry.method) and path in entry.path and _is(entry, outcome)
        )
        return self._face.page(request, "requests.html", method=method, path=path, outcome=outcome, **part)

    def _request(self, request: Request) -> Response:
        requests = self._log.numbered()
        number = request.path_params["number"]
        entry = existing(next((candidate for at, candidate in requests if at == number), None))
        keyed = "idempotency-key" in entry.headers
        return self._face.page(
            request,
            "request.html",
            section=f"{PREFIX}/requests",
            number=number,
            seen=entry,
            story=shown.story(requests, entry) if keyed else [],
            command=shown.curl(entry, self._face.url),
            is_whole=shown.curl_is_whole(entry),
        )

    def _ledger(self, request: Request) -> Response:
        accounts = [account for account in self._world.state.accounts() if account.book.transactions][:20]
        name = request.query_params.get("account", "")
        chosen = next(
            (account for account in accounts if _account_name(account) == name),
            accounts[0] if accounts else None,
        )
        fault = None
        if chosen is not None:
            try:
                chosen.book.check(self._world.state.sums_of(chosen))
            except AssertionError as error:
                fault = str(error)
        moves = () if chosen is None else self._positions(request, chosen.book.transactions)
        return self._face.page(
            request,
            "ledger.html",
            accounts=[(_account_name(account), account) for account in accounts],
            account=chosen,
            fault=fault,
            top_up=None if chosen is None else self._world.credits.waiting_top_up(chosen),
            # Newest first; sandbox jobs cost nothing.
            jobs=[]
            if chosen is None or chosen.is_sandbox
            else [*islice(reversed(chosen.jobs), _JOBS_IN_LEDGER)],
            **_part(moves),
        )

    # --- forms ------------------------------------------------------------------------------------------

    def _cancel(self, request: Request, _fields: dict[str, str]) -> str:
        with self._world.lock:
            job = self._found_job(request)
            self._world.jobs.cancel(job, self._face.who(request), self._world.clock.now())
        return f"{PREFIX}/jobs/{job.id}?done=cancelled"

    def _replay(self, request: Request, _fields: dict[str, str]) -> str:
        with self._world.lock:
            event = existing(self._world.state.events.get(request.path_params["id"]))
            self._world.events.dispatch(event, self._world.clock.now())
        return f"{PREFIX}/events/{event.id}?done=replayed"

    # --- other responses --------------------------------------------------------------------------------

    async def _live(self, request: Request) -> Response:
        if self._streams >= _MAX_STREAMS:
            raise ApiError(503, "service_unavailable", "Too many pages are open.")
        headers = {**HEADERS, "x-accel-buffering": "no"}
        return StreamingResponse(self._stream(request), 200, headers, "text/event-stream")

    async def _stream(self, request: Request) -> AsyncIterator[bytes]:
        """Send `change` whenever a page would look different, and from time to time a comment as a heartbeat.

        Ends when the visitor may no longer see the pages: a token can be revoked or expire while a page is open.
        """
        self._streams += 1
        try:
            yield b"retry: 2000\n\n"
            seen, silent = self._pulse("requests" in request.query_params), 0.0
            while True:
                await asyncio.sleep(_LOOK_SECONDS)
                silent += _LOOK_SECONDS
                if not self._face.is_welcome(request):
                    return
                now = self._pulse("requests" in request.query_params)
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

    def _pulse(self, of_requests: bool = True) -> tuple[object, ...]:
        """A value that changes when anything on its page changes. Counts instead of listening, because that is fast."""
        clock = self._world.clock
        with self._world.lock:
            counts = self._world.state.changes()
            # Only a jump of the clock changes it, not the passing of time.
            jumped = round(clock.now() - time.time() * clock.speed)
        requests = self._log.changes if of_requests else 0
        return (*counts, requests, jumped // 5 if clock.speed else jumped, self._face.pulse())


def _part(items: Iterable[tuple[object, T]]) -> dict[str, Any]:
    """One page of `items`, newest first. Each item comes with its position for the address of the next page."""
    rows = [*islice(items, _PER_PAGE + 1)]
    is_more = len(rows) > _PER_PAGE
    return {
        "items": [item for _, item in rows[:_PER_PAGE]],
        "older": rows[_PER_PAGE - 1][0] if is_more else None,
    }


def _account_name(account: Account) -> str:
    return f"{account.organization.id}-{account.environment}"


def _is(request: ReceivedRequest, outcome: str) -> bool:
    """Whether a request had the outcome that a filter names."""
    if outcome == "open":
        return request.status is None and request.dropped is None
    if outcome == "dropped":
        return request.dropped is not None
    if outcome == "replayed":
        return request.replayed
    if outcome == "failed":
        return request.status is not None and request.status >= 400
    return not outcome or (request.status is not None and request.status < 400)
