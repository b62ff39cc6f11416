"""A check under way: it sends requests, creates what promises need, and removes it again."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Generator
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar, cast, get_args
from urllib.parse import urlencode, urlsplit

from firsthandapi._core.calls.counts import dollars
from firsthandapi._host.loopback import is_loopback
from firsthandapi._masking import Secret
from firsthandapi.types.enums import Scope

from ._checks import succeeded
from ._exchange import (
    Asked,
    Credential,
    DiffersError,
    Exchange,
    NoResponseError,
    NotTriedError,
    OutOfTimeError,
    as_object,
)
from ._receiver import Receiver, receiving
from ._wire import MAX_DOWNLOAD, Wire
from ._witness import rules

T = TypeVar("T")
Json = dict[str, Any]

# The most that the jobs of a check hold in escrow at any time with a live key, in US cents.
MAX_HELD_CENTS = 500
# Seconds for a wait that a server asks for, and for removing what was created.
_LONGEST_PAUSE = 65.0
_CLEANING = 100.0
# A sandbox job completes after about 15 seconds: §7.
_SANDBOX_SECONDS = 45.0
# Requests per minute: more than a check sends.
_NO_LIMIT = 1_000_000

JOB: Final[Json] = {
    "type": "data_collection",
    "title": "Conformance check",
    "description": "Posted by a conformance check, which cancels it immediately. Please do not work on it.",
    "files_needed": 2,
    "accepted_formats": ["image/jpeg"],
    "price_per_file_cents": 10,
    # The sandbox gives 4 stars: it never completes this job, so that it can be cancelled at any time.
    "min_star_rating": 5,
}
NO_KEY = Credential(None)
_STRANGER = "KEY_OF_ANOTHER_ORGANIZATION"


@dataclass(frozen=True)
class _Made:
    words: str  # what is left if it cannot be removed
    remove: Asked
    cents: int = 0
    is_kept: bool = True  # until the end


class Shared(Generic[T]):
    """What promises share: created at its first use. If that fails, whoever needs it is not tried.

    `words`, or the docstring, say what is done for it.
    """

    def __init__(self, make: Callable[[Run], T], words: str | None = None) -> None:
        self._make = make
        self._words = words or make.__doc__

    def __get__(self, run: Run, owner: type) -> T:
        if self not in run.shared:
            run.keeping += 1
            try:
                run.shared[self] = self._make(run)
            except NoResponseError:
                raise
            except NotTriedError as error:
                run.shared[self] = error
            except DiffersError as error:
                run.shared[self] = NotTriedError(f"{self._words} failed: {error.came}")
            finally:
                run.keeping -= 1
        found = run.shared[self]
        if isinstance(found, NotTriedError):
            raise found
        return cast("T", found)


class Run:
    """A check under way against one server with one key.

    Attributes:
        patience: seconds for a response that is not held.
        base: the address of the server.
        writes: whether more than reading is allowed.
        is_sandbox: whether the key is a sandbox key.
        broken: by the id of a promise about every response, the first one that breaks it.
        shared: what promises share so far, or why it cannot be had.
        keeping: above 0 while what is created stays until the end.
    """

    patience = 10.0

    def __init__(
        self, wire: Wire, base: str, key: Secret[str], *, write: bool, timeout: float, stack: ExitStack
    ) -> None:
        self._wire = wire
        self._stack = stack
        self._ends = time.monotonic() + timeout
        self.base = base
        self.key = Credential(key.reveal())
        self.is_sandbox = key.reveal().startswith("fh_test_")
        self.writes = write or self.is_sandbox
        self._rules = rules()
        self.broken: dict[str, DiffersError] = {}
        self.shared: dict[Shared[Any], Any] = {}
        self.keeping = 0
        # By id, what has to be removed again.
        self._made: dict[str, _Made] = {}
        self._is_cleaning = False

    # --- requests ---------------------------------------------------------------------------------------

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        query: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
        key: Credential | None = None,
        once: str | None = "",
    ) -> Asked:
        """A request that is not sent yet: with the key of the check, and a new idempotency key for a POST."""
        sent = dict(headers or {})
        if body is not None:
            sent["Content-Type"] = "application/json"
        if method == "POST" and once is not None:
            sent["Idempotency-Key"] = once or str(uuid.uuid4())
        url = self.base + path + (f"?{urlencode(query)}" if query else "")
        return Asked(method, url, sent, body, key or self.key)

    def __call__(self, method: str, path: str, body: Any = None, **options: Any) -> Exchange:
        """Send a request; the arguments are those of `ask`."""
        return self.send(self.ask(method, path, body, **options))

    def get(self, path: str, **query: Any) -> Exchange:
        return self("GET", path, query=query)

    def post(self, path: str, body: Any = None, **options: Any) -> Exchange:
        return self("POST", path, body, **options)

    def send(self, asked: Asked, held: float = 0.0) -> Exchange:
        """Send a request. If the rate limit refuses it, wait as long as told, and send it once more.
        Raises NoResponseError: no complete response came in time: within `patience`, and `held` seconds more.
        Raises NotTriedError: it would write with a live key that may only read, or hold too much credit.
        """
        self._allow(asked)
        it = self._sent(asked, held)
        pause = it.headers.get("retry-after", "")
        if it.status == 429 and asked.credential is self.key and pause.isdecimal():
            self._sleep(min(float(pause), _LONGEST_PAUSE))
            it = self._sent(asked, held)
        return it

    def begin(self, asked: Asked, held: float = 0.0) -> Future[Exchange]:
        """Send a request, and continue before its response."""
        self._allow(asked)
        return self._wire.begin(asked, self.patience + held)

    def download(self, url: str, **headers: str) -> Exchange:
        """Request a signed URL, without the key."""
        return self._wire.send(Asked("GET", url, headers, None, NO_KEY, "DOWNLOAD_URL"), 60.0, MAX_DOWNLOAD)

    def hold(self, holds: object, came: str) -> None:
        """Raise a DiffersError with `came`, unless something holds that no single response shows."""
        if not holds:
            raise DiffersError(came)

    @property
    def seconds_left(self) -> float:
        """How much of the time of the check is left."""
        return self._ends - time.monotonic()

    def _sent(self, asked: Asked, held: float) -> Exchange:
        if self.seconds_left < 0:
            raise OutOfTimeError
        once = asked.headers.get("Idempotency-Key", "")
        if once and not self._is_cleaning:
            # Until its response is read, also if Ctrl-C comes first: sent again, it tells what was created.
            words = f"{asked.method} {urlsplit(asked.url).path}: its outcome is unknown"
            self._made[once] = _Made(words, asked)
        it = self._wire.send(asked, self.patience + held)
        self.note(it)
        self._made.pop(once, None)
        return it

    def _sleep(self, seconds: float) -> None:
        if seconds > self.seconds_left:
            raise OutOfTimeError
        time.sleep(seconds)

    def _allow(self, asked: Asked) -> None:
        if asked.method == "GET" or self._is_cleaning:
            return
        if not self.writes:
            raise NotTriedError("a live key only reads, unless told to write")
        is_order = asked.method == "POST" and asked.url == f"{self.base}/v1/jobs"
        if not is_order or asked.credential is not self.key or self.is_sandbox:
            return
        if sum(each.cents for each in self._made.values()) + _cost(asked.body) > MAX_HELD_CENTS:
            raise NotTriedError(f"with a live key, a check holds at most {dollars(MAX_HELD_CENTS)}")

    # --- removing what was created ----------------------------------------------------------------------

    def note(self, it: Exchange) -> None:
        """Look at a response, and remember what has to be removed again, created by intention or not."""
        method, path = it.asked.method, urlsplit(it.asked.url).path.removeprefix(urlsplit(self.base).path)
        if not path.startswith("/v1/"):
            return
        for promise, rule in self._rules.items():
            if promise not in self.broken and (came := rule(it)):
                self.broken[promise] = DiffersError(came, it)
        id = it.object.get("id")
        match (method, *path.split("/")[2:]) if it.ok else ():
            case ("POST", "jobs") if isinstance(id, str):
                self.made_job(id, _cost(it.asked.body), it.asked.credential)
            case ("POST", "api_keys") | ("POST", "api_keys", _, "rotate") if isinstance(id, str):
                self._will_remove(id, "revoked", self.ask("POST", f"/v1/api_keys/{id}/revoke"))
            case ("POST", "webhook_endpoints") if isinstance(id, str):
                self._will_remove(id, "deleted", self.ask("DELETE", f"/v1/webhook_endpoints/{id}"))
            case ("POST", _, id, "cancel" | "revoke") | ("DELETE", _, id):
                self._made.pop(id, None)
            case _:
                pass

    def made_job(self, id: str, cents: int, key: Credential | None = None) -> None:
        """Remember a job that has to be cancelled."""
        self._will_remove(id, "cancelled", self.ask("POST", f"/v1/jobs/{id}/cancel", key=key), cents)

    def _will_remove(self, id: str, done: str, asked: Asked, cents: int = 0) -> None:
        self._made[id] = _Made(f"{id}: not {done}", asked, cents, is_kept=self.keeping > 0)

    def undo(self, what: str, asked: Asked) -> None:
        """Send a request at the end, however the check ends: it restores what is about to change.
        Raises NotTriedError: the check may not write.
        """
        self._allow(asked)
        self._made[what] = _Made(f"{what}: not restored", asked)

    def tidy(self) -> None:
        """Remove what a promise created for itself; what fails is tried again at the end."""
        for id in [id for id, each in self._made.items() if not each.is_kept]:
            with suppress(DiffersError):
                self._remove(id)

    def _remove(self, id: str) -> None:
        it = self.send(self._made[id].remove)
        # A finished job, or one that is not known any more, needs no removing; nor does what was refused just now.
        it.hold(id not in self._made or it.ok or it.status in (404, 409), it.excerpt)
        self._made.pop(id, None)

    def clean(self) -> tuple[str, ...]:
        """Remove all that was created, the newest first; return what could not be removed, in words."""
        self._ends, self._is_cleaning = time.monotonic() + _CLEANING, True
        left: dict[str, str] = {}
        # What was created by a request whose outcome was unknown comes up on the way.
        while id := next((each for each in reversed(self._made) if each not in left), None):
            try:
                self._remove(id)
            except DiffersError as error:
                left[id] = f"{self._made[id].words} ({error.came})"
            except OutOfTimeError:
                left[id] = f"{self._made[id].words} (no time was left)"
        return tuple(left.values())

    # --- what promises need -----------------------------------------------------------------------------

    def new_job(self, *, key: Credential | None = None, **fields: Any) -> Json:
        return _created(self.post("/v1/jobs", {**JOB, **fields}, key=key))

    def read_job(self, job: str) -> Json:
        return _created(self.get(f"/v1/jobs/{job}"))

    def cancel(self, job: str, **options: Any) -> Exchange:
        return self.post(f"/v1/jobs/{job}/cancel", **options)

    def key_body(self, **fields: object) -> Json:
        """The body of a new key in the environment of the check's own."""
        environment = "test" if self.is_sandbox else "live"
        return {"name": "Conformance check", "environment": environment, **fields}

    def new_key(self, *scopes: str, name: str = "LIMITED_KEY") -> tuple[Credential, Json]:
        """Create an API key; `name` is what stands for it in a report."""
        made = _created(self.post("/v1/api_keys", self.key_body(scopes=[*scopes])))
        if not isinstance(made.get("secret"), str):
            raise NotTriedError("POST /v1/api_keys returned no secret")
        return Credential(made["secret"], name), made

    def hook(self, path: str = "", event: str = "job.flagged") -> Json:
        """Create a webhook endpoint, on this machine if the server reaches it: it has no other one to reach."""
        try:
            url = self.receiver.url
        except NotTriedError:
            url = "https://conformance.invalid/hook"
        return _created(self.post("/v1/webhook_endpoints", {"url": url + path, "events": [event]}))

    def first(self, path: str, what: str) -> Json:
        """The newest item of a list."""
        it = self.get(path).must(succeeded)
        if not it.items:
            raise NotTriedError(f"this account has no {what}")
        return it.items[0]

    def finished(self, job: str, seconds: float) -> Json:
        """Wait until a job is completed."""
        ends = time.monotonic() + seconds
        while True:
            left = max(1, min(10, int(ends - time.monotonic())))
            asked = self.ask("GET", f"/v1/jobs/{job}", headers={"Prefer": f"wait={left}"})
            found = _created(self.send(asked, left))
            if found.get("status") == "completed":
                return found
            if time.monotonic() >= ends:
                raise NotTriedError(f"no job completes here: after {seconds:g} s it is {found.get('status')}")
            self._sleep(0.05)  # a server that does not hold the request is not asked in a loop

    # --- what promises share ----------------------------------------------------------------------------

    @Shared
    def sample(self) -> bool:
        """getting responses of several kinds"""
        for path in ("/v1/me", "/v1/jobs?limit=1", "/v1/jobs?limit=0", f"/v1/jobs/job_{'0' * 26}"):
            self.get(path)
        for _ in range(2):
            self("GET", "/v1/me", key=NO_KEY)
        return True

    @Shared
    def completed_job(self) -> Json:
        """completing a job"""
        if self.has_control:
            return self.complete_job()
        for job in self.get("/v1/jobs", status="completed", limit=100).items:
            if job.get("files_approved") and isinstance(job.get("id"), str):
                return job  # an earlier one
        if not self.is_sandbox:
            raise NotTriedError("this account has no completed job with files")
        _ = self.job  # the worker of the sandbox comes to both: see `rejected_job`
        return self.finished(self.new_job(min_star_rating=3)["id"], _SANDBOX_SECONDS)

    @Shared
    def rejected_job(self) -> Json:
        """getting a submission rejected"""
        if self.has_control:
            job = self.new_job()["id"]
            self.work(job, 1)
            return self.read_job(job)
        # The sandbox gives 4 stars, and the job that stays open asks for 5: when another one is completed, it has one.
        _ = self.is_sandbox and self.completed_job
        for submission in self.get("/v1/submissions", status="rejected").items:
            if isinstance(submission.get("job_id"), str):
                return self.read_job(submission["job_id"])
        raise NotTriedError("this account has no rejected submission")

    @Shared
    def mixed(self) -> bool:
        """creating jobs with several statuses"""
        # Items that fit a filter, and between them others that do not.
        if self.writes:
            self.cancel(self.new_job()["id"])
            if self.has_control:
                self.complete_job()
                self.work(self.new_job()["id"], 1)
                self.let_deliver()  # so that the times of jobs differ
            self.new_job()
            self.cancel(self.new_job()["id"])
            if self.has_control:
                self.complete_job()
        return True

    @Shared
    def files(self) -> Exchange:
        """listing approved files"""
        it = self.get(f"/v1/jobs/{self.completed_job['id']}/files")
        it.hold(it.items, f"a completed job without files: {it.excerpt}")
        return it

    @Shared
    def endpoint(self) -> Json:
        """creating a webhook endpoint"""
        if self.writes:
            return self.hook("", "job.cancelled")
        return self.first("/v1/webhook_endpoints", "webhook endpoint")

    @Shared
    def event(self) -> Json:
        """causing an event"""
        _ = self.writes and self.cancelled_job
        return self.first("/v1/webhook_events", "event")

    @Shared
    def receiver(self) -> Receiver:
        """receiving webhooks"""
        if not is_loopback(urlsplit(self.base).hostname or ""):
            raise NotTriedError("a receiver of webhooks on this machine is only for a server on this machine")
        receiver = self._stack.enter_context(receiving())
        it = self.post("/v1/webhook_endpoints", {"url": receiver.url, "events": ["job.flagged"]})
        if not it.ok:
            raise NotTriedError(f"the server takes no receiver on this machine: {it.excerpt}")
        return receiver

    @Shared
    def keys_without(self) -> dict[str, Credential]:
        """creating API keys with all scopes but one"""
        scopes = {*get_args(Scope)}
        return {scope: self.new_key(*sorted(scopes - {scope}))[0] for scope in sorted(scopes)}

    # It stays open for the whole check; without writing, it is the newest job.
    job = Shared(lambda run: run.new_job() if run.writes else run.first("/v1/jobs", "job"), "posting a job")
    cancelled_job = Shared(lambda run: _created(run.cancel(run.new_job()["id"])), "cancelling a job")
    submission = Shared(
        lambda run: run.first(f"/v1/jobs/{run.completed_job['id']}/submissions", "submission"),
        "listing submissions",
    )
    poor_key = Shared(lambda run: run.new_key("audit:read")[0], "creating an API key with one scope")
    # What a promise may spoil.
    spare_job = Shared(lambda run: run.new_job(), "posting a job to spoil")
    spare_key = Shared(lambda run: run.new_key("usage:read")[1], "creating an API key")
    spare_endpoint = Shared(lambda run: run.hook(), "creating a webhook endpoint to spoil")

    @property
    def own_completed_job(self) -> Json:
        """A completed job that this check posted, so that it may be rated."""
        job = self.completed_job
        if job["id"] not in self._made:
            raise NotTriedError("no job of this check completes here, and it rates no others")
        return job

    # --- a server that can be driven --------------------------------------------------------------------

    @Shared
    def has_control(self) -> bool:
        """looking for /_control"""
        if not self.writes:
            return False
        paths = self("GET", "/openapi.json", key=NO_KEY).object.get("paths")
        return isinstance(paths, dict) and "/_control/submit" in paths

    @Shared
    def strangers(self) -> tuple[Credential, Credential]:
        """creating another organization"""
        # Its keys: for the same environment, and a live one, whose money nobody owns.
        self.needs_control("another organization")
        made = self.control("POST", "/organizations", {}).object
        keys = made.get("test_api_key" if self.is_sandbox else "api_key"), made.get("api_key")
        if not all(isinstance(key, str) for key in keys):
            raise NotTriedError("/_control made no organization")
        return Credential(keys[0], _STRANGER), Credential(keys[1], _STRANGER)

    def needs_control(self, why: str) -> None:
        """Raise a NotTriedError on a server without /_control."""
        if not self.has_control:
            raise NotTriedError(f"it takes {why}, which only a server with /_control provides")

    def control(self, method: str, path: str, body: Json) -> Exchange:
        """Call /_control. It takes no key, and has no rate limit."""
        return self.send(self._controlling(method, path, body), 30.0)

    def _controlling(self, method: str, path: str, body: Json) -> Asked:
        return self.ask(method, f"/_control{path}", body, key=NO_KEY, once=None)

    def work(self, job: str, *ratings: int) -> None:
        """Submit a file per rating, and rate it. A simulated worker may have been faster: then there is no slot."""
        for rating in ratings:
            it = self.control("POST", "/submit", {"job_id": job, "rating": rating})
            made = it.object.get("submission_id")
            if isinstance(made, str):
                self.control("POST", "/score", {"submission_id": made, "rating": rating})

    def complete_job(self) -> Json:
        """Post a job, and do its work by /_control."""
        job = self.new_job(min_star_rating=3)["id"]
        self.work(job, 5, 5)
        return self.finished(job, self.patience)

    def advance(self, **span: int) -> None:
        """Move the time of the server."""
        self.control("POST", "/advance", span)

    def let_deliver(self) -> None:
        """Time may stand still: move it by a second, so that deliveries are due."""
        if self.has_control:
            self.advance(seconds=1)

    def lift_limits(self) -> None:
        """On a server that can be driven, no promise waits for the rate limit but those about it."""
        if self.has_control:
            before = self("GET", "/_control", key=NO_KEY).object
            names = ("rate_limit", "organization_rate_limit")
            kept = {name: before[name] for name in names if name in before}
            self.undo("the rate limit", self._controlling("PATCH", "/settings", kept))
            # Before it, in a new window: the requests of the check would have spent the old one.
            self.undo("the window of the rate limit", self._controlling("POST", "/advance", {"seconds": 60}))
            self.control("PATCH", "/settings", dict.fromkeys(kept, _NO_LIMIT))

    @contextmanager
    def limited(self, requests: int) -> Generator[None]:
        """Let each key make only so many requests per minute, on a server that can be driven."""
        self.control("PATCH", "/settings", {"rate_limit": requests})
        try:
            yield
        finally:
            self.control("PATCH", "/settings", {"rate_limit": _NO_LIMIT})


def _created(it: Exchange) -> Json:
    it.must(succeeded).hold(isinstance(it.object.get("id"), str), f"a response without an id: {it.excerpt}")
    return it.object


def _cost(body: Any) -> int:
    found = as_object(body)
    count, price = found.get("files_needed"), found.get("price_per_file_cents")
    return count * price if isinstance(count, int) and isinstance(price, int) else 0
