"""The server under test: the requests of a run, and the removal of what they create."""

from __future__ import annotations

import threading
import time
import uuid
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import urlencode, urlsplit

import httpx
import pytest

from firsthandapi._base.host.loopback import is_loopback
from firsthandapi._base.loose_json import members

from .checks import EVERY_RESPONSE, succeeded, uncompressed
from .exchange import NO_KEY, Check, Key, NoResponseError, PromiseError, Request, Response, shortened
from .receiver import Receiver, receiving

Json = dict[str, Any]

NEW_JOB: Json = {
    "type": "data_collection",
    "title": "Contract check",
    "description": "Posted by a check of the contract, which cancels it immediately. Please do not work on it.",
    "files_needed": 2,
    "accepted_formats": ["image/jpeg"],
    "price_per_file_cents": 10,
    # The sandbox gives 4 stars: it never completes this job, so that it can be cancelled at any time.
    "min_star_rating": 5,
}
# The most that the jobs of a run hold in escrow at any time with a live key, in US cents.
MAX_HELD_CENTS = 500
# Requests per minute: more than a run sends.
NO_LIMIT = 1_000_000
MAX_DOWNLOAD = 64 << 20
_MAX_BODY = 4 << 20
# Seconds for a wait that a server asks for.
_LONGEST_PAUSE = 65.0
# What /_control shows, and how a run sets it: no test waits for the rate limit but those about it, and time moves only
# when a test moves it, at any speed.
_SETTINGS = {"rate_limit": NO_LIMIT, "organization_rate_limit": NO_LIMIT, "speed": 0}
# How to remove what a POST to one of these paths has created, and what it is then.
_REMOVAL = {
    "jobs": ("POST", "/cancel", "cancelled"),
    "api_keys": ("POST", "/revoke", "revoked"),
    "webhook_endpoints": ("DELETE", "", "deleted"),
}
# How the paths of what creates something end.
_CREATING = (*_REMOVAL, "rotate")


@dataclass(frozen=True)
class _Made:
    words: str  # what is left if it cannot be removed
    remove: Request
    cents: int = 0


class Server:
    """A server, with the key of the run.

    Attributes:
        last: the last response, or a request that got none: what a failed test shows.
        broken: by a check of every response, the first one that it found something in.
    """

    def __init__(self, url: str, key: str, *, read_only: bool, patience: float) -> None:
        self.url = url.rstrip("/")
        self.key = Key(key)
        self.is_sandbox = key.startswith("fh_test_")
        self.read_only = read_only
        self.patience = patience  # seconds for a response, or a delivery, that is not held back
        self.last: Response | Request | None = None
        self.broken: dict[Check, PromiseError] = {}
        self.silences = 0  # so many tests in a row got no response
        self.secrets = {key}  # what no failure may show
        # By id, what has to be removed again, and why it could not be.
        self.made: dict[str, _Made] = {}
        self.left: dict[str, str] = {}
        self._stack = ExitStack()
        # A connection is not kept for long: one that the server has closed meanwhile would look like a fault of it.
        self._client = self._stack.enter_context(httpx.Client(limits=httpx.Limits(keepalive_expiry=2.0)))

    # --- requests ---------------------------------------------------------------------------------------

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        query: Json | None = None,
        headers: dict[str, str] | None = None,
        key: Key | None = None,
        once: str | None = "",
    ) -> Request:
        """A request that is not sent yet, with the key of the run, and a new idempotency key for a POST."""
        fields = dict(headers or {})
        if body is not None:
            fields["Content-Type"] = "application/json"
        is_control = path.startswith("/_control")
        if method == "POST" and once is not None and not is_control:
            fields["Idempotency-Key"] = once or str(uuid.uuid4())
        url = self.url + path + (f"?{urlencode(query)}" if query else "")
        return Request(method, url, fields, body, NO_KEY if is_control else key or self.key)

    def __call__(self, method: str, path: str, body: Any = None, **options: Any) -> Response:
        """Send a request; the arguments are those of `request`."""
        return self.send(self.request(method, path, body, **options))

    def get(self, path: str, **query: Any) -> Response:
        return self("GET", path, query=query)

    def post(self, path: str, body: Any = None, **options: Any) -> Response:
        return self("POST", path, body, **options)

    def send(self, request: Request, held: float = 0.0) -> Response:
        """Send a request, which the server may hold for some seconds. If the rate limit refuses it, wait as long as
        told, and send it once more."""
        self._allow(request)
        return self._send(request, held)

    def begin(self, request: Request, held: float = 0.0) -> Future[Response]:
        """Send a request, and continue before its response."""
        self._allow(request)
        future = Future[Response]()

        def exchange() -> None:
            try:
                future.set_result(self._exchange(request, self.patience + held))
            except NoResponseError as error:
                future.set_exception(error)

        # A daemon: what the server holds holds no run that was stopped.
        threading.Thread(target=exchange, daemon=True).start()
        return future

    def download(self, url: str, **headers: str) -> Response:
        """Request a signed URL, without the key."""
        request = Request("GET", url, headers, shown="DOWNLOAD_URL")
        return self._exchange(request, 60.0, MAX_DOWNLOAD).must(uncompressed)

    def _send(self, request: Request, held: float = 0.0) -> Response:
        response = self._send_once(request, held)
        pause = response.headers.get("retry-after", "")
        if response.status == 429 and request.key is self.key and pause.isdecimal():
            time.sleep(min(float(pause), _LONGEST_PAUSE))
            response = self._send_once(request, held)
        return response

    def _send_once(self, request: Request, held: float) -> Response:
        once = request.headers.get("Idempotency-Key", "")
        if once and request.url.endswith(_CREATING):
            # Until a response tells, also if Ctrl-C comes first: sent again, it tells what was created.
            words = f"{request.method} {urlsplit(request.url).path}: its outcome is unknown"
            self.made[once] = _Made(words, request, _cost(request.body))
        response = self._exchange(request, self.patience + held)
        self.note(response)
        # What a 500 hides, or a body that nobody can read, may have been created.
        if 400 <= response.status < 500 or (response.ok and isinstance(response.object.get("id"), str)):
            self.made.pop(once, None)
        return response

    def _exchange(self, request: Request, seconds: float, most: int = _MAX_BODY) -> Response:
        self.last = request
        # Raw: nothing is decoded, redirected, or sent again.
        headers = {"Accept-Encoding": "identity", "User-Agent": "firsthandapi-contract", **request.headers}
        if request.key.secret is not None:
            headers["Authorization"] = f"Bearer {request.key.secret}"
        body, started = bytearray(), time.monotonic()
        try:
            with self._client.stream(
                request.method, request.url, headers=headers, content=request.content or None, timeout=seconds
            ) as reply:
                for chunk in reply.iter_raw():
                    body += chunk
                    if len(body) > most:
                        raise NoResponseError(f"a response of more than {most >> 20} MiB", request)
                    if time.monotonic() - started > seconds:
                        raise NoResponseError(f"no complete response within {seconds:g} s", request)
        except httpx.TimeoutException:
            raise NoResponseError(f"no response within {seconds:g} s", request) from None
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError, ValueError) as error:
            words = shortened(f"{type(error).__name__}: {error}", 160)
            raise NoResponseError(f"no response: {words}", request) from None
        fields = {name.lower(): value for name, value in reply.headers.items()}
        self.last = Response(request, reply.status_code, fields, bytes(body), time.monotonic() - started)
        return self.last

    def _allow(self, request: Request) -> None:
        """Skip the test of a request that may not be sent."""
        if request.method == "GET":
            return
        if self.read_only:
            pytest.skip("--read-only")
        if self.is_sandbox or request.key is not self.key or not request.url.endswith("/v1/jobs"):
            return
        if sum(resource.cents for resource in self.made.values()) + _cost(request.body) > MAX_HELD_CENTS:
            pytest.skip(f"with a live key, the jobs of a run hold at most ${MAX_HELD_CENTS / 100:.2f}")

    # --- removing what was created ----------------------------------------------------------------------

    def note(self, response: Response) -> None:
        """Look at a response, and remember what has to be removed again, created by intention or not."""
        method, path = response.request.method, urlsplit(response.request.url).path
        path = path.removeprefix(urlsplit(self.url).path)
        if not path.startswith("/v1/"):
            return
        for check in EVERY_RESPONSE:
            if check not in self.broken and (fault := check(response)):
                self.broken[check] = PromiseError(fault, response)
        self.secrets |= {
            str(response.object[name]) for name in ("secret", "api_key") if response.object.get(name)
        }
        id = response.object.get("id")
        match (method, *path.split("/")[2:]) if response.ok else ():
            case ("POST", kind) | ("POST", kind, _, "rotate") if kind in _REMOVAL and isinstance(id, str):
                self.will_remove(kind, id, response.request)
            case ("POST", _, gone, "cancel" | "revoke") | ("DELETE", _, gone):
                self.made.pop(gone, None)
            case _:
                pass

    def will_remove(self, kind: str, id: str, by: Request | None = None) -> None:
        """Remember what has to be removed again, and the request that created it, if it was one of ours."""
        method, action, done = _REMOVAL[kind]
        key = by.key if by and kind == "jobs" else None
        remove = self.request(method, f"/v1/{kind}/{id}{action}", key=key)
        self.made[id] = _Made(f"{id}: not {done}", remove, _cost(by.body) if by else 0)

    def undo(self, subject: str, request: Request) -> None:
        """Send a request when the run ends, however it ends: it restores what is about to change."""
        self._allow(request)
        self.made[subject] = _Made(f"{subject}: not restored", request)

    def remove(self, exceptions: set[str]) -> None:
        """Remove what was created, but for what is kept, the newest first. What fails is `left` until the next time."""
        last, self.left = self.last, {}
        # What was created by a request whose outcome was unknown comes up on the way.
        while id := next((key for key in reversed(self.made) if key not in {*exceptions, *self.left}), None):
            resource = self.made[id]
            self.left[id] = "its removal was stopped"
            try:
                response = self._send(resource.remove)
            except NoResponseError as error:
                self.left[id] = str(error)
                continue
            self.left[id] = response.text if response.object else f"{response.status} without an id"
            # A finished job, or one that is not known any more, needs no removing; nor does what was refused now.
            if (response.ok and id not in resource.remove.headers.values()) or response.status in (404, 409):
                self.made.pop(id, None)
        self.last = last

    def close(self) -> None:
        """Remove all that was created; what could not be removed is `left`."""
        try:
            self.remove(set())
        finally:
            self._stack.close()

    # --- what tests create ------------------------------------------------------------------------------

    def new_job(self, *, key: Key | None = None, **fields: Any) -> Json:
        return created(self.post("/v1/jobs", {**NEW_JOB, **fields}, key=key))

    def read_job(self, id: str) -> Json:
        return created(self.get(f"/v1/jobs/{id}"))

    def cancel(self, id: str, **options: Any) -> Response:
        return self.post(f"/v1/jobs/{id}/cancel", **options)

    def key_body(self, **fields: object) -> Json:
        """The body of a new key in the environment of the run's own."""
        environment = "test" if self.is_sandbox else "live"
        return {"name": "Contract check", "environment": environment, **fields}

    def new_key(self, *scopes: str, name: str = "LIMITED_KEY") -> tuple[Key, Json]:
        """Create an API key; `name` is what stands for it where a test fails."""
        record = created(self.post("/v1/api_keys", self.key_body(scopes=[*scopes])))
        return Key(record["secret"], name), record

    def hook(self, path: str = "", event: str = "job.flagged") -> Json:
        """Create a webhook endpoint, on this machine if the server reaches it: it has no other one to reach."""
        url = "https://contract.invalid/hook" if isinstance(self.receiver, str) else self.receiver.url
        return created(self.post("/v1/webhook_endpoints", {"url": url + path, "events": [event]}))

    @cached_property
    def receiver(self) -> Receiver | str:
        """What takes deliveries on this machine, or why there is nothing."""
        if not is_loopback(urlsplit(self.url).hostname or ""):
            return "a receiver of webhooks on this machine is only for a server on this machine"
        receiver = self._stack.enter_context(receiving())
        response = self.post("/v1/webhook_endpoints", {"url": receiver.url, "events": ["job.flagged"]})
        return receiver if response.ok else f"the server takes no receiver on this machine: {response.text}"

    def first(self, path: str, noun: str) -> Json:
        """The newest item of a list."""
        response = self.get(path).must(succeeded)
        if not response.items:
            pytest.skip(f"this account has no {noun}")
        return response.items[0]

    def finished(self, id: str, seconds: float) -> Json:
        """Wait until a job is completed; after so many seconds, it is returned as it is."""
        ends = time.monotonic() + seconds
        while True:
            held = max(1, min(10, int(ends - time.monotonic())))
            request = self.request("GET", f"/v1/jobs/{id}", headers={"Prefer": f"wait={held}"})
            job = created(self.send(request, held))
            if job.get("status") == "completed" or time.monotonic() >= ends:
                return job
            time.sleep(0.05)  # a server that does not hold the request is not asked in a loop

    # --- a server that can be driven --------------------------------------------------------------------

    @cached_property
    def settings(self) -> Json:
        """What /_control says of a server; of one without it, nothing."""
        try:
            settings = {} if self.read_only else self.get("/_control").object
        except NoResponseError:  # a proxy may drop what it does not know
            settings = {}
        return settings if {*_SETTINGS, "workers"} <= settings.keys() else {}

    @property
    def has_control(self) -> bool:
        """Whether the server can be driven."""
        return bool(self.settings)

    def needs_control(self, why: str) -> None:
        """Skip the test on a server without /_control."""
        if not self.has_control:
            pytest.skip(f"it takes {why}, which only a server with /_control provides")

    def control(self, method: str, path: str, body: Json) -> Json:
        """Call /_control. It has no rate limit."""
        return self.send(self.request(method, f"/_control{path}", body), 30.0).object

    def work(self, id: str, *ratings: int) -> None:
        """Submit a file per rating, and rate it. A simulated worker may have been faster: then there is no slot."""
        for rating in ratings:
            submitted = self.control("POST", "/submit", {"job_id": id, "rating": rating})
            if isinstance(submission := submitted.get("submission_id"), str):
                self.control("POST", "/score", {"submission_id": submission, "rating": rating})

    def complete_job(self) -> Json:
        """Post a job, and do its work by /_control."""
        id = self.new_job(min_star_rating=3)["id"]
        self.work(id, 5, 5)
        return self.finished(id, self.patience)

    def advance(self, **span: int) -> None:
        """Move the time of the server, which stands still otherwise."""
        self.control("POST", "/advance", span)

    def prepare(self) -> None:
        """Set up a server that can be driven, until the run ends."""
        if self.has_control:
            settings = {name: self.settings[name] for name in _SETTINGS}
            self.undo("the settings", self.request("PATCH", "/_control/settings", settings))
            # Before it, in a new window: the requests of the run would have spent the old one.
            self.undo(
                "the window of the rate limit", self.request("POST", "/_control/advance", {"seconds": 60})
            )
            self.set(**_SETTINGS)

    def set(self, **settings: float) -> None:
        """Change settings of a server that can be driven."""
        self.control("PATCH", "/settings", settings)


def created(response: Response) -> Json:
    """What a request has created."""
    if not isinstance(response.must(succeeded).object.get("id"), str):
        raise PromiseError("a response without an id", response)
    return response.object


def _cost(body: Any) -> int:
    fields = members(body)
    count, price = fields.get("files_needed"), fields.get("price_per_file_cents")
    return max(count * price, 0) if isinstance(count, int) and isinstance(price, int) else 0
