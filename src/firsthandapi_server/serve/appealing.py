"""The page where appeals are answered: by somebody who did not rate the file, as long as there is one."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import TYPE_CHECKING, cast

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from firsthandapi_server.console.face import PageError, existing
from firsthandapi_server.rules.appeals import ANSWER_SECONDS, MAX_WORDS, Appeals
from firsthandapi_server.sqlite.traces import rejecters
from firsthandapi_server.state.model import Appeal, Submission

from .panel import Panel, stars_in
from .reception import APPEALS, Reception

if TYPE_CHECKING:
    from firsthandapi_server.sqlite.kept import KeptState

_DONE = {
    "accepted": "Accepted: the file is approved and paid.",
    "unpaid": "Accepted. The job has no slot left, so nothing is paid: the worker is told so.",
    "kept": "Not accepted: the worker reads your words.",
}
_MOST = 100


class Appealing:
    """The page. Nothing of people who have withdrawn is approved any more."""

    def __init__(self, reception: Reception, panel: Panel) -> None:
        self._reception = reception
        self._panel = panel
        self._world = reception.world
        self._appeals = Appeals(self._world.state, self._world.jobs)

    def routes(self) -> Iterable[Route]:
        """Where it is."""
        yield Route(APPEALS, self._show, methods=["GET"])
        yield Route(APPEALS, self._answer, methods=["POST"])

    def _open(self) -> list[Appeal]:
        """What waits for an answer, the oldest first; not of people who have withdrawn or were erased."""
        waiting = (appeal for appeal in self._world.state.appeals.values() if appeal.answered_at is None)
        appeals = (appeal for appeal in waiting if not self._is_gone(appeal.submission))
        return [*islice(appeals, _MOST)]

    def _is_gone(self, submission: Submission) -> bool:
        return self._reception.access.has_withdrawn(submission.worker_id) or any(
            file.is_erased for file in submission.files
        )

    def _why_not(self, request: Request, appeal: Appeal) -> str | None:
        """Why whoever asks may not answer. Whoever has rated it may, where nobody else can, or has done so in time."""
        submission = appeal.submission
        if submission.worker_id in self._reception.own(request):
            return "This is your own work: somebody else answers."
        raters = rejecters(cast("KeptState", self._world.state), self._reception.access.look, submission)
        if self._reception.reviewer(request) not in raters or self._world.clock.now() >= _due(appeal):
            return None
        author = f"tok_{submission.worker_id.partition('_')[2]}"
        reviewers = self._panel.reviewers(is_open=not self._reception.is_guarded("reviewer"))
        if {*reviewers} - raters - {author}:
            return "You have rated it: somebody else answers. You may, once the answer is overdue."
        return None

    async def _show(self, request: Request) -> Response:
        self._reception.reviewer(request)
        with self._world.lock:
            return self._reception.page(
                request,
                "appeals.html",
                section=APPEALS,
                appeals=[(appeal, self._why_not(request, appeal)) for appeal in self._open()],
                done=_DONE.get(request.query_params.get("done", "")),
                answer_seconds=ANSWER_SECONDS,
                now=self._world.clock.now(),
                most=MAX_WORDS,
            )

    async def _answer(self, request: Request) -> Response:
        actor = self._reception.reviewer(request)
        fields = await self._reception.form(request)
        words, at = fields.get("words", "").strip(), self._world.clock.now()
        with self._world.lock:
            appeal = existing(self._world.state.appeals.get(fields.get("appeal", "")))
            why_not = self._why_not(request, appeal)
            if why_not is not None:
                raise PageError(403, why_not, "Not yours")
            if appeal.answered_at is not None or self._is_gone(appeal.submission):
                raise PageError(
                    409, "This appeal waits no longer: it was answered, or its files are withdrawn."
                )
            stars = None
            if fields.get("verdict") == "accept":
                stars = stars_in(fields, len(appeal.submission.files))
                if stars is None:
                    raise PageError(400, "Give each file 1 to 5 stars.")
            if len(words) > MAX_WORDS or (stars is None and not words):
                raise PageError(400, f"Say why, in at most {MAX_WORDS:,} characters.")
            try:
                self._appeals.answer(appeal, words, actor, at, stars)
            except ValueError as error:
                raise PageError(400, f"Not answered: {error}.") from None
        self._reception.access.note(
            "review.appeal_answered",
            at,
            actor,
            appeal.submission.id,
            accepted=appeal.accepted,
            paid=appeal.paid,
        )
        done = "kept" if not appeal.accepted else "accepted" if appeal.paid else "unpaid"
        return self._reception.go(f"{APPEALS}?done={done}")


def _due(appeal: Appeal) -> float:
    return appeal.created_at + ANSWER_SECONDS
