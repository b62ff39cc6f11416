"""A damaged page of a database is explained, wherever it is: in words, and never as a traceback."""

from __future__ import annotations

import logging
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from firsthandapi.errors import ConfigurationError
from firsthandapi_server.serve.service import Service

from .conftest import JOB, Visitor, first_of, running

# Every column is written by something below, so that each table has a row.
HOOK = "https://hooks.example.org/in"
PAGES = (
    "/",
    "/review",
    "/console",
    "/console/people",
    "/console/deliveries",
    "/console/ledger",
    "/console/log",
)
_NOTICED = {
    "state.db": {
        *(
            "accounts",
            "audit",
            "books",
            "deliveries",
            "endpoints",
            "events",
            "files",
            "jobs",
            "keys",
            "loose",
        ),
        *("lots", "meta", "organizations", "replies", "submissions", "transactions"),
    },
    "access.db": {"activity", "secrets", "sessions", "tokens"},
}
CALLS = (
    "/v1/me",
    "/v1/jobs",
    "/v1/submissions",
    "/v1/events",
    "/v1/audit-events",
    "/v1/billing/credits",
    "/v1/billing/transactions",
    "/v1/webhook-endpoints",
    "/v1/api-keys",
)


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, str, str]:
    """A folder with rows in every table; a key, an operator's token, and a job."""
    folder = tmp_path_factory.mktemp("good") / "data"
    with running(folder) as team:
        team.buyer.webhooks.create(url=HOOK)
        team.buyer.billing.purchase(1000)
        job = team.job()
        for stars in (5, 1):
            team.score(team.sent(job), stars)
        team.sent(job)
        operator = first_of(team.service).operator
        team.visit().send("/sign-in", token=operator)
        return folder, team.key, operator, job.id


def roots(path: Path) -> Iterator[tuple[str, int, int]]:
    """Each table and index of a database, with its first page and the size of a page."""
    with closing(sqlite3.connect(path)) as rows:
        rows.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (size,) = rows.execute("PRAGMA page_size").fetchone()
        for name, page in rows.execute(
            "SELECT name, rootpage FROM sqlite_master WHERE rootpage > 0"
        ).fetchall():
            yield name, page, size


def ask(service: Service, key: str, operator: str, job: str) -> list[httpx.Response]:
    """What a buyer and an operator ask for in a day."""
    with httpx.Client(base_url=service.url, trust_env=False, timeout=30) as buyer:
        buyer.headers["authorization"] = f"Bearer {key}"
        answers = [buyer.get(path) for path in (*CALLS, f"/v1/jobs/{job}", f"/v1/jobs/{job}/files")]
        body, headers = {"type": "data_collection", **JOB}, {"idempotency-key": "again"}
        answers.append(buyer.post("/v1/jobs", json=body, headers=headers))
    visitor = Visitor(service)
    answers.append(visitor.get("/sign-in"))
    if answers[-1].status_code == 200:
        answers.append(visitor.send("/sign-in", token=operator))
    answers += [visitor.get(path) for path in (*PAGES, f"/console/jobs/{job}")]
    visitor.http.close()
    return answers


@pytest.mark.parametrize(
    ("database", "chosen"),
    [
        ("state.db", {"jobs", "transactions", "keys", "replies"}),
        ("access.db", {"sessions", "activity"}),
        pytest.param("state.db", None, marks=pytest.mark.slow),
        pytest.param("access.db", None, marks=pytest.mark.slow),
    ],
)
def test_a_damaged_page_is_explained(
    good: tuple[Path, str, str, str],
    tmp_path: Path,
    database: str,
    chosen: set[str] | None,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """At a start by one message, later by a page or an error of the API that says what to do, and by `/healthz`."""
    folder, *who = good
    refused, explained = set[str](), set[str]()
    for name, page, size in roots(folder / database):
        if chosen is not None and name not in chosen:
            continue
        shutil.copytree(folder, tmp_path / name)
        with (tmp_path / name / database).open("r+b") as file:
            file.seek((page - 1) * size)
            file.write(b"\xa5" * size)
        caplog.clear()
        try:
            with Service(tmp_path / name) as service, caplog.at_level(logging.ERROR):
                answers = ask(service, *who)
                health = httpx.get(f"{service.url}/healthz", trust_env=False, timeout=60)
        except ConfigurationError as error:
            words = str(error)
            assert f"{database} is damaged" in words
            assert "restore the folder from a backup" in words
            refused.add(name)
            continue
        failed = [answer for answer in answers if answer.status_code >= 500]
        for answer in failed:
            is_call = answer.request.url.path.startswith("/v1/")
            assert answer.status_code == (500 if is_call else 503), answer.request.url
            assert "restore the folder from a backup" in answer.text
        assert [record for record in caplog.records if record.exc_info] == []
        if failed:
            assert health.status_code == 503
            assert "backup" in health.text
            explained.add(name)
    # Pages that nothing has asked for yet, such as those of the jobs' workers, stay unnoticed.
    assert refused | explained >= (chosen or _NOTICED[database])
