"""A check under way: it sends requests, creates what promises need, and removes it again."""

from __future__ import annotations

import functools
import time
import uuid
from collections.abc import Callable, Generator
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager, suppress
from typing import Any, Final, Generic, TypeVar, cast
from urllib.parse import urlencode, urlsplit

from firsthandapi._core.calls.counts import dollars
from firsthandapi._host.loopback import is_loopback
from firsthandapi._masking import Secret

from ._exchange import Asked, Credential, DiffersError, Exchange, NoResponseError, NotTriedError
from ._receiver import Receiver
from ._wire import Wire

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


class OutOfTimeError(Exception):
    """The whole check timed out."""


class Fixture(Generic[T]):
    """What promises share: created at its first use. If that fails, whoever needs it is not tried."""

    def __init__(self, make: Callable[[Run], T]) -> None:
        self._make = make
        self.__doc__ = make.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, run: Run, owner: type) -> T:
        if self._name not in run.made:
            try:
                with run.keeping():
                    run.made[self._name] = self._make(run)
            except NoResponseError:
                raise
            except NotTriedError as error:
                run.made[self._name] = error
            except DiffersError as error:
                words = (self.__doc__ or "").partition(".")[0]
                run.made[self._name] = NotTriedError(f"{words[:1].lower()}{words[1:]} failed: {error.came}")
        found = run.made[self._name]
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
        made: the fixtures so far, or why there is none.
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
        self.made: dict[str, Any] = {}
        # What has to be removed again: the requests that do it. And what of it stays until the end.
        self._made: dict[str, tuple[str, str, str]] = {}
        self._kept: set[str] = set()
        self._keeping = 0
        self._held: dict[str, int] = {}
        self._unsure: list[Asked] = []
        self._undo: list[tuple[str, Callable[[], object]]] = []

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

    def download(self, url: str, most: int, **headers: str) -> Exchange:
        """Request a signed URL, without the key."""
        return self._wire.send(Asked("GET", url, headers, None, NO_KEY, "DOWNLOAD_URL"), 60.0, most)

    def _sent(self, asked: Asked, held: float = 0.0) -> Exchange:
        if time.monotonic() > self._ends:
            raise OutOfTimeError
        # Until its response is read, also if Ctrl-C comes first.
        self._unsure.append(asked)
        it = self._wire.send(asked, self.patience + held)
        self.note(it)
        self._unsure.remove(asked)
        return it

    def _sleep(self, seconds: float) -> None:
        if time.monotonic() + seconds > self._ends:
            raise OutOfTimeError
        time.sleep(seconds)

    def _allow(self, asked: Asked) -> None:
        if asked.method == "GET":
            return
        if not self.writes:
            raise NotTriedError("a live key only reads here: pass --write to try it")
        is_order = asked.method == "POST" and asked.url == f"{self.base}/v1/jobs"
        if not is_order or asked.credential is not self.key or self.is_sandbox:
            return
        if sum(self._held.values()) + _cost(asked.body) > MAX_HELD_CENTS:
            raise NotTriedError(f"with a live key, a check holds at most {dollars(MAX_HELD_CENTS)}")

    def note(self, it: Exchange) -> None:
        """Remember what has to be removed again, whether it was created by intention or not."""
        method, path = it.asked.method, urlsplit(it.asked.url).path.removeprefix(urlsplit(self.base).path)
        if not it.ok or method == "GET" or not path.startswith("/v1/"):
            return
        id = it.object.get("id")
        match method, path.split("/")[2:]:
            case "POST", ["jobs"] if isinstance(id, str):
                self._add(id, "POST", f"/v1/jobs/{id}/cancel", "not cancelled")
                self._held[id] = _cost(it.asked.body)
            case "POST", ["api_keys"] | ["api_keys", _, "rotate"] if isinstance(id, str):
                self._add(id, "POST", f"/v1/api_keys/{id}/revoke", "not revoked")
            case "POST", ["webhook_endpoints"] if isinstance(id, str):
                self._add(id, "DELETE", f"/v1/webhook_endpoints/{id}", "not deleted")
            case ("POST", [_, id, "cancel" | "revoke"]) | ("DELETE", [_, id]):
                self._made.pop(id, None)
                self._held.pop(id, None)
            case _:
                pass

    def _add(self, id: str, method: str, path: str, words: str) -> None:
        self._made[id] = (method, path, words)
        if self._keeping:
            self._kept.add(id)

    # --- removing what was created ----------------------------------------------------------------------

    @contextmanager
    def keeping(self) -> Generator[None]:
        """What is created within stays until the end."""
        self._keeping += 1
        try:
            yield
        finally:
            self._keeping -= 1

    def undo(self, words: str, do: Callable[[], object]) -> None:
        """Do something at the end, however the check ends. `words` name what is left if it fails."""
        self._undo.append((words, do))

    def tidy(self) -> None:
        """Remove what a promise created for itself; what fails is tried again at the end."""
        for id, (method, path, _) in [*self._made.items()]:
            if id not in self._kept:
                with suppress(DiffersError, NotTriedError):
                    self._remove(id, method, path)

    def clean(self) -> list[str]:
        """Remove all that was created; return what could not be removed, in words."""
        self._ends = time.monotonic() + _CLEANING
        left: list[str] = []
        for asked in [each for each in self._unsure if "Idempotency-Key" in each.headers]:
            # Its key makes it safe to send again: the response tells what the first one created.
            again = functools.partial(self._sent, asked)
            self._try(left, f"{asked.method} {urlsplit(asked.url).path}: its outcome is unknown", again)
        for id, (method, path, words) in [*self._made.items()]:
            self._try(left, f"{id}: {words}", functools.partial(self._remove, id, method, path))
        for words, do in reversed(self._undo):
            self._try(left, words, do)
        return left

    def _remove(self, id: str, method: str, path: str) -> None:
        it = self.send(self.ask(method, path))
        # A finished job, or one that is not known any more, needs no removing.
        if not it.ok and it.status not in (404, 409):
            raise DiffersError(it.excerpt, it)
        self._made.pop(id, None)
        self._held.pop(id, None)

    def _try(self, left: list[str], words: str, do: Callable[[], object]) -> None:
        try:
            do()
        except (DiffersError, NotTriedError, OutOfTimeError) as error:
            came = error.came if isinstance(error, DiffersError) else "no time was left"
            left.append(f"{words} ({came})")

    # --- what promises need -----------------------------------------------------------------------------

    def new_job(self, **fields: Any) -> Json:
        """Post a job."""
        it = self("POST", "/v1/jobs", {**JOB, **fields})
        return self._created(it)

    def _created(self, it: Exchange) -> Json:
        if not it.ok or not isinstance(it.object.get("id"), str):
            raise DiffersError(it.excerpt, it)
        return it.object

    def cancel(self, job: str) -> Exchange:
        """Cancel a job."""
        return self("POST", f"/v1/jobs/{job}/cancel")

    def new_key(self, *scopes: str, name: str = "LIMITED_KEY") -> tuple[Credential, Json]:
        """Create an API key in the environment of the check's own."""
        body: Json = {"name": "Conformance check", "environment": "test" if self.is_sandbox else "live"}
        if scopes:
            body["scopes"] = [*scopes]
        made = self._created(self("POST", "/v1/api_keys", body))
        if not isinstance(made.get("secret"), str):
            raise NotTriedError("POST /v1/api_keys returned no secret")
        return Credential(made["secret"], name), made

    def complete_job(self) -> Json:
        """Post a job, and do its work by /_control."""
        job = self.new_job(min_star_rating=3)["id"]
        for _ in range(2):
            self._work(job, 5)
        return self._finished(job, self.patience)

    def read_job(self, job: str) -> Json:
        """A job as it is now."""
        return self._created(self("GET", f"/v1/jobs/{job}"))

    @Fixture
    def me(self) -> Json:
        """Reading the identity."""
        return self("GET", "/v1/me").object

    @Fixture
    def job(self) -> Json:
        """Posting a job. It stays open for the whole check; without writing, it is the newest job."""
        if self.writes:
            return self.new_job()
        return self._first("/v1/jobs", "job")

    @Fixture
    def spare_job(self) -> Json:
        """Posting a job that a promise may spoil."""
        return self.new_job()

    @Fixture
    def cancelled_job(self) -> Json:
        """Cancelling a job."""
        return self._created(self.cancel(self.new_job()["id"]))

    @Fixture
    def spare_key(self) -> Json:
        """Creating an API key that a promise may spoil."""
        return self.new_key("usage:read")[1]

    @Fixture
    def poor_key(self) -> Credential:
        """Creating an API key that may only read billing."""
        return self.new_key("usage:read")[0]

    @Fixture
    def audit_key(self) -> Credential:
        """Creating an API key that may only read the audit trail."""
        return self.new_key("audit:read")[0]

    @Fixture
    def endpoint(self) -> Json:
        """Creating a webhook endpoint for cancelled jobs."""
        if not self.writes:
            return self._first("/v1/webhook_endpoints", "webhook endpoint")
        return self._created(
            self("POST", "/v1/webhook_endpoints", {"url": self.hook, "events": ["job.cancelled"]})
        )

    @Fixture
    def spare_endpoint(self) -> Json:
        """Creating a webhook endpoint that a promise may spoil."""
        return self._created(
            self("POST", "/v1/webhook_endpoints", {"url": self.hook, "events": ["job.flagged"]})
        )

    @property
    def hook(self) -> str:
        """A URL for webhooks; the name of the second one leads nowhere by definition."""
        try:
            return self.receiver.url
        except NotTriedError:
            return "https://conformance.invalid/hook"

    @Fixture
    def receiver(self) -> Receiver:
        """Receiving webhooks."""
        if not is_loopback(urlsplit(self.base).hostname or ""):
            raise NotTriedError("a receiver of webhooks on this machine is only for a server on this machine")
        receiver = self._stack.enter_context(Receiver())
        it = self("POST", "/v1/webhook_endpoints", {"url": receiver.url, "events": ["job.flagged"]})
        if not it.ok:
            raise NotTriedError(f"the server takes no receiver on this machine: {it.excerpt}")
        return receiver

    @Fixture
    def event(self) -> Json:
        """Causing an event. Without writing, it is the newest one."""
        if self.writes:
            _ = self.cancelled_job
        return self._first("/v1/webhook_events", "event")

    @Fixture
    def completed_job(self) -> Json:
        """Completing a job. It may be an earlier one."""
        if self.has_control:
            return self.complete_job()
        found = self("GET", "/v1/jobs", query={"status": "completed", "limit": 100})
        for job in found.items:
            if job.get("files_approved") and isinstance(job.get("id"), str):
                return job
        if not self.writes or not self.is_sandbox:
            raise NotTriedError("this account has no completed job with files")
        return self._finished(self.sandbox_job["id"], _SANDBOX_SECONDS)

    @property
    def own_completed_job(self) -> Json:
        """A completed job that this check posted, so that it may be rated."""
        job = self.completed_job
        if job["id"] not in self._made:
            raise NotTriedError("no job of this check completes here, and it rates no others")
        return job

    @Fixture
    def sandbox_job(self) -> Json:
        """Posting a job for the simulated worker of the sandbox."""
        if not self.is_sandbox:
            raise NotTriedError("only a sandbox has a simulated worker")
        return self.new_job(min_star_rating=3)

    @Fixture
    def rejected_job(self) -> Json:
        """Getting a submission rejected. It may be an earlier one."""
        if self.has_control:
            job = self.new_job()["id"]
            self._work(job, 1)
            return self.read_job(job)
        # The sandbox gives 4 stars, and the job that stays open asks for 5: its worker comes within 15 seconds.
        ends = time.monotonic() + (_SANDBOX_SECONDS if self.is_sandbox and self.job else 0.0)
        while True:
            for submission in self("GET", "/v1/submissions", query={"status": "rejected"}).items:
                if isinstance(submission.get("job_id"), str):
                    return self.read_job(submission["job_id"])
            if time.monotonic() >= ends:
                raise NotTriedError("this account has no rejected submission")
            self._sleep(1.0)

    @Fixture
    def files(self) -> Exchange:
        """Listing approved files."""
        it = self("GET", f"/v1/jobs/{self.completed_job['id']}/files")
        if not it.items:
            raise DiffersError(it.excerpt, it)
        return it

    @property
    def file(self) -> Json:
        """An approved file."""
        return self.files.items[0]

    @Fixture
    def submission(self) -> Json:
        """Listing submissions. It is that of an approved file."""
        return self._first(f"/v1/jobs/{self.completed_job['id']}/submissions", "submission")

    @Fixture
    def strangers(self) -> Json:
        """Creating another organization."""
        if not self.has_control:
            raise NotTriedError("it takes another organization, which only a server with /_control makes")
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

    def _first(self, path: str, what: str) -> Json:
        it = self("GET", path)
        if not it.ok:
            raise DiffersError(it.excerpt, it)
        if not it.items:
            raise NotTriedError(f"this account has no {what}")
        return it.items[0]

    def _finished(self, job: str, seconds: float) -> Json:
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

    @Fixture
    def has_control(self) -> bool:
        """Looking for /_control."""
        if not self.writes:
            return False
        paths = self("GET", "/openapi.json", key=NO_KEY).object.get("paths")
        return isinstance(paths, dict) and "/_control/submit" in paths

    @Fixture
    def speed(self) -> float | None:
        """Reading the speed of time. None on a server whose time nothing moves but time itself."""
        if not self.has_control:
            return None
        found = self("GET", "/_control", key=NO_KEY).object.get("speed")
        return float(found) if isinstance(found, (int, float)) else None

    def control(self, method: str, path: str, body: Json) -> Exchange:
        """Call /_control. It takes no key, and has no rate limit."""
        return self.send(self.ask(method, f"/_control{path}", body, key=NO_KEY, once=None), 30.0)

    def _work(self, job: str, rating: int) -> None:
        # A simulated worker may have been faster: then there is no slot, and nothing to do.
        made = self.control("POST", "/submit", {"job_id": job, "rating": rating}).object.get("submission_id")
        if isinstance(made, str):
            self.control("POST", "/score", {"submission_id": made, "rating": rating})

    def let_deliver(self) -> None:
        """Let webhooks be sent where time stands still."""
        if self.speed == 0:
            self.control("POST", "/advance", {"seconds": 1})

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
    if not isinstance(body, dict):
        return 0
    found: Json = body  # pyright: ignore[reportUnknownVariableType] # it is JSON
    count, price = found.get("files_needed"), found.get("price_per_file_cents")
    return count * price if isinstance(count, int) and isinstance(price, int) else 0
