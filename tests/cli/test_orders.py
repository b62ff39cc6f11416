"""`firsthandapi orders`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cli.support import SPEC, Cli
from firsthandapi.errors import FirstHandConnectionError, WaitTimeoutError
from firsthandapi.testing import MockServer


def test_list_and_forget(cli: Cli, fresh_server: MockServer, tmp_path: Path) -> None:
    """Orders are listed and given up without a key and without the network."""
    book = str(tmp_path / "signs")
    fresh_server.faults.add(path="/v1/jobs", method="POST", drop="after")
    with fresh_server.client() as client, pytest.raises(FirstHandConnectionError) as caught:
        client.with_options(max_retries=0).jobs.collect(book, **SPEC)
    key = str(caught.value.idempotency_key)
    cli.set(FIRSTHAND_API_KEY=None)
    run = cli("orders", "list", book)
    assert run.code == 0
    assert key in run.out
    assert "unconfirmed" in run.out
    (order,) = json.loads(cli("orders", "list", book, "--json").out)
    assert (order["key"], order["cost_cents"], order["job_id"]) == (key, 150, None)
    assert order["summary"] == "Photos of street signs in daylight"
    assert cli("orders", "forget", book, key).err == f"{key} is forgotten.\n"
    repeat = cli("orders", "forget", book, key)
    assert (repeat.code, "is of no order" in repeat.err) == (2, True)
    assert "forgotten" in cli("orders", "list", book).out


def test_check(cli: Cli, fresh_server: MockServer, tmp_path: Path) -> None:
    """It exits with 1 if a charge is unexplained or a job is a duplicate."""
    book = str(tmp_path / "signs")
    with fresh_server.client() as client:
        with pytest.raises(WaitTimeoutError):
            client.jobs.collect(book, **SPEC, timeout=0)
        checked = cli("orders", "check", book)
        assert (checked.code, checked.out) == (0, "1 order: $1.50 expected, $1.50 charged\n")
        (recorded,) = client.orders.list(book)
        twin = client.jobs.create(**SPEC, metadata={"firsthandapi_key": recorded.key})
    checked = cli("orders", "check", book)
    assert checked.code == 1
    assert f"cancel it with firsthandapi jobs cancel {twin.id}" in checked.out
    checked = cli("orders", "check", book, "--json")
    report = json.loads(checked.out)
    assert (checked.code, report["charged_cents"], report["expected_cents"]) == (1, 300, 150)
    assert [job["id"] for job in report["duplicates"]] == [twin.id]
    assert [charge["job_id"] for charge in report["unexplained"]] == [twin.id]


def test_a_path_that_is_no_book(cli: Cli, tmp_path: Path) -> None:
    """A mistyped path is named, and nothing is created there."""
    listed = cli("orders", "list", str(tmp_path / "sings"))
    assert (listed.code, "no orders are recorded in" in listed.err) == (2, True)
    assert not (tmp_path / "sings").exists()
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "journal.lock").touch()
    assert cli("orders", "list", str(tmp_path / "empty")).err == "No orders.\n"
