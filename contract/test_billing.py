"""Credits, escrow, purchases, and transactions."""

from __future__ import annotations

import pytest

from .checks import refused, shaped, status, succeeded
from .exchange import Key, Response
from .server import NEW_JOB, Json, Server
from .shapes import CHECKOUT, CREDITS


def _balance(server: Server, key: Key | None = None) -> Response:
    return server("GET", "/v1/billing/credits", key=key).must(status(200), shaped(CREDITS))


def _hold_moved(opening: Response, closing: Response, *cents: int) -> int:
    """By how much the balance fell."""
    moved = int(opening.object["balance_cents"] - closing.object["balance_cents"])
    assert moved in cents, f"the balance moved by {moved} instead of {cents[-1]} cents"
    return moved


def _hold_held(opening: Response, closing: Response, more: int = 0) -> None:
    """`held_cents`, where it is shown, rose by what a job escrows."""
    first, second = (response.object.get("held_cents") for response in (opening, closing))
    is_same = first is None or second is None or second - first == more
    assert is_same, f"`held_cents` does not fit the balance: {first} before, and {second} after"


def test_credits(server: Server) -> None:
    """The balance is in integer cents, in usd. (§3)"""
    response = _balance(server)
    amounts = [response.object.get(f"{name}_cents") for name in ("available", "held", "total")]
    available, held, total = (amount or 0 for amount in amounts)
    is_sum = None in amounts or available + held == total
    assert is_sum, f"the balance does not add up: available {available} and held {held} are not total {total}"


def test_escrow(server: Server) -> None:
    """A job escrows files_needed × price_per_file_cents, and cancelling it refunds what is unused. (§2 "Jobs")"""
    opening = _balance(server)
    job = server.new_job(files_needed=3, price_per_file_cents=11)
    during = _balance(server)
    # The sandbox charges nothing; whether it shows an escrow is not said.
    moved = _hold_moved(opening, during, *((0, 33) if server.is_sandbox else (33,)))
    _hold_held(opening, during, moved)
    server.cancel(job["id"]).must(status(200))
    closing = _balance(server)
    _hold_moved(opening, closing, 0)
    _hold_held(opening, closing)


def test_escrow_paid(server: Server) -> None:
    """A completed job has paid its price for each approved file, and holds nothing more. (§2 "Jobs")"""
    server.needs_control("a worker")
    opening = _balance(server)
    job = server.complete_job()
    closing = _balance(server)
    _hold_moved(opening, closing, 0 if server.is_sandbox else job["total_cost_cents"])
    _hold_held(opening, closing)


def test_escrow_partial(server: Server, strangers: tuple[Key, Key]) -> None:
    """Cancelling a job with an approved file pays this file, and refunds the others. (§2 "Jobs")"""
    key = strangers[1]  # a live key: its money is counted
    opening = _balance(server, key)
    job = server.new_job(key=key, files_needed=3, price_per_file_cents=11, min_star_rating=3)["id"]
    server.work(job, 5)
    server.cancel(job, key=key).must(status(200))
    _hold_moved(opening, _balance(server, key), 11)


def test_escrow_replay(server: Server, request: pytest.FixtureRequest) -> None:
    """An order that is sent again with its key is paid once. (§1 "Idempotency")"""
    key = request.getfixturevalue("strangers")[1] if server.has_control else None
    if server.is_sandbox and key is None:
        pytest.skip("the sandbox charges nothing")
    order = server.request("POST", "/v1/jobs", {**NEW_JOB, "files_needed": 1}, key=key)
    opening = _balance(server, key)
    for _ in range(2):
        server.send(order).must(succeeded)
    _hold_moved(opening, _balance(server, key), 10)


def test_escrow_once(server: Server, cancelled_job: Json) -> None:
    """Cancelling a job twice refunds it once. (§2 "Jobs")"""
    opening = _balance(server)
    server.cancel(cancelled_job["id"])
    _hold_moved(opening, _balance(server), 0)


def test_escrow_lack(server: Server, request: pytest.FixtureRequest) -> None:
    """A job beyond the balance is 402 insufficient_credits, with the amounts. (§5)"""
    body = {**NEW_JOB, "files_needed": 10_000, "price_per_file_cents": 50_000}
    # A sandbox charges nothing: where /_control can make one, the balance is that of another organization.
    key = request.getfixturevalue("strangers")[1] if server.has_control else None
    response = server.post("/v1/jobs", body, key=key)
    if response.ok and server.is_sandbox and key is None:
        pytest.skip("the sandbox charges nothing, so no job is beyond its balance")
    extras = ("current_balance_cents", "required_cents", "shortfall_cents", "purchase_url")
    response.must(refused(402, extras=extras))
    error = {**response.object, **response.object["error"]}
    shortfall = error["required_cents"] - error["current_balance_cents"]
    assert shortfall == error["shortfall_cents"], "`shortfall_cents` is not the difference of the other two"


@pytest.fixture
def transactions(server: Server) -> list[Json]:
    response = server.get("/v1/billing/transactions", limit=100).must(succeeded)
    if not response.items:
        pytest.skip("this account has no transaction")
    return response.items


def test_transactions_signs(server: Server, transactions: list[Json]) -> None:
    """Deductions are negative, purchases and refunds positive. (§3 ‡)"""
    signs = {"deduction": -1, "purchase": 1, "refund": 1, "free_tier": 1, "bonus": 1}
    for item in transactions:
        amount, kind = item.get("amount_cents"), str(item.get("type"))
        is_right = not isinstance(amount, int) or amount * signs.get(kind, 0) >= 0
        assert is_right, f"a {kind} has the wrong sign: {amount} cents"


def test_transactions_expiry(server: Server, transactions: list[Json]) -> None:
    """Free and bonus credit expires; purchases do not. (§2 "Billing")"""
    credit = [item for item in transactions if item.get("type") in ("free_tier", "bonus", "purchase")]
    if not credit:
        pytest.skip("this account has no credit that was granted or bought")
    for item in credit:
        ends, kind = item.get("expires_at"), item["type"]
        assert (ends is None) == (kind == "purchase"), f"`expires_at` of a {kind} is {ends}"


def test_purchase(server: Server) -> None:
    """A purchase of a fixed amount returns a checkout URL. (§2 "Billing")"""
    # Nobody opens the URL: an unpaid checkout costs nothing.
    server.post("/v1/billing/credits/purchase", {"amount_cents": 1000}).must(succeeded, shaped(CHECKOUT))


def test_purchase_amounts(server: Server) -> None:
    """Another amount is 400, and `details` names amount_cents. (§2 "Billing")"""
    refusal = refused(400, field="amount_cents")
    server.post("/v1/billing/credits/purchase", {"amount_cents": 999}).must(refusal)
