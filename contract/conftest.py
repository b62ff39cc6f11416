"""A check under way: what promises need and share is created here, at its first use."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final, Generic, TypeVar, cast
from urllib.parse import urlsplit

from firsthandapi._base.host.loopback import is_loopback

from ._checks import succeeded
from ._exchange import Credential, DiffersError, Exchange, NoResponseError, NotTriedError
from ._receiver import Receiver, receiving
from ._requests import Requests

T = TypeVar("T")
Json = dict[str, Any]

# A sandbox job completes after about 15 seconds: §7.
_SANDBOX_SECONDS = 45.0
# Requests per minute: more than a check sends.
NO_LIMIT = 1_000_000

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
_LIMITS = ("rate_limit", "organization_rate_limit")
_STRANGER = "KEY_OF_ANOTHER_ORGANIZATION"


class Shared(Generic[T]):
    """What promises share: created at its first use. If that fails, whoever needs it is not tried.

    `words`, or the docstring, say what is done for it.
    """

    def __init__(self, make: Callable[[Run], T], words: str | None = None) -> None:
        self._make = make
        self._words = words or make.__doc__

    def __call__(self, run: Run) -> T:
        if self not in run.shared:
            own = {*run.own}
            try:
                run.shared[self] = self._make(run)
            except NoResponseError:
                raise
            except NotTriedError as error:
                run.shared[self] = error
            except DiffersError as error:
                run.shared[self] = NotTriedError(f"{self._words} failed: {error.came}")
            finally:
                run.own &= own  # what was created now stays until the end
        found = run.shared[self]
        if isinstance(found, NotTriedError):
            raise found
        return cast("T", found)

    def __get__(self, run: Run, owner: type) -> T:
        return self(run)


class Run(Requests):
    """What promises call, and what they share."""

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
    def completed_job(self) -> Json:
        """completing a job"""
        if self.has_control:
            return self.complete_job()
        for job in self.get("/v1/jobs", status="completed", limit=100).items:
            if job.get("files_approved") and isinstance(job.get("id"), str):
                return job  # an earlier one
        if not self.is_sandbox:
            raise NotTriedError("this account has no completed job with files")
        _ = self.job  # the worker of the sandbox comes to both: see `submissions`
        return self.finished(self.new_job(min_star_rating=3)["id"], _SANDBOX_SECONDS)

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
        receiver = self.stack.enter_context(receiving())
        it = self.post("/v1/webhook_endpoints", {"url": receiver.url, "events": ["job.flagged"]})
        if not it.ok:
            raise NotTriedError(f"the server takes no receiver on this machine: {it.excerpt}")
        return receiver

    # It stays open for the whole check; without writing, it is the newest job.
    job = Shared(lambda run: run.new_job() if run.writes else run.first("/v1/jobs", "job"), "posting a job")
    cancelled_job = Shared(lambda run: _created(run.cancel(run.new_job()["id"])), "cancelling a job")
    submission = Shared(
        lambda run: run.first(f"/v1/jobs/{run.completed_job['id']}/submissions", "submission"),
        "listing submissions",
    )
    poor_key = Shared(lambda run: run.new_key("audit:read")[0], "creating an API key with one scope")
    # What a promise may spoil.
    spare_key = Shared(lambda run: run.new_key("usage:read")[1], "creating an API key")
    spare_endpoint = Shared(lambda run: run.hook(), "creating a webhook endpoint to spoil")

    @property
    def own_completed_job(self) -> Json:
        """A completed job that this check posted, so that it may be rated."""
        job = self.completed_job
        if not self.has_made(job["id"]):
            raise NotTriedError("no job of this check completes here, and it rates no others")
        return job

    # --- a server that can be driven --------------------------------------------------------------------

    @Shared
    def controlled(self) -> Json:
        """looking for /_control"""
        # What it says of itself; of another server, nothing.
        try:
            found = self.get("/_control").object if self.writes else {}
        except NoResponseError:  # a proxy may drop what it does not know
            found = {}
        return found if {*_LIMITS, "workers", "speed"} <= found.keys() else {}

    @property
    def has_control(self) -> bool:
        """Whether the server can be driven."""
        return bool(self.controlled)

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
        """Call /_control. It has no rate limit."""
        return self.send(self.ask(method, f"/_control{path}", body), 30.0)

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
            kept = {name: self.controlled[name] for name in _LIMITS}
            self.undo("the rate limit", self.ask("PATCH", "/_control/settings", kept))
            # Before it, in a new window: the requests of the check would have spent the old one.
            self.undo("the window of the rate limit", self.ask("POST", "/_control/advance", {"seconds": 60}))
            self.control("PATCH", "/settings", dict.fromkeys(kept, NO_LIMIT))


def _created(it: Exchange) -> Json:
    it.must(succeeded).hold(isinstance(it.object.get("id"), str), f"a response without an id: {it.excerpt}")
    return it.object
