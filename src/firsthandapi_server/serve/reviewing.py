"""The reviewers' pages: what waits, one by one or as a grid, with stars, a reason, and ten seconds to undo them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from firsthandapi_server.console.face import PageError, no_page
from firsthandapi_server.http.browsers import HEADERS, POLICY, unchanged_or
from firsthandapi_server.rules.jobs import NO_RETRY
from firsthandapi_server.sqlite.line import counted
from firsthandapi_server.state.model import File, Submission

from .judged import allowing, judged
from .opinions import MAX_REASON
from .panel import OWN, Asker, Panel, rated_files, story_of
from .ratings import UNDO_SECONDS, Rating
from .reception import Reception

_TILES = 48  # on a page of the grid
_MOST_CHOICES = 200  # in a filter
_TWINS = 3  # files with the same bytes that are shown beside one
_LATE = "Too late to undo: the rating counts already."
_UNDONE = {"undone": "Undone: rate it again.", "freed": "The slot is free again."}


class Reviewing:
    """The pages under `/review`."""

    def __init__(self, reception: Reception, panel: Panel) -> None:
        self._reception = reception
        self._world = reception.world
        self._panel = panel
        self._undone: dict[str, Rating] = {}  # by browser: its form is filled again

    def routes(self) -> Iterable[Route]:
        """The routes of the pages."""
        yield Route("/review", self._queue, methods=["GET"])
        yield Route("/review", self._rate, methods=["POST"])
        yield Route("/review/undo", self._undo, methods=["POST"])
        yield Route("/review/retries", self._retries, methods=["GET"])
        yield Route("/review/retries", self._free, methods=["POST"])
        yield Route("/review/waiting", self._waiting_count, methods=["GET"])
        yield Route("/review/media/{submission}/{file}", self._media, methods=["GET"])

    def _asker(self, request: Request, fields: dict[str, str] | None = None) -> Asker:
        values = request.query_params if fields is None else fields
        return Asker(*self._reception.reviewing(request), values.get("job", ""), values.get("worker", ""))

    # --- looking ----------------------------------------------------------------------------------------

    async def _queue(self, request: Request) -> Response:
        asker = self._asker(request)
        if request.query_params.get("view") == "grid":
            return self._grid(request, asker)
        return self._show(request, asker, request.query_params.get("at"))

    def _show(
        self,
        request: Request,
        asker: Asker,
        choice: str | None,
        *,
        status: int = 200,
        fault: str | None = None,
        fields: dict[str, str] | None = None,
    ) -> Response:
        with self._world.lock:
            gold = self._panel.gold_for(asker)
            line = self._panel.waiting(asker, gold=gold)
            id = choice if choice in line else next(iter(line.part(0, 1)), None)
            submission = None if id is None else self._world.state.submissions[id]
            earlier, later = ([], []) if id is None else (line.before(id), line.after(id))
            if submission is None:
                self._panel.release(asker.browser)
            else:
                self._panel.hold(asker.browser, submission.id)
            files = [] if submission is None else rated_files(submission, gold)
            content = [] if submission is None else judged(submission.job)
            response = self._reception.page(
                request,
                "review.html",
                status=status,
                waiting=counted(len(line)),
                number=1 if id is None else counted(line.number(id) + 1),
                submission=submission,
                files=[(file, self._twins(file, asker)) for file in files],
                before=_path(asker, at=earlier[0]) if earlier else None,
                after=_path(asker, at=later[0]) if later else None,
                fault=fault,
                fields=fields or self._filled(asker, submission),
                most=MAX_REASON,
                overlap=self._panel.settings.overlap,
                judged=content,
                **self._around(request, asker),
            )
        if response.status_code != 304:
            response.headers["content-security-policy"] = allowing(POLICY, content)
        return response

    def _grid(self, request: Request, asker: Asker) -> Response:
        with self._world.lock:
            gold = self._panel.gold_for(asker)
            line = self._panel.waiting(asker, gold=gold)
            text = request.query_params.get("start", "")
            start = int(text) if re.fullmatch(r"[0-9]{1,9}", text) else 0
            ids = line.part(start, _TILES + 1)
            page = [self._world.state.submissions[id] for id in ids[:_TILES]]
            self._panel.release(asker.browser)
            return self._reception.page(
                request,
                "review_grid.html",
                waiting=counted(len(line)),
                tiles=[(tile, rated_files(tile, gold)[0], _path(asker, at=tile.id)) for tile in page],
                earlier=_path(asker, view="grid", start=str(max(0, start - _TILES))) if start else None,
                later=_path(asker, view="grid", start=str(start + _TILES)) if len(ids) > _TILES else None,
                **self._around(request, asker),
            )

    def _around(self, request: Request, asker: Asker) -> dict[str, Any]:
        """What both views show around what waits: the filter, the undo, and what waits for others."""
        state, line = self._world.state, self._panel.line()
        undoable, retries = self._panel.undoable(asker.browser), len(self._panel.line(status="retry_pending"))
        return {
            "section": "/review",
            "asker": asker,
            "path": partial(_path, asker),
            "jobs": [state.jobs[id] for id in line.jobs(_MOST_CHOICES)],
            "workers": line.workers(_MOST_CHOICES),
            "undoable": undoable,
            "done": _UNDONE.get(request.query_params.get("done", "")),
            "undo_seconds": int(UNDO_SECONDS),
            "beside": self._panel.ratings.beside(asker.reviewer, self._world.clock.now() - UNDO_SECONDS)
            if self._panel.programs
            else [],
            "own": sum(len(self._panel.line(worker=worker)) for worker in asker.own),
            "elsewhere": 0 if asker.job or asker.worker else self._panel.elsewhere(asker),
            "retries": retries and counted(retries),
        }

    def _twins(self, file: File, asker: Asker) -> list[File]:
        """Other files with the same bytes, or that look the same, but none of the reviewer's own."""
        state, like = self._world.state, file.source.details().like
        alike = state.submissions.get(like) if like else None
        twins = dict.fromkeys([*state.same_as(file, _TWINS), *(alike.files if alike else ())])
        return [twin for twin in twins if not twin.is_erased and twin.submission.worker_id not in asker.own]

    def _filled(self, asker: Asker, submission: Submission | None) -> dict[str, str]:
        """What the form of a submission contains: what was undone."""
        rating = self._undone.get(asker.browser)
        if (
            rating is None
            or submission is None
            or (rating.submission, rating.attempt) != (submission.id, submission.attempt)
        ):
            return {}
        stars = {f"stars-{number}": str(value) for number, value in enumerate(rating.stars)}
        return {**stars, "reason": rating.reason or ""}

    async def _waiting_count(self, request: Request) -> Response:
        """How much waits. An open page asks again and again, and so holds on to what it shows."""
        asker = self._asker(request)
        at, is_held = request.query_params.get("at"), False
        with self._world.lock:
            line = self._panel.waiting(asker, gold=self._panel.gold_for(asker))
            count = len(line)
            if at is not None and at in line:
                self._panel.hold(asker.browser, at)
                is_held = True
        reply = JSONResponse({"waiting": count, "held": is_held}, headers=HEADERS)
        return unchanged_or(request, reply)

    async def _media(self, request: Request) -> Response:
        asker = self._asker(request)
        with self._world.lock:
            submission = self._world.state.submissions.get(request.path_params["submission"])
            if submission is not None and submission.worker_id in asker.own:
                raise PageError(403, OWN, "Your own work")
        return await self._reception.media(request)

    # --- rating -----------------------------------------------------------------------------------------

    def _named(self, fields: Mapping[str, str]) -> Submission:
        """The submission that a form names."""
        submission = self._world.state.submissions.get(fields.get("submission", ""))
        if submission is None or submission.job.account.is_sandbox:
            raise no_page()
        return submission

    async def _rate(self, request: Request) -> Response:
        fields = await self._reception.form(request)
        asker = self._asker(request, fields)
        with self._world.lock:
            submission = self._named(fields)
            try:
                after = self._panel.rate(asker, submission, fields)
            except PageError as error:
                if error.status != 400:
                    raise
                return self._show(request, asker, submission.id, status=400, fault=error.words, fields=fields)
        self._undone.pop(asker.browser, None)
        return self._reception.go(_path(asker, at=after))

    async def _undo(self, request: Request) -> Response:
        fields = await self._reception.form(request)
        asker = self._asker(request, fields)
        with self._world.lock:
            rating = self._panel.undo(asker.browser, fields.get("rating", ""))
            if rating is None:
                raise PageError(409, _LATE, "Too late")
            self._panel.hold(asker.browser, rating.submission)
        self._undone[asker.browser] = rating
        return self._reception.go(_path(asker, at=rating.submission, done="undone"))

    # --- second attempts --------------------------------------------------------------------------------

    async def _retries(self, request: Request) -> Response:
        asker = self._asker(request)
        with self._world.lock:
            state = self._world.state
            retries = self._panel.line(status="retry_pending").part(0, _MOST_CHOICES)
            waiting = [state.submissions[id] for id in retries]
            return self._reception.page(
                request,
                "review_retries.html",
                attempts=[(submission, self._world.jobs.retry_until(submission)) for submission in waiting],
                **self._around(request, asker),
            )

    async def _free(self, request: Request) -> Response:
        """Give up on a second attempt, so that its slot is free for others."""
        fields = await self._reception.form(request)
        asker = self._asker(request, fields)
        with self._world.lock:
            submission = self._named(fields)
            if submission.status != "retry_pending":
                raise PageError(409, story_of(submission), "Somebody was faster")
            self._world.jobs.give_up(submission, self._world.clock.now(), NO_RETRY, asker.reviewer)
        return self._reception.go("/review/retries?done=freed")


def _path(asker: Asker, **query: str | None) -> str:
    """An address of the page that keeps the filter."""
    filled = {"job": asker.job, "worker": asker.worker, **query}
    pairs = urlencode({name: value for name, value in filled.items() if value})
    return f"/review?{pairs}" if pairs else "/review"
