"""Credits (contract §2)."""

from __future__ import annotations

from typing import Unpack

from firsthandapi._async.calls import Resource
from firsthandapi._async.pages import AsyncPageRequest
from firsthandapi._core.calls.arguments import check
from firsthandapi.types.billing import (
    Checkout,
    CreditBalance,
    CreditTransaction,
    PurchaseParams,
    TransactionListParams,
)
from firsthandapi.types.enums import PurchaseTier, TransactionType
from firsthandapi.types.options import PostOptions, RequestOptions

_URL = ("checkout_url", "checkout", "but nobody can open it, so nothing is charged")


class Billing(Resource):
    """Credits of this organization; reading needs the scope `usage:read`, buying `billing:write`."""

    async def credits(self, **options: Unpack[RequestOptions]) -> CreditBalance:
        """Read the credit balance.

        Args:
            **options: `timeout` (seconds for one attempt, above 0), `extra_headers`, `extra_query`; see `jobs.create`.

        Returns:
            The balance, in US cents.

        Raises:
            FirstHandError: any other failure; its subclass names it.

        Contract: §2 "Billing", §3 "CreditBalance".
        """
        return await self._get(CreditBalance, "/v1/billing/credits", **options)

    async def purchase(self, amount_cents: PurchaseTier, **options: Unpack[PostOptions]) -> Checkout:
        """Start to buy credits. Nothing is charged until the checkout page is completed.

        Args:
            amount_cents: US cents: 1000, 2500, 5000, 10000, or 25000.
            **options: `timeout` (seconds for one attempt, above 0), `extra_headers`, `extra_query`,
                `extra_body`, `idempotency_key`; see `jobs.create`.

        Returns:
            Where to pay: open `checkout_url` in a browser.

        Raises:
            UnexpectedResponseError: the response has no `checkout_url`. Nothing is charged.
            FirstHandError: any other failure; its subclass names it.

        Contract: §2 "Billing".
        """
        params = check(PurchaseParams, {"amount_cents": amount_cents})
        return await self._write(Checkout, "POST", "/v1/billing/credits/purchase", params, _URL, **options)

    def transactions(
        self,
        *,
        type: TransactionType | None = None,
        limit: int | None = None,
        cursor: str | None = None,
        **options: Unpack[RequestOptions],
    ) -> AsyncPageRequest[CreditTransaction]:
        """List the transactions that changed the balance.

        Args:
            type: only `purchase`, `deduction`, `free_tier`, `bonus`, `expiration`, or `refund`.
            limit: items per page, 1 to 100; None asks for 100, since requests are limited.
            cursor: `next_cursor` of an earlier page: start after that page.
            **options: `timeout` (seconds for one attempt, above 0), `extra_headers`, `extra_query`; see `jobs.create`.

        Returns:
            The first page when awaited; `async for` walks the items of every page, newest first.

        Raises:
            PaginationError: the service repeated a cursor (while walking).
            FirstHandError: any other failure; its subclass names it.

        Contract: §2 "Billing".
        """
        params = check(TransactionListParams, {"type": type, "limit": limit, "cursor": cursor})
        return self._list(CreditTransaction, "/v1/billing/transactions", params, **options)
