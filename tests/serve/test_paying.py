"""The operators' page of payouts, and what people see of them."""

from __future__ import annotations

import re
from io import BytesIO
from pathlib import Path
from zipfile import ZipFile

from .conftest import Open, upload
from .phones import EVIL
from .test_passports import worker_of


def test_a_batch_is_made_paid_and_seen(lab: Open) -> None:
    """The operator sees who is owed what, makes a batch, downloads it, and enters a reference, which people see."""
    study = lab()
    job = study.job()
    person = study.joined()
    assert upload(person, study.path(job)).status_code == 303
    study.score(job.submissions[0].id, 5)
    operator = study.visit("operator", "Olga")
    page = operator.get("/console/payouts").text
    assert "Participant 1" in page
    assert "<strong>$0.50</strong> to 1 person" in page
    assert "$0.50" in operator.get("/console/payouts.csv").text.replace("50,USD", "$0.50")
    reply = operator.send("/console/payouts/batch", "/console/payouts")
    where = reply.headers["location"]
    assert (reply.status_code, "done=batched" in where) == (303, True)
    second_reply = operator.send("/console/payouts/batch", "/console/payouts")
    assert second_reply.headers["location"].endswith("?done=nothing")
    assert "Payment is being prepared." in person.get("/me").text
    page = operator.get(where).text
    assert "Not paid yet" in page
    (batch,) = {*re.findall(r"batch_\w{26}", page)}
    rows = operator.get(f"/console/payouts.csv?batch={batch}")
    assert rows.headers["content-disposition"] == 'attachment; filename="payouts.csv"'
    assert rows.text.splitlines()[1].split(",")[1:6] == ["Participant 1", "1", "50", "USD", batch]
    paid = {"batch": batch, "reference": f"SEPA {EVIL}"}
    assert operator.send("/console/payouts/paid", where, batch=batch).status_code == 400
    assert operator.send("/console/payouts/paid", where, **paid).headers["location"].endswith("done=paid")
    for seen in (operator.get(where).text, operator.get("/console/payouts").text, person.get("/me").text):
        assert "SEPA &lt;script&gt;" in seen
        assert "<script>alert" not in seen
    assert "Paid on" in person.get("/me").text
    assert operator.get("/console/payouts?batch=batch_0").status_code == 404


def test_volunteers_see_no_money_in_any_language(lab: Open, tmp_path: Path) -> None:
    """Their pages, their export, and the card of the dataset know no amount; prices are the buyer's budget alone."""
    study = lab(pay="none")
    job = study.job(files_needed=2)
    person = study.joined()
    link = study.path(job)
    for stars in (5, 1):
        assert upload(person, link).status_code == 303
        study.score(job.submissions[-1].id, stars)
    for language in ("en", "fr", "ar"):
        for path in ("/me", "/me/pay", link, "/privacy", "/join"):
            page = person.get(f"{path}?lang={language}").text
            assert not re.search(r"\$|0[.,]50|pay_address|earned|gagné|Paiement|الأجر|ما كسبته", page), (
                language,
                path,
            )
    assert "earned" not in person.send("/me/withdraw", "/me").text
    archive = ZipFile(BytesIO(person.get("/me/data.zip").content))
    assert "cents" not in archive.read("data.json").decode()
    assert person.send("/me/pay", "/me/pay", contact="ana@example.org").status_code == 303, (
        "to be told of their files"
    )
    assert "$" not in study.visit("reviewer", "Rui").get("/review").text
    operator = study.visit("operator", "Olga")
    assert "pays nobody" in operator.get("/console/payouts").text
    assert "pays nobody" in operator.get(f"/console/people/{worker_of(person)}").text
    assert operator.get("/console/payouts.csv").text.count("\n") == 1
    bought = study.buyer.jobs.get(job.id)
    assert (bought.price_per_file_cents, bought.pay, bought.currency) == (50, "none", None)
    card = study.buyer.files.download_all(job.id, tmp_path / "signs").write_card()
    assert "Nobody was paid for 1 file." in card.path.read_text("utf-8")
    assert "$" not in card.path.read_text("utf-8")
    farewell = person.send("/me/delete", "/me").headers["location"]
    assert "earned" not in person.get(farewell).text


def test_amounts_are_in_the_currency_of_the_study(lab: Open, tmp_path: Path) -> None:
    """On the pages of everybody, in the table, and in the card."""
    study = lab(currency="EUR")
    job = study.job()
    person = study.joined()
    assert upload(person, study.path(job)).status_code == 303
    study.score(job.submissions[0].id, 5)
    operator = study.visit("operator", "Olga")
    for visitor, path in (
        (person, "/me"),
        (person, study.path(job)),
        (operator, "/console/payouts"),
        (operator, "/console/ledger"),
        (operator, "/console"),
        (operator, f"/console/jobs/{job.id}"),
    ):
        page = visitor.get(path).text
        assert ("0.50 EUR" in page or "0.00 EUR" in page, "$" in page) == (True, False), path
    assert ",50,EUR,,," in operator.get("/console/payouts.csv").text
    assert study.buyer.jobs.get(job.id).currency == "EUR"
    card = study.buyer.files.download_all(job.id, tmp_path / "signs").write_card()
    assert " for 0.50 EUR." in card.path.read_text("utf-8")


def test_only_operators_see_it(lab: Open) -> None:
    """Workers and reviewers see neither the page nor the table."""
    study = lab()
    for who in (study.joined(), study.visit("reviewer", "Rui")):
        for path in ("/console/payouts", "/console/payouts.csv"):
            assert who.get(path).status_code == 403
        assert (
            who.send(
                "/console/payouts/batch", "/me" if who.get("/me").status_code == 200 else "/review"
            ).status_code
            == 403
        )


def test_many_people_are_on_pages(lab: Open) -> None:
    """A hundred on each; the sum is that of all."""
    study = lab()
    job = study.job(files_needed=120)
    with study.world.lock:
        for number in range(101):
            study.score(study.sent(job, worker=f"wkr_{number:026}"), 5)
    operator = study.visit("operator")
    page = operator.get("/console/payouts").text
    assert "<strong>$50.50</strong> to 101 people" in page
    assert len(re.findall("<code[^>]*>wkr_", page)) == 100
    older = re.search(r'href="([^"]+)" rel="next"', page)
    assert older is not None
    assert len(re.findall("<code[^>]*>wkr_", operator.get(f"/console/payouts{older[1]}").text)) == 1
