"""Credits and purchases (contract §3 "CreditBalance", "CreditTransaction")."""

from __future__ import annotations

from typing import Any

from pydantic import AliasChoices, Field

from ._base import Model, Params, UtcDatetime, Whole
from .enums import OpenTransactionType, PurchaseTier, TransactionType
from .page import ListParams


class CreditBalance(Model):
    """What there is to spend (contract §3 "CreditBalance"). Money is integer US cents.

    Attributes:
        object: not checked.
        balance_cents: what can be spent now; read from `available_cents` if the service sends that alone.
        currency: `usd`.
        available_cents: the same as `balance_cents`, under its other name.
        held_cents: credits of open jobs, in escrow.
        total_cents: both together.
        updated_at: when it last changed.
    """

    object: Any = None
    balance_cents: int | None = Field(
        default=None,
        validation_alias=AliasChoices("balance_cents", "available_cents"),
    )
    currency: str | None = None
    available_cents: int | None = Field(
        default=None,
        validation_alias=AliasChoices("available_cents", "balance_cents"),
    )
    held_cents: int | None = None
    total_cents: int | None = None
    updated_at: UtcDatetime | None = None


class CreditTransaction(Model):
    """A movement of credits (contract §3 "CreditTransaction").

    Attributes:
        object: not checked.
        id: `crtx_` and a ULID.
        type: `purchase`, `deduction`, `free_tier`, `bonus`, `expiration` or `refund`.
        amount_cents: US cents; deductions are negative.
        description: what for.
        job_id: the job whose money it moved, as servers of this package say; None for other credits, and from a service
            that does not say.
        expires_at: when free-tier and bonus credits end; None for purchases, which do not.
        created_at: when it was booked.
    """

    object: Any = None
    id: str
    type: OpenTransactionType | None = None
    amount_cents: int | None = None
    description: str | None = None
    job_id: str | None = None
    expires_at: UtcDatetime | None = None
    created_at: UtcDatetime | None = None


class Checkout(Model):
    """Where to pay (contract §2 "Billing").

    Attributes:
        object: not checked.
        checkout_url: the payment page; nothing is bought before it is opened. Secret: it is yours alone.
    """

    object: Any = None
    checkout_url: str | None = None


class PurchaseParams(Params):
    """The arguments of `billing.purchase`: the amounts are fixed."""

    amount_cents: Whole[PurchaseTier] = Field(
        description="1000, 2500, 5000, 10000 or 25000 (US cents)",
    )


class TransactionListParams(ListParams):
    """The filters of `billing.transactions`."""

    type: TransactionType | None = Field(
        default=None, description="'purchase', 'deduction', 'free_tier', 'bonus', 'expiration' or 'refund'"
    )
