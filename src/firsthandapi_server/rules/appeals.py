"""Appeals: a worker's word against a rejection, and the answer of somebody else."""

from __future__ import annotations

from collections.abc import Sequence

from firsthandapi_server.state.model import Appeal, Submission
from firsthandapi_server.state.state import DAY, State

from .jobs import Jobs, Verdict

APPEAL_SECONDS, ANSWER_SECONDS = 7 * DAY, 9 * DAY
MAX_WORDS = 1000


class Appeals:
    """What may be appealed, and what an answer changes.

    Args:
        state: what the service knows.
        jobs: approves what was rejected.
    """

    def __init__(self, state: State, jobs: Jobs) -> None:
        self._state = state
        self._jobs = jobs

    def of(self, submission: Submission) -> Appeal | None:
        """The appeal of a submission; each has one at most."""
        return self._state.appeals.get(_id(submission))

    def until(self, submission: Submission) -> float | None:
        """Until when a worker can appeal; None where nobody has rated, or there is nothing to look at any more."""
        is_rated = submission.status == "rejected" and submission.scored_at is not None
        if (
            not is_rated
            or any(file.is_erased for file in submission.files)
            or self.of(submission) is not None
        ):
            return None
        return (submission.scored_at or 0.0) + APPEAL_SECONDS

    def appeal(self, submission: Submission, words: str, at: float) -> Appeal:
        """Take an appeal. Raises ValueError: it comes too late, or there was one."""
        until = self.until(submission)
        if until is None or at >= until:
            raise ValueError(f"{submission.id} cannot be appealed")
        appeal = Appeal(_id(submission), submission, words, at)
        self._state.appeals[appeal.id] = appeal
        return appeal

    def answer(
        self, appeal: Appeal, words: str, actor: str, at: float, stars: Sequence[int] | None = None
    ) -> None:
        """Answer an appeal, once: with stars it is accepted, and the files are approved if the job has slots for them.

        A job that has none keeps its budget: the appeal is accepted, and nothing is paid.

        Raises ValueError: it has an answer, or the stars approve nothing.
        """
        submission, job = appeal.submission, appeal.submission.job
        good = sum(rating >= job.fields["min_star_rating"] for rating in stars or ())
        if appeal.answered_at is not None:
            raise ValueError(f"{appeal.id} has an answer")
        if stars is not None and not good:
            raise ValueError(f"an appeal is accepted with {job.fields['min_star_rating']} stars or more")
        appeal.answered_at, appeal.actor, appeal.answer = at, actor, words
        appeal.accepted = stars is not None
        if stars is not None and not job.is_terminal and good <= job.free_slots:
            appeal.paid = True
            # As if it waited again: to be scored is the one way to be approved.
            job.pending += len(submission.files)
            submission.status = "pending_score"
            self._jobs.score(submission, at, Verdict(stars, words or None, actor=actor, rated_by="person"))


def _id(submission: Submission) -> str:
    return f"apl_{submission.id.partition('_')[2]}"
