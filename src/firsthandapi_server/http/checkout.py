"""The pages where a person buys credits."""

from __future__ import annotations

from collections.abc import Iterable

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from firsthandapi_server.rules.credits import PURCHASE_TIERS
from firsthandapi_server.rules.world import World
from firsthandapi_server.state.model import Account


class CheckoutPage:
    """Shows the credit packages, and books a purchase when someone opens its page."""

    def __init__(self, world: World) -> None:
        self.world = world

    def routes(self) -> Iterable[Route]:
        yield Route("/checkout/{id}", self._checkout, methods=["GET"])
        yield Route("/purchase/{id}", self._purchase_page, methods=["GET"])
        yield Route("/purchase/{id}/{cents}", self._purchase, methods=["POST"])

    async def _checkout(self, request: Request) -> Response:
        with self.world.lock:
            cents = self.world.credits.pay_checkout(request.path_params["id"], self.world.clock.now())
        if cents is None:
            raise HTTPException(404)
        return _page("Paid", f"<p>Paid ${cents / 100:.2f}. You can close this page.</p>")

    async def _purchase_page(self, request: Request) -> Response:
        account = self._buyer(request)
        with self.world.lock:
            balance = account.book.available
        forms = "".join(
            f'<form method="post" action="/purchase/{account.organization.id}/{cents}">'
            f"<button>Buy ${cents // 100}</button></form>"
            for cents in PURCHASE_TIERS
        )
        return _page("Buy credits", f"<p>The balance is ${balance / 100:.2f}.</p>{forms}")

    async def _purchase(self, request: Request) -> Response:
        account = self._buyer(request)
        cents = next((tier for tier in PURCHASE_TIERS if str(tier) == request.path_params["cents"]), None)
        if cents is None:
            raise HTTPException(404)
        with self.world.lock:
            checkout = self.world.credits.start_purchase(account, cents, self.world.clock.now())
        return RedirectResponse(f"/checkout/{checkout}", 303)

    def _buyer(self, request: Request) -> Account:
        with self.world.lock:
            for organization in self.world.state.organizations:
                if organization.id == request.path_params["id"]:
                    return organization.accounts["live"]
        raise HTTPException(404)


def _page(title: str, content: str) -> Response:
    head = '<!doctype html><html lang="en"><meta charset="utf-8">'
    return HTMLResponse(f"{head}<title>{title}</title><h1>{title}</h1>{content}")
