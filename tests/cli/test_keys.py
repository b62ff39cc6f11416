"""`firsthandapi keys`."""

from __future__ import annotations

import io
import json
import sys

import pytest

from cli.support import Cli, Person
from firsthandapi.testing import MockServer


def test_a_key_is_shown_once_by_create_and_rotate(cli: Cli, fresh_server: MockServer) -> None:
    """The secret goes to stdout in both forms, a word on keeping it to stderr, and no list has it."""
    run = cli("keys", "create", "--name", "ci", "--scopes", "jobs:read", "--environment", "live")
    secret = run.out.split("secret")[1].strip()
    assert secret.startswith("fh_live_")
    assert "not shown again" in run.err
    as_json = cli("keys", "create", "--name", "test", "--environment", "test", "--json")
    assert json.loads(as_json.out)["secret"].startswith("fh_test_")
    assert as_json.err == ""
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
        key = json.loads(cli("keys", "create", "--name", "ci", *options, "--json").out)
        assert key["scopes"] == ["jobs:read", "jobs:write"]
    for nothing in ("", " , "):  # a variable that is not set must not make a key with all scopes
        assert cli("keys", "create", "--name", "ci", "--scopes", nothing).code == 2
    wrong = cli("keys", "create", "--name", "ci", "--scopes", "jobs:read,jobs")
    assert wrong.code == 2
    assert "'jobs' is not one of jobs:read, jobs:write" in wrong.err


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
    monkeypatch.setattr(sys, "stdin", Person("n\n"))
    assert cli("keys", "revoke", key["id"]).code == 1
    assert cli("whoami").code == 0
    monkeypatch.setattr(sys, "stdin", Person("y\n"))
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
