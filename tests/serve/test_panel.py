"""The reviewers together: who looks at what, and when their stars count."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, ClassVar

import pytest

from firsthandapi.ai import Opinion
from firsthandapi_server.contract.bodies import JobBody
from firsthandapi_server.mock.workers import capture
from firsthandapi_server.serve.access import Access
from firsthandapi_server.serve.clock import RealClock
from firsthandapi_server.serve.panel import HOLD_SECONDS, Asker, Panel, _verdict
from firsthandapi_server.serve.programs import Answers
from firsthandapi_server.serve.ratings import Gold, Rating
from firsthandapi_server.serve.study import Reviews
from firsthandapi_server.sqlite import open_world
from firsthandapi_server.state.model import Job, Submission

from .conftest import Nobody

JOB = JobBody.model_validate(
    {
        "type": "data_collection",
        "description": "Photos of street signs",
        "files_needed": 9,
        "accepted_formats": ["image/jpeg"],
        "price_per_file_cents": 50,
    }
).model_dump()
ANA, BEN, CARA = "tok_ana", "tok_ben", "tok_cara"


def asker(who: str, browser: str | None = None) -> Asker:
    """A reviewer who works under an id of their own, in one browser, unless they have another."""
    return Asker(who, browser or f"browser of {who}", [f"wkr_{who.partition('_')[2]}"])


@pytest.fixture(autouse=True)
def rooms(tmp_path: Path) -> Iterator[None]:
    """Each room has the folder of its test, and is closed at the end."""
    Room.folder = tmp_path / "data"
    yield
    while Room.opened:
        Room.opened.pop().close()


class Room:
    """A panel with a clock that stands still, and a job."""

    opened: ClassVar[list[Room]] = []
    folder: ClassVar[Path]

    def __init__(self, **settings: Any) -> None:
        self.opened.append(self)
        self.now = 1_800_000_000.0
        self.settings = Reviews(**settings)
        self.open()
        with self.world.lock:
            owner = self.world.accounts.create_organization(
                "Lab", "a@example.com", free_tier=False, at=self.now, cents=10_000
            )
            account = owner.key.account
            self.job: Job = self.world.jobs.create(account, JOB, "x", self.now, "http://x")

    def open(self) -> None:
        """Start, or start again."""
        self.clock = RealClock(lambda: self.now)
        self.world = open_world(self.folder, self.clock)
        self.access = Access(self.folder / "access.db")
        self.world.jobs.jury = Nobody()
        self.world.jobs.retry_seconds = 3600.0 * self.settings.retry_hours
        self.panel = Panel(self.world, self.access, self.settings)
        self.world.resume()
        with self.world.lock:
            self.panel.resume()

    def close(self) -> None:
        """As when the server stops; a kill leaves the same on the disk."""
        self.world.close()
        self.access.close()

    def submit(self, worker: str = "wkr_x") -> str:
        """One picture."""
        with self.world.lock:
            job = self.world.state.jobs[self.job.id]
            file = capture(job, "image/jpeg", self.now, rating=4)
            return self.world.jobs.submit(job, [file], self.now, worker=worker).id

    def find(self, submission: str) -> Submission:
        return self.world.state.submissions[submission]

    def rate(self, submission: str, who: str, stars: int, reason: str | None = None) -> None:
        with self.world.lock:
            item = self.find(submission)
            fields = {"stars-0": str(stars), "attempt": str(item.attempt)}
            self.panel.rate(asker(who), item, fields if reason is None else {**fields, "reason": reason})

    def hear(
        self, submission: str, rater: str = "scorer:rules", attempt: int = 1, **fields: Any
    ) -> Submission:
        """What a program says of the only file of an attempt."""
        with self.world.lock:
            item = self.find(submission)
            opinions = {item.files[0].id: Opinion(**fields)}
            self.panel.hear(Answers(rater, submission, attempt, opinions, {"image": "1"}))
        return item

    def undo(self, who: str) -> bool:
        with self.world.lock:
            browser = f"browser of {who}"
            undoable = self.panel.undoable(browser)
            return undoable is not None and self.panel.undo(browser, undoable[0].id) is not None

    def queue(self, who: str, browser: str | None = None) -> list[str]:
        with self.world.lock:
            gold = self.panel.gold_for(asker(who, browser))
            ids = self.panel.waiting(asker(who, browser)).part(0, 99)
            return ids if gold is None else [gold.submission, *ids]

    def hold(self, who: str, submission: str) -> None:
        with self.world.lock:
            self.panel.hold(f"browser of {who}", submission)

    def pass_seconds(self, seconds: float) -> None:
        self.now += seconds
        self.clock.run_due()


def test_whoever_looks_holds_for_two_minutes() -> None:
    """Others get something else; a look again holds on, and what was let go or is over goes to others."""
    room = Room()
    first, second, third = (room.submit() for _ in range(3))
    room.hold(ANA, first)
    assert room.queue(BEN) == [second, third]
    room.hold(BEN, second)
    assert room.queue(CARA) == [third]
    assert room.queue(ANA, "another browser of Ana's") == [third]
    room.pass_seconds(HOLD_SECONDS - 1)
    room.hold(BEN, second)
    room.pass_seconds(1)
    assert room.queue(CARA) == [first, third]
    room.hold(BEN, third)
    assert room.queue(CARA) == [first, second]
    with room.world.lock:
        room.panel.release(f"browser of {BEN}")
    assert room.queue(CARA) == [first, second, third]


def test_a_rating_counts_after_ten_seconds() -> None:
    """Until then nothing is paid, told, or counted, and it can be undone, once; what was undone never counts."""
    room = Room()
    submission = room.submit()
    room.rate(submission, ANA, 5)
    assert room.queue(BEN) == []
    room.pass_seconds(9.9)
    assert (room.find(submission).status, room.job.escrow.paid) == ("pending_score", 0)
    assert (room.undo(ANA), room.undo(ANA)) == (True, False)
    assert room.queue(BEN) == [submission]
    room.pass_seconds(60)
    assert room.find(submission).status == "pending_score"
    room.rate(submission, ANA, 4, "Sharp")
    room.pass_seconds(10)
    item = room.find(submission)
    assert (item.status, item.rating, item.reasoning) == ("approved", 4, "Sharp")
    assert room.job.escrow.paid == 50
    assert not room.undo(ANA)
    ratings = room.panel.ratings.all()
    assert [(rating.stars, rating.undone_at is None) for rating in ratings] == [((5,), False), ((4,), True)]
    room.world.check_books()


@pytest.mark.parametrize("overlap", [1, 3])
def test_a_restart_loses_no_rating(overlap: int) -> None:
    """What was given, also in time to be undone, counts after a restart, and only once."""
    room = Room(overlap=overlap)
    submission = room.submit()
    for who in (ANA, BEN, CARA)[:overlap]:
        room.rate(submission, who, 5)
        room.close()
        room.now += 3
        room.open()
    assert room.find(submission).status == "pending_score"
    room.pass_seconds(10)
    assert room.find(submission).status == "approved"
    room.close()
    room.open()
    with room.world.lock:
        assert room.world.state.jobs[room.job.id].escrow.paid == 50
        room.panel.book(room.now)
        assert room.panel.ratings.open() == []
        room.world.check_books()
    room.close()


@pytest.mark.parametrize(
    ("stars", "middle"), [([4], 4), ([5, 1, 4], 4), ([1, 1, 5], 1), ([2, 5], 2), ([3, 3, 3], 3)]
)
def test_the_median_counts(stars: list[int], middle: int) -> None:
    """Of two in the middle, the lower one."""
    ratings = [Rating("", "", 1, ("",), "", (value,), None, None, 0.0) for value in stars]
    assert _verdict(ratings).stars == [middle]


def test_the_median_of_three_counts() -> None:
    """It waits for three people, pays once, and who has rated it does not see it again."""
    room = Room(overlap=3)
    submission = room.submit()
    for who, stars in ((ANA, 5), (BEN, 1)):
        room.rate(submission, who, stars, f"{stars} stars")
        assert room.queue(who) == []
        assert room.queue(CARA) == [submission]
        room.pass_seconds(10)
    assert room.find(submission).status == "pending_score"
    room.hold(CARA, submission)
    assert room.queue("tok_dan") == []
    room.rate(submission, CARA, 4)
    room.pass_seconds(10)
    item = room.find(submission)
    assert (item.status, item.rating, item.reasoning) == ("approved", 4, "5 stars\n1 stars")
    assert room.job.escrow.paid == 50
    (entry,) = [entry for entry in room.job.account.audit if entry.event_type == "submission.approved"]
    assert entry.actor == "reviewers"
    noted = room.access.look("SELECT what, who FROM activity WHERE what LIKE 'review.%' ORDER BY position")
    assert noted == [("review.given", who) for who in (ANA, BEN, CARA)]


def test_a_rating_of_the_first_attempt_does_not_count_for_the_second() -> None:
    """What was withdrawn, cancelled, or sent anew before a rating counts was not rated."""
    room = Room(overlap=3)
    submission = room.submit()
    for who in (ANA, BEN, CARA):
        room.rate(submission, who, 2)
    room.pass_seconds(10)
    with room.world.lock:
        assert room.find(submission).status == "retry_pending"
        room.world.jobs.resubmit(
            room.find(submission), [capture(room.job, "image/jpeg", room.now, rating=4)], room.now
        )
    assert room.queue(ANA) == [submission]
    room.rate(submission, ANA, 5)
    with room.world.lock:
        room.world.jobs.cancel(room.job, "x", room.now)
    room.pass_seconds(10)
    assert room.find(submission).status == "rejected"
    assert room.panel.ratings.open() == []


def test_what_stands_still_is_known() -> None:
    """With too few reviewers, and for what one of them sent; the person at the machine is one where it is open."""
    room = Room(overlap=3)
    submission = room.submit()
    room.submit("wkr_ana")
    room.rate(submission, "tok_gone", 4)

    def stuck(*reviewers: str) -> Mapping[int, int]:
        with room.world.lock:
            return room.panel.stuck(reviewers)

    assert stuck(ANA, BEN) == {2: 1}
    assert stuck(ANA, BEN, CARA) == {1: 1}
    assert stuck(ANA, BEN, CARA, "tok_dan") == {}
    room.submit()
    assert stuck(ANA, BEN) == {2: 1, 1: 1}
    token, _ = room.access.create("reviewer", "Eve", 0)
    room.access.create("worker", "Flo", 0)
    assert room.panel.reviewers(is_open=False) == {token.id}
    assert room.panel.reviewers(is_open=True) == {token.id, "reviewer"}


@pytest.fixture
def golden() -> Callable[..., tuple[Room, str]]:
    """Makes a room where every next file of a reviewer is one whose rating is known."""

    def make(worker: str = "wkr_x") -> tuple[Room, str]:
        room = Room(gold=1.0)
        submission = room.submit(worker)
        room.rate(submission, CARA, 4)
        room.pass_seconds(10)
        file = room.find(submission).files[0]
        room.panel.ratings.mark(Gold(file.id, submission, 4, "tok_op", room.now))
        return room, submission

    return make


def test_gold_changes_no_money(golden: Callable[..., tuple[Room, str]]) -> None:
    """Each reviewer gets it once, who rated it before or made it never; undone, it comes again."""
    room, submission = golden("wkr_ben")

    def given(who: str) -> Gold | None:
        with room.world.lock:
            return room.panel.gold_for(asker(who))

    assert [given(who) is None for who in (ANA, BEN, CARA)] == [False, True, True]
    for _ in range(2):
        assert given(ANA) is not None
        room.rate(submission, ANA, 1)
        assert given(ANA) is None
        assert room.undo(ANA)
    room.rate(submission, ANA, 1)
    room.pass_seconds(10)
    assert (room.find(submission).rating, room.job.escrow.paid) == (4, 50)
    assert [rating.gold for rating in room.panel.ratings.all()] == [None, 4, 4, 4]
    assert given("tok_dan") is not None
    room.panel.ratings.unmark(room.find(submission).files[0].id, "tok_op", room.now)
    assert given("tok_dan") is None


def test_ratings_are_never_changed() -> None:
    """Nor deleted: the database itself refuses it."""
    room = Room()
    room.rate(room.submit(), ANA, 5)
    with closing(room.access._rows) as rows:
        for sql in ("DELETE FROM ratings", "UPDATE ratings SET stars = '[1]'"):
            with pytest.raises(Exception, match="ratings are kept"):
                rows.execute(sql)
    room.world.close()


@pytest.mark.parametrize("is_killed", [False, True])
def test_a_second_attempt_has_a_deadline(is_killed: bool) -> None:
    """After a day without one, the slot is free for others, also if the server was away meanwhile."""
    room = Room()
    submission = room.submit()
    room.rate(submission, ANA, 2)
    room.pass_seconds(10)
    assert room.find(submission).status == "retry_pending"
    if is_killed:
        room.close()
        room.open()
    room.pass_seconds(86400 - 1)
    assert room.find(submission).status == "retry_pending"
    room.pass_seconds(1)
    item = room.find(submission)
    assert (item.status, item.rating, item.job.free_slots) == ("rejected", 2, 9)
    assert item.reasoning == "Two stars, and no second attempt."
    with room.world.lock:
        assert room.world.state.retries(9) == []
        room.world.check_books()
    room.close()


GOOD = {"relevance": 4.6, "quality": 3, "completeness": 5}


def test_a_scorer_decides_alone() -> None:
    """Its stars, reason, and dimensions count at once, unless it flags the file, or somebody has rated it already."""
    room = Room()
    first, second, third = room.submit(), room.submit(), room.submit()
    item = room.hear(first, stars=5, reason="Sharp.", dimensions=GOOD, annotations={"type": "image"})
    assert (item.status, item.rating, item.reasoning, item.rated_by) == ("approved", 5, "Sharp.", "rules")
    assert item.dimensions == {"relevance": 5, "quality": 3, "completeness": 5}
    assert item.files[0].annotations == {"type": "image"}
    item = room.hear(second, stars=5, flags=("stock",))
    assert (item.status, item.flags) == ("pending_score", ("stock",))
    room.rate(third, ANA, 2)
    assert room.hear(third, stars=5).status == "pending_score"
    assert {rating.reviewer for rating in room.panel.ratings.all()} == {ANA}


def test_a_scorer_among_several_reviewers() -> None:
    """Where three rate a file, it is one of them, once, and the median counts; people's agreement is without it."""
    room = Room(overlap=3)
    sent = room.submit()
    for _ in range(2):
        assert room.hear(sent, stars=5).status == "pending_score"
    room.rate(sent, ANA, 3)
    room.rate(sent, BEN, 2)
    assert room.queue(CARA) == []
    room.pass_seconds(20)
    assert (room.find(sent).rating, room.find(sent).rated_by) == (3, "person")
    assert room.panel.ratings.units() == [[2, 3]]
    assert {who for who, *_ in room.panel.ratings.counts()} == {ANA, BEN}


@pytest.mark.parametrize(("rater", "settings"), [("scorer:rules", {"gold": 0.5}), ("model:m", {})])
def test_programs_beside_people(rater: str, settings: dict[str, Any]) -> None:
    """Where gold is shown, a scorer decides nothing, and a model never does: its stars are a row beside people's, who
    see them once their own count; annotations, dimensions, and flags are kept, whoever rates, and however late."""
    room = Room(**settings)
    early, late = room.submit(), room.submit()
    opinion: dict[str, Any] = {
        "stars": 1,
        "reason": "Blurred.",
        "dimensions": GOOD,
        "flags": ["stock"],
        "annotations": {"type": "image"},
    }
    assert room.hear(early, rater, **opinion).status == "pending_score"
    assert room.queue(ANA) == [early, late]
    for sent in (early, late):
        room.rate(sent, ANA, 4)
    assert room.panel.ratings.beside(ANA, room.now - 10) == []
    room.pass_seconds(20)
    item = room.hear(late, rater, **opinion)
    for row in (item, room.find(early)):
        assert (row.status, row.rating, row.rated_by, row.flags) == ("approved", 4, "person", ("stock",))
        assert row.dimensions == {"relevance": 5, "quality": 3, "completeness": 5}
        assert row.files[0].annotations == {"type": "image"}
    assert room.panel.ratings.beside(ANA, room.now - 10) == [([4], rater, [1], "Blurred.")] * 2
    assert sorted(rating.reviewer for rating in room.panel.ratings.all()) == sorted([rater, ANA, ANA, rater])
    assert room.panel.ratings.open() == []


def test_what_is_said_an_attempt_that_was_replaced() -> None:
    """Nothing of it is kept: it is about other files."""
    room = Room()
    sent = room.submit()
    assert room.hear(sent, "model:m", attempt=2, stars=4).files[0].annotations is None
    assert [*room.panel.ratings.all()] == []
