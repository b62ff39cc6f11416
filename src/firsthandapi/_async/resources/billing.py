"""Credits (contract §2)."""

from __future__ import annotations

from firsthandapi._async.calls import Body, Headers, Query, Resource
from firsthandapi._async.pages import PageRequest
from firsthandapi._core.arguments import check
from firsthandapi.types.billing import Checkout, CreditBalance, CreditTransaction, Purchase, TransactionList
from firsthandapi.types.enums import PurchaseTier, TransactionType


class Billing(Resource):
    """Credits of this organization; reading needs the scope `usage:read`, buying `billing:write`."""

    async def credits(
        self,
        *,
        timeout: float | None = None,
        extra_headers: Headers | None = None,
        extra_query: Query | None = None,
    ) -> CreditBalance:
        """What there is to spend.

        Args:
            timeout, extra_headers, extra_query: see `AsyncFirstHandClient`, "Every method".

        Returns:
            The balance, in US cents.

        Raises:
            InvalidArgumentError: an argument is not what the contract allows. Nothing was sent.
            FirstHandApiError: the service answered with an error.
            FirstHandConnectionError: the service could not be reached.

        Contract: §2 "Billing", §3 "CreditBalance".
        """
        return await self._get(
            CreditBalance,
            "/v1/billing/credits",
            timeout=timeout,
            extra_headers=extra_headers,
            extra_query=extra_query,
        )

    async def purchase(
        self,
        amount_cents: PurchaseTier,
        *,
        idempotency_key: str | None = None,
        timeout: float | None = None,
        extra_headers: Headers | None = None,
        extra_query: Query | None = None,
        extra_body: Body | None = None,
    ) -> Checkout:
        """Start to buy credits. Nothing is charged until the checkout page is completed.

        Args:
            amount_cents: US cents: 1000, 2500, 5000, 10000 or 25000.
            idempotency_key, timeout, extra_headers, extra_query, extra_body: see `AsyncFirstHandClient`,
                "Every method".

        Returns:
            Where to pay: open `checkout_url` in a browser.

        Raises:
            InvalidArgumentError: an argument is not what the contract allows. Nothing was sent.
            FirstHandApiError: the service answered with an error.
            FirstHandConnectionError: the service could not be reached.

        Contract: §2 "Billing".
        """
        params = check(Purchase, {"amount_cents": amount_cents})
        return await self._write(
            Checkout,
            "POST",
            "/v1/billing/credits/purchase",
            params,
            idempotency_key=idempotency_key,
            timeout=timeout,
            extra_headers=extra_headers,
            extra_query=extra_query,
            extra_body=extra_body,
        )

    def transactions(
        self,
        *,
        type: TransactionType | None = None,
        limit: int | None = None,
        cursor: str | None = None,
        timeout: float | None = None,
        extra_headers: Headers | None = None,
        extra_query: Query | None = None,
    ) -> PageRequest[CreditTransaction]:
        """List what changed the balance.

        Args:
            type: only `purchase`, `deduction`, `free_tier`, `bonus`, `expiration` or `refund`.
            limit: items a page, 1 to 100; None asks for 100, since requests are what is scarce.
            cursor: `next_cursor` of an earlier page: start after it.
            timeout, extra_headers, extra_query: see `AsyncFirstHandClient`, "Every method".

        Returns:
            The first page when awaited; `async for` walks the items of every page, newest first.

        Raises:
            PaginationError: the service repeats a cursor (while walking).
            InvalidArgumentError: an argument is not what the contract allows. Nothing was sent.
            FirstHandApiError: the service answered with an error.
            FirstHandConnectionError: the service could not be reached.

        Contract: §2 "Billing".
        """
        params = check(TransactionList, {"type": type, "limit": limit, "cursor": cursor})
        return self._list(
            CreditTransaction,
            "/v1/billing/transactions",
            params,
            timeout=timeout,
            extra_headers=extra_headers,
            extra_query=extra_query,
        )
