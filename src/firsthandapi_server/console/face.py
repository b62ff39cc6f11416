"""What all pages of a server share: templates, frame, static files, and errors in words."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlencode

from anyio import CapacityLimiter, to_thread
from starlette.requests import Request
from starlette.responses import Response

from firsthandapi_server.contract.errors import ApiError
from firsthandapi_server.contract.text import said
from firsthandapi_server.http import browsers
from firsthandapi_server.http.downloads import file_response
from firsthandapi_server.http.forms import is_own, read_fields
from firsthandapi_server.rules.world import World
from firsthandapi_server.state.model import File, Submission
from firsthandapi_server.state.thumbnails import SIDES, Thumbnails

from . import shown

T = TypeVar("T")

PREFIX = "/console"
LIVE = f"{PREFIX}/live"
# The address that a form leads to, or the response to it.
Went = Response | str
# One that takes long returns an awaitable, which is not awaited under the lock.
Page = Callable[[Request], Awaitable[Response] | Response]
Form = Callable[[Request, dict[str, str]], Awaitable[Went] | Went]
HERE = Path(__file__).parent
# Messages after a form was handled. Pages show only these, never text from the address.
_DONE = {
    "posted": "The job is posted.",
    "cancelled": "The job is cancelled, and what it has not spent is available again.",
    "submitted": "The files are submitted. Scoring takes 5 to 15 seconds of the server's time.",
    "scored": "The submission is scored.",
    "withdrawn": "The file is withdrawn.",
    "replayed": "The event is on its way again, to every endpoint that subscribes to it.",
    "added": "The fault is added.",
    "removed": "The fault is removed.",
    "cleared": "All faults are removed.",
    "advanced": "Time has moved on, and everything that was due has happened.",
    "reset": "The server is reset to its initial state.",
    "revoked": "Revoked: it opens nothing any more.",
    "rejected": "Rejected: what waited for a review takes no slot any more.",
    "booked": "The amount is booked.",
    "batched": "What was owed is in this batch now. Pay it, and then enter your reference below.",
    "nothing": "Nothing is owed that is in no batch.",
    "paid": "Marked as paid. People see the reference on their page.",
    "erased": "Erased, for good.",
    "erasing": "Not everything could be erased yet. The server tries again until it is done.",
}
# What differs each time that a page is made: the time, and the names of what a form does once.
_PASSING = re.compile(r'<p class="now".*?</p>|name="(?:upload|joining)" value="\w*"', re.DOTALL)
_STATIC = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


_FAILED = said("That did not work")


class PageError(Exception):
    """A request that a page refuses, with words for a person that say what happened, and what to do."""

    def __init__(self, status: int, words: str, heading: str = _FAILED) -> None:
        super().__init__(words)
        self.status = status
        self.words = words
        self.heading = heading


def _english(text: str, **values: object) -> str:
    """A text of a page as it is; a server for people may have others than the English ones."""
    return text.format(**values) if values else text


def no_page() -> PageError:
    """The error for a page that does not exist."""
    return PageError(404, "This page does not exist, or no longer exists.", "Not found")


def existing(value: T | None) -> T:
    """What was found. Raises PageError: nothing was."""
    if value is None:
        raise no_page()
    return value


class Face:
    """The frame of a server's pages.

    Args:
        url: the address by which people reach the server, without a slash at the end.
        folders: folders with templates and static files, in addition to those of the console.
    """

    static = f"{PREFIX}/static"

    def __init__(self, world: World, url: str, *folders: Path) -> None:
        self.world = world
        self.url = url
        self._folders = [*folders, HERE]
        self._drawing = CapacityLimiter(2)
        self._templates = shown.templates(*(folder / "templates" for folder in self._folders))

    def navigation(self, request: Request) -> list[tuple[str, str]]:  # noqa: ARG002 - others ask who it is
        """The title and the path of each part of the server that the visitor may see."""
        return [
            ("Jobs", PREFIX),
            ("Deliveries", f"{PREFIX}/deliveries"),
            ("Requests", f"{PREFIX}/requests"),
            ("Ledger", f"{PREFIX}/ledger"),
        ]

    def values(self, request: Request) -> dict[str, Any]:  # noqa: ARG002 - others ask who it is
        """The values for every template."""
        return {
            "form_token": "",
            "visitor": None,
            "sender": None,
            "person": dict[str, str]().get,  # nobody has a name here
            "counts": {},
            "speed": None,
            "has_tools": False,
            "job_link": None,
            "terms": {},  # those of the contract, for developers
            "table_of": dict[str | None, object]().get,  # nor has a job tasks
            "without_job": list[str],
            "_": _english,
            "language": "en",
            "direction": "ltr",
            "brand": "FirstHandAPI",
            "logo": f"{self.static}/icon.svg",
            "views": {},
            "may_sign_out": True,
            "currency": "USD",
        }

    def who(self, request: Request) -> str:  # noqa: ARG002 - others ask who it is
        """Who sends a form, for the audit trail."""
        return "console"

    def is_welcome(self, request: Request) -> bool:  # noqa: ARG002 - others ask who it is
        """Whether the visitor of an open console page may still see it."""
        return True

    def pulse(self) -> object:
        """A value that changes with the parts of the console that only this kind of server has."""
        return None

    def page(self, request: Request, template: str, *, status: int = 200, **values: Any) -> Response:
        """A page from a template, which extends `base.html`, with these values and those of every page."""
        path: str = request.scope["path"]
        query = {key: value for key, value in request.query_params.items() if key != "done"}

        def link(**changes: object) -> str:
            """The address of this page with other parameters."""
            return "?" + urlencode({key: value for key, value in {**query, **changes}.items() if value != ""})

        everywhere: dict[str, Any] = {
            "navigation": self.navigation(request),
            "prefix": PREFIX,
            "static": self.static,
            "section": path,
            "address": self.url,
            "now": self.world.clock.now(),
            "titled": self._title,
            "live": _live(f"{path}/"),
            "link": link,
            "before": query.get("before"),
            "done": _DONE.get(request.query_params.get("done", "")),
        }
        text = self._templates.get_template(template).render({**everywhere, **self.values(request), **values})
        etag = browsers.etag_of(_PASSING.sub("", text).encode("utf-8", "replace"))
        # Untrusted text has no quotes that are not escaped.
        text = text.replace('data-etag=""', f"data-etag='{etag}'", 1)
        response = Response(text, status, browsers.HEADERS, "text/html; charset=utf-8")
        return browsers.unchanged_or(request, response, etag)

    async def media(self, request: Request, submission: Submission | None = None) -> Response:
        """A worker's file with its stated type, or the requested range of it, or its thumbnail.

        The visitor may see it in any submission, or in the given one alone.

        Raises PageError: the file does not exist.
        """
        with self.world.lock:
            owner = submission or self.world.state.submissions.get(request.path_params["submission"])
            files = () if owner is None else owner.files
            file = next((entry for entry in files if entry.id == request.path_params["file"]), None)
        if file is None or file.is_erased:
            raise no_page()
        response = await self._thumbnail(request, file) or file_response(request, file)
        response.headers.update(browsers.MEDIA_HEADERS)
        return response

    async def _thumbnail(self, request: Request, file: File) -> Response | None:
        """The thumbnail of a picture; None if it is shown as it is."""
        size, storage = request.query_params.get("size"), self.world.state.storage
        if size not in SIDES or not isinstance(storage, Thumbnails):
            return None
        try:
            content = storage.of(file, size)
            if content is None:
                # Few at a time, and not on the threads of uploads.
                content = await to_thread.run_sync(storage.draw, file, size, limiter=self._drawing)
        except FileNotFoundError:
            raise no_page() from None
        if not content:
            return None
        return browsers.unchanged_or(request, Response(content, 200, browsers.MEDIA_HEADERS, "image/jpeg"))

    def _title(self, job_id: str) -> str | None:
        """What people call a job, by its id."""
        job = self.world.state.jobs.get(job_id)
        return None if job is None else str(job.fields.get("title") or job.fields["description"])

    def refused(self, request: Request, error: PageError) -> Response:
        """The page of an error."""
        fields = {"heading": error.heading, "words": error.words}
        return self.page(request, "error.html", status=error.status, live=None, **fields)

    async def form(self, request: Request) -> dict[str, str]:
        """The fields of a form from this server's own pages, each once; empty fields are left out.

        Pages on other ports of this machine are refused: `gate` lets them call the API, which needs an API key, but
        these pages need none.

        Raises ApiError: another page sent the form, or the request is not a form.
        """
        if not is_own(request):
            raise ApiError(403, "forbidden", "The console takes forms from its own pages only.")
        return await read_fields(request)

    async def asset(self, request: Request) -> Response:
        """A static file. Raises PageError: no file has this name."""
        name: str = request.path_params["name"]
        kind = _STATIC.get(Path(name).suffix)
        for folder in self._folders:
            path = folder / "static" / name
            # The route excludes slashes in the name; this check excludes names of drives and devices.
            if kind is not None and path.name == name and path.is_file():
                headers = {**browsers.HEADERS, "cache-control": "no-cache"}
                return browsers.unchanged_or(request, Response(path.read_bytes(), 200, headers, kind))
        raise no_page()


def _live(path: str) -> str | None:
    """Where a page of the console hears of changes: only those of requests hear of each request."""
    if path.startswith(f"{PREFIX}/requests/"):
        return f"{LIVE}?requests"
    return LIVE if path.startswith(f"{PREFIX}/") else None


def whole(text: str | None, name: str, low: int, high: int, default: int) -> int:
    """A whole number from a form or a query. Raises ValueError: the text is not a whole number, or is out of bounds."""
    if text is None:
        return default
    if not (text.isascii() and text.lstrip("-").isdigit() and len(text) <= 12 and low <= int(text) <= high):
        raise ValueError(f"{name} must be a whole number from {low:,} to {high:,}")
    return int(text)
