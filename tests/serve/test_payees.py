"""Where people want their pay: only the pages of pay show it, and it is erased with the person."""

from __future__ import annotations

import io
import re
import sqlite3
import zipfile
from contextlib import closing

from firsthandapi_server.serve.access import FILE

from .conftest import Open, upload
from .phones import EVIL
from .test_passports import worker_of

GIVEN = {"contact": f"ana@example.org {EVIL}", "pay_address": "NG12 3456"}


def test_what_somebody_gives_is_seen_on_the_pages_of_pay_alone(lab: Open) -> None:
    """Their own one and the operator's: no other page, no export, no table, and no log has it."""
    study = lab()
    job = study.job()
    person = study.joined()
    assert upload(person, study.path(job)).status_code == 303
    study.score(job.submissions[0].id, 5)
    worker = worker_of(person)
    assert person.send("/me/pay", "/me/pay", **GIVEN).headers["location"] == "/me/pay?saved=1"
    html = person.get("/me/pay?saved=1").text
    assert ("Saved." in html, "NG12 3456" in html, "ana@example.org &lt;script" in html) == (True, True, True)
    operator = study.visit("operator", "Olga")
    owed = operator.get("/console/payouts").text
    batch = operator.send("/console/payouts/batch", "/console/payouts").headers["location"]
    for page in (owed, operator.get(batch).text):
        assert ("NG12 3456" in page, "ana@example.org &lt;script" in page) == (True, True)
        assert "<script>alert" not in page
    archive = zipfile.ZipFile(io.BytesIO(person.get("/me/data.zip").content))
    elsewhere = [archive.read("data.json").decode(), person.get("/me").text]
    elsewhere += [
        operator.get(f"/console/{path}").text for path in ("people", "log", "log.csv", "payouts.csv", "")
    ]
    elsewhere += [operator.get("/review").text, study.visit().get("/privacy").text]
    assert not [page for page in elsewhere if "NG12" in page or "ana@" in page]
    assert worker in operator.get("/console/log.csv?kind=money").text, "that it was changed is in the log"


def test_it_is_optional_and_ends_with_its_person(lab: Open) -> None:
    """Left empty, nothing is kept; erased, not a byte is."""
    study = lab()
    person = study.joined()
    assert person.send("/me/pay", "/me/pay", contact="x" * 201).status_code == 400
    assert person.send("/me/pay", "/me/pay", contact="a\u202eb").status_code == 400
    for fields in (GIVEN, {}, GIVEN):
        assert person.send("/me/pay", "/me/pay", **fields).status_code == 303
        with closing(sqlite3.connect(study.folder / FILE)) as rows:
            assert rows.execute("SELECT count(*) FROM payees").fetchone() == (bool(fields),)
    assert person.send("/me/withdraw", "/me", confirm="yes").status_code == 303
    assert "NG12 3456" in person.get("/me/pay").text, "whoever withdraws keeps their pay"
    assert person.send("/me/delete", "/me").status_code == 303
    paths = [path for path in study.folder.rglob("*") if path.is_file()]
    assert not [path for path in paths if re.search(b"NG12|ana@example", path.read_bytes())]
    assert person.get("/me/pay").headers["location"].startswith("/join")
