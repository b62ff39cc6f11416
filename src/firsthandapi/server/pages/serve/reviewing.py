"""The reviewers' page: the submissions to review, one by one, with stars and a reason."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from firsthandapi.server.http.browsers import HEADERS, unchanged_or
from firsthandapi.server.pages.console.face import PageError, no_page
from firsthandapi.server.rules.jobs import Verdict
from firsthandapi.server.state.model import Submission

from .reception import Reception

MAX_REASON = 1000
# Messages after a form was handled. Pages show only these, never text from the address.
_DONE = {
    "approved": "Approved: the worker is paid, and the file is on its way to the buyer.",
    "retry_pending": "Two stars: the worker may try once more.",
    "rejected": "Rejected: the slot is free again.",
}


class Reviewing:
    """The pages under `/review`.

    Args:
        reception: sign-in, forms, and templates.
        is_taken: whether a submission is still waiting for the scorer.
    """

    def __init__(self, reception: Reception, is_taken: Callable[[Submission], bool]) -> None:
        self._reception = reception
        self._world = reception.world
        self._is_taken = is_taken

    def routes(self) -> Iterable[Route]:
        """The routes of the pages."""
        yield Route("/review", self._queue, methods=["GET"])
        yield Route("/review", self._rate, methods=["POST"])
        yield Route("/review/waiting", self._waiting_count, methods=["GET"])
        yield Route("/review/media/{submission}/{file}", self._media, methods=["GET"])

    def _waiting(self) -> list[Submission]:
        """The submissions that wait for a reviewer, oldest first. The clock scores those of the sandbox."""
        return [
            submission
            for submission in self._world.state.waiting()
            if not submission.job.account.is_sandbox and not self._is_taken(submission)
        ]

    async def _queue(self, request: Request) -> Response:
        self._reception.need(request, "reviewer")
        return self._show(request, request.query_params.get("at"))

    def _show(
        self,
        request: Request,
        wanted: str | None,
        *,
        status: int = 200,
        fault: str | None = None,
        fields: dict[str, str] | None = None,
    ) -> Response:
        with self._world.lock:
            waiting = self._waiting()
            at = next((number for number, each in enumerate(waiting) if each.id == wanted), 0)
            return self._reception.page(
                request,
                "review.html",
                status=status,
                waiting=len(waiting),
                number=at + 1,
                submission=waiting[at] if waiting else None,
                before=waiting[at - 1].id if at else None,
                after=waiting[at + 1].id if at + 1 < len(waiting) else None,
                done=_DONE.get(request.query_params.get("done", "")),
                fault=fault,
                fields=fields or {},
                most=MAX_REASON,
            )

    async def _waiting_count(self, request: Request) -> Response:
        self._reception.need(request, "reviewer")
        with self._world.lock:
            count = len(self._waiting())
        return unchanged_or(request, JSONResponse({"waiting": count}, headers=HEADERS))

    async def _rate(self, request: Request) -> Response:
        visitor = self._reception.need(request, "reviewer")
        fields = await self._reception.form(request)
        with self._world.lock:
            submission = self._world.state.submissions.get(fields.get("submission", ""))
            if submission is None or submission.job.account.is_sandbox:
                raise no_page()
            if submission.status != "pending_score" or str(submission.attempt) != fields.get("attempt"):
                raise PageError(409, _story(submission), "Somebody was faster")
            stars = [_stars(fields.get(f"stars-{number}")) for number in range(len(submission.files))]
            reason = fields.get("reason")
            if None in stars or len(reason or "") > MAX_REASON:
                fault = f"Give each file 1 to 5 stars, and a reason of at most {MAX_REASON:,} characters."
                return self._show(request, submission.id, status=400, fault=fault, fields=fields)
            waiting = [each.id for each in self._waiting()]
            given = [each for each in stars if each is not None]
            self._world.jobs.score(
                submission, self._world.clock.now(), Verdict(given, reason, actor=visitor.id or "reviewer")
            )
            status = submission.status
        target = f"/review?done={status}"
        after = _next(waiting, submission.id)
        return self._reception.go(target if after is None else f"{target}&at={after}")

    async def _media(self, request: Request) -> Response:
        self._reception.need(request, "reviewer")
        return await self._reception.media(request)


def _stars(text: str | None) -> int | None:
    return int(text) if text in ("1", "2", "3", "4", "5") else None


def _next(ids: Sequence[str], rated: str) -> str | None:
    """The id after the rated one, or, after the last, the id before it."""
    at = ids.index(rated) if rated in ids else len(ids)
    left = [*ids[at + 1 :], *ids[max(0, at - 1) : at]]
    return left[0] if left else None


def _story(submission: Submission) -> str:
    words = submission.status.replace("_", " ")
    if submission.status == "pending_score":
        return (
            "The worker has sent something else: look at it before you rate it. Your stars changed nothing."
        )
    given = "" if submission.rating is None else f" with {submission.rating} of 5 stars"
    return f"This submission is {words}{given} already. Your stars changed nothing."
