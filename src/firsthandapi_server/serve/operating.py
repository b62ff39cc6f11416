"""The operators' part of the console: people and their tokens, links of jobs, the log, and the budget."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, cast

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from firsthandapi_server.console.face import PREFIX, Form, Page, PageError, existing
from firsthandapi_server.http.browsers import attachment
from firsthandapi_server.rules.jobs import Verdict
from firsthandapi_server.sqlite.line import Line
from firsthandapi_server.state.model import Submission

from .access import MAX_NAME, ROLES, Role
from .activity import FAILURE_DAYS, KINDS, Activity
from .erasing import SUBJECT, Eraser
from .links import draw_code, qr_code
from .reception import JOIN, ME, Reception

if TYPE_CHECKING:
    from firsthandapi_server.sqlite.kept import KeptState

MAX_CENTS = 10**9
_ENTRIES = 100  # of the log on one page
_TOKENS = 100  # of workers on one page
_LOG_TYPES = {"csv": "text/csv; charset=utf-8", "jsonl": "application/jsonl"}
_REVOKED = "The access of whoever sent this was revoked before it was reviewed."
_ROLES: dict[str, Role] = {role: role for role in ROLES}


class Operating:
    """The page `/`, the console's pages for operators, and what a program asks of the budget."""

    def __init__(self, reception: Reception, eraser: Eraser) -> None:
        self._reception = reception
        self._eraser = eraser
        self._world = reception.world
        self._activity = Activity(reception.access.read, cast("KeptState", self._world.state).read)
        self.pages: dict[str, Page] = {
            "/people": self._show,
            "/jobs/{id}/link": self._link,
            "/log": self._log,
            "/log.{kind}": self._log_lines,
        }
        self.forms: dict[str, Form] = {
            "/tokens": self._create_token,
            "/tokens/{id}/revoke": self._revoke_token,
            "/tokens/{id}/reject": self._reject_waiting,
            "/credits": self._add_credits,
            "/erase": self._erase,
        }

    def routes(self) -> Iterable[Route]:
        """The routes of the pages outside the console."""
        yield Route("/", self._home, methods=["GET"])
        yield Route("/checkout/{id}", self._checkout, methods=["GET"])
        yield Route("/checkout/{id}", self._pay, methods=["POST"])
        yield Route("/purchase/{id}", self._purchase, methods=["GET"])

    async def _home(self, request: Request) -> Response:
        reception = self._reception
        if reception.may(request, "operator"):
            return reception.go(PREFIX)
        if reception.may(request, "reviewer"):
            return reception.go("/review")
        if reception.study is not None:
            return reception.go(ME)
        # Who has a token may work on each.
        jobs = [] if reception.visitor(request) is None else reception.open_jobs()
        return reception.page(request, "home.html", jobs=jobs)

    def _show(self, request: Request, new_token: tuple[str, str, str] | None = None) -> Response:
        # A secret is shown only once, so the page must not reload itself.
        still: dict[str, Any] = {} if new_token is None else {"live": None}
        consents, where = self._reception.consents, f"{self._reception.url}{JOIN}"
        tokens = [token for token in self._reception.access.tokens() if token.revoked_at is None]
        # The latest first, since there may be very many; of the staff, all.
        workers = [token for token in reversed(tokens) if token.role == "worker"]
        last_id = request.query_params.get("before")
        start = next((at + 1 for at, token in enumerate(workers) if token.id == last_id), 0)
        page = workers[start : start + _TOKENS]
        revoked = request.query_params.get("revoked", "")
        with self._world.lock:
            return self._reception.page(
                request,
                "people.html",
                revoked=revoked,
                left=len(self._waiting_of(revoked)),
                section=f"{PREFIX}/people",
                tokens=[*(token for token in tokens if token.role != "worker"), *page],
                older=page[-1].id if len(workers) > start + _TOKENS else None,
                roles=ROLES,
                most_name=MAX_NAME,
                made=new_token,
                made_qr=draw_code(new_token[2]) if new_token and new_token[2] else None,
                study=self._reception.study,
                join_url=where,
                join_qr=None if consents is None else qr_code(where),
                joined=0 if consents is None else consents.count(),
                erasures=self._reception.access.erasures(),
                **still,
            )

    def _link(self, request: Request) -> Response:
        """The link of a job in large type, to show or print."""
        job = existing(self._world.state.jobs.get(request.path_params["id"]))
        qr = qr_code(self._reception.links.url(job))
        return self._reception.page(request, "link.html", section=PREFIX, job=job, qr=qr)

    # --- the log ----------------------------------------------------------------------------------------

    async def _log(self, request: Request) -> Response:
        query = request.query_params
        kind, who = query.get("kind", ""), query.get("who", "")
        entries, older = await asyncio.to_thread(
            self._activity.page, _ENTRIES, kind, who, query.get("before")
        )
        filters: dict[str, Any] = {"kind": kind, "who": who, "kinds": KINDS, "most_name": MAX_NAME}
        filters["failure_days"] = FAILURE_DAYS
        with self._world.lock:
            return self._reception.page(request, "log.html", items=entries, older=older, **filters)

    def _log_lines(self, request: Request) -> Response:
        kind = request.path_params["kind"]
        media_type = existing(_LOG_TYPES.get(kind))
        query = request.query_params
        lines = self._activity.lines(query.get("kind", ""), query.get("who", ""), kind == "csv")
        return attachment(f"log.{kind}", lines, media_type)

    # --- tokens: shown in the response to the form, once --------------------------------------

    def _create_token(self, request: Request, fields: dict[str, str]) -> Response:
        role = _ROLES.get(fields.get("role", ""))
        if role is None:
            raise PageError(400, f"Choose a role: {', '.join(_ROLES)}.")
        try:
            token, secret = self._reception.access.create(
                role, fields.get("name", ""), self._world.clock.now(), self._reception.who(request)
            )
        except ValueError as error:
            raise PageError(400, f"The token could not be created: {error}.") from None
        link = f"{self._reception.url}/sign-in#{secret}"
        return self._show(request, (f"The token of {token.name} ({role})", secret, link))

    def _revoke_token(self, request: Request, fields: dict[str, str]) -> Response | str:
        id, access = request.path_params["id"], self._reception.access
        token = existing(next((token for token in access.tokens() if token.id == id), None))
        if "confirm" not in fields:
            return self._reception.ask_to_revoke(request, f"{PREFIX}/people", "the token of", token.name)
        access.revoke(id, self._world.clock.now(), self._reception.who(request))
        return f"{PREFIX}/people?done=revoked&revoked={id}#tokens"

    def _waiting_of(self, token: str) -> list[Submission]:
        """What waits for a review of whoever has a token that was revoked; the lock is held."""
        if token not in (row.id for row in self._reception.access.tokens() if row.revoked_at is not None):
            return []
        worker = f"wkr_{token.partition('_')[2]}"
        state = cast("KeptState", self._world.state)
        return [state.submissions[id] for id, _ in Line(state.query, worker=worker).attempts()]

    def _reject_waiting(self, request: Request, _fields: dict[str, str]) -> str:
        at = self._world.clock.now()
        with self._world.lock:
            for case in self._waiting_of(request.path_params["id"]):
                verdict = Verdict(
                    [1] * len(case.files), _REVOKED, actor=self._reception.who(request), rated_by="person"
                )
                self._world.jobs.score(case, at, verdict)
        return f"{PREFIX}/people?done=rejected#tokens"

    async def _erase(self, request: Request, fields: dict[str, str]) -> str:
        subject = fields.get("subject", "")
        if not SUBJECT.fullmatch(subject) or not self._eraser.is_known(subject):
            words = "No person and no file has this id. The id of a person is wkr_…, that of a file file_…."
            raise PageError(404, words, "Not found")
        self._eraser.ask(subject, self._reception.who(request))
        is_done = await asyncio.to_thread(self._eraser.run)
        return f"{PREFIX}/people?done={'erased' if is_done else 'erasing'}#erase"

    # --- the budget ----------------------------------------------------------------------------------------

    def _add_credits(self, request: Request, fields: dict[str, str]) -> str:
        cents, now = _cents(fields.get("dollars", "")), self._world.clock.now()
        with self._world.lock:
            purchase = self._world.credits.start_purchase(self._world.state.own, cents, now)
            self._world.credits.pay_checkout(purchase, now, self._reception.who(request))
        return f"{PREFIX}/ledger?done=booked#credits"

    async def _checkout(self, request: Request) -> Response:
        """The target of `POST /v1/billing/credits/purchase`. On your own server, the operator adds the credits."""
        self._reception.need(request, "operator")
        with self._world.lock:
            checkout = existing(self._world.state.checkouts.get(request.path_params["id"]))
            return self._reception.page(
                request, "checkout.html", cents=checkout.cents, is_paid=checkout.is_paid
            )

    async def _pay(self, request: Request) -> Response:
        self._reception.need(request, "operator")
        fields = await self._reception.form(request)
        with self._world.lock:
            now, paid_by = self._world.clock.now(), self._reception.who(request)
            checkout = existing(self._world.state.checkouts.get(request.path_params["id"]))
            # A buyer may have changed the amount of a top-up since: then the page says the new one.
            if fields.get("cents", str(checkout.cents)) == str(checkout.cents):
                self._world.credits.pay_checkout(checkout.id, now, paid_by)
        return self._reception.go(f"/checkout/{checkout.id}")

    async def _purchase(self, request: Request) -> Response:
        """The target of an `insufficient_credits` error."""
        self._reception.need(request, "operator")
        return self._reception.go(f"{PREFIX}/ledger#credits")


def _cents(text: str) -> int:
    whole, _, part = text.strip().removeprefix("$").partition(".")
    if not (
        f"{whole}{part}".isascii() and whole.isdecimal() and (not part or part.isdecimal()) and len(part) <= 2
    ):
        raise PageError(400, "Write an amount, such as 25 or 12.50.")
    cents = int(whole[:12]) * 100 + int(part.ljust(2, "0") if part else 0)
    if not 1 <= cents <= MAX_CENTS:
        raise PageError(400, f"Add $0.01 to ${MAX_CENTS // 100:,} at a time.")
    return cents
