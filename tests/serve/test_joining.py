"""A study: people join by a link, agree, work, see what they have earned, and leave."""

from __future__ import annotations

import json
import re
import sqlite3
from base64 import b64encode
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from starlette.requests import Request

from firsthandapi import FirstHandClient, NotFoundError
from firsthandapi_server.serve import limits
from firsthandapi_server.serve.access import FILE

from .conftest import BOXES, EVIL, Open, Team, consent, fields_of, first_of, upload


def test_who_agrees_joins_and_the_record_says_to_what(lab: Open) -> None:
    """The page shows who asks, for what, under which license, and the notice; a record keeps what was agreed to."""
    study = lab(organizer=f"Lab {EVIL}")
    page = study.visit().get("/join?lang=fr").text
    for words in ("Street signs", "signs@example.org", "CC-BY-4.0", "recherche", "Lab &lt;script&gt;"):
        assert words in page
    assert "<script>alert" not in page
    assert "FirstHandAPI" not in page
    assert "<img" not in page
    study.joined()
    (record,) = study.records()
    assert record["notice_version"] == 2
    assert re.fullmatch("[0-9a-f]{64}", record["notice_sha256"])
    assert (record["language"], record["license"], record["withdrawn_at"]) == ("en", "CC-BY-4.0", None)
    assert record["assurances"] == '["own_work", "adult", "people_shown_agree"]'
    assert record["worker_id"].startswith("wkr_")
    with closing(sqlite3.connect(study.folder / FILE)) as rows, pytest.raises(sqlite3.IntegrityError):
        rows.execute("UPDATE consents SET license = 'CC0-1.0'")
    with closing(sqlite3.connect(study.folder / FILE)) as rows, pytest.raises(sqlite3.IntegrityError):
        rows.execute("DELETE FROM consents")


def test_a_name_and_purposes_in_the_language_of_the_reader(lab: Open) -> None:
    """On every page that shows them; what somebody agreed to is told in it after a change."""
    named = {"en": "Signs", "fr": "Panneaux"}
    with ExitStack() as first:
        study = lab(first, name=named, **consent(purposes={"en": ["museum"], "fr": ["un musée"]}))
        reader = study.visit(headers={"accept-language": "fr"})
        page = reader.get("/join").text
        assert "<title>Panneaux" in page
        assert "<bdi>Panneaux</bdi>" in page
        assert "<bdi>un musée</bdi>" in page
        assert '<bdi lang="en">Signs</bdi>' in study.visit().get("/join?lang=ar").text
        assert reader.send("/join", "/join", **BOXES).status_code == 303
        assert "<bdi>Panneaux</bdi>" in reader.get("/me").text
        assert "“<bdi>Signs</bdi>”" in study.visit("operator").get("/console/people").text
        assert [record["purposes"] for record in study.records()] == ['["museum"]']
        cookies = dict(reader.http.cookies)
    purposes = {"en": ["museum", "school"], "fr": ["un musée", "une école"]}
    study = lab(name=named, **consent(version=3, purposes=purposes))
    reader = study.visit(headers={"accept-language": "fr"})
    reader.http.cookies.update(cookies)
    page = reader.get("/join").text
    assert "<bdi>un musée</bdi><br>" in page
    assert "<bdi>un musée, une école</bdi>" in page


@pytest.mark.parametrize("join", ["open", "invited"])
def test_the_privacy_notice_is_for_everybody(lab: Open, join: str) -> None:
    """It says who asks, for what, how long, and what people may do, in the language of the reader, before they join."""
    study = lab(join=join, organizer=f"Lab {EVIL}", retention_days={"rejected": 9})
    page = study.visit().get("/privacy?lang=fr").text
    for words in (
        "signs@example.org",
        "CC-BY-4.0",
        "recherche",
        "Vos droits",
        ": 9.",
        ": 30.",
        "Lab &lt;script&gt;",
    ):
        assert words in page
    assert "<script>alert" not in page
    assert 'href="/privacy"' in study.visit().get("/join").text or join == "invited"


@pytest.mark.parametrize("missing", [*BOXES])
def test_every_box_is_needed(lab: Open, missing: str) -> None:
    """Without one of the boxes, nobody joins: the form comes again, with those that were ticked."""
    study = lab()
    visitor = study.visit()
    answer = visitor.send("/join", "/join", **{name: "yes" for name in BOXES if name != missing})
    assert answer.status_code == 422
    assert answer.text.count(" checked>") == 2
    assert study.records() == []
    assert visitor.get("/me").headers["location"] == "/join"


def test_a_form_that_is_sent_again_makes_nobody_twice(lab: Open) -> None:
    """The answer to the first was lost: the second leads to the same person, in a full study too."""
    study = lab(max_workers=1)
    phone, tablet = study.visit(), study.visit()
    form = {**BOXES, "joining": "ab" * 16}
    assert phone.send("/join", "/join", **form).headers["location"] == "/me"
    names = phone.http.cookies
    del names["firsthand_session"]
    assert phone.send("/join", **form).headers["location"] == "/me"
    assert "You have not sent anything yet." in phone.get("/me").text
    assert tablet.send("/join", "/sign-in", **form).status_code == 403
    assert len(study.records()) == 1
    assert phone.send("/me/delete", "/me").status_code == 303
    for _ in range(2):  # whoever has left comes back as somebody new, and once
        assert phone.send("/join", **form).headers["location"] == "/me"
        del names["firsthand_session"]
    assert len(study.records()) == 2


def test_a_full_study_takes_nobody_else(lab: Open) -> None:
    """Its page and its form are 403 for others, also where the form was open before; whoever has joined stays."""
    study = lab(max_workers=1)
    late = study.visit()
    page = late.get("/join").text
    token = re.search(r'name="form_token" value="(\w+)"', page)
    first = study.joined()
    assert late.get("/join").status_code == 403
    assert token is not None
    assert late.http.post("/join", data={"form_token": token[1], **BOXES}).status_code == 403
    assert first.get("/me").status_code == 200
    assert first.get("/join").headers["location"] == "/me"
    assert len(study.records()) == 1


def test_a_campus_behind_one_address_waits_and_is_not_turned_away(
    lab: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 300 people who join in one moment the last waits 15 seconds; another address waits for nobody."""
    study = lab()
    limiter = study.service.site.limits
    campus = Request({"type": "http", "headers": [], "client": ("10.0.0.1", 1)})
    monkeypatch.setattr(study.service.clock, "now", lambda: 1_900_000_000.0)
    waits = [limiter.join(campus) for _ in range(300)]
    assert (waits[239], waits[240], waits[299]) == (0, 0, 14.75)
    assert limiter.join(Request({"type": "http", "headers": [], "client": ("10.0.0.2", 1)})) == 0
    monkeypatch.undo()
    monkeypatch.setattr(limits, "JOINS", 0)
    monkeypatch.setattr(limits, "JOIN_SECONDS", 0.01)
    for _ in range(3):
        study.joined()
    assert len({record["worker_id"] for record in study.records()}) == 3


def test_work_asks_for_consent_and_files_carry_it(lab: Open, tmp_path: Path) -> None:
    """The link of a job leads a stranger to the form and back; a file has the consent and the license, and the home of
    its worker the status, the reason, and the pay."""
    study = lab()
    job = study.job()
    link = study.path(job)
    stranger = study.visit()
    assert stranger.get(link).headers["location"] == f"/join?next={link}"
    answer = stranger.send("/join", f"/join?next={link}", next=link, **BOXES)
    assert answer.headers["location"] == link
    assert link in (home := stranger.get("/me").text)
    assert "You have not sent anything yet." in home
    assert home.count("/sign-out") == 1, "beside the passport, without which nobody comes back"
    assert "/sign-out" not in stranger.get(link).text
    assert upload(stranger, link).status_code == 303
    assert 'data-status="pending_score"' in stranger.get("/me").text
    study.score(job.submissions[0].id, 2)
    retry = f"{link}?retry={job.submissions[0].id}"
    assert f'href="{retry}#send-heading"' in stranger.get("/me").text
    assert upload(stranger, retry).status_code == 303
    study.score(job.submissions[0].id, 5, reason=f"Sharp {EVIL}")
    assert "Accepté" in stranger.get(f"{link}?lang=fr").text
    page = stranger.get("/me?lang=en").text
    assert "Sharp &lt;script&gt;" in page
    assert "$0.50" in page
    (file,) = study.buyer.files.list(job_id=job.id)
    (record,) = study.records()
    assert (file.consent_id, file.license) == (record["consent_id"], "CC-BY-4.0")
    with (
        FirstHandClient(first_of(study.service).sandbox, study.service.url) as sandbox,
        pytest.raises(NotFoundError),
    ):
        sandbox.consents.get(file.consent_id)
    study.buyer.files.download_all(job.id, tmp_path / "signs")
    (line,) = (tmp_path / "signs" / "consents.jsonl").read_text("utf-8").splitlines()
    assert json.loads(line)["consent_id"] == file.consent_id
    assert json.loads(line)["purposes"] == ["research", "publication"]
    agreed = study.buyer.consents.get(file.consent_id)
    assert agreed.model_dump(exclude={"agreed_at"}) == {
        "object": "consent",
        "id": file.consent_id,
        "version": 2,
        "purposes": ["research", "publication"],
        "license": "CC-BY-4.0",
        "assurances": ["own_work", "adult", "people_shown_agree"],
        "text": "You agree that your photos serve research.",
        "language": "en",
        "withdrawn_at": None,
    }
    assert agreed.agreed_at
    assert agreed.agreed_at.timestamp() == pytest.approx(record["given_at"], abs=0.001)


def test_who_withdraws_takes_their_files_along_and_keeps_the_pay(lab: Open) -> None:
    """Approved files are withdrawn, those that wait rejected unrated, nothing new is taken; the pay stands, and a new
    consent is a new record."""
    study = lab()
    job = study.job()
    link = study.path(job)
    person = study.joined()
    metadata = f"job_id {b64encode(job.id.encode()).decode()}"
    begun = {"tus-resumable": "1.0.0", "upload-length": "9", "upload-metadata": metadata}
    assert person.http.post("/uploads", headers=begun).status_code == 201
    for number, stars in enumerate((5, 2, None)):
        assert upload(person, link).status_code == 303
        if stars:
            study.score(job.submissions[number].id, stars)
    asked = person.send("/me/withdraw", "/me")
    assert asked.status_code == 200, "one tap only asks"
    assert "Withdraw your consent?" in asked.text
    assert len([*study.buyer.files.list(job_id=job.id)]) == 1
    answered = person.http.post("/me/withdraw", data=fields_of(asked.text))
    assert answered.headers["location"] == "/me"
    assert [*study.folder.glob("uploading/*")] == [], "what was on its way"
    assert [(submission.status, submission.rating) for submission in job.submissions] == [
        ("approved", 5),
        ("rejected", 2),
        ("rejected", None),
    ]
    assert (job.rejections, job.free_slots) == (0, 2)
    assert [*study.buyer.files.list(job_id=job.id)] == []
    page = person.get("/me").text
    assert "$0.50" in page
    assert "withdrawn your consent" in page
    assert person.get(link).headers["location"].startswith("/join")
    person.send("/join", "/join", **BOXES)
    first, second = study.records()
    assert first["withdrawn_at"] is not None
    assert (second["withdrawn_at"], second["worker_id"]) == (None, first["worker_id"])
    moments = [study.buyer.consents.get(record["consent_id"]).withdrawn_at for record in (first, second)]
    assert [at is not None for at in moments] == [True, False]
    study.world.check_books()


def test_who_has_sent_much_turns_pages(lab: Open) -> None:
    """The latest are first, fifty to a page; what was earned counts all of them."""
    study = lab()
    person = study.joined()
    job, worker = study.job(files_needed=60), study.records()[0]["worker_id"]
    with study.world.lock:  # in one transaction
        for _ in range(51):
            study.score(study.sent(job, worker=worker), 5)
    ids = [submission.files[0].id for submission in reversed(job.submissions)]
    page = person.get("/me").text
    assert re.findall(r'<li id="(file_\w+)"', page) == ids[:50]
    assert "$25.50" in page
    older = re.search(r'href="([^"]+)" rel="next"', page)
    assert older is not None
    assert re.findall(r'<li id="(file_\w+)"', person.get(f"/me{older[1]}").text) == ids[50:]


def test_who_deletes_their_data_is_a_stranger(lab: Open) -> None:
    """At once: their session ends, the operator has nothing left to do, and they may join again as somebody else."""
    study = lab()
    person = study.joined()
    assert upload(person, study.path(study.job())).status_code == 303
    (consent,) = study.records()
    assert study.buyer.consents.get(consent["consent_id"]).version == 2
    assert person.send("/me/delete", "/me").status_code == 303
    for none in (consent["consent_id"], f"cns_{'0' * 26}"):
        with pytest.raises(NotFoundError):
            study.buyer.consents.get(none)
    assert person.get("/me").headers["location"] == "/join"
    page = study.visit("operator").get("/console/people").text
    assert f"{study.service.url}/join" in page
    assert 'class="qr"' in page
    assert person.send("/join", "/join", **BOXES).status_code == 303
    (old, new) = study.records()
    assert old["worker_id"] != new["worker_id"]
    assert (old["withdrawn_at"] is None, new["withdrawn_at"]) == (False, None)
    assert old["worker_id"] not in page


def test_a_wish_of_an_older_server_is_fulfilled(lab: Open) -> None:
    """It only wrote down who wanted their data deleted: the next start does it."""
    with ExitStack() as running:
        old_study = lab(running)
        person = old_study.joined()
    (record,) = old_study.records()
    with closing(sqlite3.connect(old_study.folder / FILE)) as rows:
        rows.execute("INSERT INTO erasures VALUES (?, 1, NULL)", (record["worker_id"],))
        rows.commit()
    study = lab()
    visitor = study.visit()
    visitor.http.cookies.update(person.http.cookies)
    assert visitor.get("/me").headers["location"] == "/join"
    assert study.access.erasures() == []


def test_a_new_version_asks_again(lab: Open) -> None:
    """Whoever agreed to the last notice agrees to the new one before they send more, and keeps their place."""
    with ExitStack() as running:
        old_study = lab(running, max_workers=1)
        person = old_study.joined()
        cookies = dict(person.http.cookies)
    study = lab(max_workers=1, **consent(version=3))
    person = study.visit()
    person.http.cookies.update(cookies)
    job = study.path(study.job())
    assert person.get(job).headers["location"] == f"/join?next={job}"
    page = person.get("/me").text
    assert ("has changed" in page, job in page) == (True, False)
    assert person.send("/join", "/join", **BOXES).status_code == 303
    assert "has changed" not in person.get("/me").text
    assert [record["notice_version"] for record in study.records()] == [2, 3]
    assert len({record["worker_id"] for record in study.records()}) == 1


def test_whoever_does_not_agree_to_a_new_version_may_still_leave(lab: Open, tmp_path: Path) -> None:
    """They see what has changed, and see, download, withdraw, and delete what they have sent."""
    with ExitStack() as running:
        old_study = lab(running)
        job = old_study.job()
        link = old_study.path(job)
        person = old_study.joined()
        assert upload(person, link).status_code == 303
        old_study.score(job.submissions[0].id, 5)
        cookies = dict(person.http.cookies)
    texts = {"en": "You agree to more.", "fr": "Vous acceptez que vos photos servent à la recherche."}
    new = consent(version=3, purposes=["research", "sale"], text=texts)
    study = lab(license="CC0-1.0", retention_days={"rejected": 9}, **new)
    person = study.visit()
    person.http.cookies.update(cookies)
    page = person.get("/join").text
    for before_and_now in (
        ("2", "3"),
        ("research, publication", "research, sale"),
        ("CC-BY-4.0", "CC0-1.0"),
        ("–", "Days until rejected files are erased: 9."),
    ):
        assert before_and_now in re.findall(r"Before</span> <bdi>(.*?)</bdi>.*?<bdi>(.*?)</bdi></dd>", page)
    assert page.count("<dt>Organizer</dt>") == 1
    assert "You agree that your photos serve research." in page, "the text before"
    for control in ('href="/me"', 'href="/me/data.zip"', 'action="/me/withdraw"', 'action="/me/delete"'):
        assert control in page
    thumbnail = re.search(r'<img class="thumb" src="([^"]+)"', person.get("/me").text)
    assert thumbnail is not None
    assert person.get(thumbnail[1]).headers["content-type"] == "image/jpeg"
    assert person.get("/me/data.zip").headers["content-type"] == "application/zip"
    assert upload(person, link).headers["location"].startswith("/join")
    assert person.send("/me/withdraw", "/me", confirm="yes").headers["location"] == "/me"
    assert [*study.buyer.files.list(job.id)] == []
    page = person.get("/join").text
    assert ("has changed." in page, "/me/delete" in page, "/me/withdraw" in page) == (True, True, False)
    assert person.send("/me/delete", "/me").headers["location"].startswith("/me/deleted/")


def test_other_words_under_the_same_version_are_counted(lab: Open) -> None:
    """A text in one more language is no other; those who have withdrawn agree to none."""
    with ExitStack() as running:
        old_study = lab(running)
        old_study.joined()
        gone = old_study.joined()
        assert gone.send("/me/withdraw", "/me", confirm="yes").status_code == 303
    for text, people in (("You agree to more.", 1), ("consent.en.md", 0)):
        with ExitStack() as running:
            now = lab(running, **consent(text={"en": text, "ar": "More."}))
            assert now.service.site.reception.consents is not None
            assert now.service.site.reception.consents.of_other_words() == people


def test_only_the_invited_join_a_closed_study(lab: Open) -> None:
    """They sign in with their token first, and their files carry its id."""
    study = lab(join="invited")
    stranger = study.visit()
    assert stranger.get("/join").headers["location"].startswith("/sign-in?next=/join")
    assert stranger.sign_in("worker", "Ana").status_code == 303
    assert stranger.get("/me").headers["location"] == "/join"
    assert stranger.send("/join", "/join", **BOXES).headers["location"] == "/me"
    (record,) = study.records()
    assert study.access.name_of(record["worker_id"]) == "Ana"


def test_a_link_of_another_site_makes_no_second_person(lab: Open) -> None:
    """Browsers keep the cookie back then: a page of ours asks again before anybody joins."""
    study = lab()
    followed = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}
    page = study.visit().get("/join", headers=followed)
    assert (page.status_code, 'http-equiv="refresh"' in page.text) == (200, True)


def test_the_language_is_the_one_that_was_asked_for_last(lab: Open) -> None:
    """`lang` wins over the cookie that it sets, that over what the browser accepts, and that over the first;
    a page that leads to where people join keeps it."""
    study = lab(languages=["en", "fr", "ar", "de"])
    french = study.visit(headers={"accept-language": "it, fr-CA;q=0.8, en;q=0.3"})
    assert '<html lang="fr" dir="ltr">' in french.get("/join").text
    assert '<html lang="ar" dir="rtl">' in french.get("/join?lang=ar").text
    page = french.get("/join")
    assert '<html lang="ar" dir="rtl">' in page.text
    assert 'lang="en" dir="ltr"><p>You agree' in page.text, "the notice is not in Arabic"
    assert "accept-language" in page.headers["vary"]
    assert (
        '<html lang="en" dir="ltr">'
        in study.visit(headers={"accept-language": "it"}).get("/join?lang=xx").text
    )
    german = study.visit().get("/join?lang=de").text  # there is no catalogue: the words are English
    assert '<html lang="en" dir="ltr">' in german
    assert 'hreflang="de" aria-current="true"' in german
    led = study.visit()
    assert led.get("/me?lang=ar").headers["location"] == "/join"
    assert '<html lang="ar" dir="rtl">' in led.get("/join").text


def test_every_page_for_people_is_the_labs_and_in_their_language(lab: Open) -> None:
    """Also the pages of errors, and the one to sign in: none has our name."""
    study = lab(max_workers=1)
    stranger = study.visit(headers={"accept-language": "fr"})
    for path, words in (("/nowhere", "Introuvable"), ("/sign-in", "Votre jeton"), ("/w/x", "Introuvable")):
        page = stranger.get(path).text
        assert words in page
        assert "<bdi>Example Lab</bdi>" in page
        assert "FirstHandAPI" not in page
        assert 'href="/review"' not in page
    link = study.path(study.job())
    person = study.joined()
    assert "Complet" in stranger.get("/join").text
    page = person.get(f"{link}?lang=fr").text
    assert 'href="/me"' in page
    assert 'href="/review"' not in page
    assert 'href="/review"' in person.get("/review").text
    answer = upload(person, f"{link}?lang=fr", "a.pdf", b"%PDF-1.7 and more")
    assert "a.pdf: Ce type de fichier n’est pas accepté ici : PDF." in answer.text


def test_a_job_speaks_the_language_of_the_reader(lab: Open) -> None:
    """Where the buyer gave its texts; what is missing is in the first language, and says so."""
    study = lab(languages=["en", "fr", "ar", "de"])
    texts = {
        "fr": {"title": "Panneaux <b>", "description": "Photos de panneaux"},
        "de": {"title": "Schilder"},
        "ar": 3,
    }
    path = study.path(study.job(metadata={"texts": texts}, worker_guidelines="Stand close."))
    person = study.joined()
    french = person.get(f"{path}?lang=fr").text
    assert '<h1 dir="auto">Panneaux &lt;b&gt;</h1>' in french
    assert '<p class="lead" dir="auto">Photos de panneaux</p>' in french
    assert '<p class="lines" dir="auto" lang="en">Stand close.</p>' in french
    assert "<bdi>Panneaux &lt;b&gt;</bdi>" in person.get("/me").text
    assert '<bdi lang="en">Street signs</bdi>' in person.get("/me?lang=ar").text
    assert '<h1 dir="auto" lang="en">Street signs</h1>' in person.get(path).text
    assert '<h1 dir="auto" lang="de">Schilder</h1>' in person.get(f"{path}?lang=de").text
    assert '<h1 dir="auto">Street signs</h1>' in person.get(f"{path}?lang=en").text


def test_the_logo_is_the_labs(lab: Open, tmp_path: Path) -> None:
    """It stands in the place of ours, and can run nothing."""
    (tmp_path / "logo.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    visitor = lab(logo="logo.svg").visit()
    assert 'src="/study/logo"' in visitor.get("/join").text
    logo = visitor.get("/study/logo")
    assert (logo.headers["content-type"], logo.status_code) == ("image/svg+xml", 200)
    assert "sandbox" in logo.headers["content-security-policy"]


def test_without_a_study_there_is_none(team: Team) -> None:
    """A server without a study has no page to join one."""
    assert [team.visit().get(path).status_code for path in ("/join", "/me")] == [404, 404]
