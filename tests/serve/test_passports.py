"""Six words that bring a person back on any device: one person, one limit, one pay."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from starlette.requests import Request

from firsthandapi_server.serve import limits
from firsthandapi_server.serve.access import FILE
from firsthandapi_server.serve.copies import back_up
from firsthandapi_server.serve.passports import WORDS, vocabulary
from firsthandapi_server.serve.reception import Reception

from .conftest import BOXES, Lab, Open, Visitor, upload


def words_on(page: str) -> str | None:
    """The words that a page shows."""
    match = re.search(r'<strong id="passport"[^>]*>([^<]*)</strong>', page)
    return match and match[1]


def joined(study: Lab) -> tuple[Visitor, str]:
    """Somebody who has joined, and the words that they saw."""
    person = study.joined()
    words = words_on(person.get("/me").text)
    assert words is not None
    return person, words


def worker_of(visitor: Visitor) -> str:
    """Whose page a browser shows."""
    match = re.search(r'data-person="(wkr_\w+)"', visitor.get("/me").text)
    assert match is not None
    return match[1]


def test_the_words_are_plain_and_none_is_taken_for_another() -> None:
    """Enough of them that nobody guesses six; a letter that is wrong, missing, or too many makes no other one."""
    words = {*vocabulary()}
    assert len(words) == len(vocabulary()) >= 1296
    assert all(re.fullmatch("[a-z]{4,8}", word) for word in words)
    for word in words:
        parts = [(word[:at], word[at:]) for at in range(len(word) + 1)]
        letters = "abcdefghijklmnopqrstuvwxyz"
        near = {a + b[1:] for a, b in parts if b}
        near |= {a + letter + b[1:] for a, b in parts if b for letter in letters}
        near |= {a + b[1] + b[0] + b[2:] for a, b in parts if len(b) > 1}
        assert near & words == {word} & near, word


def test_a_passport_is_shown_once_and_kept_hashed(lab: Open, tmp_path: Path) -> None:
    """On the page after joining alone, whichever that is: neither the folder nor a backup has the words, nor does the
    export of the person."""
    study = lab()
    person, words = joined(study)
    assert re.fullmatch(rf"[a-z]+( [a-z]+){{{WORDS - 1}}}", words)
    assert words_on(person.get("/me").text) is None
    tablet = study.visit()
    link = study.path(study.job())
    assert tablet.send("/join", f"/join?next={link}", **BOXES, next=link).headers["location"] == link
    page = tablet.get(link).text
    assert words_on(page)
    assert 'class="qr"' in page
    assert words_on(tablet.get(link).text) is None
    back_up(study.folder, tmp_path / "copy", lambda _done, _all: None, at=0)
    paths = [
        path for folder in (study.folder, tmp_path / "copy") for path in folder.rglob("*") if path.is_file()
    ]
    assert not [path for path in paths if words.encode() in path.read_bytes().replace(b"-", b" ")]
    assert "passport" not in study.visit().get("/join").headers.get("set-cookie", "")


def test_a_passport_is_one_person_on_two_phones(lab: Open) -> None:
    """The files, the limit, and the pay are theirs on both, however the words are typed."""
    study = lab(max_files_per_worker=2, max_workers=1)
    job = study.job()
    link = study.path(job)
    phone, words = joined(study)
    assert upload(phone, link).status_code == 303
    tablet = study.visit()
    full = tablet.get("/join")
    assert (full.status_code, "This study is full." in full.text) == (403, True), (
        "and they can still come back"
    )
    answer = tablet.send("/join", "/join", passport=f" {words.upper().replace(' ', ' - ')}. ", next=link)
    assert answer.headers["location"] == link
    assert words_on(tablet.get(link).text) is None
    assert worker_of(tablet) == worker_of(phone)
    assert upload(tablet, link).status_code == 303
    assert upload(phone, link).status_code == upload(tablet, link).status_code == 403
    for submission in job.submissions:
        study.score(submission.id, 5)
    assert "$1.00" in phone.get("/me").text
    assert "$1.00" in tablet.get("/me").text
    assert len(study.records()) == 1


def test_new_words_end_the_old(lab: Open) -> None:
    """And, if they wish, every other session: somebody else may have come in by the old ones."""
    study = lab()
    phone, old = joined(study)
    thief = study.visit()
    assert thief.send("/join", "/join", passport=old).headers["location"] == "/me"
    assert phone.send("/me/passport", "/me").headers["location"] == "/me"
    new = words_on(phone.get("/me").text)
    assert new is not None
    assert study.visit().send("/join", "/join", passport=old).status_code == 403
    assert thief.get("/me").status_code == 200
    assert phone.send("/me/passport", "/me", others="yes").status_code == 303
    assert words_on(phone.get("/me").text) not in (None, old, new)
    assert thief.get("/me").headers["location"] == "/join"


def test_wrong_words_are_slowed_down_and_nobody_is_let_in(lab: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of an address, as wrong tokens are, and in one count with them; the form keeps what was typed."""
    monkeypatch.setattr(limits, "SIGN_IN_SECONDS", 0.001)
    study = lab()
    stranger = study.visit()
    waits: list[float] = []
    count = study.service.site.limits.wrong_token

    def counted(request: Request) -> float:
        waits.append(count(request))
        return waits[-1]

    monkeypatch.setattr(study.service.site.limits, "wrong_token", counted)
    for wrong in ("amber", "amber <b> canoe daisy eagle fabric", " ".join(vocabulary()[:WORDS])):
        page = stranger.send("/join", "/join", passport=wrong)
        assert (page.status_code, 'id="wrong"' in page.text) == (403, True)
        assert wrong.replace("<b>", "&lt;b&gt;") in page.text
    assert waits == sorted({*waits})
    assert stranger.get("/me").headers["location"] == "/join"
    assert len(study.access.look("SELECT 1 FROM activity WHERE what = 'sign_in.failed'")) == 3


@pytest.mark.parametrize("act", ["withdraw", "delete", "revoke", "erase"])
def test_a_passport_ends_with_its_person(lab: Open, act: str) -> None:
    """Withdrawn, deleted, revoked, or erased by the operator: the words open nothing, and their hash is gone."""
    study = lab()
    person, words = joined(study)
    if act in ("withdraw", "delete"):
        assert person.send(f"/me/{act}", "/me", confirm="yes").status_code == 303
    elif act == "revoke":
        study.access.revoke(worker_of(person), study.service.clock.now())
    else:
        study.service.eraser.ask(worker_of(person), "tok_1")
        study.service.eraser.run()
    assert study.visit().send("/join", "/join", passport=words).status_code == 403
    with closing(sqlite3.connect(study.folder / FILE)) as rows:
        assert rows.execute("SELECT * FROM passports").fetchall() == []
    if act == "withdraw":  # their files are still theirs to see and to delete, on any device
        assert person.send("/me/passport", "/me").status_code == 303
        new = words_on(person.get("/me").text)
        assert new is not None
        assert study.visit().send("/join", "/join", passport=new).headers["location"] == "/me"


def test_a_form_whose_answer_was_lost_gets_words_that_hold(lab: Open) -> None:
    """Nobody has seen the first ones."""
    study = lab()
    phone, form = study.visit(), {**BOXES, "joining": "ab" * 16}
    for _ in range(2):
        assert phone.send("/join", "/sign-in", **form).headers["location"] == "/me"
        del phone.http.cookies["firsthand_session"]
    phone.send("/join", "/sign-in", **form)
    words = words_on(phone.get("/me").text)
    assert words is not None
    assert study.visit().send("/join", "/join", passport=words).status_code == 303


def test_a_shared_phone_changes_hands(lab: Open) -> None:
    """Whoever signs out comes back by their words, and whoever enters theirs is nobody else any more."""
    study = lab()
    phone, words = joined(study)
    first = worker_of(phone)
    assert phone.send("/sign-out", "/me").status_code == 303
    assert phone.get("/me").headers["location"] == "/join"
    phone.send("/join", "/join", **BOXES)
    two = words_on(phone.get("/me").text)
    second = worker_of(phone)
    session = phone.http.cookies["firsthand_session"]
    assert phone.send("/join", "/me", passport=words).status_code == 303
    assert (worker_of(phone), second != first) == (first, True)
    assert study.access.visitor(session, study.service.clock.now()) is None
    assert phone.send("/join", "/me", passport=str(two)).status_code == 303
    assert worker_of(phone) == second


def test_a_planted_cookie_shows_nothing(lab: Open) -> None:
    """Words that are not the visitor's would make them somebody else later."""
    study = lab()
    _, words = joined(study)
    person, _ = joined(study)
    person.http.cookies.set("firsthand_passport", words.replace(" ", "-"))
    assert words_on(person.get("/me").text) is None


def test_who_has_a_token_needs_no_passport(lab: Open) -> None:
    """The invited come back with their token, and a reviewer's passport would open less than they have."""
    study = lab(join="invited")
    invited = study.visit("worker")
    assert invited.send("/join", "/join", **BOXES).headers["location"] == "/me"
    page = invited.get("/me").text
    assert (words_on(page), "/me/passport" in page) == (None, False)
    assert invited.send("/me/passport", "/me").status_code == 404


def test_a_reviewer_who_joins_gets_none(lab: Open) -> None:
    """Their token is how they come back."""
    study = lab()
    reviewer = study.visit("reviewer")
    assert reviewer.send("/join", "/join", **BOXES).headers["location"] == "/me"
    page = reviewer.get("/me").text
    assert (words_on(page), "/me/passport" in page) == (None, False)
    assert reviewer.send("/me/passport", "/me").status_code == 404


def test_a_session_that_ends_while_the_page_is_made(lab: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page of somebody who signs out in another tab meanwhile is a page."""
    study = lab()
    person, _ = joined(study)
    real = Reception.participant

    def participant(self: Reception, request: Request) -> str:
        worker = real(self, request)
        self.access.sign_out(self.session(request) or "")
        return worker

    monkeypatch.setattr(Reception, "participant", participant)
    assert person.get("/me").status_code == 200


def test_another_device_needs_a_passport(lab: Open) -> None:
    """The code of a job's page is for another device of the same person: whoever has no passport would be somebody
    else there."""
    study = lab()
    person, page = study.joined(), study.path(study.job())
    person.get("/me")
    assert 'id="share"' in person.get(page).text
    with study.access.transaction() as rows:
        rows.execute("DELETE FROM passports")
    assert 'id="share"' not in person.get(page).text
