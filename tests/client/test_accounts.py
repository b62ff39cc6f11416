"""The pages of an account's jobs and transactions, and what a run notices of them."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import httpx
import pytest

from firsthandapi import Campaign, Dataset
from firsthandapi._core.orders.record import OrderRecord, marked
from firsthandapi.errors import (
    DeadlineExceededError,
    FirstHandConnectionError,
    NotFoundError,
    PaginationError,
    PermissionDeniedError,
    SpendLimitError,
)
from firsthandapi.testing import MockServer
from firsthandapi_server.rules.credits import Credits
from firsthandapi_server.state.ledger import Escrow
from firsthandapi_server.state.model import Account

from .support import JOB, Connect


@pytest.fixture
def book(tmp_path: Path) -> Path:
    """A book with one order."""
    record = OrderRecord(key="k1", request=marked(JOB, "k1"), first_sent_at=1_800_000_000.0)
    (tmp_path / "k1.json").write_bytes(record.encode())
    return tmp_path


Answer = Callable[[httpx.Request], dict[str, Any]]


def service(answer: Answer) -> Callable[[httpx.Request], httpx.Response]:
    def respond(request: httpx.Request) -> httpx.Response:
        return httpx.Response(
            200, json={"object": "list", "has_more": False, "next_cursor": None, **answer(request)}
        )

    return respond


def test_the_account_is_read_since_a_day_before_the_first_order(connect: Connect, book: Path) -> None:
    """A page of older transactions is the last one; one without a time may not be."""
    old = [{"id": "crtx_1", "created_at": "2020-01-01T00:00:00Z"}]
    pages = {None: ([{"id": "crtx_2"}], "a"), "a": ([], "b"), "b": (old, "c")}
    asked: list[str] = []

    def answer(request: httpx.Request) -> dict[str, Any]:
        asked.append(str(request.url).partition("/v1/")[2])
        if request.url.path == "/v1/jobs":
            return {"data": []}
        data, cursor = pages[request.url.params.get("cursor")]
        return {"data": data, "next_cursor": cursor, "has_more": True}

    check = connect(handler=service(answer)).orders.check(book)
    assert not check
    assert "do not cover idempotency key k1" in str(check)
    assert asked == [
        "jobs?limit=100&created_after=2027-01-14T08%3A00%3A00Z",
        *(f"billing/transactions?limit=100{cursor}" for cursor in ("", "&cursor=a", "&cursor=b")),
    ]


def test_a_list_that_never_ends(connect: Connect, book: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After as many pages as are read at most, the error says what to do."""
    for half in ("_sync", "_async"):
        monkeypatch.setattr(f"firsthandapi.{half}.accounts.MOST_PAGES", 3)
    pages = iter(range(10))
    client = connect(handler=service(lambda _: {"data": [], "next_cursor": f"c{next(pages)}"}))
    with pytest.raises(
        PaginationError, match="after 3 pages of the list of jobs: check books with newer orders"
    ):
        client.orders.check(book)
    assert next(pages) == 3


@pytest.mark.parametrize(("seconds", "status", "pages"), [(4.0, 200, "3 pages"), (20.0, 503, "0 pages")])
def test_a_check_ends_with_the_deadline(
    connect: Connect, book: Path, seconds: float, status: int, pages: str
) -> None:
    """All pages of a list share it."""
    cursors = iter(range(10))

    def slow(_: httpx.Request) -> httpx.Response:
        clock.pass_(seconds)
        return httpx.Response(status, json={"data": [], "next_cursor": f"c{next(cursors)}"})

    client = connect(handler=slow, deadline=10.0)
    clock = connect.clock(client)
    with pytest.raises(
        DeadlineExceededError, match=f"it read {pages} of the list of jobs; increase deadline="
    ):
        client.orders.check(book)


@pytest.mark.parametrize(
    ("path", "scope"), [("/v1/jobs", "jobs:read"), ("/v1/billing/transactions", "usage:read")]
)
def test_a_missing_scope_is_named(connect: Connect, book: Path, path: str, scope: str) -> None:
    """A gateway's 403 is not taken for one."""
    body: Any = {"error": {"type": "forbidden", "message": "no"}}

    def respond(request: httpx.Request) -> httpx.Response:
        return (
            httpx.Response(403, json=body)
            if request.url.path == path
            else httpx.Response(200, json={"data": []})
        )

    client = connect(handler=respond)
    with pytest.raises(PermissionDeniedError, match=f"the API key needs the scope {scope}"):
        client.orders.check(book)
    body = "<html>"
    with pytest.raises(PermissionDeniedError) as refused:
        client.orders.check(book)
    assert "needs the scope" not in str(refused.value)


def test_a_service_without_transactions_is_named(connect: Connect, book: Path) -> None:
    """Not an id, of which the advice for any other 404 speaks."""

    def respond(request: httpx.Request) -> httpx.Response:
        is_jobs = request.url.path == "/v1/jobs"
        return httpx.Response(200 if is_jobs else 404, json={"data": []} if is_jobs else {"error": {}})

    with pytest.raises(NotFoundError, match=r"^the service has no list of transactions, so charges"):
        connect(handler=respond).orders.check(book)


# --- in a run -------------------------------------------------------------------------------------------

LABELS = {
    label: {**JOB, "description": f"Photos of {label} signs in daylight"} for label in ("stop", "yield")
}
FEE_CENTS = 30


@pytest.fixture
def server() -> Iterator[MockServer]:
    """One whose workers work. Its books do not add up if it takes a fee."""
    with MockServer(speed=5_000) as running:
        running.rate_limit = None
        yield running


@pytest.fixture
def fee(monkeypatch: pytest.MonkeyPatch) -> None:
    """The service books a fee with each job."""
    escrow = Credits.escrow

    def with_fee(self: Credits, account: Account, total: int, job_id: str, at: float, url: str) -> Escrow:
        held = escrow(self, account, total, job_id, at, url)
        account.book._move("deduction", -FEE_CENTS, at, f"Fee for {job_id}")
        return held

    monkeypatch.setattr(Credits, "escrow", with_fee)


def looks(server: MockServer) -> int:
    return sum(request.path == "/v1/billing/transactions" for request in server.requests)


def campaign(dest: Path, budget_cents: int) -> Campaign:
    return Campaign(dest=dest, budget_cents=budget_cents, jobs=LABELS)  # type: ignore[arg-type] # it is checked


@pytest.mark.usefixtures("fee")
def test_a_fee_is_noticed_before_the_next_order(
    connect: Connect, server: MockServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The budget counts it, in later runs as well. What was ordered is downloaded, and nothing more is ordered."""
    client = connect(server)
    signs = campaign(tmp_path / "signs", 2 * 100 + FEE_CENTS - 1)
    with pytest.raises(SpendLimitError, match=r"the campaign is incomplete: yield \(2 files\)"):
        client.campaigns.run(signs)
    (job,) = client.jobs.list()
    assert [record.getMessage() for record in caplog.records if record.levelname == "WARNING"] == [
        f"{job.id} costs $0.30 more than the $1.00 of its order: run firsthandapi orders check "
        f"{tmp_path / 'signs'}, which compares it with the account"
    ]
    assert looks(server) == 1
    assert len(Dataset.open(tmp_path / "signs")) == 2
    assert client.campaigns.plan(signs).spent_cents == 100 + FEE_CENTS
    check = client.orders.check(signs)
    assert [charge.amount_cents for charge in check.unexplained] == [-FEE_CENTS]
    # A budget that has room for the fee has room for the rest.
    assert len(client.campaigns.run(campaign(tmp_path / "signs", 2 * (100 + FEE_CENTS)))) == 4


@pytest.mark.usefixtures("fee")
def test_a_fee_on_an_order_of_an_earlier_run_is_noticed_before_the_next_order(
    connect: Connect, server: MockServer, tmp_path: Path
) -> None:
    """That run has not seen its job; or the records are lost, and with them the fee."""
    server.faults.add(path="/v1/jobs", method="POST", drop="after")
    signs = campaign(tmp_path / "signs", 2 * 100 + FEE_CENTS - 1)
    with pytest.raises(FirstHandConnectionError):
        connect(server, max_retries=0).campaigns.run(signs)
    client = connect(server)
    for _ in range(2):
        with pytest.raises(SpendLimitError):
            client.campaigns.run(signs)
        assert client.campaigns.plan(signs).spent_cents == 100 + FEE_CENTS
        shutil.rmtree(tmp_path / "signs")
    assert len(list(client.jobs.list())) == 1


def test_a_run_without_a_fee_does_not_look(
    connect: Connect, server: MockServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The balance has moved by what the orders cost: no request is made, by a campaign or by collect."""
    client = connect(server)
    client.campaigns.run(campaign(tmp_path / "signs", 200))
    client.jobs.collect(tmp_path / "more", **JOB)
    connect(server, api_key=server.test_api_key).jobs.collect(tmp_path / "sandbox", **JOB)
    assert looks(server) == 0
    assert caplog.records == []


@pytest.mark.usefixtures("fee")
def test_collect_warns_of_a_fee(
    connect: Connect, server: MockServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Once, when it has posted the job."""
    client = connect(server)
    for _ in range(2):
        client.jobs.collect(tmp_path / "signs", **JOB)
    (warning,) = [record.getMessage() for record in caplog.records]
    assert "costs $0.30 more than the $1.00 of its order" in warning
    assert looks(server) == 1


@pytest.mark.usefixtures("fee")
def test_a_run_goes_on_without_the_scope(
    connect: Connect, server: MockServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """One warning says that a fee would not be noticed."""
    key = connect(server).api_keys.create(name="no money", scopes=["jobs:read", "jobs:write"])
    assert len(connect(server, api_key=key.secret).campaigns.run(campaign(tmp_path / "signs", 200))) == 4
    (warning,) = [record.getMessage() for record in caplog.records]
    assert warning.startswith("a fee on an order would not be noticed: reading transactions needs usage:read")
    assert looks(server) == 1


def test_a_service_that_shows_no_balance_is_asked_after_each_order(connect: Connect, book: Path) -> None:
    """And only then. A fee that the job itself shows needs no request."""
    asked: list[str] = []
    charges = [
        {"id": f"crtx_{cents}", "type": "deduction", "amount_cents": -cents, "job_id": "job_1"}
        for cents in (FEE_CENTS, 100)
    ]

    def answer(request: httpx.Request) -> dict[str, Any]:
        asked.append(request.url.path)
        return {"data": charges}

    client = connect(handler=service(answer))
    accounts = import_module(f"firsthandapi._{connect.kind}.accounts")
    run = connect.face(accounts.Charges(client._transport, book))
    order = OrderRecord(key="k1", request=marked(JOB, "k1"), job={"id": "job_1"}, first_sent_at=1.0)
    assert connect.run(run.look(100, [order])) == []  # nothing was ordered in this run
    run.begin(0)
    run.begin(50)
    (dearer,) = connect.run(run.look(100, [order]))
    assert (dearer.fee_cents, dearer.cost_cents) == (FEE_CENTS, 100 + FEE_CENTS)
    assert connect.run(run.look(100 + FEE_CENTS, [dearer])) == []
    assert len(asked) == 1
    purchase = replace(order, job={"id": "job_1", "total_cost_cents": 100 + FEE_CENTS})
    assert purchase.cost_cents == 100 + FEE_CENTS
    assert connect.run(run.look(500, [purchase])) == []
