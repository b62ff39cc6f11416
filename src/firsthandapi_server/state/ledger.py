"""An account's money: lots of credit, escrow for each job, and a transaction for every movement."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from firsthandapi_server.contract.text import new_id

from .keeping import Growing

__all__ = ["Book", "Escrow", "Lot", "Sums", "Transaction"]


@dataclass(slots=True, eq=False, weakref_slot=True)
class Lot:
    """Credit that came at one time; free and bonus credit expires, a purchase does not."""

    id: str
    number: int  # how many came before
    kind: str
    remaining: int
    expires_at: float | None
    is_announced: bool = False  # that it expires soon


@dataclass(frozen=True, slots=True, eq=False)
class Transaction:
    """One line of the books."""

    id: str
    type: str
    amount_cents: int
    description: str
    expires_at: float | None
    created_at: float
    job_id: str | None = None  # whose escrow it moved


@dataclass(frozen=True, slots=True)
class Escrow:
    """The credit set aside for one job, and the lots that it came from."""

    total: int
    pieces: tuple[tuple[Lot, int], ...]
    paid: int = 0
    refunded: int = 0

    @property
    def held(self) -> int:
        """The part that is still set aside."""
        return self.total - self.paid - self.refunded


@dataclass(frozen=True, slots=True)
class Sums:
    """The sums that a book must match: of its transactions, and of its jobs' escrows."""

    booked: int
    held: int
    paid: int
    least_held: int  # of one job


def _order(lot: Lot) -> tuple[float, int]:
    """Soonest to expire is spent first, and of equals the first to come."""
    return float("inf") if lot.expires_at is None else lot.expires_at, lot.number


@dataclass(slots=True, eq=False, weakref_slot=True)
class Book:
    """The ledger of one organization in one environment.

    At every moment purchased + granted - spent - expired = available + held.
    """

    id: str  # that of its account
    available: int = 0
    held: int = 0
    purchased: int = 0
    granted: int = 0
    spent: int = 0
    expired: int = 0
    updated_at: float = 0
    lots: tuple[Lot, ...] = ()  # with something left, in the order in which they are spent
    all_lots: Growing[Lot] = field(default_factory=list[Lot])
    transactions: Growing[Transaction] = field(default_factory=list[Transaction])

    def credit(self, kind: str, amount: int, at: float, description: str, expires: float | None) -> Lot:
        """Add a lot of credit: `purchase`, `free_tier` or `bonus`."""
        lot = Lot(new_id("lot_", at), len(self.all_lots), kind, amount, expires)
        self.all_lots.append(lot)
        self._keep_lots(lot)
        if kind == "purchase":
            self.purchased += amount
        else:
            self.granted += amount
        self._move(kind, amount, at, description, expires)
        return lot

    def hold(self, amount: int, at: float, job_id: str) -> Escrow:
        """Set `amount` aside for a job; the caller has checked that the balance covers it."""
        pieces: list[tuple[Lot, int]] = []
        rest = amount
        for lot in self.lots:
            piece = min(lot.remaining, rest)
            if piece:
                lot.remaining -= piece
                rest -= piece
                pieces.append((lot, piece))
        self._keep_lots()
        self.held += amount
        self._move("deduction", -amount, at, f"Escrow for {job_id}", job_id=job_id)
        return Escrow(amount, tuple(pieces))

    def pay(self, escrow: Escrow, amount: int, at: float) -> Escrow:
        """Pay a worker out of escrow, and return the new escrow. The deduction was booked when it was set aside."""
        self.held -= amount
        self.spent += amount
        self.updated_at = at
        return replace(escrow, paid=escrow.paid + amount)

    def refund(self, escrow: Escrow, at: float, job_id: str) -> tuple[Escrow, int]:
        """Return the rest of a job's escrow to the lots it came from; a lot past its date expires on arrival.

        Returns the new escrow, and how much of the refund expired.
        """
        amount = rest = escrow.held
        expired = 0
        if not amount:
            return escrow, 0
        self.held -= amount
        self._move("refund", amount, at, f"Refund of {job_id}", job_id=job_id)
        for lot, piece in reversed(escrow.pieces):
            back = min(piece, rest)
            rest -= back
            lot.remaining += back
            self._keep_lots(lot)
            if lot.expires_at is not None and lot.expires_at <= at:
                expired += self.expire(lot, at)
        return replace(escrow, refunded=escrow.refunded + amount), expired

    def expire(self, lot: Lot, at: float) -> int:
        """Remove the rest of a lot whose date has passed."""
        amount, lot.remaining = lot.remaining, 0
        if amount:
            self._keep_lots()
            self.expired += amount
            self._move("expiration", -amount, at, f"Expired {lot.kind} credit")
        return amount

    def check(self, sums: Sums) -> None:
        """Assert that everything adds up."""
        lots = sum(lot.remaining for lot in self.lots)
        rules = {
            "purchased + granted - spent - expired = available + held": (
                self.purchased + self.granted - self.spent - self.expired,
                self.available + self.held,
            ),
            "available = the sum of the lots": (self.available, lots),
            "available = the sum of the transactions": (self.available, sums.booked),
            "held = the sum of the escrows": (self.held, sums.held),
            "spent = the sum of what jobs paid": (self.spent, sums.paid),
        }
        wrong = [
            f"{rule}: {first} and {second}" for rule, (first, second) in rules.items() if first != second
        ]
        if min(self.available, self.held, sums.least_held) < 0:
            wrong.append("an amount is below zero")
        if wrong:
            raise AssertionError("the books do not add up: " + "; ".join(wrong))

    def _keep_lots(self, *more: Lot) -> None:
        self.lots = tuple(sorted({lot for lot in (*self.lots, *more) if lot.remaining}, key=_order))

    def _move(
        self,
        type: str,
        amount: int,
        at: float,
        description: str,
        expires: float | None = None,
        job_id: str | None = None,
    ) -> None:
        self.available += amount
        self.updated_at = at
        self.transactions.append(
            Transaction(new_id("crtx_", at), type, amount, description, expires, at, job_id)
        )
