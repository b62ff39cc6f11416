"""The reviewers' pages: what waits, one by one or as a grid, with stars, a reason, and ten seconds to undo them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from firsthandapi_server.console.face import PageError, no_page
from firsthandapi_server.http.browsers import HEADERS, unchanged_or
from firsthandapi_server.rules.jobs import NO_RETRY
from firsthandapi_server.state.model import File, Submission

from .panel import MAX_REASON, Panel
from .ratings import UNDO_SECONDS, Gold, Rating, stars_in
from .reception import Reception

_TILES = 48  # on a page of the grid
_MOST_CHOICES = 200  # in a filter
_TWINS = 3  # files with the same bytes that are shown beside one
_OWN = "This is your own work: somebody else rates it."
_LATE = "Too late to undo: the rating counts already."
_UNDONE = {"undone": "Undone: rate it again.", "freed": "The slot is free again."}


@dataclass(frozen=True, slots=True)
class _Asker:
    """Who asks for a page; and the only job, or worker, that they want to see, or ""."""

    reviewer: str
    browser: str
    job: str
    worker: str
    own: frozenset[str]

    def path(self, **query: str | None) -> str:
        """An address of the page that keeps the filter."""
        filled = {"job": self.job, "worker": self.worker, **query}
        given = urlencode({name: value for name, value in filled.items() if value})
        return f"/review?{given}" if given else "/review"


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

    def _asker(self, request: Request, fields: dict[str, str] | None = None) -> _Asker:
        given = request.query_params if fields is None else fields
        return _Asker(
            self._reception.reviewer(request),
            self._reception.browser(request),
            given.get("job", ""),
            given.get("worker", ""),
            self._reception.own(request),
        )

    def _waiting(self, asker: _Asker) -> tuple[list[str], Gold | None]:
        """The ids of what waits for somebody, oldest first; before them one whose rating is known, if it is time."""
        ids = [
            each.id
            for each in self._panel.queue(asker.reviewer, asker.browser, asker.own)
            if asker.job in ("", each.job) and asker.worker in ("", each.worker)
        ]
        gold = self._panel.gold_for(asker.reviewer, asker.own)
        if gold is None:
            return ids, None
        found = self._world.state.submissions[gold.submission]
        if asker.job not in ("", found.job.id) or asker.worker not in ("", found.worker_id):
            return ids, None
        return [gold.submission, *ids], gold

    # --- looking ----------------------------------------------------------------------------------------

    async def _queue(self, request: Request) -> Response:
        asker = self._asker(request)
        if request.query_params.get("view") == "grid":
            return self._grid(request, asker)
        return self._show(request, asker, request.query_params.get("at"))

    def _show(
        self,
        request: Request,
        asker: _Asker,
        wanted: str | None,
        *,
        status: int = 200,
        fault: str | None = None,
        fields: dict[str, str] | None = None,
    ) -> Response:
        with self._world.lock:
            ids, gold = self._waiting(asker)
            at = ids.index(wanted) if wanted in ids else 0
            submission = self._world.state.submissions[ids[at]] if ids else None
            if submission is None:
                self._panel.release(asker.browser)
            else:
                self._panel.hold(asker.browser, submission.id)
            files = [] if submission is None else _shown(submission, gold)
            return self._reception.page(
                request,
                "review.html",
                status=status,
                waiting=len(ids),
                number=at + 1,
                submission=submission,
                files=[(file, self._twins(file, asker)) for file in files],
                before=asker.path(at=ids[at - 1]) if at else None,
                after=asker.path(at=ids[at + 1]) if at + 1 < len(ids) else None,
                fault=fault,
                fields=fields or self._filled(asker, submission),
                most=MAX_REASON,
                overlap=self._panel.settings.overlap,
                **self._around(request, asker, ids),
            )

    def _grid(self, request: Request, asker: _Asker) -> Response:
        with self._world.lock:
            ids, gold = self._waiting(asker)
            given = request.query_params.get("start", "")
            start = int(given) if re.fullmatch(r"[0-9]{1,9}", given) else 0
            shown = [self._world.state.submissions[each] for each in ids[start : start + _TILES]]
            self._panel.release(asker.browser)
            return self._reception.page(
                request,
                "review_grid.html",
                waiting=len(ids),
                tiles=[(each, _shown(each, gold)[0], asker.path(at=each.id)) for each in shown],
                earlier=asker.path(view="grid", start=str(max(0, start - _TILES))) if start else None,
                later=asker.path(view="grid", start=str(start + _TILES))
                if start + _TILES < len(ids)
                else None,
                **self._around(request, asker, ids),
            )

    def _around(self, request: Request, asker: _Asker, ids: Sequence[str]) -> dict[str, Any]:
        """What both views show around what waits: the filter, the undo, and what waits for others."""
        state = self._world.state
        queue = state.queue()
        jobs = [*dict.fromkeys(each.job for each in queue)][:_MOST_CHOICES]
        workers = [*dict.fromkeys(each.worker for each in queue)][:_MOST_CHOICES]
        undoable = self._panel.undoable(asker.browser)
        own = sum(each.worker in asker.own for each in queue)
        return {
            "section": "/review",
            "asker": asker,
            "jobs": [state.jobs[each] for each in jobs],
            "workers": workers,
            "undoable": undoable,
            "done": _UNDONE.get(request.query_params.get("done", "")),
            "undo_seconds": int(UNDO_SECONDS),
            "own": own,
            "elsewhere": 0 if asker.job or asker.worker else max(0, len(queue) - len(ids) - own),
            "retries": len(state.queue("retry_pending")),
        }

    def _twins(self, file: File, asker: _Asker) -> list[File]:
        """Other files with the same bytes, or that look the same, but none of the reviewer's own."""
        state, like = self._world.state, file.source.details().like
        alike = state.submissions.get(like) if like else None
        found = dict.fromkeys([*state.same_as(file, _TWINS), *(alike.files if alike else ())])
        return [each for each in found if not each.is_erased and each.submission.worker_id not in asker.own]

    def _filled(self, asker: _Asker, submission: Submission | None) -> dict[str, str]:
        """What the form of a submission contains: what was undone."""
        rating = self._undone.get(asker.browser)
        if (
            rating is None
            or submission is None
            or (rating.submission, rating.attempt) != (submission.id, submission.attempt)
        ):
            return {}
        stars = {f"stars-{number}": str(each) for number, each in enumerate(rating.stars)}
        return {**stars, "reason": rating.reason or ""}

    async def _waiting_count(self, request: Request) -> Response:
        """How much waits. An open page asks again and again, and so holds on to what it shows."""
        asker = self._asker(request)
        at, is_held = request.query_params.get("at"), False
        with self._world.lock:
            ids, _ = self._waiting(asker)
            if at in ids:
                self._panel.hold(asker.browser, at)
                is_held = True
        reply = JSONResponse({"waiting": len(ids), "held": is_held}, headers=HEADERS)
        return unchanged_or(request, reply)

    async def _media(self, request: Request) -> Response:
        asker = self._asker(request)
        with self._world.lock:
            submission = self._world.state.submissions.get(request.path_params["submission"])
            if submission is not None and submission.worker_id in asker.own:
                raise PageError(403, _OWN, "Your own work")
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
            ids, gold = self._waiting(asker)
            if gold is not None and gold.submission != submission.id:
                gold = None
            self._check(submission, asker, fields.get("attempt"), gold)
            files = _shown(submission, gold)
            stars = stars_in(fields, len(files))
            reason = fields["reason"].replace("\r\n", "\n") if "reason" in fields else None
            if stars is None or len(reason or "") > MAX_REASON:
                fault = f"Give each file 1 to 5 stars, and a reason of at most {MAX_REASON:,} characters."
                return self._show(request, asker, submission.id, status=400, fault=fault, fields=fields)
            self._panel.give(submission, asker.reviewer, asker.browser, stars, reason, gold)
            self._undone.pop(asker.browser, None)
            left, due = self._waiting(asker)
            after = due.submission if due is not None else _next(ids, submission.id, left)
        return self._reception.go(asker.path(at=after))

    def _check(self, submission: Submission, asker: _Asker, attempt: str | None, gold: Gold | None) -> None:
        if submission.worker_id in asker.own:
            raise PageError(403, _OWN, "Your own work")
        if str(submission.attempt) != attempt or (gold is None and submission.status != "pending_score"):
            raise PageError(409, _story(submission), "Somebody was faster")
        if gold is None and not self._panel.is_free(submission, asker.reviewer, asker.browser):
            words = "You or others have rated this already, or look at it now. Your stars changed nothing."
            raise PageError(409, words, "Somebody was faster")

    async def _undo(self, request: Request) -> Response:
        fields = await self._reception.form(request)
        asker = self._asker(request, fields)
        with self._world.lock:
            rating = self._panel.undo(asker.browser, fields.get("rating", ""))
            if rating is None:
                raise PageError(409, _LATE, "Too late")
            self._panel.hold(asker.browser, rating.submission)
        self._undone[asker.browser] = rating
        return self._reception.go(asker.path(at=rating.submission, done="undone"))

    # --- second attempts --------------------------------------------------------------------------------

    async def _retries(self, request: Request) -> Response:
        asker = self._asker(request)
        with self._world.lock:
            state = self._world.state
            waiting = [state.submissions[each.id] for each in state.queue("retry_pending")[:_MOST_CHOICES]]
            return self._reception.page(
                request,
                "review_retries.html",
                attempts=[(each, self._world.jobs.retry_until(each)) for each in waiting],
                **self._around(request, asker, ()),
            )

    async def _free(self, request: Request) -> Response:
        """Give up on a second attempt, so that its slot is free for others."""
        fields = await self._reception.form(request)
        asker = self._asker(request, fields)
        with self._world.lock:
            submission = self._named(fields)
            if submission.status != "retry_pending":
                raise PageError(409, _story(submission), "Somebody was faster")
            self._world.jobs.give_up(submission, self._world.clock.now(), NO_RETRY, asker.reviewer)
        return self._reception.go("/review/retries?done=freed")


def _shown(submission: Submission, gold: Gold | None) -> list[File]:
    """The files of a submission that are rated; of one whose rating is known, that file alone."""
    if gold is None or gold.submission != submission.id:
        return [*submission.files]
    return [file for file in submission.files if file.id == gold.file]


def _next(ids: Sequence[str], rated: str, left: Sequence[str]) -> str | None:
    """The id after the rated one, or, after the last, the id before it, of those that are left."""
    at = ids.index(rated) if rated in ids else len(ids)
    return next((each for each in (*ids[at + 1 :], *reversed(ids[:at])) if each in left), None)


def _story(submission: Submission) -> str:
    words = submission.status.replace("_", " ")
    if submission.status == "pending_score":
        return (
            "The worker has sent something else: look at it before you rate it. Your stars changed nothing."
        )
    given = "" if submission.rating is None else f" with {submission.rating} of 5 stars"
    return f"This submission is {words}{given} already. Your stars changed nothing."
