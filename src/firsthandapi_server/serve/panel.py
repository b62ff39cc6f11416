"""The reviewers together: who looks at what, who has rated it, and when their stars count.

A reviewer holds what they look at, in memory: after a restart, nobody holds anything. Ratings are on disk before the
reviewer sees the next file. They count when they can no longer be undone, which a restart finds out again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from firsthandapi_server.rules.jobs import Verdict
from firsthandapi_server.rules.reviews import has_room, is_gold_turn, lacking, median
from firsthandapi_server.rules.world import World
from firsthandapi_server.state.model import Submission
from firsthandapi_server.state.state import Waiting

from .access import Access
from .ratings import UNDO_SECONDS, Gold, Rating, Ratings
from .study import Reviews

HOLD_SECONDS = 120.0
MAX_REASON = 1000
Attempt = tuple[str, int]  # the id of a submission, and which attempt of it


class Panel:
    """Whoever calls a method holds the lock of the world. What `is_taken` is still waiting for the scorer."""

    def __init__(
        self, world: World, access: Access, settings: Reviews, is_taken: Callable[[str], bool]
    ) -> None:
        self._world = world
        self._access = access
        self.settings = settings
        self._is_taken = is_taken
        self.ratings = Ratings(access)
        self._holders: dict[str, tuple[str, float]] = {}  # by browser: the submission, and until when
        self._latest: dict[str, str] = {}  # by browser: the rating that it can undo

    def resume(self) -> None:
        """After a restart, wait for the ratings that do not count yet."""
        for rating in self.ratings.open():
            self._world.state.later(rating.given_at + UNDO_SECONDS, self.book)

    # --- what a reviewer may look at --------------------------------------------------------------------

    def queue(self, reviewer: str, browser: str, own: Collection[str]) -> list[Waiting]:
        """What waits for this reviewer in this browser, the oldest first: nothing of their own, and nothing that others
        look at or have rated enough."""
        full = self._full(reviewer, browser)
        return [
            each
            for each in self._world.state.queue()
            if each.worker not in own and (each.id, each.attempt) not in full and not self._is_taken(each.id)
        ]

    def _full(self, reviewer: str, browser: str) -> set[Attempt]:
        """What a reviewer may not rate for the sake of others, or has rated. Few of all that waits."""
        now, given = self._world.clock.now(), self._given()
        held = Counter(
            held for each, (held, until) in self._holders.items() if each != browser and until > now
        )
        submissions = self._world.state.submissions
        looked_at = [(each, found.attempt) for each in held if (found := submissions.get(each)) is not None]
        return {
            each
            for each in {*given, *looked_at}
            if not has_room(self.settings.overlap, _raters(given, each), reviewer, held[each[0]])
        }

    def is_free(self, submission: Submission, reviewer: str, browser: str) -> bool:
        """Whether this reviewer may rate a submission that waits: whoever else holds it comes first."""
        return (submission.id, submission.attempt) not in self._full(reviewer, browser)

    def gold_for(self, reviewer: str, own: Collection[str]) -> Gold | None:
        """The file with a known rating that this reviewer gets next, if it is time for one."""
        if not is_gold_turn(self.settings.gold, reviewer, self.ratings.count_of(reviewer)):
            return None
        for gold in self.ratings.gold_for(reviewer):
            found = self._world.state.submissions.get(gold.submission)
            if (
                found is not None
                and found.status in ("approved", "rejected")
                and found.worker_id not in own
                and any(file.id == gold.file and not file.is_erased for file in found.files)
            ):
                return gold
        return None

    def hold(self, browser: str, submission: str) -> None:
        """Hold what a browser shows for two minutes, instead of what it showed before."""
        now = self._world.clock.now()
        self._holders = {each: held for each, held in self._holders.items() if held[1] > now}
        self._holders[browser] = submission, now + HOLD_SECONDS

    def release(self, browser: str) -> None:
        """Let go of what a browser held."""
        self._holders.pop(browser, None)

    def _given(self) -> dict[Attempt, list[Rating]]:
        """The ratings that wait to count."""
        found: dict[Attempt, list[Rating]] = {}
        for rating in self.ratings.open():
            found.setdefault((rating.submission, rating.attempt), []).append(rating)
        return found

    # --- ratings ----------------------------------------------------------------------------------------

    def give(
        self,
        submission: Submission,
        reviewer: str,
        browser: str,
        stars: Sequence[int],
        reason: str | None,
        gold: Gold | None = None,
    ) -> None:
        """Record a rating, which counts in ten seconds if its reviewer does not undo it."""
        rating = self.ratings.give(submission, reviewer, stars, reason, self._world.clock.now(), gold)
        self.release(browser)
        self._latest[browser] = rating.id
        if gold is None:
            self._world.state.later(rating.given_at + UNDO_SECONDS, self.book)

    def undoable(self, browser: str) -> tuple[Rating, float] | None:
        """The latest rating from this browser that can be undone, and how many seconds are left."""
        rating = self.ratings.find(self._latest.get(browser, ""))
        if rating is not None and rating.undone_at is None:
            left = rating.given_at + UNDO_SECONDS - self._world.clock.now()
            if left > 0:
                return rating, left
        self._latest.pop(browser, None)
        return None

    def undo(self, browser: str, rating: str) -> Rating | None:
        """Undo the latest rating from this browser; None if that is too late."""
        found = self.undoable(browser)
        if found is None or found[0].id != rating:
            return None
        self.ratings.undo(found[0], self._world.clock.now())
        del self._latest[browser]
        return found[0]

    def book(self, at: float) -> None:
        """Score what has enough ratings that can no longer be undone.

        A rating is settled only at the next look, when its score is surely kept.
        """
        for (submission_id, attempt), ratings in self._given().items():
            submission = self._world.state.submissions.get(submission_id)
            if submission is None or submission.status != "pending_score" or submission.attempt != attempt:
                self.ratings.settle(ratings)
                continue
            counted = [each for each in ratings if each.given_at + UNDO_SECONDS <= at]
            if len(counted) >= self.settings.overlap:
                self._world.jobs.score(submission, at, _verdict(counted))

    def is_rated(self, submission: Submission) -> bool:
        """Whether a reviewer has rated what waits, so that a scorer leaves it alone."""
        return (submission.id, submission.attempt) in self._given()

    # --- what stands still ------------------------------------------------------------------------------

    def reviewers(self, *, is_open: bool) -> Collection[str]:
        """All who may review; `is_open` if the person at the machine may without a token."""
        known = {
            token.id for token in self._access.tokens() if token.role != "worker" and token.revoked_at is None
        }
        return {*known, "reviewer"} if is_open else known

    def stuck(self, reviewers: Collection[str]) -> Iterable[tuple[Waiting, int]]:
        """What cannot be rated by enough people, and how many are lacking."""
        given = self._given()
        for each in self._world.state.queue():
            if self._is_taken(each.id):
                continue
            author = f"tok_{each.worker.partition('_')[2]}"
            lack = lacking(self.settings.overlap, _raters(given, (each.id, each.attempt)), reviewers, author)
            if lack:
                yield each, lack


def _raters(given: Mapping[Attempt, Sequence[Rating]], attempt: Attempt) -> list[str]:
    return [each.reviewer for each in given.get(attempt, ())]


def _verdict(ratings: Sequence[Rating]) -> Verdict:
    reasons = dict.fromkeys(each.reason for each in ratings if each.reason)
    return Verdict(
        [median(stars) for stars in zip(*(each.stars for each in ratings), strict=True)],
        "\n".join(reasons)[:MAX_REASON] or None,
        actor=ratings[0].reviewer if len(ratings) == 1 else "reviewers",
        rated_by="person",
    )
