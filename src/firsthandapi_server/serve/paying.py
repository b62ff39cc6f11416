"""The operators' page of payouts: what people are owed, batches of it, and what was paid."""

from __future__ import annotations

import asyncio
from functools import partial
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response

from firsthandapi_server.console.face import PREFIX, Form, Page, PageError, existing, whole
from firsthandapi_server.http.browsers import attachment

from .copies import tell
from .payees import Payee, Payees
from .payouts import MAX_REFERENCE, Payout, Payouts, lines
from .reception import Reception

_WHERE = f"{PREFIX}/payouts"
_PEOPLE = 100  # on one page


class Paying:
    """The pages under `/console/payouts`."""

    def __init__(self, reception: Reception, payouts: Payouts, payees: Payees) -> None:
        self._reception = reception
        self._payees = payees
        self._world = reception.world
        self._payouts = payouts
        self.pages: dict[str, Page] = {"/payouts": self._show, "/payouts.csv": self._table}
        self.forms: dict[str, Form] = {"/payouts/batch": self._batch, "/payouts/paid": self._pay}

    def _rows(self, batch: str) -> list[Payout]:
        """Those of a batch, or what is owed."""
        return self._payouts.in_batch(batch) if batch else self._payouts.owed()

    async def _show(self, request: Request) -> Response:
        id = request.query_params.get("batch", "")
        rows = await asyncio.to_thread(self._rows, id)
        batches = self._payouts.batches()
        batch = existing(next((batch for batch in batches if batch.id == id), None)) if id else None
        start = whole(request.query_params.get("before"), "before", 0, 10**9, 0)
        with self._world.lock:
            return self._reception.page(
                request,
                "payouts.html",
                section=f"{PREFIX}/ledger",
                live=None,
                batch=batch,
                rows=rows[start : start + _PEOPLE],
                people=len(rows),
                total=sum(row.cents for row in rows),
                older=start + _PEOPLE if len(rows) > start + _PEOPLE else None,
                payees=self._payees.all(),
                nobody=Payee(),
                batches=batches,
                most_reference=MAX_REFERENCE,
            )

    async def _table(self, request: Request) -> Response:
        id = request.query_params.get("batch", "")
        read = partial(self._payouts.in_batch, id) if id else self._payouts.rows
        return attachment("payouts.csv", lines(await asyncio.to_thread(read)), "text/csv; charset=utf-8")

    async def _batch(self, request: Request, _fields: dict[str, str]) -> str:
        by, now = self._reception.who(request), self._world.clock.now()
        batch = await asyncio.to_thread(self._payouts.make, now, by)
        await asyncio.to_thread(tell, self._reception.access)
        return f"{_WHERE}?done=nothing" if batch is None else f"{_WHERE}?batch={batch}&done=batched"

    async def _pay(self, request: Request, fields: dict[str, str]) -> str:
        batch, by = fields.get("batch", ""), self._reception.who(request)
        try:
            self._payouts.pay(fields.get("reference", ""), self._world.clock.now(), by, [batch])
        except ValueError as error:
            raise PageError(400, f"The reference {error}.") from None
        await asyncio.to_thread(tell, self._reception.access)
        return f"{_WHERE}?batch={quote(batch)}&done=paid"
