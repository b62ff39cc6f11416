"""The log of who did what."""

from __future__ import annotations

import csv
import io
import json
import sqlite3

import pytest

from firsthandapi_server.serve.activity import Activity, note

from .conftest import EVIL, Team, Visitor


def rows(visitor: Visitor, **query: str) -> list[dict[str, object]]:
    """The log as an operator downloads it, the latest first."""
    text = visitor.get("/console/log.jsonl", params=query).text
    return [json.loads(line) for line in text.splitlines()]


def test_the_log_says_who_did_what(team: Team) -> None:
    """Sign-ins and failed ones, tokens, keys, money, jobs, and reviews, by the ids of those who did it."""
    olga, ben = team.visit("operator"), team.visit("reviewer")
    olga_id, ben_id = (token.id for token in team.access.tokens() if token.name == "Ana")
    assert team.visit().send("/sign-in", token="fh_worker_0").status_code == 403
    olga.send("/console/tokens", name="Wes", role="worker")
    (wes,) = (token.id for token in team.access.tokens() if token.name == "Wes")
    olga.send(f"/console/tokens/{wes}/revoke", confirm="yes")
    olga.send("/console/keys", name="ci", environment="live")
    olga.send("/console/credits", dollars="5")
    job = team.job()
    for stars in ("5", "2", "1"):
        submission = team.sent(job)
        ben.send("/review", **{"submission": submission, "attempt": "1", "stars-0": stars})
    olga.send(f"/console/jobs/{job.id}/cancel")
    pairs = [(row["what"], row["who"]) for row in rows(olga)]
    first = [
        ("sign_in", olga_id),
        ("token.created", "server"),
        ("sign_in", ben_id),
        ("sign_in.failed", None),
        ("token.created", olga_id),
        ("token.revoked", olga_id),
        ("api_key.created", olga_id),
        ("credits.purchased", olga_id),
    ]
    assert [pair for pair in pairs[::-1] if pair in first][-len(first) :] == first
    whats = [event for event, who in pairs if who == ben_id]
    assert whats.count("review.given") == 3
    assert [event for event in whats if event != "review.given"] == [
        "submission.rejected",
        "submission.retry_asked",
        "submission.approved",
        "sign_in",
    ]
    assert ("job.cancelled", olga_id) in pairs
    assert {row["what"] for row in rows(olga, kind="money")} == {"credits.purchased"}
    assert {row["name"] for row in rows(olga, who="aN")} == {"Ana"}
    assert {row["who"] for row in rows(olga, who=ben_id)} == {ben_id}
    assert olga.get("/console/log", params={"kind": "nothing"}).status_code == 400


def test_the_log_contains_no_name(team: Team) -> None:
    """Names are joined when it is shown, so an erased one is gone from it; they are text, and never a formula."""
    olga = team.visit("operator")
    token, _ = team.access.create("worker", f"=1+1 {EVIL}"[:80], 0)
    team.access.note("upload.received", 1.0, token.id, "job_1", files=2)
    assert "<script>" not in olga.get("/console/log").text
    table = [*csv.DictReader(io.StringIO(olga.get("/console/log.csv").text))]
    (line,) = (row for row in table if row["what"] == "upload.received")
    assert line["name"].startswith("'=1+1")
    assert json.loads(line["data"]) == {"files": 2}
    with team.access.transaction() as tables:
        tables.execute("UPDATE tokens SET name = '' WHERE id = ?", (token.id,))
        stored = "\n".join(line for line in tables.iterdump() if "activity" in line)
    assert "1+1" not in stored
    (row,) = (row for row in rows(olga) if row["what"] == "upload.received")
    assert row["name"] is None
    assert row["who"] == token.id


@pytest.mark.parametrize("sql", ["DELETE FROM activity", "UPDATE activity SET who = 'nobody'"])
def test_the_log_is_only_ever_added_to(shared: Team, sql: str) -> None:
    """The database itself refuses anything else."""
    with pytest.raises(sqlite3.IntegrityError, match="kept"), shared.access.transaction() as tables:
        tables.execute(sql)


def test_pages_of_the_log_miss_nothing(team: Team) -> None:
    """Older pages go on where the newer ones end, in both databases."""
    with team.access.transaction() as tables:
        for at in range(250):
            note(tables, "upload.received", float(at), f"wkr_{at}")
    activity = Activity(team.access.look, team.world.state.query)  # type: ignore[attr-defined] # kept in SQLite
    with team.world.lock:
        whole, nothing = activity.page(1000)
        parts, cursor = activity.page(7)
        while cursor is not None:
            more, cursor = activity.page(7, cursor=cursor)
            parts += more
        assert nothing is None
        assert parts == whole
        assert len(whole) > 250
        for wrong in ("1", "x-1", "-1-1", "1-²", f"{1 << 63}-1"):
            with pytest.raises(ValueError, match="before"):
                activity.page(7, cursor=wrong)
    page = team.visit("operator").get("/console/log").text
    assert 'rel="next"' in page
    assert page.count("<tr>") == 101
