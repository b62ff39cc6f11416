"""The reviewers together: who looks at what, who has rated it, and when their stars count.

A reviewer holds what they look at, in memory: after a restart, nobody holds anything. Ratings are on disk before the
reviewer sees the next file. They count when they can no longer be undone, which a restart finds out again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import median_low
from typing import Any, cast

from firsthandapi_server.console.face import PageError
from firsthandapi_server.rules.jobs import Verdict
from firsthandapi_server.rules.reviews import has_room, is_gold_turn, lacking
from firsthandapi_server.rules.world import World
from firsthandapi_server.sqlite.kept import KeptState
from firsthandapi_server.sqlite.line import Line
from firsthandapi_server.state.model import File, Submission

from .access import Access
from .deciding import Deciding
from .opinions import MAX_REASON, one_reason
from .programs import MODEL, SCORER, Answers, family
from .programs import Program as Asked
from .ratings import UNDO_SECONDS, Gold, Rating, Ratings, RatingSource
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
        model = next((program for program in programs if program.rater.startswith(MODEL)), None)
        self.deciding = None if model is None else Deciding(access, model)
        self._holders: dict[str, tuple[str, float]] = {}  # by browser: the submission, and until when
        self._latest: dict[str, str] = {}  # by browser: the rating that it can undo

    def resume(self) -> None:
        """After a restart, wait for the ratings that do not count yet."""
        now, ratings = self._world.clock.now(), self.ratings.open()
        if ratings:
            self._world.state.later(now, self.book)
        for rating in ratings:
            if rating.given_at + UNDO_SECONDS > now:
                self._book_in_time(rating)
        for program in self.programs:
            program.resume(self.line().attempts())
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
        heard = [
            (file, answers.opinions[file.id])
            for file in submission.files
            if file.id in answers.opinions and not file.is_erased
        ]
        for file, opinion in heard:
            if opinion.annotations is not None:
                file.annotations = opinion.annotations
        flags = dict.fromkeys([*submission.flags, *(flag for _, opinion in heard for flag in opinion.flags)])
        if len(flags) > len(submission.flags):
            submission.flags = tuple(flags)
        rated = [(file, opinion, opinion.stars) for file, opinion in heard if opinion.stars is not None]
        if not rated:
            return
        best = max(rated, key=lambda entry: entry[2])[1].dimensions or {}
        if submission.dimensions is None and {*_DIMENSIONS} <= best.keys():
            submission.dimensions = {name: round(best[name]) for name in _DIMENSIONS}
        now, is_whole = self._world.clock.now(), len(rated) == len(submission.files)
        reason = one_reason(opinion.reason for _, opinion, _ in rated)
        waits = submission.status == "pending_score"
        if self._decides(answers.rater):
            is_rated = (submission.id, submission.attempt) in self._open(submission.id)
            if waits and is_whole and not flags and not is_rated:
                verdict = Verdict([stars for *_, stars in rated], reason, actor="scorer", rated_by="rules")
                self._world.jobs.score(submission, now, verdict)
            return
        counts = answers.rater.startswith(SCORER) and self.settings.overlap > 1 and waits and is_whole
        bar = submission.job.fields["min_star_rating"]
        for group in [rated] if counts else [[entry] for entry in rated]:
            media = family(group[0][0])
            program = RatingSource(answers.rater, answers.versions[media], media, bar, counts)
            why = reason if counts else group[0][1].reason
            files, stars = [file for file, *_ in group], [stars for *_, stars in group]
            self.ratings.give_as(program, submission, files, stars, why, now)
        if counts:
            self._world.state.later(now + UNDO_SECONDS, partial(self.book, submission=submission.id))
        self._learn(submission, now)
        self._decide([submission.id], now)

    # --- what a model decides alone ---------------------------------------------------------------------

    def _learn(self, submission: Submission, at: float) -> None:
        """Compare the model with what people gave, once that counts."""
        if self.deciding is not None and submission.rated_by == "person":
            stars = self.ratings.of_attempt(submission.id, submission.attempt)
            if self.deciding.learn(submission, stars, at):
                self._have_decided()

    def _have_decided(self) -> None:
        """Let the model decide about what waits already, if it may."""
        if self.deciding is not None and self.deciding.is_on:
            self._world.state.later(
                self._world.clock.now(), partial(self._decide_all, self.line().part(0, 1))
            )

    def _decide_all(self, first: Sequence[str], at: float) -> None:
        """Let it decide from one on, some at a time, so that others have their turn."""
        ids = [*first, *(id for start in first for id in self.line().after(start, _AT_ONCE))]
        self._decide(ids, at)
        if len(ids) > _AT_ONCE:
            self._world.state.later(at, partial(self._decide_all, ids[-1:]))

    def _decide(self, ids: Sequence[str], at: float) -> None:
        """Let the model decide about what nobody has rated or looks at now."""
        if self.deciding is None or not self.deciding.is_on:
            return
        now = self._world.clock.now()
        held = {id for id, until in self._holders.values() if until > now}
        for id in ids:
            submission = self._world.state.submissions.get(id)
            if submission is None or submission.status != "pending_score" or id in held:
                continue
            is_rated = (id, submission.attempt) in self._open(id)
            verdict = None if is_rated else self.deciding.decision(submission)
            if verdict is not None:
                self._world.jobs.score(submission, at, verdict)

    # --- what a reviewer may look at --------------------------------------------------------------------

    def line(self, **options: Any) -> Line:
        """What waits for a review, with the options of `Line`."""
        return Line(cast("KeptState", self._world.state).query, **options)

    def waiting(
        self, asker: Asker, full: Collection[Attempt] | None = None, gold: Gold | None = None
    ) -> Line:
        """What waits for somebody, after `gold`. Nothing of their own, and nothing that others look at or have rated
        enough."""
        left_out = {*(self._full(asker) if full is None else full), *self._hidden()}
        first = None if gold is None else gold.submission
        return self.line(job=asker.job, worker=asker.worker, own=asker.own, left_out=left_out, first=first)

    def elsewhere(self, asker: Asker) -> int:
        """How much waits for others, or until a rating counts."""
        waits = self.line(own=asker.own)
        return sum(id in waits for id, _ in {*self._full(asker), *self._hidden()})

    def _hidden(self) -> set[Attempt]:
        """What waits for a scorer that decides alone."""
        return {id for program in self.programs if self._decides(program.rater) for id in program.taken()}

    def _decides(self, rater: str) -> bool:
        """Whether a program's stars count alone. Where several rate, or gold is rated, a scorer is one of them."""
        return rater.startswith(SCORER) and self.settings.overlap == 1 and not self.settings.gold

    def _full(self, asker: Asker) -> set[Attempt]:
        """What a reviewer may not rate for the sake of others, or has rated."""
        now, overlap = self._world.clock.now(), self.settings.overlap
        held = Counter(
            held for key, (held, until) in self._holders.items() if key != asker.browser and until > now
        )
        submissions = self._world.state.submissions
        full = {*self.ratings.full(overlap, asker.reviewer)}
        for id, number in held.items():
            if (submission := submissions.get(id)) is None:
                continue
            attempt = id, submission.attempt
            if not has_room(overlap, _raters(self._open(id), attempt), asker.reviewer, number):
                full.add(attempt)
        return full

    def gold_for(self, asker: Asker) -> Gold | None:
        """The file with a known rating that this reviewer gets next, if it is time for one."""
        if not self.settings.gold:
            return None
        count, golden = self.ratings.gold_for(asker.reviewer)
        for gold in golden if is_gold_turn(self.settings.gold, asker.reviewer, count) else ():
            submission = self._world.state.submissions.get(gold.submission)
            if (
                submission is not None
                and submission.status in ("approved", "rejected")
                and asker.wants(submission.job.id, submission.worker_id)
                and any(file.id == gold.file and not file.is_erased for file in submission.files)
            ):
                return gold
        return None

    def hold(self, browser: str, submission: str) -> None:
        """Hold what a browser shows for two minutes, instead of what it showed before."""
        now = self._world.clock.now()
        self._holders = {key: held for key, held in self._holders.items() if held[1] > now}
        self._holders[browser] = submission, now + HOLD_SECONDS

    def release(self, browser: str) -> None:
        """Let go of what a browser held."""
        self._holders.pop(browser, None)

    def _open(self, submission: str | None = None) -> dict[Attempt, list[Rating]]:
        """The ratings that wait to count; of one submission, or of all."""
        ratings: dict[Attempt, list[Rating]] = {}
        for rating in self.ratings.open(submission):
            ratings.setdefault((rating.submission, rating.attempt), []).append(rating)
        return ratings

    # --- ratings ----------------------------------------------------------------------------------------

    def rate(self, asker: Asker, submission: Submission, fields: Mapping[str, str]) -> str | None:
        """Record the rating in a form, which counts in ten seconds if its reviewer does not undo it.

        Returns the id of what they look at next: what waits behind the rated one, or, after the last, before it.
        Raises PageError: they may not rate it now, or, with the status 400, this is no rating.
        """
        full, gold = self._full(asker), self.gold_for(asker)
        if gold is not None and gold.submission != submission.id:
            gold = None
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
            self._book_in_time(rating)
        due, line = self.gold_for(asker), self.waiting(asker, {*full, attempt})
        if due is not None:
            return due.submission
        onward = line.part(0, 1) if gold else line.after(submission.id)
        return next(iter(onward or line.before(submission.id)), None)

    def undoable(self, browser: str) -> tuple[Rating, float] | None:
        """The latest rating from this browser that can be undone, and how many seconds are left."""
        rating = self.ratings.find(self._latest.get(browser, ""))
        if rating is not None and rating.undone_at is None:
            seconds = rating.given_at + UNDO_SECONDS - self._world.clock.now()
            if seconds > 0:
                return rating, seconds
        self._latest.pop(browser, None)
        return None

    def undo(self, browser: str, rating: str) -> Rating | None:
        """Undo the latest rating from this browser; None if that is too late."""
        latest, _ = self.undoable(browser) or (None, 0.0)
        if latest is None or latest.id != rating:
            return None
        self.ratings.undo(latest, self._world.clock.now())
        del self._latest[browser]
        return latest

    def _book_in_time(self, rating: Rating) -> None:
        self._world.state.later(
            rating.given_at + UNDO_SECONDS, partial(self.book, submission=rating.submission)
        )

    def book(self, at: float, submission: str | None = None) -> None:
        """Score what has enough ratings that can no longer be undone: one submission, or all.

        A rating is marked as decided only at the next look, when its score is surely kept.
        """
        for attempt, ratings in self._open(submission).items():
            self._book(attempt, ratings, at)

    def _book(self, rated: Attempt, ratings: Sequence[Rating], at: float) -> None:
        submission = self._world.state.submissions.get(rated[0])
        if submission is None or (submission.status, submission.attempt) != ("pending_score", rated[1]):
            self.ratings.mark_decided(ratings)
            if submission is not None:  # a kill may have come before
                self._learn(submission, at)
            return
        counted = [rating for rating in ratings if rating.given_at + UNDO_SECONDS <= at]
        if len(counted) >= self.settings.overlap:
            self._world.jobs.score(submission, at, _verdict(counted))
            self._learn(submission, at)
            self._world.state.later(at, partial(self.book, submission=rated[0]))

    # --- what stands still ------------------------------------------------------------------------------

    def reviewers(self, *, is_open: bool) -> Collection[str]:
        """All who may review; `is_open` if the person at the machine may without a token."""
        ids = {
            token.id for token in self._access.tokens() if token.role != "worker" and token.revoked_at is None
        }
        return {*ids, "reviewer"} if is_open else ids

    def stuck(self, reviewers: Collection[str]) -> Mapping[int, int]:
        """How much cannot be rated by enough people, by how many are lacking."""
        ratings, hidden, counts = self._open(), self._hidden(), Counter[int]()
        authors = {f"wkr_{id.partition('_')[2]}": id for id in reviewers}
        # What nobody has rated is counted: most of it lacks the same, and what a reviewer sent, one more.
        left_out = {*ratings, *hidden}
        lines = {"": self.line(own=authors, left_out=left_out)}
        lines |= {id: self.line(worker=worker, left_out=left_out) for worker, id in authors.items()}
        for author, line in lines.items():
            if lack := lacking(self.settings.overlap, (), reviewers, author):
                counts[lack] += len(line)
        for id, attempt in ratings.keys() - hidden:
            submission = self._world.state.submissions.get(id)
            if submission is not None and (submission.status, submission.attempt) == (
                "pending_score",
                attempt,
            ):
                author, raters = authors.get(submission.worker_id, ""), _raters(ratings, (id, attempt))
                counts[lacking(self.settings.overlap, raters, reviewers, author)] += 1
        return {lack: count for lack, count in counts.items() if lack and count}


def stars_in(fields: Mapping[str, str], files: int) -> list[int] | None:
    """The stars that a form gives to each of so many files; None if one has none."""
    values = [fields.get(f"stars-{number}", "") for number in range(files)]
    return [int(value) for value in values] if {*values} <= {"1", "2", "3", "4", "5"} else None


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
    stars = "" if submission.rating is None else f" with {submission.rating} of 5 stars"
    return f"This submission is {words}{stars} already. Your stars changed nothing."


def _raters(ratings: Mapping[Attempt, Sequence[Rating]], attempt: Attempt) -> list[str]:
    return [rating.reviewer for rating in ratings.get(attempt, ())]


def _verdict(ratings: Sequence[Rating]) -> Verdict:
    return Verdict(
        [median_low(stars) for stars in zip(*(rating.stars for rating in ratings), strict=True)],
        one_reason((rating.reason for rating in ratings), "\n"),
        actor=ratings[0].reviewer if len(ratings) == 1 else "reviewers",
        rated_by="person",
    )
