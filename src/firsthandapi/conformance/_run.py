"""A check under way: it sends requests, creates what promises need, and removes it again."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Generic, TypeVar, cast
from urllib.parse import urlencode, urlsplit

from firsthandapi._core.calls.counts import dollars
from firsthandapi._host.loopback import is_loopback
from firsthandapi._masking import Secret

from ._checks import listed, only
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
from ._shapes import OBJECT
from ._wire import MAX_DOWNLOAD, Wire
from ._witness import Witness

T = TypeVar("T")
Json = dict[str, Any]

# The most that the jobs of a check hold in escrow at any time with a live key, in US cents.
MAX_HELD_CENTS = 500
# Seconds for a wait that a server asks for, and for removing what was created.
_LONGEST_PAUSE = 65.0
_CLEANING = 100.0
# A sandbox job completes after about 15 seconds: §7.
_SANDBOX_SECONDS = 45.0

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
_AUTOMATIC = "automatic"


@dataclass(frozen=True)
class _Made:
    words: str  # what is left if it cannot be removed
    remove: Callable[[], object]
    cents: int = 0


class Shared(Generic[T]):
    """What promises share: created at its first use. If that fails, whoever needs it is not tried."""

    def __init__(self, make: Callable[[Run], T]) -> None:
        self._make = make
        self.__doc__ = make.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, run: Run, owner: type) -> T:
        if self._name not in run.shared:
            run.keeping += 1
            try:
                run.shared[self._name] = self._make(run)
            except NoResponseError:
                raise
            except NotTriedError as error:
                run.shared[self._name] = error
            except DiffersError as error:
                words = (self.__doc__ or self._name).partition(".")[0]
                run.shared[self._name] = NotTriedError(f"{words[:1].lower()}{words[1:]} failed: {error.came}")
            finally:
                run.keeping -= 1
        found = run.shared[self._name]
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
        self.witness = Witness()
        self.shared: dict[str, Any] = {}
        self.keeping = 0
        # By id, what has to be removed again; and what of it stays until the end.
        self._made: dict[str, _Made] = {}
        self._kept: set[str] = set()
        self._unsure: list[Asked] = []

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
        once: str | None = _AUTOMATIC,
    ) -> Asked:
        """A request that is not sent yet.

        Args:
            method: such as `GET`.
            path: such as `/v1/me`.
            body: sent as JSON, or as it is if it is bytes.
            query: parameters.
            headers: more headers.
            key: whose key goes with it; that of the check if left out.
            once: the idempotency key of a POST; a new one if left out, None for none.
        """
        sent = dict(headers or {})
        if body is not None:
            sent.setdefault("Content-Type", "application/json")
        if method == "POST" and once is not None:
            sent["Idempotency-Key"] = str(uuid.uuid4()) if once == _AUTOMATIC else once
        url = self.base + path + (f"?{urlencode(query)}" if query else "")
        return Asked(method, url, sent, body, self.key if key is None else key)

    def __call__(self, method: str, path: str, body: Any = None, **options: Any) -> Exchange:
        """Send a request; the arguments are those of `ask`."""
        return self.send(self.ask(method, path, body, **options))

    def get(self, path: str, **query: Any) -> Exchange:
        """Send a GET with these parameters."""
        return self("GET", path, query=query)

    def post(self, path: str, body: Any = None, **options: Any) -> Exchange:
        """Send a POST; the options are those of `ask`."""
        return self("POST", path, body, **options)

    def send(self, asked: Asked, held: float = 0.0) -> Exchange:
        """Send a request. If the rate limit refuses it, wait as long as told, and send it once more.

        Raises:
            NoResponseError: no complete response came in time: within `patience`, and `held` seconds more.
            NotTriedError: it would write with a live key that may only read, or hold too much credit.
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

    def _sent(self, asked: Asked, held: float = 0.0) -> Exchange:
        if self.seconds_left < 0:
            raise OutOfTimeError
        # Until its response is read, also if Ctrl-C comes first.
        self._unsure.append(asked)
        it = self._wire.send(asked, self.patience + held)
        self.note(it)
        self._unsure.remove(asked)
        return it

    def _sleep(self, seconds: float) -> None:
        if seconds > self.seconds_left:
            raise OutOfTimeError
        time.sleep(seconds)

    def _allow(self, asked: Asked) -> None:
        if asked.method == "GET":
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
        self.witness.see(it)
        id = it.object.get("id")
        match (method, *path.split("/")[2:]) if it.ok else ():
            case ("POST", "jobs") if isinstance(id, str):
                self.made_job(id, _cost(it.asked.body), it.asked.credential)
            case ("POST", "api_keys") | ("POST", "api_keys", _, "rotate") if isinstance(id, str):
                self._will_remove(id, f"{id}: not revoked", "POST", f"/v1/api_keys/{id}/revoke")
            case ("POST", "webhook_endpoints") if isinstance(id, str):
                self._will_remove(id, f"{id}: not deleted", "DELETE", f"/v1/webhook_endpoints/{id}")
            case ("POST", _, id, "cancel" | "revoke") | ("DELETE", _, id):
                self._made.pop(id, None)
            case _:
                pass

    def made_job(self, id: str, cents: int, key: Credential | None = None) -> None:
        """Remember a job that has to be cancelled."""
        self._will_remove(id, f"{id}: not cancelled", "POST", f"/v1/jobs/{id}/cancel", cents, key)

    def _will_remove(
        self, id: str, words: str, method: str, path: str, cents: int = 0, key: Credential | None = None
    ) -> None:
        def remove() -> None:
            it = self(method, path, key=key)
            # A finished job, or one that is not known any more, needs no removing.
            if not it.ok and it.status not in (404, 409):
                raise DiffersError(it.excerpt, it)

        self._made[id] = _Made(words, remove, cents)
        if self.keeping:
            self._kept.add(id)

    def undo(self, words: str, do: Callable[[], object]) -> None:
        """Do something at the end, however the check ends. `words` name what is left if it fails."""
        self._made[words] = _Made(words, do)
        self._kept.add(words)

    def tidy(self) -> None:
        """Remove what a promise created for itself; what fails is tried again at the end."""
        for id in [each for each in self._made if each not in self._kept]:
            with suppress(DiffersError, NotTriedError):
                self._made[id].remove()
                self._made.pop(id, None)

    def clean(self) -> list[str]:
        """Remove all that was created; return what could not be removed, in words."""
        self._ends = time.monotonic() + _CLEANING
        # Its key makes a POST safe to send again: the response tells what the first one created.
        unsure = [each for each in self._unsure if "Idempotency-Key" in each.headers]
        again = [
            _Made(
                f"{each.method} {urlsplit(each.url).path}: its outcome is unknown", partial(self._sent, each)
            )
            for each in unsure
        ]
        left = self._removed(again)
        return left + self._removed([self._made[id] for id in reversed(self._made)])

    def _removed(self, made: list[_Made]) -> list[str]:
        left: list[str] = []
        for each in made:
            try:
                each.remove()
            except (DiffersError, NotTriedError, OutOfTimeError) as error:
                came = error.came if isinstance(error, DiffersError) else "no time was left"
                left.append(f"{each.words} ({came})")
        return left

    # --- what promises need -----------------------------------------------------------------------------

    def new_job(self, *, key: Credential | None = None, **fields: Any) -> Json:
        """Post a job."""
        return self._created(self.post("/v1/jobs", {**JOB, **fields}, key=key))

    def _created(self, it: Exchange) -> Json:
        if not it.ok or not isinstance(it.object.get("id"), str):
            raise DiffersError(it.excerpt, it)
        return it.object

    def read_job(self, job: str) -> Json:
        """A job as it is now."""
        return self._created(self.get(f"/v1/jobs/{job}"))

    def cancel(self, job: str, **options: Any) -> Exchange:
        """Cancel a job."""
        return self.post(f"/v1/jobs/{job}/cancel", **options)

    def new_key(self, *scopes: str, name: str = "LIMITED_KEY") -> tuple[Credential, Json]:
        """Create an API key in the environment of the check's own."""
        body: Json = {"name": "Conformance check", "environment": "test" if self.is_sandbox else "live"}
        made = self._created(self.post("/v1/api_keys", {**body, "scopes": [*scopes]}))
        if not isinstance(made.get("secret"), str):
            raise NotTriedError("POST /v1/api_keys returned no secret")
        return Credential(made["secret"], name), made

    def hook(self, path: str = "", *events: str) -> Json:
        """Create a webhook endpoint, on this machine if the server reaches it: it has no other one to reach."""
        try:
            url = self.receiver.url
        except NotTriedError:
            url = "https://conformance.invalid/hook"
        events = events or ("job.flagged",)
        return self._created(self.post("/v1/webhook_endpoints", {"url": url + path, "events": [*events]}))

    def filtered(
        self, path: str, fits: Callable[[Json], bool], *, some: bool = True, **query: Any
    ) -> Exchange:
        """A page of a list with a filter, checked for what fits it; `some` says that at least one item does."""
        it = self.get(path, limit=100, **query).must(listed(OBJECT, 100), only(fits))
        if some and not it.items:
            if self.writes:  # then the check has created what fits
                raise DiffersError("nothing is listed, and something fits the filter", it)
            raise NotTriedError("nothing fits the filter here")
        return it

    @Shared
    def sample(self) -> bool:
        """Getting responses of several kinds."""
        self.get("/v1/me")
        self.get("/v1/jobs", limit=1)
        self.get("/v1/jobs", limit=0)
        self.get(f"/v1/jobs/job_{'0' * 26}")
        for _ in range(2):
            self("GET", "/v1/me", key=NO_KEY)
        return True

    @Shared
    def job(self) -> Json:
        """Posting a job. It stays open for the whole check; without writing, it is the newest job."""
        return self.new_job() if self.writes else self._first("/v1/jobs", "job")

    @Shared
    def spare_job(self) -> Json:
        """Posting a job that a promise may spoil."""
        return self.new_job()

    @Shared
    def cancelled_job(self) -> Json:
        """Cancelling a job."""
        return self._created(self.cancel(self.new_job()["id"]))

    @Shared
    def spare_key(self) -> Json:
        """Creating an API key that a promise may spoil."""
        return self.new_key("usage:read")[1]

    @Shared
    def poor_key(self) -> Credential:
        """Creating an API key that may only read billing."""
        return self.new_key("usage:read")[0]

    @Shared
    def audit_key(self) -> Credential:
        """Creating an API key that may only read the audit trail."""
        return self.new_key("audit:read")[0]

    @Shared
    def endpoint(self) -> Json:
        """Creating a webhook endpoint for cancelled jobs."""
        if not self.writes:
            return self._first("/v1/webhook_endpoints", "webhook endpoint")
        return self.hook("", "job.cancelled")

    @Shared
    def spare_endpoint(self) -> Json:
        """Creating a webhook endpoint that a promise may spoil."""
        return self.hook()

    @Shared
    def receiver(self) -> Receiver:
        """Receiving webhooks."""
        if not is_loopback(urlsplit(self.base).hostname or ""):
            raise NotTriedError("a receiver of webhooks on this machine is only for a server on this machine")
        receiver = self._stack.enter_context(receiving())
        it = self.post("/v1/webhook_endpoints", {"url": receiver.url, "events": ["job.flagged"]})
        if not it.ok:
            raise NotTriedError(f"the server takes no receiver on this machine: {it.excerpt}")
        return receiver

    @Shared
    def event(self) -> Json:
        """Causing an event. Without writing, it is the newest one."""
        if self.writes:
            _ = self.cancelled_job
        return self._first("/v1/webhook_events", "event")

    @Shared
    def completed_job(self) -> Json:
        """Completing a job. It may be an earlier one."""
        if self.has_control:
            return self.complete_job()
        for job in self.get("/v1/jobs", status="completed", limit=100).items:
            if job.get("files_approved") and isinstance(job.get("id"), str):
                return job
        if not self.writes or not self.is_sandbox:
            raise NotTriedError("this account has no completed job with files")
        return self.finished(self.new_job(min_star_rating=3)["id"], _SANDBOX_SECONDS)

    @property
    def own_completed_job(self) -> Json:
        """A completed job that this check posted, so that it may be rated."""
        job = self.completed_job
        if job["id"] not in self._made:
            raise NotTriedError("no job of this check completes here, and it rates no others")
        return job

    @Shared
    def rejected_job(self) -> Json:
        """Getting a submission rejected. It may be an earlier one."""
        if self.has_control:
            job = self.new_job()["id"]
            self.work(job, 1)
            return self.read_job(job)
        # The sandbox gives 4 stars, and the job that stays open asks for 5: its worker comes within 15 seconds.
        ends = time.monotonic() + (_SANDBOX_SECONDS if self.is_sandbox and self.job else 0.0)
        while True:
            for submission in self.get("/v1/submissions", status="rejected").items:
                if isinstance(submission.get("job_id"), str):
                    return self.read_job(submission["job_id"])
            if time.monotonic() >= ends:
                raise NotTriedError("this account has no rejected submission")
            self._sleep(1.0)

    @Shared
    def mixed(self) -> bool:
        """Creating items that fit filters, and between them others that do not."""
        if self.writes:
            self.cancel(self.new_job()["id"])
            if self.has_control:
                self.complete_job()
                self.work(self.new_job()["id"], 1)
            self.new_job()
            self.cancel(self.new_job()["id"])
            if self.has_control:
                self.complete_job()
        return True

    @Shared
    def files(self) -> Exchange:
        """Listing approved files."""
        it = self.get(f"/v1/jobs/{self.completed_job['id']}/files")
        if not it.items:
            raise DiffersError(it.excerpt, it)
        return it

    @Shared
    def submission(self) -> Json:
        """Listing submissions. It is that of an approved file."""
        return self._first(f"/v1/jobs/{self.completed_job['id']}/submissions", "submission")

    def _first(self, path: str, what: str) -> Json:
        it = self.get(path)
        if not it.ok:
            raise DiffersError(it.excerpt, it)
        if not it.items:
            raise NotTriedError(f"this account has no {what}")
        return it.items[0]

    def finished(self, job: str, seconds: float) -> Json:
        """Wait until a job is completed."""
        ends = time.monotonic() + seconds
        while True:
            left = max(1, min(10, int(ends - time.monotonic())))
            asked = self.ask("GET", f"/v1/jobs/{job}", headers={"Prefer": f"wait={left}"})
            found = self._created(self.send(asked, left))
            if found.get("status") == "completed":
                return found
            if time.monotonic() >= ends:
                raise NotTriedError(f"no job completes here: after {seconds:g} s it is {found.get('status')}")
            self._sleep(0.05)  # a server that does not hold the request is not asked in a loop

    # --- a server that can be driven --------------------------------------------------------------------

    @Shared
    def has_control(self) -> bool:
        """Looking for /_control."""
        if not self.writes:
            return False
        paths = self("GET", "/openapi.json", key=NO_KEY).object.get("paths")
        return isinstance(paths, dict) and "/_control/submit" in paths

    def needs_control(self, why: str) -> None:
        """Raise a NotTriedError on a server without /_control."""
        if not self.has_control:
            raise NotTriedError(f"it takes {why}, which only a server with /_control provides")

    @Shared
    def speed(self) -> float | None:
        """Reading the speed of time. None on a server whose time nothing moves but time itself."""
        found = self("GET", "/_control", key=NO_KEY).object.get("speed") if self.has_control else None
        return float(found) if isinstance(found, (int, float)) else None

    def control(self, method: str, path: str, body: Json) -> Exchange:
        """Call /_control. It takes no key, and has no rate limit."""
        return self.send(self.ask(method, f"/_control{path}", body, key=NO_KEY, once=None), 30.0)

    def work(self, job: str, rating: int) -> None:
        """Submit a file and rate it. A simulated worker may have been faster: then there is no slot."""
        made = self.control("POST", "/submit", {"job_id": job, "rating": rating}).object.get("submission_id")
        if isinstance(made, str):
            self.control("POST", "/score", {"submission_id": made, "rating": rating})

    def complete_job(self) -> Json:
        """Post a job, and do its work by /_control."""
        job = self.new_job(min_star_rating=3)["id"]
        for _ in range(2):
            self.work(job, 5)
        return self.finished(job, self.patience)

    def let_deliver(self) -> None:
        """Where time stands still, move it a little: deliveries are due."""
        if self.speed == 0:
            self.control("POST", "/advance", {"seconds": 1})

    @Shared
    def strangers(self) -> Json:
        """Creating another organization."""
        self.needs_control("another organization")
        made = self.control("POST", "/organizations", {}).object
        if not isinstance(made.get("api_key"), str) or not isinstance(made.get("test_api_key"), str):
            raise NotTriedError("/_control made no organization")
        return made

    @property
    def stranger(self) -> Credential:
        """A key of another organization, for the same environment."""
        name = "test_api_key" if self.is_sandbox else "api_key"
        return Credential(self.strangers[name], "KEY_OF_ANOTHER_ORGANIZATION")

    @property
    def stranger_with_credit(self) -> Credential:
        """A live key of another organization, whose money nobody owns."""
        return Credential(self.strangers["api_key"], "KEY_OF_ANOTHER_ORGANIZATION")

    def lift_limits(self) -> None:
        """On a server that can be driven, no promise waits for the rate limit but those about it."""
        if self.has_control:
            before = self("GET", "/_control", key=NO_KEY).object
            names = ("rate_limit", "organization_rate_limit")
            kept = {name: before[name] for name in names if name in before}
            self.undo("the rate limit: not restored", lambda: self._restore_limits(kept))
            self.control("PATCH", "/settings", dict.fromkeys(kept, 1_000_000))

    def _restore_limits(self, kept: Json) -> None:
        # In a new window: the requests of the check would have spent the old one.
        self.control("POST", "/advance", {"seconds": 60})
        self.control("PATCH", "/settings", kept)


def _cost(body: Any) -> int:
    found = as_object(body)
    count, price = found.get("files_needed"), found.get("price_per_file_cents")
    return count * price if isinstance(count, int) and isinstance(price, int) else 0
