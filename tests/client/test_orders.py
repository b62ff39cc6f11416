"""`client.orders`: what books have recorded, and what the account was charged."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from firsthandapi import Campaign, Dataset
from firsthandapi._core.orders.record import ORDERS, OrderRecord, marked, read_record
from firsthandapi.errors import (
    ConfigurationError,
    FirstHandConnectionError,
    IncompleteJobError,
    InvalidArgumentError,
    WaitTimeoutError,
)
from firsthandapi.testing import MockServer

from .support import JOB, KEY, Connect

SENT_AT = 1_800_000_000.0


def written(folder: Path, record: OrderRecord, name: str = "order") -> Path:
    """A book with this record."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_bytes(record.encode())
    return folder


def order(key: str = "k1", **fields: Any) -> OrderRecord:
    return OrderRecord(
        key=key, request=marked({**JOB, "type": "data_collection"}, key), first_sent_at=SENT_AT, **fields
    )


def posted(client: Any, book: Path) -> str:
    """Collect into a folder, as far as its job; the id of that."""
    with pytest.raises(WaitTimeoutError) as caught:
        client.jobs.collect(book, **JOB, timeout=0)
    return str(caught.value.job.id)


def test_an_account_is_checked(connect: Connect, fresh_server: MockServer, tmp_path: Path) -> None:
    """Every cent is explained, whether the book is a dataset, a campaign, a path, or several of them."""
    client = connect(fresh_server)
    book = tmp_path / "signs"
    job_id = posted(client, book)
    client.jobs.create(**JOB)  # somebody else's
    journal = written(tmp_path / "journal", replace(order("k2"), kind="call"))
    campaign = Campaign(dest=book, budget_cents=100, jobs={"stop": {**JOB}})  # type: ignore[dict-item] # it is checked
    for books in ([book], [str(book), campaign]):
        check = client.orders.check(*books)
        assert check
        assert (check.orders, check.charged_cents) == (1, 100)
    assert client.orders.check(book, journal).expected_cents == 200
    fresh_server.submit(job_id)
    fresh_server.clock.advance(minutes=1)
    client.jobs.cancel(job_id)
    with pytest.raises(IncompleteJobError) as cancelled:
        client.jobs.collect(book, **JOB)
    check = client.orders.check(cancelled.value.dataset)
    assert (check.orders, check.expected_cents, check.charged_cents) == (1, 50, 50)
    assert check


def test_twins_and_fees_are_named(connect: Connect, fresh_server: MockServer, tmp_path: Path) -> None:
    """A second job with the key of an order, and a charge that no order explains."""
    client = connect(fresh_server)
    book = tmp_path / "signs"
    posted(client, book)
    (recorded,) = client.orders.list(book)
    twin = client.jobs.create(**JOB, metadata={"firsthandapi_key": recorded.key})
    check = client.orders.check(book)
    assert not check
    assert [job.id for job in check.duplicates] == [twin.id]
    assert [charge.job_id for charge in check.unexplained] == [twin.id]
    assert (check.expected_cents, check.charged_cents) == (100, 200)
    client.jobs.cancel(twin.id)
    assert client.orders.check(book)


def test_orders_are_listed(connect: Connect, tmp_path: Path) -> None:
    """Without a request, each book's oldest order first."""
    client = connect(base_url="http://127.0.0.1:9")
    book = tmp_path / "signs"
    written(book / ORDERS, order("k1", label="stop"), "label-stop")
    written(
        book / ORDERS, replace(order("k2", job={"id": "job_1", "status": "open"}), first_sent_at=1.0), "k2"
    )
    ledger = written(tmp_path / "ledger", replace(order("k3"), kind="allotment", cents=900))
    listed = client.orders.list(str(book), ledger)
    assert [(order.key, order.status, order.cost_cents) for order in listed] == [
        ("k2", "open", 100),
        ("k1", "unconfirmed", 100),
        ("k3", "allotment", 900),
    ]
    assert (listed[0].book, listed[1].label) == (str(book), "stop")
    assert KEY not in repr(listed)


def test_an_order_is_forgotten(connect: Connect, fresh_server: MockServer, tmp_path: Path) -> None:
    """It costs nothing from then on, and the same call buys with another key. A job that shows up later is named."""
    book = tmp_path / "signs"
    client = connect(fresh_server, max_retries=0)
    fresh_server.faults.add(path="/v1/jobs", method="POST", drop="after")
    with pytest.raises(FirstHandConnectionError):
        client.jobs.collect(book, **JOB)
    (lost,) = client.orders.list(book)
    assert (lost.status, lost.cost_cents) == ("unconfirmed", 100)
    client.orders.forget(book, lost.key)
    assert [(order.status, order.cost_cents) for order in client.orders.list(book)] == [("forgotten", 0)]
    job_id = posted(client, book)
    first, second = client.orders.list(book)
    assert (first.key, first.status, second.job_id) == (lost.key, "forgotten", job_id)
    assert first.key != second.key
    check = client.orders.check(book)
    assert (check.expected_cents, check.charged_cents, len(check.unexplained)) == (100, 200, 1)
    assert len(Dataset.open(book).jobs) == 1
    with pytest.raises(InvalidArgumentError, match=f"key {second.key} has bought {job_id}"):
        client.orders.forget(book, second.key)
    for key in ("k9", lost.key):
        with pytest.raises(
            InvalidArgumentError, match=f"key {key} is of no order in .*signs that can be given up"
        ):
            client.orders.forget(book, key)


def test_an_order_of_a_ledger_is_forgotten_where_it_is(connect: Connect, tmp_path: Path) -> None:
    """For its owner alone, as before. What agents have set aside for a campaign is no order."""
    client = connect(base_url="http://127.0.0.1:9")
    ledger = written(tmp_path / "ledger", order("k1"), "k1")
    written(ledger, replace(order("k2"), kind="allotment", cents=900), "k2")
    (ledger / "k1.json").chmod(0o600)
    mode = (ledger / "k1.json").stat().st_mode
    client.orders.forget(ledger, "k1")
    assert read_record((ledger / "k1.json").read_bytes(), "k1.json").is_free
    assert (ledger / "k1.json").stat().st_mode == mode
    with pytest.raises(InvalidArgumentError, match="key k2 is of no order"):
        client.orders.forget(ledger, "k2")


def test_a_call_of_a_journal_is_forgotten(connect: Connect, fresh_server: MockServer, tmp_path: Path) -> None:
    """It is listed and counts until then; an equal call is a new one afterwards."""
    journal = tmp_path / "journal"
    client = connect(fresh_server, max_retries=0, journal=journal)
    fresh_server.faults.add(path="/v1/jobs", method="POST", drop="after")
    with pytest.raises(FirstHandConnectionError) as lost:
        client.jobs.create(**JOB)
    key = lost.value.idempotency_key
    (call,) = client.orders.list(journal)
    assert (call.key, call.status, call.method, call.path) == (key, "unconfirmed", "POST", "/v1/jobs")
    check = client.orders.check(journal)
    assert (check.orders, check.expected_cents, check.charged_cents) == (1, 100, 100)
    client.orders.forget(journal, key)
    assert client.orders.list(journal) == ()
    assert client.orders.check(journal).orders == 0
    with pytest.raises(InvalidArgumentError, match=f"key {key} is of no order"):
        client.orders.forget(journal, key)


def test_what_is_no_book_is_refused(connect: Connect, tmp_path: Path) -> None:
    """A mistyped path, nothing at all, and what is no path; a file that is no record is named."""
    client = connect(base_url="http://127.0.0.1:9")
    with pytest.raises(ConfigurationError, match=r"no orders are recorded in .*nowhere"):
        client.orders.list(tmp_path / "nowhere")
    with pytest.raises(InvalidArgumentError, match="no book was passed"):
        client.orders.check()
    with pytest.raises(InvalidArgumentError, match="not a value of type int"):
        client.orders.check(5)
    for name in ("books", "book"):
        with pytest.raises(InvalidArgumentError, match=f"no argument {name}: pass books by position"):
            client.orders.check(**{name: tmp_path})
    book = written(tmp_path / "ledger", order())
    (book / "order.json").write_text("{")
    with pytest.raises(ConfigurationError, match=r"order\.json is no record of an order, or is damaged"):
        client.orders.check(book)
