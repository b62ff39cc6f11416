"""The reviewers together: who looks at what, who has rated it, and when their stars count.

A reviewer holds what they look at, in memory: after a restart, nobody holds anything. Ratings are on disk before the
reviewer sees the next file. They count when they can no longer be undone, which a restart finds out again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import median_low

from firsthandapi_server.console.face import PageError
from firsthandapi_server.rules.jobs import Verdict
from firsthandapi_server.rules.reviews import has_room, is_gold_turn, lacking
from firsthandapi_server.rules.world import World
from firsthandapi_server.state.model import File, Submission
from firsthandapi_server.state.state import Waiting

from .access import Access
from .deciding import Deciding
from .opinions import MAX_REASON
from .programs import MODEL, SCORER, Answers, family
from .programs import Program as Asked
from .ratings import UNDO_SECONDS, Gold, Program, Rating, Ratings
from .study import Reviews

HOLD_SECONDS = 120.0
OWN = "This is your own work: somebody else rates it."
_DIMENSIONS = ("relevance", "quality", "completeness")
_AT_ONCE = 100  # what waits, that a model decides about before others have their turn
Attempt = tuple[str, int]  # the id of a submission, and which attempt of it


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks for work, what is their own, and the only job, or worker, that they want to see, or ""."""

    reviewer: str
    browser: str
    own: Collection[str]
    job: str = ""
    worker: str = ""

    def wants(self, job: str, worker: str) -> bool:
        """Whether they may, and want to, see the work of somebody for a job."""
        return worker not in self.own and self.job in ("", job) and self.worker in ("", worker)


class Panel:
    """Whoever calls a method holds the lock of the world. What waits for a scorer that decides alone waits for no
    reviewer yet. Whatever else `programs` say stands beside the ratings of people, who see it once they have rated.
    """

    def __init__(
        self, world: World, access: Access, settings: Reviews, programs: Sequence[Asked] = ()
    ) -> None:
        self._world = world
        self._access = access
        self.settings = settings
        self.programs = programs
        for program in programs:
            program.listener = self.hear
        self.ratings = Ratings(access)
        model = next((each for each in programs if each.rater.startswith(MODEL)), None)
        self.deciding = None if model is None else Deciding(access, model)
        self._holders: dict[str, tuple[str, float]] = {}  # by browser: the submission, and until when
        self._latest: dict[str, str] = {}  # by browser: the rating that it can undo

    def resume(self) -> None:
        """After a restart, wait for the ratings that do not count yet."""
        for rating in self.ratings.open():
            self._world.state.later(rating.given_at + UNDO_SECONDS, self.book)
        self._have_decided()

    def submitted(self, submission: Submission, at: float) -> bool:  # noqa: ARG002 - the protocol's
        """Leave sandbox submissions to the clock; programs see the others."""
        if submission.job.account.is_sandbox:
            return False
        for program in self.programs:
            program.take(submission)
        return True

    def hear(self, answers: Answers) -> None:
        """Keep what a program has said of an attempt: annotations, whoever rates it; and its stars, which count alone,
        or among those of others, or beside them."""
        submission = self._world.state.submissions.get(answers.submission)
        if submission is None or submission.attempt != answers.attempt:
            return
        files = [each for each in submission.files if each.id in answers.opinions and not each.is_erased]
        opinions = [answers.opinions[each.id] for each in files]
        for file, opinion in zip(files, opinions, strict=True):
            if opinion.annotations is not None:
                file.annotations = opinion.annotations
        flags = dict.fromkeys([*submission.flags, *(flag for each in opinions for flag in each.flags)])
        if len(flags) > len(submission.flags):
            submission.flags = tuple(flags)
        rated = [
            (file, each, each.stars)
            for file, each in zip(files, opinions, strict=True)
            if each.stars is not None
        ]
        if not rated:
            return
        best = max(rated, key=lambda each: each[2])[1].dimensions or {}
        if submission.dimensions is None and {*_DIMENSIONS} <= best.keys():
            submission.dimensions = {name: round(best[name]) for name in _DIMENSIONS}
        now, is_whole = self._world.clock.now(), len(rated) == len(submission.files)
        reasons = dict.fromkeys(each.reason for _, each, _ in rated if each.reason)
        reason = " ".join(reasons)[:MAX_REASON] or None
        waits = submission.status == "pending_score"
        if self._decides(answers.rater):
            if waits and is_whole and not flags and (submission.id, submission.attempt) not in self._given():
                stars = [each for _, _, each in rated]
                self._world.jobs.score(
                    submission, now, Verdict(stars, reason, actor="scorer", rated_by="rules")
                )
            return
        counts = answers.rater.startswith(SCORER) and self.settings.overlap > 1 and waits and is_whole
        bar = submission.job.fields["min_star_rating"]
        for group in [rated] if counts else [[each] for each in rated]:
            media = family(group[0][0])
            program = Program(answers.rater, answers.versions[media], media, bar, counts)
            why = reason if counts else group[0][1].reason
            self.ratings.give_as(
                program, submission, [file for file, _, _ in group], [s for *_, s in group], why, now
            )
        if counts:
            self._world.state.later(now + UNDO_SECONDS, self.book)
        self._learn(submission, now)
        self._decide([submission.id], now)

    # --- what a model decides alone ---------------------------------------------------------------------

    def _learn(self, submission: Submission, at: float) -> None:
        """Compare the model with what people gave, once that counts."""
        if self.deciding is not None and submission.rated_by == "person":
            given = self.ratings.of_attempt(submission.id, submission.attempt)
            if self.deciding.learn(submission, given, at):
                self._have_decided()

    def _have_decided(self) -> None:
        """Let the model decide about what waits already, if it may."""
        if self.deciding is not None and self.deciding.is_on:
            ids = [each.id for each in self._world.state.queue()]
            self._world.state.later(self._world.clock.now(), partial(self._decide, ids))

    def _decide(self, ids: Sequence[str], at: float) -> None:
        """Let the model decide, some at a time, about what nobody has rated or looks at now."""
        if self.deciding is None or not self.deciding.is_on:
            return
        given, now = self._given(), self._world.clock.now()
        held = {each for each, until in self._holders.values() if until > now}
        for each in ids[:_AT_ONCE]:
            submission = self._world.state.submissions.get(each)
            if submission is None or submission.status != "pending_score" or each in held:
                continue
            decision = None if (each, submission.attempt) in given else self.deciding.decision(submission)
            if decision is not None:
                rater = self.deciding.rater
                verdict = Verdict(decision.stars, decision.reason, actor=rater, rated_by=rater)
                self._world.jobs.score(submission, at, verdict)
        if ids[_AT_ONCE:]:
            self._world.state.later(at, partial(self._decide, ids[_AT_ONCE:]))

    # --- what a reviewer may look at --------------------------------------------------------------------

    def waiting(self, asker: Asker, full: Collection[Attempt] | None = None) -> tuple[list[str], Gold | None]:
        """The ids of what waits for somebody, oldest first; before them one whose rating is known, if it is time.
        Nothing of their own, and nothing that others look at or have rated enough."""
        full = self._full(asker) if full is None else full
        ids = [
            each.id
            for each in self._world.state.queue()
            if asker.wants(each.job, each.worker)
            and (each.id, each.attempt) not in full
            and not self._is_hidden(each)
        ]
        gold = self.gold_for(asker)
        return (ids, None) if gold is None else ([gold.submission, *ids], gold)

    def _is_hidden(self, waiting: Waiting) -> bool:
        """Whether a submission waits for a scorer that decides alone."""
        return any(
            program.is_taken(waiting.id, waiting.attempt)
            for program in self.programs
            if self._decides(program.rater)
        )

    def _decides(self, rater: str) -> bool:
        """Whether a program's stars count alone. Where several rate, or gold is rated, a scorer is one of them."""
        return rater.startswith(SCORER) and self.settings.overlap == 1 and not self.settings.gold

    def _full(self, asker: Asker) -> set[Attempt]:
        """What a reviewer may not rate for the sake of others, or has rated. Few of all that waits."""
        now, given = self._world.clock.now(), self._given()
        held = Counter(
            held for each, (held, until) in self._holders.items() if each != asker.browser and until > now
        )
        submissions = self._world.state.submissions
        looked_at = [(each, found.attempt) for each in held if (found := submissions.get(each)) is not None]
        return {
            each
            for each in {*given, *looked_at}
            if not has_room(self.settings.overlap, _raters(given, each), asker.reviewer, held[each[0]])
        }

    def gold_for(self, asker: Asker) -> Gold | None:
        """The file with a known rating that this reviewer gets next, if it is time for one."""
        if not self.settings.gold:
            return None
        given, golden = self.ratings.gold_for(asker.reviewer)
        for gold in golden if is_gold_turn(self.settings.gold, asker.reviewer, given) else ():
            found = self._world.state.submissions.get(gold.submission)
            if (
                found is not None
                and found.status in ("approved", "rejected")
                and asker.wants(found.job.id, found.worker_id)
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

    def rate(self, asker: Asker, submission: Submission, fields: Mapping[str, str]) -> str | None:
        """Record the rating in a form, which counts in ten seconds if its reviewer does not undo it.

        Returns the id of what they look at next: what waits behind the rated one, or, after the last, before it.
        Raises PageError: they may not rate it now, or, with the status 400, this is no rating.
        """
        full = self._full(asker)
        ids, gold = self.waiting(asker, full)
        if gold is not None and gold.submission != submission.id:
            ids, gold = ids[1:], None
        if submission.worker_id in asker.own:
            raise PageError(403, OWN, "Your own work")
        attempt = submission.id, submission.attempt
        if str(submission.attempt) != fields.get("attempt") or not (
            gold or submission.status == "pending_score"
        ):
            raise PageError(409, story_of(submission), "Somebody was faster")
        if gold is None and attempt in full:  # whoever else holds it comes first
            words = "You or others have rated this already, or look at it now. Your stars changed nothing."
            raise PageError(409, words, "Somebody was faster")
        stars = stars_in(fields, len(rated_files(submission, gold)))
        reason = fields["reason"].replace("\r\n", "\n") if "reason" in fields else None
        if stars is None or len(reason or "") > MAX_REASON:
            words = f"Give each file 1 to 5 stars, and a reason of at most {MAX_REASON:,} characters."
            raise PageError(400, words)
        rating = self.ratings.give(submission, asker.reviewer, stars, reason, self._world.clock.now(), gold)
        self.release(asker.browser)
        self._latest[asker.browser] = rating.id
        if gold is None:
            self._world.state.later(rating.given_at + UNDO_SECONDS, self.book)
        due = self.gold_for(asker)
        at = ids.index(submission.id) if submission.id in ids else len(ids)
        return due.submission if due else next(iter([*ids[at + 1 :], *reversed(ids[:at])]), None)

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
                if submission is not None:  # a kill may have come before
                    self._learn(submission, at)
                continue
            counted = [each for each in ratings if each.given_at + UNDO_SECONDS <= at]
            if len(counted) >= self.settings.overlap:
                self._world.jobs.score(submission, at, _verdict(counted))
                self._learn(submission, at)

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
            if self._is_hidden(each):
                continue
            author = f"tok_{each.worker.partition('_')[2]}"
            lack = lacking(self.settings.overlap, _raters(given, (each.id, each.attempt)), reviewers, author)
            if lack:
                yield each, lack


def stars_in(fields: Mapping[str, str], files: int) -> list[int] | None:
    """The stars that a form gives to each of so many files; None if one has none."""
    given = [fields.get(f"stars-{number}", "") for number in range(files)]
    return [int(each) for each in given] if {*given} <= {"1", "2", "3", "4", "5"} else None


def rated_files(submission: Submission, gold: Gold | None) -> list[File]:
    """The files of a submission that are rated; of one whose rating is known, that file alone."""
    if gold is None or gold.submission != submission.id:
        return [*submission.files]
    return [file for file in submission.files if file.id == gold.file]


def story_of(submission: Submission) -> str:
    """The status of a submission that somebody was too late to rate, in words."""
    words = submission.status.replace("_", " ")
    if submission.status == "pending_score":
        return (
            "The worker has sent something else: look at it before you rate it. Your stars changed nothing."
        )
    given = "" if submission.rating is None else f" with {submission.rating} of 5 stars"
    return f"This submission is {words}{given} already. Your stars changed nothing."


def _raters(given: Mapping[Attempt, Sequence[Rating]], attempt: Attempt) -> list[str]:
    return [each.reviewer for each in given.get(attempt, ())]


def _verdict(ratings: Sequence[Rating]) -> Verdict:
    reasons = dict.fromkeys(each.reason for each in ratings if each.reason)
    return Verdict(
        [median_low(stars) for stars in zip(*(each.stars for each in ratings), strict=True)],
        "\n".join(reasons)[:MAX_REASON] or None,
        actor=ratings[0].reviewer if len(ratings) == 1 else "reviewers",
        rated_by="person",
    )
