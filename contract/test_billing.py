"""Credits, escrow, purchases, and transactions."""

from __future__ import annotations

from firsthandapi.conformance._checks import refused, shaped, status, succeeded
from firsthandapi.conformance._exchange import Credential, Exchange, NotTriedError
from firsthandapi.conformance._promises import promise
from firsthandapi.conformance._run import JOB, Run
from firsthandapi.conformance._shapes import CHECKOUT, CREDITS

_PURCHASE = "POST /v1/billing/credits/purchase"
_JOBS, _BILLING = '§2 "Jobs"', '§2 "Billing"'


def _balance(run: Run, key: Credential | None = None) -> Exchange:
    return run("GET", "/v1/billing/credits", key=key).must(status(200), shaped(CREDITS))


def _moved(before: Exchange, after: Exchange, cents: tuple[int, ...], what: str) -> None:
    """Check by how much the balance fell; `held_cents`, where it is shown, rose by what a job escrows."""
    moved = before.object["balance_cents"] - after.object["balance_cents"]
    after.hold(moved in cents, f"{what}: the balance moved by {moved} instead of {cents[-1]} cents")


def _holds_as(before: Exchange, after: Exchange, more: int = 0) -> None:
    first, second = (it.object.get("held_cents") for it in (before, after))
    is_same = first is None or second is None or second - first == more
    after.hold(is_same, f"`held_cents` does not fit the balance: {first} before, and {second} after")


@promise("credits", "GET /v1/billing/credits", "§3")
def _credits(run: Run) -> None:
    """The balance is in integer cents, in usd."""
    it = _balance(run)
    amounts = [it.object.get(f"{name}_cents") for name in ("available", "held", "total")]
    available, held, total = (amount or 0 for amount in amounts)
    sums_up = None in amounts or available + held == total
    it.hold(
        sums_up, f"the balance does not add up: available {available} and held {held} are not total {total}"
    )


@promise("escrow", "POST /v1/jobs", _JOBS)
def _escrow(run: Run) -> None:
    """A job escrows files_needed × price_per_file_cents, and cancelling it refunds what is unused."""
    before = _balance(run)
    job = run.new_job(files_needed=3, price_per_file_cents=11)
    during = _balance(run)
    # The sandbox charges nothing; whether it shows an escrow is not said.
    _moved(before, during, (0, 33) if run.is_sandbox else (33,), "a new job")
    _holds_as(before, during, before.object["balance_cents"] - during.object["balance_cents"])
    run.cancel(job["id"]).must(status(200))
    after = _balance(run)
    _moved(before, after, (0,), "a cancelled job")
    _holds_as(before, after)


@promise("escrow.paid", "POST /v1/jobs", _JOBS)
def _paid(run: Run) -> None:
    """A completed job has paid its price for each approved file, and holds nothing more."""
    run.needs_control("a worker")
    before = _balance(run)
    job = run.complete_job()
    after = _balance(run)
    _moved(before, after, (0 if run.is_sandbox else job["total_cost_cents"],), "a completed job")
    _holds_as(before, after)


@promise("escrow.partial", "POST /v1/jobs/:id/cancel", _JOBS)
def _partial(run: Run) -> None:
    """Cancelling a job with an approved file pays this file, and refunds the others."""
    key = run.strangers[1]  # a live key: its money is counted
    before = _balance(run, key)
    job = run.new_job(key=key, files_needed=3, price_per_file_cents=11, min_star_rating=3)["id"]
    run.work(job, 5)
    run.cancel(job, key=key).must(status(200))
    _moved(before, _balance(run, key), (11,), "a job that was cancelled with one approved file")


@promise("escrow.replay", "POST /v1/jobs", '§1 "Idempotency"')
def _replay(run: Run) -> None:
    """An order that is sent again with its key is paid once."""
    key = run.strangers[1] if run.has_control else None
    if run.is_sandbox and key is None:
        raise NotTriedError("the sandbox charges nothing")
    asked = run.ask("POST", "/v1/jobs", {**JOB, "files_needed": 1}, key=key)
    before = _balance(run, key)
    for _ in range(2):
        run.send(asked).must(succeeded)
    _moved(before, _balance(run, key), (10,), "an order that was sent twice")


@promise("escrow.once", "POST /v1/jobs/:id/cancel", _JOBS)
def _refund_once(run: Run) -> None:
    """Cancelling a job twice refunds it once."""
    job = run.cancelled_job["id"]
    before = _balance(run)
    run.cancel(job)
    _moved(before, _balance(run), (0,), "a second cancellation")


@promise("escrow.lack", "POST /v1/jobs", "§5")
def _lack(run: Run) -> None:
    """A job beyond the balance is 402 insufficient_credits, with the amounts."""
    body = {**JOB, "files_needed": 10_000, "price_per_file_cents": 50_000}
    # A sandbox charges nothing: where /_control can make one, the balance is that of another organization.
    it = run.post("/v1/jobs", body, key=run.strangers[1] if run.has_control else None)
    if it.ok and run.is_sandbox and not run.has_control:
        raise NotTriedError("the sandbox charges nothing, so no job is beyond its balance")
    extras = ("current_balance_cents", "required_cents", "shortfall_cents", "purchase_url")
    it.must(refused(402, extras=extras))
    error = {**it.object, **it.object["error"]}
    shortfall = error["required_cents"] - error["current_balance_cents"]
    it.hold(shortfall == error["shortfall_cents"], "`shortfall_cents` is not the difference of the other two")


def _transactions(run: Run) -> Exchange:
    it = run.get("/v1/billing/transactions", limit=100).must(succeeded)
    if not it.items:
        raise NotTriedError("this account has no transaction")
    return it


@promise("transactions.signs", "GET /v1/billing/transactions", "§3", ours=True)
def _signs(run: Run) -> None:
    """Deductions are negative, purchases and refunds positive."""
    it = _transactions(run)
    signs = {"deduction": -1, "purchase": 1, "refund": 1, "free_tier": 1, "bonus": 1}
    for item in it.items:
        amount, kind = item.get("amount_cents"), str(item.get("type"))
        is_right = not isinstance(amount, int) or amount * signs.get(kind, 0) >= 0
        it.hold(is_right, f"a {kind} with the wrong sign: {amount} cents")


@promise("transactions.expiry", "GET /v1/billing/transactions", _BILLING)
def _expiry(run: Run) -> None:
    """Free and bonus credit expires; purchases do not."""
    it = _transactions(run)
    credit = [item for item in it.items if item.get("type") in ("free_tier", "bonus", "purchase")]
    if not credit:
        raise NotTriedError("this account has no credit that was granted or bought")
    for item in credit:
        ends, kind = item.get("expires_at"), item["type"]
        it.hold((ends is None) == (kind == "purchase"), f"a {kind} with another `expires_at`: {ends}")


@promise("purchase", _PURCHASE, _BILLING)
def _purchase(run: Run) -> None:
    """A purchase of a fixed amount returns a checkout URL."""
    # Nobody opens the URL: an unpaid checkout costs nothing.
    run.post("/v1/billing/credits/purchase", {"amount_cents": 1000}).must(succeeded, shaped(CHECKOUT))


@promise("purchase.amounts", _PURCHASE, _BILLING)
def _amounts(run: Run) -> None:
    """Another amount is 400, and `details` names amount_cents."""
    run.post("/v1/billing/credits/purchase", {"amount_cents": 999}).must(refused(400, field="amount_cents"))
