"""The operators' page: links of the jobs, tokens, API keys, and credits. The rest is in the console."""

from __future__ import annotations

from collections.abc import Iterable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from firsthandapi.server.state.model import SCOPES, Account, Organization

from .access import MAX_NAME, ROLES, Role
from .links import Links, qr_code
from .reception import PageError, Reception, no_page

MAX_CENTS = 10**9
_ROLES: dict[str, Role] = {role: role for role in ROLES}
_DONE = {
    "revoked": "Revoked: it opens nothing any more.",
    "added": "The credits are booked.",
}


class Operating:
    """The pages `/` and `/operator`, and those where credits are bought.

    Args:
        reception: what all pages share.
        links: the links of jobs.
    """

    def __init__(self, reception: Reception, links: Links) -> None:
        self._reception = reception
        self._links = links
        self._world = reception.world

    def routes(self) -> Iterable[Route]:
        """Where the pages are."""
        yield Route("/", self._home, methods=["GET"])
        yield Route("/operator", self._operator, methods=["GET"])
        yield Route("/operator/jobs/{id}", self._job, methods=["GET"])
        yield Route("/operator/tokens", self._create_token, methods=["POST"])
        yield Route("/operator/tokens/{id}/revoke", self._revoke_token, methods=["POST"])
        yield Route("/operator/keys", self._create_key, methods=["POST"])
        yield Route("/operator/keys/{id}/revoke", self._revoke_key, methods=["POST"])
        yield Route("/operator/credits", self._add_credits, methods=["POST"])
        yield Route("/checkout/{id}", self._checkout, methods=["GET"])
        yield Route("/checkout/{id}", self._pay, methods=["POST"])
        yield Route("/purchase/{id}", self._purchase, methods=["GET"])

    async def _home(self, request: Request) -> Response:
        reception = self._reception
        if reception.may(request, "operator"):
            return reception.go("/operator")
        if reception.may(request, "reviewer"):
            return reception.go("/review")
        return reception.page(request, "home.html")

    async def _operator(self, request: Request) -> Response:
        self._reception.need(request, "operator")
        return self._show(request)

    def _show(self, request: Request, made: tuple[str, str, str] | None = None) -> Response:
        with self._world.lock:
            state = self._world.state
            return self._reception.page(
                request,
                "operator.html",
                jobs=[job for job in reversed(state.jobs.values()) if not job.is_terminal],
                tokens=[token for token in self._reception.access.tokens() if token.revoked_at is None],
                link=self._links.url,
                keys=[key for key in self._own().keys if key.revoked_at is None],
                book=self._own().accounts["live"].book,
                waiting=sum(not each.job.account.is_sandbox for each in state.waiting()),
                files=len(state.files),
                undelivered=sum(each.status in ("pending", "failed") for each in state.deliveries),
                roles=ROLES,
                most_name=MAX_NAME,
                done=_DONE.get(request.query_params.get("done", "")),
                made=made,
            )

    async def _job(self, request: Request) -> Response:
        """The link of a job, large, to show or to print."""
        self._reception.need(request, "operator")
        with self._world.lock:
            job = self._world.state.jobs.get(request.path_params["id"])
            if job is None:
                raise no_page()
            link = self._links.url(job)
            return self._reception.page(request, "link.html", job=job, link=link, qr=qr_code(link))

    def _own(self) -> Organization:
        return self._world.state.organizations[0]

    # --- tokens and keys: shown in the response to the form, once --------------------------------------

    async def _create_token(self, request: Request) -> Response:
        self._reception.need(request, "operator")
        fields = await self._reception.form(request)
        role = _ROLES.get(fields.get("role", ""))
        if role is None:
            raise PageError(400, f"Choose a role: {', '.join(_ROLES)}.")
        try:
            token, secret = self._reception.access.create(
                role, fields.get("name", ""), self._world.clock.now()
            )
        except ValueError as error:
            raise PageError(400, f"The token could not be created: {error}.") from None
        link = f"{self._reception.url()}/sign-in#{secret}"
        return self._show(request, (f"The token of {token.name}, a {role}", secret, link))

    async def _revoke_token(self, request: Request) -> Response:
        self._reception.need(request, "operator")
        await self._reception.form(request)
        if not self._reception.access.revoke(request.path_params["id"], self._world.clock.now()):
            raise no_page()
        return self._reception.go("/operator?done=revoked#tokens")

    async def _create_key(self, request: Request) -> Response:
        self._reception.need(request, "operator")
        fields = await self._reception.form(request)
        environment, name = fields.get("environment"), fields.get("name", "")
        if environment not in ("live", "test") or not 1 <= len(name) <= MAX_NAME:
            raise PageError(400, f"Choose live or test, and a name of 1 to {MAX_NAME} characters.")
        with self._world.lock:
            account = self._own().accounts[environment]
            key = self._world.accounts.create_key(account, name, SCOPES, "operator", self._world.clock.now())
            secret = key.secret
        return self._show(request, (f"The API key {name}", secret, ""))

    async def _revoke_key(self, request: Request) -> Response:
        self._reception.need(request, "operator")
        await self._reception.form(request)
        with self._world.lock:
            for key in self._own().keys:
                if key.id == request.path_params["id"]:
                    self._world.accounts.revoke_key(key, "operator", self._world.clock.now())
                    return self._reception.go("/operator?done=revoked#keys")
        raise no_page()

    # --- credits ----------------------------------------------------------------------------------------

    async def _add_credits(self, request: Request) -> Response:
        self._reception.need(request, "operator")
        fields = await self._reception.form(request)
        cents = _cents(fields.get("dollars", ""))
        with self._world.lock:
            self._book(self._own().accounts["live"], cents)
        return self._reception.go("/operator?done=added#credits")

    def _book(self, account: Account, cents: int) -> None:
        now = self._world.clock.now()
        self._world.credits.pay_checkout(self._world.credits.start_purchase(account, cents, now), now)

    async def _checkout(self, request: Request) -> Response:
        """Where `POST /v1/billing/credits/purchase` leads. On a server of one's own, the operator pays."""
        self._reception.need(request, "operator")
        with self._world.lock:
            checkout = self._world.state.checkouts.get(request.path_params["id"])
            if checkout is None:
                raise no_page()
            return self._reception.page(
                request, "checkout.html", cents=checkout.cents, is_paid=checkout.is_paid
            )

    async def _pay(self, request: Request) -> Response:
        self._reception.need(request, "operator")
        await self._reception.form(request)
        with self._world.lock:
            if self._world.credits.pay_checkout(request.path_params["id"], self._world.clock.now()) is None:
                raise no_page()
        return self._reception.go(f"/checkout/{request.path_params['id']}")

    async def _purchase(self, request: Request) -> Response:
        """Where an `insufficient_credits` error leads."""
        self._reception.need(request, "operator")
        return self._reception.go("/operator#credits")


def _cents(text: str) -> int:
    whole, _, part = text.strip().removeprefix("$").partition(".")
    if not (
        f"{whole}{part}".isascii() and whole.isdecimal() and (not part or part.isdecimal()) and len(part) <= 2
    ):
        raise PageError(400, "Write the amount in dollars, such as 25 or 12.50.")
    cents = int(whole[:12]) * 100 + int(part.ljust(2, "0") if part else 0)
    if not 1 <= cents <= MAX_CENTS:
        raise PageError(400, f"Add $0.01 to ${MAX_CENTS // 100:,} at a time.")
    return cents
