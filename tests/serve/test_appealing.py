"""Appeals: a worker's word against a rejection, answered once, by somebody else."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from firsthandapi_server.serve.clock import RealClock
from firsthandapi_server.sqlite import DATABASE

from .conftest import BOXES, EVIL, Team, Visitor, upload, write

DAY = 86400.0


class Court(Team):
    """A study where one file was rejected by a reviewer, on a clock of its own."""

    def __init__(self, folder: Path, stack: ExitStack, **job: Any) -> None:
        self.time = 1_700_000_000.0
        super().__init__(folder / "data", stack, study=write(folder), clock=RealClock(lambda: self.time))
        self.asked = self.job(**{"files_needed": 1, **job})
        self.person = self.visit()
        assert self.person.send("/join", "/join", **BOXES).status_code == 303
        self.first, self.first_id = self.reviewer()
        self.second, _ = self.reviewer()
        self.submission = self.sends(self.person)
        self.rate(self.submission, 1)

    def reviewer(self) -> tuple[Visitor, str]:
        """A browser of a new reviewer, and the id of their token."""
        token, secret = self.access.create("reviewer", "Ben", self.time)
        visitor = self.visit()
        assert visitor.send("/sign-in", token=secret).status_code == 303
        return visitor, token.id

    def author(self) -> tuple[Visitor, str]:
        """A reviewer whose own file was rejected, who appeals; and the id of their token."""
        author, id = self.reviewer()
        author.send("/join", "/join", **BOXES)
        self.submission = self.sends(author)
        self.rate(self.submission, 1)
        assert self.appeal(who=author) == 303
        return author, id

    def keep_only(self, *ids: str) -> None:
        """Of all reviewers and operators, only these may still do something."""
        for token in self.access.tokens():
            if token.role != "worker" and token.id not in ids:
                self.access.revoke(token.id, self.time)

    def sends(self, person: Visitor) -> str:
        """A person submits a file; the id of the submission."""
        upload(person, self.path(self.asked))
        with self.world.lock:
            (waiting,) = self.world.state.waiting()
            return waiting.id

    def rate(self, submission: str, stars: int) -> None:
        """The first reviewer rates."""
        self.score(submission, stars, reason="Not a sign", actor=self.first_id)

    def appeal(self, words: str = "It is a sign", *, who: Visitor | None = None) -> int:
        """The person appeals; the status."""
        fields = {"submission": self.submission, "words": words}
        return (who or self.person).send("/me/appeal", "/me", **fields).status_code

    def answer(self, who: Visitor, verdict: str = "accept", stars: str = "4", words: str = "Seen") -> Any:
        """A reviewer answers."""
        (appeal,) = self.world.state.appeals.values()
        fields = {"appeal": appeal.id, "verdict": verdict, "stars-0": stars, "words": words}
        return who.send("/review/appeals", "/review/appeals", **fields)


Open = Callable[..., Court]


@pytest.fixture
def court(tmp_path: Path) -> Iterator[Open]:
    """Opens the study."""
    with ExitStack() as stack:

        def new(**job: Any) -> Court:
            case = Court(tmp_path, stack, **job)
            stack.callback(case.world.check_books)
            return case

        yield new


def test_an_accepted_appeal_is_paid_and_charged_once(court: Open) -> None:
    """Somebody else accepts it with stars; the buyer sees an approval like any other."""
    case = court()
    assert 'action="/me/appeal"' in case.person.get("/me").text
    assert case.appeal(EVIL) == 303
    assert case.appeal() == 409, "each submission has one appeal"
    assert "will decide by \u20662023-11-23" in case.person.get("/me").text
    page = case.second.get("/review/appeals").text
    assert "&lt;script&gt;alert(1)" in page
    assert "Not a sign" in page
    assert "<script>alert" not in page
    assert "You have rated it" in case.first.get("/review/appeals").text
    assert case.answer(case.first).status_code == 403
    assert case.answer(case.second, stars="2").status_code == 400, "too few stars approve nothing"
    assert case.answer(case.second, stars="9").status_code == 400
    assert case.answer(case.second).headers["location"] == "/review/appeals?done=accepted"
    assert case.answer(case.second).status_code == 409, "it is answered once"
    assert "Your appeal was accepted." in (page := case.person.get("/me").text)
    assert "$0.50" in page
    (file,) = case.buyer.files.list(case.asked.id)
    assert file.ai_star_rating == 4
    job = case.buyer.jobs.get(case.asked.id)
    assert (job.status, case.buyer.billing.credits().held_cents) == ("completed", 0)
    events = [event.type for event in case.buyer.webhooks.events.list()]
    assert events[:3] == ["job.completed", "submission.approved", "submission.scored"]


def test_a_rejected_appeal_has_words(court: Open) -> None:
    """The worker reads them, the file stays rejected, and the answer is final, in the database too."""
    case = court()
    case.appeal()
    assert case.answer(case.second, "reject", words="").status_code == 400
    assert case.answer(case.second, "reject", words="It is a mural").headers["location"].endswith("done=kept")
    page = case.person.get("/me").text
    assert "Your appeal was not accepted." in page
    assert "It is a mural" in page
    assert case.appeal() == 409
    assert [*case.buyer.files.list(case.asked.id)] == []
    with closing(sqlite3.connect(case.folder / DATABASE)) as rows:
        for change in (
            "DELETE FROM appeals",
            "UPDATE appeals SET accepted = 1",
            "UPDATE appeals SET words = 'x'",
        ):
            with pytest.raises(sqlite3.IntegrityError, match="appeals are kept"):
                rows.execute(change)


@pytest.mark.parametrize("end", ["filled", "cancelled"])
def test_a_job_without_a_slot_pays_nothing(court: Open, end: str) -> None:
    """Its budget is never exceeded: the appeal is accepted, and the worker is told why nothing is paid."""
    case = court()
    case.appeal()
    if end == "filled":
        case.rate(case.sends(case.person), 5)
    else:
        case.buyer.jobs.cancel(case.asked.id)
    spent = case.asked.escrow
    assert "no slot left" in case.second.get("/review/appeals").text
    assert case.answer(case.second).headers["location"].endswith("done=unpaid")
    assert case.asked.escrow == spent
    assert "the job had no slot left" in case.person.get("/me").text
    assert case.find(case.submission).status == "rejected"


def test_an_appeal_has_its_time_and_its_owner(court: Open) -> None:
    """Seven days, with a word, by whoever sent the file and has not withdrawn; an answer that is late is marked."""
    case = court()
    stranger = case.visit()
    stranger.send("/join", "/join", **BOXES)
    assert case.appeal(who=stranger) == 404
    assert stranger.get("/review/appeals").status_code == 403
    assert case.appeal(" ") == case.appeal("x" * 1001) == 400
    token = re.search(r'name="form_token" value="(\w+)"', stranger.get("/me").text)
    assert token is not None
    forged = {"form_token": token[1], "submission": case.submission, "words": "x"}
    assert case.person.http.post("/me/appeal", data=forged).status_code == 403
    case.time += 7 * DAY
    assert "/me/appeal" not in case.person.get("/me").text
    assert case.appeal() == 409
    case.time -= 1
    case.service.clock._latest = 0  # pyright: ignore[reportPrivateUsage]
    assert case.appeal() == 303
    case.time += 9 * DAY + 1
    assert "The answer was due" in case.second.get("/review/appeals").text
    case.person.send("/me/withdraw", "/me", confirm="yes")
    assert "No open appeals" in case.second.get("/review/appeals").text
    assert case.answer(case.second).status_code == 409


def test_nobody_answers_for_their_own_work(court: Open) -> None:
    """A reviewer who also works waits for a colleague."""
    case = court(files_needed=2)
    author, _ = case.author()
    assert "This is your own work" in author.get("/review/appeals").text
    assert case.answer(author).status_code == 403
    assert case.answer(case.second).status_code == 303


def test_an_appeal_always_has_somebody_who_may_decide_it(court: Open) -> None:
    """Whoever has rated it, where nobody else may review any more, or where nobody else has answered in time."""
    case = court()
    assert case.appeal() == 303
    assert "somebody else answers" in case.first.get("/review/appeals").text
    assert case.answer(case.first).status_code == 403
    case.keep_only(case.first_id)
    assert "somebody else answers" not in case.first.get("/review/appeals").text
    colleague, _ = case.reviewer()
    assert case.answer(case.first).status_code == 403
    case.time += 9 * DAY
    assert case.answer(case.first).status_code == 303
    assert "No open appeals" in colleague.get("/review/appeals").text


def test_a_lone_reviewer_decides_alone(court: Open) -> None:
    """The only other one is the author, who never decides."""
    case = court(files_needed=2)
    author, author_id = case.author()
    case.keep_only(case.first_id, author_id)
    case.time += 9 * DAY
    assert case.answer(author).status_code == 403
    case.time -= 9 * DAY
    case.service.clock._latest = 0  # pyright: ignore[reportPrivateUsage]
    assert case.answer(case.first, "reject").status_code == 303
