"""Where people want their pay: a contact and an address that they may give, which only the pages of pay show."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from firsthandapi_server.console.face import PageError
from firsthandapi_server.contract.text import said

from .access import Access
from .activity import note, text_of
from .reception import ME, Reception

MOST_WORDS = 200
_TOO_LONG = said("Write at most {most} characters, on one line.", most=MOST_WORDS)


@dataclass(frozen=True, slots=True)
class Payee:
    """How one person is reached and paid, in their own words; either may be empty."""

    contact: str = ""
    pay_address: str = ""
    changed_at: float | None = None


class Payees:
    """They are kept apart: no export, log, or other page has them, and they are erased with the person."""

    def __init__(self, access: Access) -> None:
        self._access = access

    def of(self, worker: str) -> Payee:
        """What one person gave."""
        return self.all().get(worker, Payee())

    def all(self) -> Mapping[str, Payee]:
        """What everybody gave, by the ids of workers."""
        rows = self._access.look("SELECT worker_id, contact, pay_address, changed_at FROM payees")
        return {
            worker: Payee(text_of(contact), text_of(address), at) for worker, contact, address, at in rows
        }

    def keep(self, worker: str, contact: str, pay_address: str, at: float) -> None:
        """Keep what one person gives, instead of what they gave before."""
        with self._access.transaction() as rows:
            rows.execute("DELETE FROM payees WHERE worker_id = ?", (worker,))
            if contact or pay_address:
                rows.execute("INSERT INTO payees VALUES (?, ?, ?, ?)", (worker, contact, pay_address, at))
            note(rows, "payout.address", at, worker)


class PayPage:
    """The page of a study on which people say where they want their pay."""

    def __init__(self, reception: Reception, payees: Payees) -> None:
        self._reception = reception
        self._payees = payees

    def routes(self) -> Iterable[Route]:
        """Where the page is."""
        yield Route(f"{ME}/pay", self._show, methods=["GET"])
        yield Route(f"{ME}/pay", self._keep, methods=["POST"])

    async def _show(self, request: Request) -> Response:
        worker = self._reception.participant(request)
        payee, is_saved = self._payees.of(worker), request.query_params.get("saved") == "1"
        return self._reception.page(
            request, "pay.html", section=ME, payee=payee, is_saved=is_saved, most=MOST_WORDS
        )

    async def _keep(self, request: Request) -> Response:
        worker = self._reception.participant(request)
        fields = await self._reception.form(request)
        contact, address = fields.get("contact", ""), fields.get("pay_address", "")
        if any(len(line) > MOST_WORDS or not line.isprintable() for line in (contact, address)):
            raise PageError(400, _TOO_LONG)
        self._payees.keep(worker, contact, address, self._reception.world.clock.now())
        return self._reception.go(f"{ME}/pay?saved=1")
