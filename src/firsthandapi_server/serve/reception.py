"""Visitors and what they may see: sign-in, forms, templates, and errors."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from firsthandapi_server.console.face import PREFIX, Face, PageError
from firsthandapi_server.contract.errors import ApiError
from firsthandapi_server.contract.text import id_of, said
from firsthandapi_server.http import browsers
from firsthandapi_server.http.forms import is_own, read_fields
from firsthandapi_server.rules.world import World
from firsthandapi_server.sqlite.kept import KeptState
from firsthandapi_server.sqlite.line import Line, counted
from firsthandapi_server.state.model import Job

from .access import JOINED_SECONDS, Access, Role, Visitor
from .consents import Consents, shown
from .links import Links, draw_code
from .speaking import Words, chosen, lookup, told
from .study import Study

HERE = Path(__file__).parent
ME = "/me"
UPLOADS = "/uploads"
JOIN = "/join"
APPEALS = "/review/appeals"
TASKS = "/tasks"
KEYS = "/keys"
SIGN_IN = "/sign-in"
FOREIGN = (
    "This form does not come from a page of this server, or its page is too old: reload it, and try again."
)
# Pages of reviewers and operators.
_STAFF = (f"{PREFIX}/", "/review/", "/checkout/", "/purchase/")
# The pages of one part of the server, by the page that the navigation leads to.
_VIEWS = {
    f"{PREFIX}/people": [("People", f"{PREFIX}/people"), ("Reviewers", f"{PREFIX}/reviews")],
    f"{PREFIX}{KEYS}": [
        ("API keys", f"{PREFIX}{KEYS}"),
        ("Webhooks", f"{PREFIX}/deliveries"),
        ("Requests", f"{PREFIX}/requests"),
    ],
}
_WITH_TASKS = {PREFIX: [("Jobs", PREFIX), ("Tasks", f"{PREFIX}{TASKS}")]}
_MOST_JOBS = 200
_STATUSES = {
    "pending_score": said("Waiting for review"),
    "approved": said("Approved"),
    "retry_pending": said("Try again"),
    "rejected": said("Rejected"),
}
# A lab has a budget, of which jobs reserve what people are then owed.
TERMS = {
    "purchased": "added",
    "available": "left in the budget",
    "held": "reserved",
    "spent": "owed or paid",
    "paid": "owed or paid",
    "refunded": "back in the budget",
    "total": "in all",
    "sandbox": "for tests",
    "purchase": "budget",
    "deduction": "reserved",
    "refund": "back in the budget",
    "Credit purchase": "Added to the budget",
    "Escrow for": "Reserved for",
    "Refund of": "Back from",
    "credits purchased": "budget raised",
    "credits auto topped up": "budget raised by itself",
}
_UNPAID = {**TERMS, "spent": "spent", "paid": "spent"}
_SIGNED_OUT = said("You are signed out: reload the page to sign in, and try again.")


class SignInNeeded(Exception):  # noqa: N818 - a turn of the way, not an error
    """The page needs a token or a consent, and the visitor has none: `where` they sign in or join."""

    def __init__(self, where: str = SIGN_IN) -> None:
        super().__init__(where)
        self.where = where


REFUSALS = SignInNeeded, PageError, ApiError


class Reception(Face):
    """The part that all pages of your own server share.

    Args:
        world: the rules and the state.
        access: the tokens.
        url: the address by which people reach the server, without a slash at the end.
        is_open: whether the person at the machine may see pages without a token if no token of the role exists.
        study: what people join; None for none.
    """

    static = "/static"

    def __init__(
        self, world: World, access: Access, url: str, *, is_open: bool, study: Study | None = None
    ) -> None:
        super().__init__(world, url, HERE)
        self.access = access
        self.links = Links(world.state, url, access.secret("links"))
        self._is_open = is_open
        self._workers = access.secret("workers")
        self.study = study
        self.consents = None if study is None else Consents(access, study)
        # The tasks of jobs with a title, and the titles that no job has, for pages of operators.
        self.table_of: Callable[[str | None], object] = lambda _title: None
        self.without_job: Callable[[], list[str]] = list
        world.consent_of = partial(shown, access, cast("KeptState", world.state))

    # --- who --------------------------------------------------------------------------------------------

    @property
    def is_secure(self) -> bool:
        """Whether people reach the server over https."""
        return self.url.startswith("https:")

    def cookie(self, name: str) -> str:
        """The name of a cookie as browsers have it: `session`, `browser`, `language`, or `passport`."""
        return f"{'__Host-' if self.is_secure else ''}firsthand_{name}"

    def is_guarded(self, role: Role) -> bool:
        """Whether pages of this role need a token."""
        return not self._is_open or self.access.has_token(role)

    def session(self, request: Request) -> str | None:
        """The session that a browser sent, unchecked."""
        return _cookie(request, self.cookie("session"))

    def visitor(self, request: Request) -> Visitor | None:
        """The visitor, if they are signed in."""
        session = self.session(request)
        return None if session is None else self.access.visitor(session, self.world.clock.now())

    def who(self, request: Request) -> str:
        """The visitor's id for the log."""
        visitor = self.visitor(request)
        return super().who(request) if visitor is None or visitor.id is None else visitor.id

    def may(self, request: Request, role: Role) -> bool:
        """Whether the visitor may see pages of this role."""
        visitor = self.visitor(request)
        return (visitor is not None and visitor.may(role)) or not self.is_guarded(role)

    def need(self, request: Request, role: Role) -> Visitor:
        """The visitor, if they may see pages of this role.
        Raises SignInNeeded: the visitor is not signed in.
        Raises PageError: the visitor's token has a lower role.
        """
        visitor = self.visitor(request)
        if self.study is not None and self.consents is not None and role == "worker":
            if visitor is None:
                raise SignInNeeded(JOIN if self.study.join == "open" else SIGN_IN)
            if self.consents.of(worker_id(visitor)) is None:
                raise SignInNeeded(JOIN)
        if visitor is not None and visitor.may(role):
            return visitor
        if not self.is_guarded(role):
            return Visitor(role, None, "you")
        if visitor is None:
            raise SignInNeeded
        words = (
            f"This page is for {role}s, and you signed in as a {visitor.role}: ask for a token for {role}s."
        )
        raise PageError(403, words, "Not yours")

    def participant(self, request: Request) -> str:
        """The worker's id of whoever has agreed to a notice of the study, be it an older one, or withdrawn since: what
        they have sent stays theirs to see, to download, to withdraw, and to delete.
        Raises SignInNeeded: nobody who has agreed is signed in.
        """
        visitor = self.visitor(request)
        if visitor is not None and self.consents is not None:
            worker = worker_id(visitor)
            if self.consents.latest(worker) is not None:
                return worker
        return worker_id(self.need(request, "worker"))

    def worker(self, request: Request) -> str:
        """The worker's id: that of their token, or one derived from a cookie of their browser."""
        visitor = self.need(request, "worker")
        return worker_id(visitor) if visitor.id is not None else self._of_browser(request)

    def own(self, request: Request) -> frozenset[str]:
        """All worker's ids that whoever asks may have worked under: they must not rate that."""
        visitor = self.visitor(request)
        signed_in = [] if visitor is None else [worker_id(visitor)]
        return frozenset([self._of_browser(request), *signed_in])

    def _of_browser(self, request: Request) -> str:
        browser = self.browser(request).encode("utf-8", "replace")
        return id_of("wkr_", int.from_bytes(hmac.digest(self._workers, browser, hashlib.sha256)[:16]))

    def reviewing(self, request: Request) -> tuple[str, str, frozenset[str]]:
        """Who reviews: the `reviewer`, their `browser`, and what is their `own`."""
        return self.reviewer(request), self.browser(request), self.own(request)

    def reviewer(self, request: Request) -> str:
        """The id of the token of whoever reviews, or `reviewer` for the person at the machine."""
        self.need(request, "reviewer")
        visitor = self.visitor(request)
        return (visitor and visitor.id) or "reviewer"

    def granted(self, worker: str) -> dict[str, str]:
        """What the files of a worker say of their consent; nothing where there is no study.

        Raises SignInNeeded: they have not agreed, or not any more.
        """
        if self.consents is None:
            if self.access.name_of(worker) == "":  # they were erased while their file came
                raise SignInNeeded
            return {}
        consent = self.consents.of(worker)
        if consent is None:
            raise SignInNeeded(JOIN)
        return consent

    async def fresh_passport(self, request: Request) -> tuple[str, str] | None:
        """The words that the visitor's browser has just got, for the one page that shows them, and their QR code."""
        words, visitor = _cookie(request, self.cookie("passport")), self.visitor(request)
        if words is None or visitor is None or self.consents is None:
            return None
        # Not what another site may have put there.
        if await self.consents.passports.holder(words) != visitor.id:
            return None
        return words.replace("-", " "), draw_code(f"{self.url}{JOIN}#{words}")

    def browser(self, request: Request) -> str:
        """A random name that a browser keeps, whether or not it is signed in. The first page sets it."""
        name: str | None = getattr(request.state, "browser", None)
        if name is None:
            name = _cookie(request, self.cookie("browser")) or secrets.token_urlsafe(24)
            request.state.browser = name
        return name

    def keep_browser(self, request: Request, response: Response) -> None:
        """Give a browser its name, or the same for as long again."""
        self.set_cookie(response, self.cookie("browser"), self.browser(request), JOINED_SECONDS)

    def set_cookie(self, response: Response, name: str, value: str, seconds: float) -> None:
        """Set a cookie that only this server's own pages send, and that no script can read."""
        response.set_cookie(
            name, value, max_age=int(seconds), httponly=True, samesite="strict", secure=self.is_secure
        )

    # --- what they send ---------------------------------------------------------------------------------

    def form_token(self, request: Request) -> str:
        """The value that forms from this browser must send."""
        return self.access.form_token(self.browser(request))

    def check_form(self, request: Request, token: str | None) -> None:
        """Check that a form, or a script's request with the same token, comes from a page of this server.

        Raises PageError: another page sent it, or the page is too old.
        """
        browser = _cookie(request, self.cookie("browser"))
        if not is_own(request) or browser is None or not self.access.is_form_token(browser, token or ""):
            raise PageError(403, FOREIGN)

    async def form(self, request: Request) -> dict[str, str]:
        """The fields of a form from this server's own pages, each once; empty fields are left out.

        Raises PageError: another page sent the form, or the request is not a form.
        """
        try:
            fields = await read_fields(request)
        except ApiError as error:
            raise PageError(error.status, error.message) from None
        self.check_form(request, fields.pop("form_token", None))
        return fields

    # --- in which language ------------------------------------------------------------------------------

    def _is_staffs(self, request: Request) -> bool:
        return f"{request.scope['path']}/".startswith(_STAFF)

    def words(self, request: Request) -> Words:
        """The words of the page for whoever asks: those of a study speak its languages; staff's speak English."""
        if self.study is None or self._is_staffs(request):
            return Words("en")
        return Words(chosen(request, _cookie(request, self.cookie("language")), self.study.languages))

    def _sender(self, request: Request, visitor: Visitor | None) -> str | None:
        """The worker's id of whoever may send files from this page; None where somebody else may sign in next."""
        if visitor is None or request.scope["path"] == SIGN_IN or self._is_staffs(request):
            return None
        worker = worker_id(visitor)
        return worker if self.consents is None or self.consents.of(worker) is not None else None

    # --- what they get ----------------------------------------------------------------------------------

    def navigation(self, request: Request) -> list[tuple[str, str]]:
        """The parts of the server that the visitor may see."""
        visitor = self.visitor(request)
        own_links = (
            [(self.words(request)("My page"), ME)] if self.study is not None and visitor is not None else []
        )
        is_theirs = request.scope["path"] != "/" and not self._is_staffs(request)
        if self.study is not None and is_theirs and (visitor is None or _is_worker(visitor)):
            # Where nobody needs a token, they might see the others too, and would not know what for.
            return own_links
        review = [("Review", "/review")] if self.may(request, "reviewer") else []
        if self.study is not None and review:
            review.append(("Appeals", APPEALS))
        if not self.may(request, "operator"):
            return [*own_links, *review]
        links = ("People", "/people"), ("Money", "/ledger"), ("Log", "/log"), ("Developers", KEYS)
        return [*review, ("Jobs", PREFIX), *((words, f"{PREFIX}{path}") for words, path in links)]

    def values(self, request: Request) -> dict[str, Any]:
        """The values for every template."""
        visitor, words = self.visitor(request), self.words(request)
        first = "" if self.study is None else self.study.languages[0]
        return {
            **super().values(request),
            "_": words,
            "language": words.spoken,
            "chosen": words.language,
            "direction": words.direction,
            # Without a study, nobody says in which language jobs are.
            "told": partial(told, language=words.language, first=first),
            **(
                {}
                if self.study is None
                else {"brand": self.study.organizer, "logo": self.study.logo and "/study/logo"}
            ),
            "views": _VIEWS if self.study is None or not self.study.tasks else {**_VIEWS, **_WITH_TASKS},
            "table_of": self.table_of,
            "without_job": self.without_job,
            # Whoever joined by a link needs their passport to come back: only their own page asks.
            "may_sign_out": self.study is None or self.study.join == "invited" or not _is_worker(visitor),
            "currency": "USD" if self.study is None else self.study.currency,
            "is_paid": self.study is None or self.study.pay != "none",
            "is_by_link": self.study is not None and self.study.join == "open",
            "statuses": {name: words(status) for name, status in _STATUSES.items()},
            "form_token": self.form_token(request),
            "visitor": visitor,
            "sender": self._sender(request, visitor),
            "person": self.access.name_of,
            "job_link": self.links.url,
            "retry_until": self.world.jobs.retry_until,
            "to_review": lambda: counted(len(Line(cast("KeptState", self.world.state).query))),
            "terms": TERMS if self.study is None or self.study.pay != "none" else _UNPAID,
        }

    def is_welcome(self, request: Request) -> bool:
        """Whether the visitor may still see the console: a token can be revoked or expire while a page is open."""
        return self.may(request, "operator")

    def page(self, request: Request, template: str, *, status: int = 200, **values: Any) -> Response:
        """A page for this browser, with the cookie of its name."""
        response = super().page(request, template, status=status, **values)
        if response.status_code == 304:
            return response
        if values.get("passport"):  # never again
            self.set_cookie(response, self.cookie("passport"), "", 0)
        if self.is_secure:
            response.headers["strict-transport-security"] = "max-age=31536000"
        self.keep_browser(request, response)
        if self.study is not None:
            response.headers["vary"] = "accept-language, cookie"
        return self._in_language(request, response)

    def _in_language(self, request: Request, response: Response) -> Response:
        """A response after which the browser's pages are in the language that the address asks for."""
        tag = request.query_params.get("lang", "")
        language = None if self.study is None else lookup(tag, self.study.languages)
        if language is not None:
            self.set_cookie(response, self.cookie("language"), language, JOINED_SECONDS)
        return response

    def open_jobs(self) -> list[tuple[Job, str]]:
        """The jobs that are not finished and their paths, the latest first."""
        with self.world.lock:
            jobs = islice(reversed(self.world.state.own.jobs), _MOST_JOBS)
            return [(job, self.links.path(job)) for job in jobs if not job.is_terminal]

    def ask_to_revoke(self, request: Request, where: str, kind: str, name: str) -> Response:
        """The question before a token or a key of the page `where` is revoked; its form comes back to the same
        address."""
        return self.page(request, "revoke.html", section=where, live=None, what=kind, name=name)

    def go(self, where: str) -> Response:
        """Redirect to another page after a form."""
        return RedirectResponse(where, 303, browsers.HEADERS)

    def refused(self, request: Request, error: PageError) -> Response:
        """The page of an error, in the words of whoever asks where there are some."""
        words = self.words(request)
        return super().refused(request, PageError(error.status, words(error.words), words(error.heading)))

    def refused_to_script(self, request: Request, error: SignInNeeded | PageError | ApiError) -> Response:
        """The same as JSON, for what a script sends."""
        why: str
        more: dict[str, str] = {}
        if isinstance(error, SignInNeeded):
            status, why, more = 401, _SIGNED_OUT, {"www-authenticate": "Cookie"}
        else:
            status, why = error.status, error.words if isinstance(error, PageError) else error.message
        if status == 408:
            more = {"connection": "close"}  # one whose bytes nobody reads is of no further use
        return JSONResponse({"words": self.words(request)(why)}, status, {**browsers.HEADERS, **more})

    def onward(self, request: Request) -> Response | None:
        """A page that leads to the same address, if this one was asked for by a link of another site."""
        if request.method in ("GET", "HEAD") and request.headers.get("sec-fetch-site") == "cross-site":
            # After a link in a mail, the browser withholds the cookie. It sends it with requests of our own page.
            return self.page(request, "onward.html", target=local_path(_target(request)))
        return None

    def sign_in_first(self, request: Request, where: str = SIGN_IN) -> Response:
        """The page where the visitor signs in or joins, which leads back to the requested page."""
        onward = self.onward(request)
        if onward is not None:
            return onward
        home = where == JOIN and (request.method == "POST" or request.scope["path"] == ME)
        target = where if home else f"{where}?next={quote(_target(request), safe='/')}"
        return self._in_language(request, self.go(target))


def worker_id(visitor: Visitor) -> str:
    """The id in submissions of whoever signed in."""
    return "wkr_" + str(visitor.id).partition("_")[2]


def _is_worker(visitor: Visitor | None) -> bool:
    return visitor is not None and visitor.role == "worker"


def local_path(text: str | None) -> str:
    """A path of this server from untrusted text; `/` for any other text."""
    if (
        text
        and text.startswith("/")
        and not text.startswith(("//", "/\\"))
        and text.isprintable()
        and "\\" not in text
    ):
        return text
    return "/"


def _target(request: Request) -> str:
    query = request.scope["query_string"].decode("latin-1")
    path: str = quote(request.scope["path"], safe="/")
    return f"{path}?{query}" if query else path


def _cookie(request: Request, name: str) -> str | None:
    # Not Starlette's parser: if a cookie occurs twice, only the first counts.
    for part in request.headers.get("cookie", "").split(";"):
        key, _, value = part.strip().partition("=")
        if key == name:
            return value[:200] or None
    return None
