"""The operators' page of one person: files, pay, and consent."""

from __future__ import annotations

from .conftest import Open, upload
from .phones import EVIL
from .test_passports import worker_of


def test_an_operator_sees_all_of_one_person(lab: Open) -> None:
    """What they sent and its verdict, what they earned and got, and what they agreed to and withdrew; nobody else may,
    and nothing of another person is there."""
    study = lab()
    job = study.job(title=f"Signs {EVIL}"[:100])
    person, stranger = study.joined(), study.joined()
    worker = worker_of(person)
    for visitor in (person, stranger, person):
        assert upload(visitor, study.path(job), f"{worker_of(visitor)[-4:]}.jpg").status_code == 303
    study.score(job.submissions[0].id, 5)
    study.score(job.submissions[2].id, 1, reason=f"Blurred {EVIL}")
    operator = study.visit("operator", "Olga")
    batch = operator.send("/console/payouts/batch", "/console/payouts").headers["location"].partition("&")[0]
    assert person.send("/me/withdraw", "/me", confirm="yes").status_code == 303
    people = operator.get("/console/people").text
    assert f'href="/console/people/{worker}"' in people
    assert operator.get(f"/console/person?worker={worker}").headers["location"] == f"/console/people/{worker}"
    page = operator.get(f"/console/people/{worker}").text
    for words in (
        "Participant 1",
        worker,
        "Earned <strong>$0.50</strong>; <strong>$0.00</strong>",
        f'href="{batch}"',
        "not paid yet",
        "Version 2",
        "You agree that your photos serve research.",
        "own work, adult, people shown agree",
        "withdrawn",
        "Blurred &lt;script&gt;",
        f"{worker[-4:]}.jpg",
    ):
        assert words in page, words
    assert "<script>alert" not in page
    assert worker_of(stranger) not in page
    for who in (person, study.visit("reviewer", "Rui")):
        assert who.get(f"/console/people/{worker}").status_code == 403
    for unknown in (f"wkr_{'0' * 26}", job.submissions[0].files[0].id, "x"):
        assert operator.get(f"/console/people/{unknown}").status_code == 404
        assert operator.get(f"/console/person?worker={unknown}").status_code == 404


def test_whoever_was_erased_has_a_page_without_a_name(lab: Open) -> None:
    """What they are owed is still to be seen, under their number."""
    study = lab()
    job = study.job()
    person = study.joined()
    worker = worker_of(person)
    assert upload(person, study.path(job), "ana.jpg").status_code == 303
    study.score(job.submissions[0].id, 5)
    operator = study.visit("operator", "Olga")
    assert operator.send("/console/erase", f"/console/people/{worker}", subject=worker).status_code == 303
    page = operator.get(f"/console/people/{worker}").text
    assert "Without a name" in page
    assert "<strong>$0.50</strong> of it is in no batch" in page
    assert "ana.jpg" not in page


def test_much_is_on_pages(lab: Open) -> None:
    """Fifty submissions on each, the latest first."""
    study = lab()
    job = study.job(files_needed=60)
    worker = worker_of(study.joined())
    with study.world.lock:
        for _ in range(51):
            study.sent(job, worker=worker)
    operator = study.visit("operator", "Olga")
    page = operator.get(f"/console/people/{worker}").text
    assert page.count('<li id="file_') == 50
    assert 'rel="next"' in page
