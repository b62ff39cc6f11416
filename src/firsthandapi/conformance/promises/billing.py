"""Credits, escrow, purchases, and transactions."""

from __future__ import annotations

from firsthandapi.conformance._checks import refused, shaped, status, succeeded
from firsthandapi.conformance._exchange import DiffersError, Exchange, NotTriedError
from firsthandapi.conformance._promises import promise
from firsthandapi.conformance._run import JOB, Run
from firsthandapi.conformance._shapes import CHECKOUT, CREDITS

_CREDITS = "GET /v1/billing/credits"
_TRANSACTIONS = "GET /v1/billing/transactions"
_PURCHASE = "POST /v1/billing/credits/purchase"
_BILLING = '§2 "Billing"'


def _balance(run: Run) -> Exchange:
    return run("GET", "/v1/billing/credits").must(status(200), shaped(CREDITS))


@promise("credits", _CREDITS, "§3", "The balance is in integer cents, in usd.")
def _credits(run: Run) -> None:
    it = _balance(run)
    amounts = [it.object.get(f"{name}_cents") for name in ("available", "held", "total")]
    available, held, total = (amount or 0 for amount in amounts)
    if None not in amounts and available + held != total:
        raise DiffersError(f"available {available} and held {held} are not total {total}", it)


@promise(
    "escrow",
    "POST /v1/jobs",
    '§2 "Jobs"',
    "A job escrows files_needed × price_per_file_cents, and cancelling it refunds what is unused.",
    writes=True,
)
def _escrow(run: Run) -> None:
    before = _balance(run)
    job = run.new_job(files_needed=3, price_per_file_cents=11)
    during = _balance(run)
    cost = 33
    moved = before.object["balance_cents"] - during.object["balance_cents"]
    # The sandbox charges nothing; whether it shows an escrow is not said.
    if moved not in ((0, cost) if run.is_sandbox else (cost,)):
        raise DiffersError(f"a job that costs {cost} cents moved the balance by {moved}", during)
    first, second = (it.object.get("held_cents") for it in (before, during))
    if first is not None and second is not None and second - first != moved:
        raise DiffersError(f"the balance fell by {moved}, and `held_cents` rose by {second - first}", during)
    run.cancel(job["id"]).must(status(200))
    after = _balance(run)
    kept = before.object["balance_cents"] - after.object["balance_cents"]
    if kept:
        raise DiffersError(f"{kept} of {cost} cents did not come back", after)
    if (third := after.object.get("held_cents")) != first:
        raise DiffersError(f"`held_cents` was {first} before, and is {third} after", after)


@promise(
    "escrow.paid",
    "POST /v1/jobs",
    '§2 "Jobs"',
    "A completed job has paid its price for each approved file, and holds nothing more.",
    writes=True,
)
def _paid(run: Run) -> None:
    if not run.has_control:
        raise NotTriedError("it takes a worker, which only a server with /_control provides")
    before = _balance(run)
    job = run.complete_job()
    cost = 0 if run.is_sandbox else job["total_cost_cents"]
    after = _balance(run)
    moved = before.object["balance_cents"] - after.object["balance_cents"]
    if moved != cost:
        raise DiffersError(f"a job of {cost} cents moved the balance by {moved}", after)
    if (held := after.object.get("held_cents")) != before.object.get("held_cents"):
        raise DiffersError(
            f"`held_cents` was {before.object.get('held_cents')} before, and is {held} after", after
        )


@promise(
    "escrow.once",
    "POST /v1/jobs/:id/cancel",
    '§2 "Jobs"',
    "Cancelling a job twice refunds it once.",
    writes=True,
)
def _refund_once(run: Run) -> None:
    job = run.cancelled_job["id"]
    before = _balance(run).object["balance_cents"]
    run.cancel(job)
    it = _balance(run)
    if it.object["balance_cents"] != before:
        raise DiffersError(f"the balance is {it.object['balance_cents']}, and was {before}", it)


@promise(
    "escrow.lack",
    "POST /v1/jobs",
    "§5",
    "A job beyond the balance is 402 insufficient_credits, with the amounts.",
    writes=True,
)
def _lack(run: Run) -> None:
    body = {**JOB, "files_needed": 10_000, "price_per_file_cents": 50_000}
    # A sandbox charges nothing: where /_control can make one, the balance is that of another organization.
    it = run("POST", "/v1/jobs", body, key=run.stranger_with_credit if run.has_control else None)
    if it.ok and run.is_sandbox and not run.has_control:
        raise NotTriedError("the sandbox charges nothing, so no job is beyond its balance")
    extras = ("current_balance_cents", "required_cents", "shortfall_cents", "purchase_url")
    it.must(refused(402, extras=extras))
    error = {**it.object, **it.object["error"]}
    if error["required_cents"] - error["current_balance_cents"] != error["shortfall_cents"]:
        raise DiffersError("`shortfall_cents` is not the difference of the other two", it)


@promise(
    "transactions.signs",
    _TRANSACTIONS,
    "§3",
    "Deductions are negative, purchases and refunds positive.",
    ours=True,
)
def _signs(run: Run) -> None:
    it = run("GET", "/v1/billing/transactions", query={"limit": 100}).must(succeeded)
    if not it.items:
        raise NotTriedError("this account has no transaction")
    for item in it.items:
        amount, kind = item.get("amount_cents"), item.get("type")
        wanted = {"deduction": -1, "purchase": 1, "refund": 1, "free_tier": 1, "bonus": 1}.get(str(kind), 0)
        if isinstance(amount, int) and amount * wanted < 0:
            raise DiffersError(f"a {kind} of {amount} cents", it)


@promise("transactions.expiry", _TRANSACTIONS, _BILLING, "Free and bonus credit expires; purchases do not.")
def _expiry(run: Run) -> None:
    it = run("GET", "/v1/billing/transactions", query={"limit": 100}).must(succeeded)
    credit = [item for item in it.items if item.get("type") in ("free_tier", "bonus", "purchase")]
    if not credit:
        raise NotTriedError("this account has no credit that was granted or bought")
    for item in credit:
        if (item.get("expires_at") is None) != (item["type"] == "purchase"):
            raise DiffersError(f"a {item['type']} with `expires_at` {item.get('expires_at')}", it)


@promise("purchase", _PURCHASE, _BILLING, "A purchase of a fixed amount returns a checkout URL.", writes=True)
def _purchase(run: Run) -> None:
    # Nobody opens the URL: an unpaid checkout costs nothing.
    run("POST", "/v1/billing/credits/purchase", {"amount_cents": 1000}).must(succeeded, shaped(CHECKOUT))


@promise(
    "purchase.amounts",
    _PURCHASE,
    _BILLING,
    "Another amount is 400, and `details` names amount_cents.",
    writes=True,
)
def _amounts(run: Run) -> None:
    run("POST", "/v1/billing/credits/purchase", {"amount_cents": 999}).must(
        refused(400, field="amount_cents")
    )
