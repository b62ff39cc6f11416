"""The rules of money: grants, purchases, escrow, refunds, expiry, and automatic top-ups."""

from __future__ import annotations

from typing import get_args

from firsthandapi_server.contract.errors import ApiError
from firsthandapi_server.contract.text import iso, new_id
from firsthandapi_server.contract.words import PurchaseTier
from firsthandapi_server.state.ledger import Escrow, Lot
from firsthandapi_server.state.model import Account, Job
from firsthandapi_server.state.state import DAY, YEAR, OpenPurchase, State

from .events import Events

PURCHASE_TIERS: tuple[int, ...] = get_args(PurchaseTier)

# What a transaction says, and the event.
_PURCHASE = "Credit purchase", "credits.purchased"
_TOP_UP = "Automatic top-up", "credits.auto_topped_up"


class Credits:
    """Moves money between the books of accounts and the escrows of jobs."""

    def __init__(self, state: State, events: Events) -> None:
        self._state = state
        self._events = events
        # Whether an automatic top-up waits for an operator, as a purchase does, so that no API key raises a budget.
        self.needs_operator = False

    def grant(self, account: Account, cents: int, at: float, kind: str = "bonus") -> None:
        """Grant credit that expires after a year."""
        lot = account.book.credit(kind, cents, at, f"{kind.replace('_', ' ').capitalize()} credit", at + YEAR)
        self._watch(account, lot)

    def resume(self) -> None:
        """Expire credit in time, after a restart."""
        for account, lot in self._state.expiring_lots():
            self._watch(account, lot)

    def _watch(self, account: Account, lot: Lot) -> None:
        expires_at = lot.expires_at
        if expires_at is not None:
            self._state.later(expires_at - 30 * DAY, lambda when: self._expiring_soon(account, lot, when))
            self._state.later(expires_at, lambda when: self._expire(account, lot, when))

    def start_purchase(self, account: Account, cents: int, at: float) -> str:
        """An unpaid checkout."""
        checkout = new_id("cs_", at)
        self._state.checkouts[checkout] = OpenPurchase(checkout, account, cents)
        return checkout

    def pay_checkout(self, checkout: str, at: float, actor: str = "system") -> int | None:
        """Book a purchase, once however often its page is opened; the amount, or None for an unknown one."""
        purchase = self._state.checkouts.get(checkout)
        if purchase is None:
            return None
        if not purchase.is_paid:
            purchase.is_paid = True
            kind = _TOP_UP if purchase.id == _top_up_id(purchase.account) else _PURCHASE
            self._purchase(purchase.account, purchase.cents, at, *kind, actor)
        return purchase.cents

    def auto_top_up(self, account: Account, at: float) -> None:
        """Buy credit if the settings say so and the balance asks for it."""
        settings = account.settings
        if (
            settings["auto_top_up_enabled"]
            and account.book.available < settings["auto_top_up_threshold_cents"]
        ):
            amount = settings["auto_top_up_amount_cents"]
            if not self.needs_operator:
                self._purchase(account, amount, at, *_TOP_UP)
                return
            # One for each account, however often it is asked for.
            checkout = _top_up_id(account)
            top_up = self._state.checkouts.get(checkout)
            if top_up is None:
                self._state.checkouts[checkout] = OpenPurchase(checkout, account, amount)
            else:
                top_up.cents, top_up.is_paid = amount, False

    def waiting_top_up(self, account: Account) -> OpenPurchase | None:
        """The automatic top-up that waits for an operator, if one does."""
        top_up = self._state.checkouts.get(_top_up_id(account))
        return None if top_up is None or top_up.is_paid else top_up

    def escrow(self, account: Account, total: int, job_id: str, at: float, url: str) -> Escrow:
        """Set the cost of a job aside; `url` is where credits can be bought."""
        if account.is_sandbox:
            return Escrow(0, ())  # no charges
        balance = account.book.available
        if balance < total:
            raise ApiError(
                402,
                "insufficient_credits",
                f"The job costs {total} cents, and the balance is {balance}: buy credits, or order fewer files.",
                extra={
                    "current_balance_cents": balance,
                    "required_cents": total,
                    "shortfall_cents": total - balance,
                    "purchase_url": url,
                },
            )
        escrow = account.book.hold(total, at, job_id)
        self._spent_down(account, balance, at)
        return escrow

    def release(self, job: Job, at: float) -> int:
        """Refund the rest of a job's escrow, and return how much that is."""
        refunded = job.escrow.held
        job.escrow, expired = job.account.book.refund(job.escrow, at, job.id)
        if expired:
            self._expired(job.account, expired, at)
        return refunded

    def _purchase(
        self,
        account: Account,
        cents: int,
        at: float,
        description: str,
        event: str,
        actor: str = "system",
    ) -> None:
        account.book.credit("purchase", cents, at, description, None)
        if not account.is_sandbox:
            account.organization.job_limit = None  # who has paid is not on the free tier
        data = {"amount_cents": cents, "balance_cents": account.book.available}
        self._events.audit(account, event, at, actor, data)
        self._events.emit(account, event, data, at)

    def _expiring_soon(self, account: Account, lot: Lot, at: float) -> None:
        if lot.remaining and not lot.is_announced:
            lot.is_announced = True
            data = {"amount_cents": lot.remaining, "expires_at": iso(lot.expires_at or at)}
            self._events.emit(account, "credits.expiring_soon", data, at)

    def _expire(self, account: Account, lot: Lot, at: float) -> None:
        old_balance = account.book.available
        if amount := account.book.expire(lot, at):
            self._expired(account, amount, at)
            self._spent_down(account, old_balance, at)

    def _expired(self, account: Account, amount: int, at: float) -> None:
        data = {"amount_cents": amount, "balance_cents": account.book.available}
        self._events.emit(account, "credits.expired", data, at)

    def _spent_down(self, account: Account, old_balance: int, at: float) -> None:
        threshold = account.settings["auto_top_up_threshold_cents"]
        if old_balance >= threshold > account.book.available:
            data = {"balance_cents": account.book.available, "threshold_cents": threshold}
            self._events.emit(account, "credits.low_balance", data, at)
        self.auto_top_up(account, at)


def _top_up_id(account: Account) -> str:
    return f"cs_{account.environment}_{account.organization.id}"
