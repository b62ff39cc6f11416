"""The life of a job: slots, submissions, scoring, retries, cancellation, and withdrawal."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol
from weakref import WeakKeyDictionary

from firsthandapi._base.counts import count_of
from firsthandapi_server.contract.bodies import MAX_PRICE, MIN_PRICE
from firsthandapi_server.contract.errors import ApiError, conflict, invalid
from firsthandapi_server.contract.text import new_id, parse_iso, said
from firsthandapi_server.state.model import Account, File, Job, Location, Submission
from firsthandapi_server.state.state import State

from . import show
from .credits import Credits
from .events import Events
from .rewrites import Rewrite, rewrite

# A job is flagged, once, when this many of its submissions were rejected.
FLAGGED_AT = 10
_RETRIES = 20  # that end in one act
NO_RETRY = said("Two stars, and no second attempt.")


class Workforce:
    """Workers that learn when a job has work: none of them, so that only `submit` adds files."""

    def job_posted(self, job: Job, at: float) -> None:
        """A new job is open."""

    def slots_freed(self, job: Job, count: int, at: float) -> None:
        """Rejections left `count` slots free again."""

    def retry_asked(self, submission: Submission, at: float) -> None:
        """A submission got two stars and may be retried once."""


class Jury(Protocol):
    """Scores submissions. Without a jury, files get the stars that they came with, 5 to 15 seconds later."""

    def submitted(self, submission: Submission, at: float) -> bool:
        """A submission waits for its score. Returns whether the jury will score it."""
        ...


@dataclass(frozen=True, slots=True)
class Verdict:
    """The score of a submission.

    Attributes:
        stars: 1 to 5, for each of its files.
        reasoning: why, in words; None where nobody wrote a reason.
        dimensions: `relevance`, `quality`, and `completeness`, 1 to 5 each, where somebody rated them.
        annotations: for each of its files; None for none.
        actor: who scored it, for the audit trail.
        rated_by: `person`, `model:<name>`, or `rules`; None if nobody says.
        flags: what was noticed: words of the contract's `flags`.
    """

    stars: Sequence[int]
    reasoning: str | None = None
    dimensions: Mapping[str, int] | None = None
    annotations: Sequence[Mapping[str, Any] | None] = ()
    actor: str = "system"
    rated_by: str | None = None
    flags: tuple[str, ...] = ()


class Jobs:
    """Posts, scores, and ends jobs."""

    def __init__(self, state: State, events: Events, credits: Credits) -> None:
        self._state = state
        self._events = events
        self._credits = credits
        self.workforce = Workforce()
        self.jury: Jury | None = None
        # What scoring will say of a submission in place of what it makes up: on a server for tests.
        self.verdicts: WeakKeyDictionary[Submission, Callable[[], Verdict]] = WeakKeyDictionary()
        # What is said of stars where nobody wrote a reason: nothing, but by the simulated service for tests.
        self.reasons: Mapping[int, str] = {}
        # What new jobs say of their prices, on a server of one's own: `currency`, and `pay`.
        self.terms: Mapping[str, Any] = {}
        # How new jobs are changed when they are stored: on a server for tests.
        self.rewrites: tuple[Rewrite, ...] = ()
        # How long a worker may take for a second attempt; None: for ever.
        self.retry_seconds: float | None = None

    def create(self, account: Account, body: Mapping[str, Any], actor: str, at: float, address: str) -> Job:
        """Post a job, as the body of a request describes it, and set its cost aside. `address` is the server's."""
        stored = {**rewrite(body, self.rewrites), **self.terms}
        fields = {name: value for name, value in stored.items() if name != "deadline"}
        deadline = None if body.get("deadline") is None else parse_iso(body["deadline"])
        url = f"{address}/purchase/{account.organization.id}"
        price = fields["price_per_file_cents"]
        if not MIN_PRICE <= price <= MAX_PRICE:
            message = f"must be {MIN_PRICE} to {MAX_PRICE} cents"
            details = [{"field": "price_per_file_cents", "message": message}]
            raise ApiError(400, "pricing_violation", f"price_per_file_cents {message}", details=details)
        if deadline is not None and deadline <= at:
            raise invalid("deadline", "must be in the future")
        limit = account.organization.job_limit
        if (
            limit is not None
            and not account.is_sandbox
            and sum(not job.is_terminal for job in account.jobs) >= limit
        ):
            message = (
                f"The free tier allows {limit} open job at a time. Buy credits, or wait until it finishes."
            )
            raise ApiError(403, "free_tier_job_limit", message)
        job_id = new_id("job_", at)
        seed = f"{self._state.seed}:{len(self._state.jobs)}"
        chance = random.Random(seed)  # noqa: S311 - a seed is the point
        escrow = self._credits.escrow(account, fields["files_needed"] * price, job_id, at, url)
        job = Job(job_id, account, fields, deadline, at, at, chance, seed, escrow)
        self._state.jobs[job_id] = job
        account.jobs.append(job)
        self._events.audit(
            account, "job.created", at, actor, {"total_cost_cents": job.files_needed * price}, job
        )
        if deadline is not None:
            self._state.later(deadline, partial(self._deadline, job_id))
        self.workforce.job_posted(job, at)
        return job

    def resume(self, *, live: bool = True) -> None:
        """Watch deadlines, and have submissions scored, after a restart; without `live`, those of the sandbox."""
        for job_id, deadline in self._state.deadlines():
            self._state.later(deadline, partial(self._deadline, job_id))
        for submission in self._state.waiting(live=live):
            self._have_scored(submission, self._state.clock.now())
        if self.retry_seconds is not None:
            self._state.later(self._state.clock.now(), self._end_retries)

    def cancel(self, job: Job, actor: str, at: float) -> None:
        """Cancel a job and refund the rest of its escrow immediately."""
        if job.is_terminal:
            raise conflict(
                f"The job is {job.status}; only open, filled, and in_progress jobs can be cancelled."
            )
        for submission in job.submissions:
            if submission.status in ("pending_score", "retry_pending"):
                self._reject(submission, said("The job was cancelled."), at)
        job.pending = 0
        job.cancelled_at = at
        refunded = self._credits.release(job, at)
        self._events.audit(job.account, "job.cancelled", at, actor, {"refunded_cents": refunded}, job)
        self._set_status(job, "cancelled", at)
        data = {**show.job(job), "job_id": job.id, "refunded_cents": refunded}
        self._events.emit(job.account, "job.cancelled", data, at)

    def rate(self, job: Job, rating: int, feedback: str | None, at: float) -> None:
        """Rate a completed job; a later rating replaces an earlier one."""
        if job.status != "completed":
            raise conflict(f"The job is {job.status}; only completed jobs can be rated.")
        job.buyer_rating, job.buyer_feedback, job.updated_at = rating, feedback, at

    def _deadline(self, job_id: str, at: float) -> None:
        job = self._state.jobs.get(job_id)
        if job is not None and not job.is_terminal:
            self.cancel(job, "system", at)

    def _set_status(self, job: Job, status: str, at: float) -> None:
        job.updated_at = at
        if job.status != status:
            job.status = status
            for listener in [*job.listeners]:
                listener()

    def _refresh_status(self, job: Job, at: float) -> None:
        if len(job.approved) == job.files_needed:
            job.completed_at = at
            self._set_status(job, "completed", at)
            self._events.audit(
                job.account, "job.completed", at, "system", {"files_approved": len(job.approved)}, job
            )
            self._events.emit(job.account, "job.completed", {**show.job(job), "job_id": job.id}, at)
        elif job.approved:
            self._set_status(job, "in_progress", at)
        else:
            self._set_status(job, "open" if job.free_slots else "filled", at)

    def submit(
        self,
        job: Job,
        files: Sequence[File],
        at: float,
        *,
        worker: str | None = None,
        location: Location | None = None,
    ) -> Submission:
        """Submit files: they take slots until they are scored."""
        if job.is_terminal:
            raise ValueError(f"{job.id} is {job.status}: it accepts no more files")
        _check_count(job, len(files), job.free_slots)
        worker = self._worker(job, worker, at)
        submission = Submission(new_id("sub_", at), job, worker, at, tuple(files), location=location)
        job.submissions.append(submission)
        job.account.submissions.append(submission)
        self._state.submissions[submission.id] = submission
        job.pending += len(files)
        self._take_in(submission, at)
        return submission

    def resubmit(
        self, submission: Submission, files: Sequence[File], at: float, location: Location | None = None
    ) -> None:
        """Retry a submission with two stars, once, with new files."""
        if submission.status != "retry_pending":
            raise ValueError(
                f"{submission.id} is {submission.status}: only a submission with two stars can be retried"
            )
        job = submission.job
        _check_count(job, len(files), job.free_slots + len(submission.files))
        job.pending += len(files) - len(submission.files)
        self._state.drop(submission.files)
        submission.files = tuple(files)
        submission.location = location
        submission.attempt = 2
        submission.status = "pending_score"
        submission.submitted_at = at
        submission.rating = submission.reasoning = submission.dimensions = submission.scored_at = None
        submission.rated_by, submission.flags = None, ()
        self._take_in(submission, at)

    def _have_scored(self, submission: Submission, at: float) -> None:
        if self.jury is None or not self.jury.submitted(submission, at):
            due = at + submission.job.chance.uniform(5, 15)
            self._state.later(due, partial(self._score_due, submission, submission.attempt))

    def _score_due(self, submission: Submission, attempt: int, at: float) -> None:
        if submission.attempt == attempt:  # else it was scored by hand, and retried
            verdict_of = self.verdicts.get(submission)
            self.score(submission, at, verdict_of and verdict_of())

    def score(self, submission: Submission, at: float, verdict: Verdict | None = None) -> None:
        """Score a submission: approved files are paid and listed, and the slots of the others are free again.

        Without a verdict, its files get the stars that they came with.
        """
        if submission.status != "pending_score":
            return
        job, account = submission.job, submission.job.account
        bar = job.fields["min_star_rating"]
        stars = [file.wanted_rating for file in submission.files] if verdict is None else verdict.stars
        for file, rating in zip(submission.files, stars, strict=True):
            file.rating = 4 if account.is_sandbox else rating
        for file, notes in zip(submission.files, verdict.annotations if verdict else (), strict=False):
            if notes is not None:
                file.annotations = notes
        good = [file for file in submission.files if (file.rating or 0) >= bar]
        submission.rating = max(file.rating or 0 for file in submission.files)
        submission.reasoning = (verdict and verdict.reasoning) or self.reasons.get(submission.rating)
        submission.dimensions = (
            made_up_dimensions(job, submission.rating)
            if verdict is None
            else verdict.dimensions or submission.dimensions
        )
        if verdict is not None:
            submission.rated_by = verdict.rated_by
            submission.flags = tuple(dict.fromkeys([*submission.flags, *verdict.flags]))
        actor = "system" if verdict is None else verdict.actor
        submission.scored_at = at
        if not good and submission.rating == 2 and submission.attempt == 1:
            submission.status = "retry_pending"
            self._events.audit(account, "submission.retry_asked", at, actor, _verdict(submission), job)
            self._events.emit(account, "submission.scored", show.submission_event(submission), at)
            self._end_retry_in_time(submission)
            self.workforce.retry_asked(submission, at)
            return
        job.pending -= len(submission.files)
        if good:
            for file in good:
                self._deliver(file, at)
            submission.status = "approved"
            self._events.audit(account, "submission.approved", at, actor, _verdict(submission), job)
            data = show.submission_event(submission)
            self._events.emit(account, "submission.scored", data, at)
            self._events.emit(account, "submission.approved", data, at)
        else:
            self._reject(submission, submission.reasoning, at, actor, scored=True)
            self._flag(job, at)
        self._refresh_status(job, at)
        self.workforce.slots_freed(job, len(submission.files) - len(good), at)

    def retry_until(self, submission: Submission) -> float | None:
        """Until when a submission with two stars can be tried again; None without an end."""
        if self.retry_seconds is None or submission.scored_at is None:
            return None
        return submission.scored_at + self.retry_seconds

    def _end_retries(self, at: float) -> None:
        """Give up, some at a time, on second attempts that did not come; come back when the next one is late."""
        if self.retry_seconds is None:
            return
        for submission_id, scored_at in (retries := self._state.retries(_RETRIES)):
            if scored_at + self.retry_seconds > at:
                self._state.later(scored_at + self.retry_seconds, self._end_retries)
                return
            self._retry_over(submission_id, at)
        if retries:
            self._state.later(at, self._end_retries)

    def _end_retry_in_time(self, submission: Submission) -> None:
        until = self.retry_until(submission)
        if until is not None:
            self._state.later(until, partial(self._retry_over, submission.id))

    def _retry_over(self, submission_id: str, at: float) -> None:
        submission = self._state.submissions.get(submission_id)
        if submission is not None and submission.status == "retry_pending":
            self.give_up(submission, at, NO_RETRY)

    def _deliver(self, file: File, at: float) -> None:
        job = file.submission.job
        file.approved = True
        job.approved.append(file)
        self._state.files[file.id] = file
        job.updated_at = at
        if not job.account.is_sandbox:
            job.escrow = job.account.book.pay(job.escrow, job.price, at)

    def give_up(self, submission: Submission, at: float, reason: str, actor: str = "system") -> None:
        """Reject a submission that waits, unseen: its slots are free again. Any other stays as it is."""
        job = submission.job
        if submission.status in ("pending_score", "retry_pending"):
            job.pending -= len(submission.files)
            self._reject(submission, reason, at, actor)
            self._refresh_status(job, at)
            self.workforce.slots_freed(job, len(submission.files), at)

    def withdraw(self, file: File, at: float) -> None:
        """Withdraw an approved file; its payment stays."""
        job = file.submission.job
        del self._state.files[file.id]
        file.withdrawn = True
        job.withdrawn += 1
        job.updated_at = at
        data = {"file_id": file.id, "submission_id": file.submission.id}
        self._events.audit(job.account, "file.withdrawn", at, "system", data, job)

    def _flag(self, job: Job, at: float) -> None:
        job.rejections += 1
        if job.rejections == FLAGGED_AT:
            reason = f"{FLAGGED_AT} submissions were rejected: the description may be unclear."
            self._events.emit(
                job.account, "job.flagged", {**show.job(job), "job_id": job.id, "reason": reason}, at
            )

    def _take_in(self, submission: Submission, at: float) -> None:
        job = submission.job
        for file in submission.files:
            file.submission = submission
        small = next((file for file in submission.files if _is_small(file, job)), None)
        if small is not None:
            size = f"{small.facts().width}x{small.facts().height}"
            self.give_up(submission, at, said("Rejected before scoring: {size} is too small.", size=size))
            return
        self._refresh_status(job, at)
        self._have_scored(submission, at)

    def _reject(
        self,
        submission: Submission,
        reason: str | None,
        at: float,
        actor: str = "system",
        *,
        scored: bool = False,
    ) -> None:
        submission.status = "rejected"
        submission.reasoning = reason
        account = submission.job.account
        self._events.audit(account, "submission.rejected", at, actor, _verdict(submission), submission.job)
        data = show.submission_event(submission)
        if scored:
            self._events.emit(account, "submission.scored", data, at)
        self._events.emit(account, "submission.rejected", data, at)

    def _worker(self, job: Job, worker: str | None, at: float) -> str:
        limit: int | None = job.fields.get("max_workers")
        workers = [] if limit is None else [*self._state.workers_of(job)]
        if limit is None or len(workers) < limit or worker in workers:
            return worker or new_id("wkr_", at)
        if worker is not None:
            raise ValueError(f"{job.id} already has its {limit} workers")
        return workers[len(job.submissions) % limit]


def _check_count(job: Job, count: int, free: int) -> None:
    if count > free:
        raise ValueError(f"{job.id} has {count_of(free, 'free slot')}, not {count}")
    most = job.fields["files_per_submission"]
    if not 1 <= count <= most:
        takes = "1 file" if most == 1 else f"1 to {most} files"
        raise ValueError(f"{job.id} takes {takes} per submission")


def made_up_dimensions(job: Job, rating: int) -> dict[str, int]:
    """Made up around the stars."""
    return {
        name: min(5, max(1, rating + job.chance.choice((-1, 0, 0, 1))))
        for name in ("relevance", "quality", "completeness")
    }


def _verdict(submission: Submission) -> dict[str, Any]:
    return {"submission_id": submission.id, "ai_star_rating": submission.rating}


def _is_small(file: File, job: Job) -> bool:
    minimum = (job.fields.get("min_width") or 0, job.fields.get("min_height") or 0)
    if minimum == (0, 0):
        return False
    facts = file.facts()
    return (facts.width or minimum[0]) < minimum[0] or (facts.height or minimum[1]) < minimum[1]
