"""Sign in and out: a form sends the token once, then a cookie replaces it."""

from __future__ import annotations

from collections.abc import Iterable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from firsthandapi_server.console.face import PageError
from firsthandapi_server.http.browsers import EMPTIED

from .access import SESSION_SECONDS
from .limits import Limits
from .reception import Reception, local_path, worker_id

_UNKNOWN = (
    "This token is unknown or revoked: copy it again, or ask the person who gave it to you for a new one."
)


class SigningIn:
    """The pages `/sign-in` and `/sign-out`."""

    def __init__(self, reception: Reception, limits: Limits) -> None:
        self._reception = reception
        self._limits = limits

    def routes(self) -> Iterable[Route]:
        """The routes of the pages."""
        yield Route("/sign-in", self._ask, methods=["GET"])
        yield Route("/sign-in", self._sign_in, methods=["POST"])
        yield Route("/sign-out", self._sign_out, methods=["POST"])

    async def _ask(self, request: Request) -> Response:
        # A link contains the token after `#`, which browsers do not send; a script puts it into the form.
        target = local_path(request.query_params.get("next"))
        return self._reception.page(request, "sign_in.html", target=target, fault=None)

    async def _sign_in(self, request: Request) -> Response:
        reception = self._reception
        fields = await reception.form(request)
        target = local_path(fields.get("next"))
        token, now = fields.get("token", ""), reception.visitor(request)
        signed_in = reception.access.sign_in(token, reception.world.clock.now())
        if signed_in is None:
            await self._limits.slow_down(request)
            return reception.page(request, "sign_in.html", status=403, target=target, fault=_UNKNOWN)
        visitor, session = signed_in
        if now is not None and now.id not in (visitor.id, fields.get("instead_of")):
            # A link that somebody else sent must not make a person work, or review, as another one unawares.
            reception.access.sign_out(session)
            values = {"target": target, "now": now, "then": visitor, "token": token}
            return reception.page(
                request, "sign_in_instead.html", status=409, now_working=worker_id(now), **values
            )
        if target == "/" and visitor.role == "reviewer":
            target = "/review"
        response = reception.go(target)
        reception.set_cookie(response, reception.cookie("session"), session, SESSION_SECONDS)
        return response

    async def _sign_out(self, request: Request) -> Response:
        reception = self._reception
        await reception.form(request)
        session = reception.session(request)
        if session is None:
            raise PageError(400, "You are not signed in.")
        reception.access.sign_out(session)
        response = reception.go("/")
        response.headers.update(EMPTIED)
        reception.set_cookie(response, reception.cookie("session"), "", 0)
        return response
