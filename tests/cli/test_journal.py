"""`firsthandapi journal`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cli.support import SPEC, Cli
from firsthandapi.errors import FirstHandConnectionError
from firsthandapi.testing import MockServer


def test_list_and_forget(cli: Cli, fresh_server: MockServer, tmp_path: Path) -> None:
    """What is unknown is listed and can be forgotten, without a key and without the network."""
    path = str(tmp_path / "orders.journal")
    fresh_server.faults.add(path="/v1/jobs", method="POST", drop="after")
    with fresh_server.client() as client, pytest.raises(FirstHandConnectionError) as caught:
        client.with_options(journal=path, max_retries=0).jobs.create(**SPEC)
    key = str(caught.value.idempotency_key)
    cli.set(FIRSTHAND_API_KEY=None)
    shown = cli("journal", "list", path)
    assert shown.code == 0
    assert key in shown.out
    assert "POST /v1/jobs" in shown.out
    (found,) = json.loads(cli("journal", "list", path, "--json").out)
    assert set(found) == {"key", "method", "path", "at", "job_id", "summary"}
    assert found["summary"] == "Photos of street signs in daylight, 3 files, 50 cents per file"
    assert cli("journal", "forget", path, key).err == f"{key} is forgotten.\n"
    again = cli("journal", "forget", path, key)
    assert (again.code, "is not pending" in again.err) == (2, True)
    assert cli("journal", "list", path).err == "Nothing is pending.\n"
    assert json.loads(cli("journal", "list", path, "--json").out) == []


def test_no_journal_is_created(cli: Cli, tmp_path: Path) -> None:
    """A path that was mistyped is said to be one; and another file stays as it is."""
    ran = cli("journal", "list", str(tmp_path / "no.journal"))
    assert ran.code != 0
    assert "no journal exists at" in ran.err
    (tmp_path / "notes.txt").write_text("my notes\n")
    ran = cli("journal", "forget", str(tmp_path / "notes.txt"), "k")
    assert "is not a journal of firsthandapi" in ran.err
    assert (tmp_path / "notes.txt").read_text() == "my notes\n"
    assert not (tmp_path / "no.journal").exists()
