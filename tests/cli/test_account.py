"""The command line at keys, money, settings and the audit log."""

from __future__ import annotations

import io
import json
import sys

import pytest

from cli.support import Cli
from firsthandapi.testing import MockServer

SPEC = {
    "description": "Photos of street signs in daylight",
    "files_needed": 2,
    "accepted_formats": ["image/jpeg"],
    "price_per_file_cents": 50,
}


@pytest.fixture
def cli(fresh_server: MockServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    return Cli(monkeypatch, capsys).at(fresh_server)


def test_a_key_is_shown_once_by_create_and_rotate(cli: Cli, fresh_server: MockServer) -> None:
    """The secret goes to stdout in both forms, a word on keeping it to stderr, and no list has it."""
    shown = cli("keys", "create", "--name", "ci", "--scopes", "jobs:read", "--environment", "live")
    secret = shown.out.split("secret")[1].strip()
    assert secret.startswith("fh_live_")
    assert "not shown again" in shown.err
    made = cli("keys", "create", "--name", "test", "--environment", "test", "--json")
    assert json.loads(made.out)["secret"].startswith("fh_test_")
    assert made.err == ""
    listed = cli("keys", "list", "--json")
    (key_id,) = [key["id"] for key in json.loads(listed.out) if key["name"] == "ci"]
    rotated = json.loads(cli("keys", "rotate", key_id, "--json").out)
    assert rotated["secret"] != secret
    for text in (listed.out, cli("keys", "list").out):
        assert secret not in text
        assert rotated["secret"] not in text
    assert cli.at(fresh_server, rotated["secret"])("jobs", "list").code == 0


def test_scopes_may_be_joined_by_commas(cli: Cli) -> None:
    """Or given one by one, or both; a wrong one is named with all that are allowed."""
    for options in (
        ("--scopes", "jobs:read,jobs:write"),
        ("--scopes", "jobs:read", "--scopes", "jobs:write, jobs:read"),
    ):
        made = json.loads(cli("keys", "create", "--name", "ci", *options, "--json").out)
        assert made["scopes"] == ["jobs:read", "jobs:write"]
    for nothing in ("", " , "):  # a variable that is not set must not make a key with all scopes
        assert cli("keys", "create", "--name", "ci", "--scopes", nothing).code == 2
    wrong = cli("keys", "create", "--name", "ci", "--scopes", "jobs:read,jobs")
    assert wrong.code == 2
    assert "'jobs' is not one of jobs:read, jobs:write" in wrong.err


def test_a_list_that_is_cut_says_so(cli: Cli) -> None:
    """Who asks for fewer than there are, by an option or by default, learns it beside the list; JSON stays JSON."""
    for name in ("a", "b"):
        cli("keys", "create", "--name", name)
    for options in ((), ("--json",)):
        cut = cli("keys", "list", "--limit", "2", *options)
        assert cut.err == "Showing the first 2; use --limit to show more.\n"
        assert cli("keys", "list", "--limit", "4", *options).err == ""
        assert cli("keys", "list", "--limit", "9" * 20, *options).err == ""
    assert len(json.loads(cli("keys", "list", "--limit", "2", "--json").out)) == 2


def test_a_key_in_the_place_of_its_id_is_not_sent(cli: Cli, fresh_server: MockServer) -> None:
    """Addresses are logged by whoever they pass, so a key must not become part of one; nor is it quoted."""
    for arguments in (("keys", "revoke", fresh_server.api_key), ("keys", "rotate", fresh_server.api_key)):
        run = cli(*arguments)
        assert run.code == 2
        assert "not a key" in run.err
        assert fresh_server.api_key not in run.err
    assert not any(fresh_server.api_key in request.path for request in fresh_server.requests)


def test_revoking_another_key_asks_nothing(cli: Cli) -> None:
    """It is off at once."""
    key = json.loads(cli("keys", "create", "--name", "ci", "--json").out)
    run = cli("keys", "revoke", key["id"])
    assert (run.code, run.out, run.err) == (0, "", f"Revoked {key['id']}.\n")
    assert "revoked" in cli("keys", "list").out
    cli.set(FIRSTHAND_API_KEY=key["secret"])
    assert cli("whoami").code == 1


def test_revoking_the_key_in_use_needs_a_yes(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a script it is refused without --yes; a person is asked."""
    key = json.loads(cli("keys", "create", "--name", "mine", "--json").out)
    cli.set(FIRSTHAND_API_KEY=key["secret"])
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    refused = cli("keys", "revoke", key["id"])
    assert refused.code == 2
    assert "--yes" in refused.err
    monkeypatch.setattr(sys, "stdin", _Person("n\n"))
    assert cli("keys", "revoke", key["id"]).code == 1
    assert cli("whoami").code == 0
    monkeypatch.setattr(sys, "stdin", _Person("y\n"))
    assert cli("keys", "revoke", key["id"]).code == 0
    assert cli("whoami").code == 1


def test_yes_revokes_the_key_in_use(cli: Cli) -> None:
    """--yes is the answer, and a key that is not there is the service's to refuse."""
    key = json.loads(cli("keys", "create", "--name", "mine", "--json").out)
    cli.set(FIRSTHAND_API_KEY=key["secret"])
    missing = cli("keys", "revoke", "key_01JDXYZ0000000000000000000")
    assert missing.code == 1
    assert "HTTP 404" in missing.err
    assert cli("keys", "revoke", key["id"], "--yes").code == 0


class _Person(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_settings_are_shown_and_changed(cli: Cli) -> None:
    """What is left out stays; nothing to change, and an amount that is not sold, are usage errors."""
    shown = cli("settings")
    assert "automatic top-up" in shown.out
    changed = cli("settings", "update", "--auto-top-up", "--auto-top-up-amount-cents", "5000", "--json")
    assert json.loads(changed.out)["auto_top_up_enabled"] is True
    priced = cli("settings", "update", "--default-type", "feedback", "--default-price-per-file-cents", "75")
    assert "$0.75" in priced.out
    now = json.loads(cli("settings", "--json").out)
    assert now["auto_top_up_amount_cents"] == 5000
    assert now["default_type"] == "feedback"
    assert (
        json.loads(cli("settings", "update", "--no-auto-top-up", "--json").out)["auto_top_up_enabled"]
        is False
    )
    for arguments, told in (
        ((), "nothing to change"),
        (("--auto-top-up-amount-cents", "7"), "1000, 2500, 5000, 10000 or 25000"),
        (("--default-type", "poll"), "'data_collection', 'feedback'"),
    ):
        run = cli("settings", "update", *arguments)
        assert run.code == 2
        assert told in run.err
        assert run.err.count("\n") == 1


def test_transactions_and_audit_are_listed_and_filtered(cli: Cli, fresh_server: MockServer) -> None:
    """Money has its sign, filters reach the service, and --limit is the most there is."""
    with fresh_server.client() as client:
        job = client.jobs.create(**SPEC)
        client.jobs.create(**SPEC)
    listed = cli("transactions")
    assert "-$1.00" in listed.out
    assert "$1,000.00" in listed.out
    assert len(json.loads(cli("transactions", "--type", "deduction", "--json").out)) == 2
    assert len(json.loads(cli("transactions", "--limit", "1", "--json").out)) == 1
    done = cli("audit", "--job-id", job.id)
    assert done.out.count("job.created") == 1
    assert json.loads(cli("audit", "--event-type", "job.completed", "--json").out) == []
    # The set of types is open: a new one is the service's to know.
    nothing = cli("audit", "--event-type", "job.praised")
    assert (nothing.code, nothing.out, nothing.err) == (0, "", "No results.\n")


def test_purchase_prints_where_to_pay(cli: Cli) -> None:
    """It buys nothing by itself, and names what is sold when asked for anything else."""
    assert "http" in cli("purchase", "2500").out
    assert "checkout_url" in json.loads(cli("purchase", "1000", "--json").out)
    assert json.loads(cli("balance", "--json").out)["balance_cents"] == 100_000
    wrong = cli("purchase", "3")
    assert wrong.code == 2
    assert "1000, 2500, 5000, 10000 or 25000" in wrong.err


def test_signup_needs_no_key_and_prints_one(cli: Cli) -> None:
    """The first key goes to stdout, once."""
    cli.set(FIRSTHAND_API_KEY=None)
    shown = cli("signup", "--name", "Signs", "--email", "me@example.com")
    assert "fh_live_" in shown.out
    assert "not shown again" in shown.err
    made = json.loads(cli("signup", "--name", "More Signs", "--email", "us@example.com", "--json").out)
    cli.set(FIRSTHAND_API_KEY=made["api_key"])
    assert json.loads(cli("whoami", "--json").out)["organization_id"] == made["organization_id"]


def test_submissions_in_detail_and_in_figures(cli: Cli, fresh_server: MockServer) -> None:
    """get and summary, for people and for programs, with the signed URL only on request."""
    with fresh_server.client() as client:
        job = client.jobs.create(**SPEC)
    work = fresh_server.submit(job.id, rating=4)
    fresh_server.submit(job.id, rating=1)
    fresh_server.clock.advance(seconds=60)
    shown = cli("submissions", "get", work.submission_id)
    assert "★★★★" in shown.out
    assert "file_url" not in json.loads(cli("submissions", "get", work.submission_id, "--json").out)
    assert json.loads(cli("submissions", "get", work.submission_id, "--json", "--urls").out)["id"]
    figures = cli("submissions", "summary", "--job-id", job.id)
    assert "50%" in figures.out
    assert json.loads(cli("submissions", "summary", "--json").out)["total"] == 2
    good = cli("submissions", "list", "--min-score", "4", "--start-date", "2020-01-01T00:00:00Z", "--json")
    assert [one["id"] for one in json.loads(good.out)] == [work.submission_id]


def test_jobs_follow_prints_each_file(cli: Cli, fresh_server: MockServer) -> None:
    """A line a file, in both forms; the signed URL only on request."""
    with fresh_server.client() as client:
        job = client.jobs.create(**SPEC)
    fresh_server.submit(job.id, rating=4)
    fresh_server.submit(job.id, rating=5)
    fresh_server.clock.advance(seconds=60)
    lines = cli("jobs", "follow", job.id).out.splitlines()
    assert len(lines) == 2
    assert all("image/jpeg" in line for line in lines)
    plain = cli("jobs", "follow", job.id, "--json").out.splitlines()
    assert {json.loads(line)["ai_star_rating"] for line in plain} == {4, 5}
    assert "X-Amz" not in "".join(plain)
    assert cli("jobs", "follow", job.id, "--json", "--urls").out.count("X-Amz-Signature") == 2


def test_jobs_rate_shows_the_rating(cli: Cli, fresh_server: MockServer) -> None:
    """Stars and words come back; six stars are a usage error."""
    with fresh_server.client() as client:
        job = client.jobs.create(**SPEC)
    fresh_server.submit(job.id)
    fresh_server.submit(job.id)
    fresh_server.clock.advance(seconds=60)
    rated = cli("jobs", "rate", job.id, "--rating", "3", "--feedback", "Sharp")
    assert "★★★" in rated.out
    assert "Sharp" in rated.out
    assert cli("jobs", "rate", job.id, "--rating", "6").code == 2
