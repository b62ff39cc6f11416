"""An account's money: lots of credit, escrow for each job, and a transaction for every movement."""

from __future__ import annotations

from dataclasses import dataclass, field

from .text import new_id

__all__ = ["Book", "Escrow", "Lot", "Transaction"]


@dataclass(slots=True, eq=False)
class Lot:
    """Credit that came at one time; free and bonus credit expires, a purchase does not."""

    kind: str
    remaining: int
    expires_at: float | None


@dataclass(frozen=True, slots=True)
class Transaction:
    """One line of the books."""

    id: str
    type: str
    amount_cents: int
    description: str
    expires_at: float | None
    created_at: float


@dataclass(slots=True)
class Escrow:
    """The credit set aside for one job, and the lots that it came from."""

    total: int
    pieces: list[tuple[Lot, int]]
    paid: int = 0
    refunded: int = 0

    @property
    def held(self) -> int:
        """The part that is still set aside."""
        return self.total - self.paid - self.refunded


@dataclass(slots=True)
class Book:
    """The ledger of one organization in one environment.

    At every moment purchased + granted - spent - expired = available + held.
    """

    available: int = 0
    held: int = 0
    purchased: int = 0
    granted: int = 0
    spent: int = 0
    expired: int = 0
    updated_at: float = 0
    lots: list[Lot] = field(default_factory=list[Lot])
    transactions: list[Transaction] = field(default_factory=list[Transaction])

    def credit(self, kind: str, amount: int, at: float, description: str, expires: float | None) -> Lot:
        """Add a lot of credit: `purchase`, `free_tier` or `bonus`."""
        lot = Lot(kind, amount, expires)
        self.lots.append(lot)
        # Soonest to expire is spent first; sorting is stable, so equals are spent in order of arrival.
        self.lots.sort(key=lambda lot: float("inf") if lot.expires_at is None else lot.expires_at)
        if kind == "purchase":
            self.purchased += amount
        else:
            self.granted += amount
        self._move(kind, amount, at, description, expires)
        return lot

    def hold(self, amount: int, at: float, description: str) -> Escrow:
        """Set `amount` aside; the caller has checked that the balance covers it."""
        pieces: list[tuple[Lot, int]] = []
        rest = amount
        for lot in self.lots:
            piece = min(lot.remaining, rest)
            if piece:
                lot.remaining -= piece
                rest -= piece
                pieces.append((lot, piece))
        self.lots = [lot for lot in self.lots if lot.remaining]
        self.held += amount
        self._move("deduction", -amount, at, description)
        return Escrow(amount, pieces)

    def pay(self, escrow: Escrow, amount: int, at: float) -> None:
        """Pay a worker out of escrow. The deduction was booked when it was set aside."""
        escrow.paid += amount
        self.held -= amount
        self.spent += amount
        self.updated_at = at

    def refund(self, escrow: Escrow, at: float, description: str) -> tuple[int, int]:
        """Return the rest of an escrow to the lots it came from; a lot past its date expires on arrival.

        The result is the amount refunded, and how much of it expired.
        """
        amount = rest = escrow.held
        expired = 0
        if not amount:
            return 0, 0
        escrow.refunded += amount
        self.held -= amount
        self._move("refund", amount, at, description)
        for lot, piece in reversed(escrow.pieces):
            back = min(piece, rest)
            rest -= back
            if not lot.remaining and back:
                self.lots.append(lot)
            lot.remaining += back
            if lot.expires_at is not None and lot.expires_at <= at:
                expired += self.expire(lot, at)
        self.lots.sort(key=lambda lot: float("inf") if lot.expires_at is None else lot.expires_at)
        return amount, expired

    def expire(self, lot: Lot, at: float) -> int:
        """Remove the rest of a lot whose date has passed."""
        amount, lot.remaining = lot.remaining, 0
        if amount:
            self.lots.remove(lot)
            self.expired += amount
            self._move("expiration", -amount, at, f"Expired {lot.kind} credit")
        return amount

    def check(self, escrows: list[Escrow]) -> None:
        """Assert that everything adds up."""
        lots = sum(lot.remaining for lot in self.lots)
        booked = sum(transaction.amount_cents for transaction in self.transactions)
        rules = {
            "purchased + granted - spent - expired = available + held": (
                self.purchased + self.granted - self.spent - self.expired,
                self.available + self.held,
            ),
            "available = the sum of the lots": (self.available, lots),
            "available = the sum of the transactions": (self.available, booked),
            "held = the sum of the escrows": (self.held, sum(escrow.held for escrow in escrows)),
            "spent = the sum of what jobs paid": (self.spent, sum(escrow.paid for escrow in escrows)),
        }
        wrong = [f"{rule}: {left} and {right}" for rule, (left, right) in rules.items() if left != right]
        if min(self.available, self.held, *(escrow.held for escrow in escrows), 0) < 0:
            wrong.append("an amount is below zero")
        if wrong:
            raise AssertionError("the books do not add up: " + "; ".join(wrong))

    def _move(
        self, type: str, amount: int, at: float, description: str, expires: float | None = None
    ) -> None:
        self.available += amount
        self.updated_at = at
        self.transactions.append(Transaction(new_id("crtx_", at), type, amount, description, expires, at))
