"""The server for tests: the service on a loopback port, and by hand what workers and the AI scorer do."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property, partial
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, TypeVar, cast, get_args

from pydantic import Field
from typing_extensions import TypedDict

from firsthandapi.types.webhook import WebhookEndpoint
from firsthandapi_server.contract.text import new_secret
from firsthandapi_server.contract.words import (
    Count,
    Environment,
    Filled,
    Flag,
    Positive,
    RatedBy,
    Scope,
    Stars,
)
from firsthandapi_server.http.app import App, IdempotencyKeys
from firsthandapi_server.http.deliveries import Sender, SignatureStyle
from firsthandapi_server.http.gate import host_address
from firsthandapi_server.http.requests import ReceivedRequest
from firsthandapi_server.http.server import HttpServer
from firsthandapi_server.mock.clock import Clock
from firsthandapi_server.mock.front import Front
from firsthandapi_server.mock.inprocess import InProcess
from firsthandapi_server.mock.workers import REASONS, SimulatedWorkers, capture
from firsthandapi_server.rules import show
from firsthandapi_server.rules.deprecation import Deprecation
from firsthandapi_server.rules.faults import Faults
from firsthandapi_server.rules.jobs import Verdict, made_up_dimensions
from firsthandapi_server.rules.places import lies_within
from firsthandapi_server.rules.rewrites import Rewrite, checked_rewrites
from firsthandapi_server.rules.world import World
from firsthandapi_server.state.model import SCOPES, Account, DeliveryAttempt, File, Job, Location, Submission

if TYPE_CHECKING:
    from firsthandapi_server.console import Console
    from firsthandapi_server.mock.control import Control

_T = TypeVar("_T")
# One for each file of a submission. `/_control` keeps to the bounds of signatures.
_Each = Annotated[Sequence[_T], Field(min_length=1, max_length=5)]
_LIVE_KEY = re.compile(r"fh_live_[A-Za-z0-9_]{1,100}")
_RATED_BY = re.compile(r"person|rules|model:\S.{0,199}")


class Dimensions(TypedDict):
    """The parts of a score, 1 to 5 each."""

    relevance: Stars
    quality: Stars
    completeness: Stars


@dataclass(frozen=True, slots=True)
class SubmittedWork:
    """The result of `MockServer.submit`.

    Attributes:
        submission_id: `sub_…`.
        file_ids: `file_…` of each file, whether it is approved or not.
    """

    submission_id: str
    file_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NewOrganization:
    """The result of `MockServer.create_organization`.

    Attributes:
        id: `org_…`.
        api_key: a live key with all scopes.
        test_api_key: a key of its sandbox with all scopes.
    """

    id: str
    api_key: str
    test_api_key: str


@dataclass(frozen=True, slots=True)
class WebhookDelivery:
    """The delivery of one event to one endpoint.

    Attributes:
        event_id: `evt_…`.
        event_type: such as `job.completed`.
        endpoint_id: `we_…`.
        url: the URL of the endpoint.
        status: `pending`, `delivered`, `failed`, or `dropped`: the endpoint is deleted or disabled.
        attempts: the attempts so far.
    """

    event_id: str
    event_type: str
    endpoint_id: str
    url: str
    status: str
    attempts: tuple[DeliveryAttempt, ...]


class BundledServer:
    """What `firsthandapi.testing.MockServer` is, which explains the arguments and adds clients."""

    def __init__(
        self,
        *,
        seed: int = 0,
        speed: float = 1.0,
        workers: bool = True,
        port: int = 0,
        rate_limit: int | None = 100,
        idempotency_keys: IdempotencyKeys = "all",
        rewrites: Rewrite | Iterable[Rewrite] = (),
        api_key: str | None = None,
        public_url: str | None = None,
        on_request: Callable[[ReceivedRequest], None] | None = None,
    ) -> None:
        if api_key is None:
            api_key = new_secret("fh_live_own_")
        elif not _LIVE_KEY.fullmatch(api_key):  # not quoted: it may be a real one
            raise ValueError("api_key is fh_live_ and 1 to 100 letters, digits, or underscores")
        try:
            self._given_url = None if public_url is None else host_address(public_url)
        except ValueError as error:
            raise ValueError(f"public_url {error}") from None
        self.api_key = api_key
        self.test_api_key = "fh_test_" + api_key.removeprefix("fh_live_")
        self.clock = Clock(speed)
        self._world = World(self.clock, seed=seed)
        self.workers = workers
        self._app = App(self._world)
        self.faults = Faults(self._app.paths)
        self._app.control = lambda: self._control.described
        self._front = Front(
            self._app,
            self.faults,
            lambda: self._control.asgi,
            lambda: self._console.asgi,
            on_request,
            self._given_url,
        )
        self._sender = Sender(self._world.delivered)
        self._in_process = InProcess()
        self._world.events.send = self._sender.send
        self._port = port
        self._http: HttpServer | None = None
        self._settings = {
            "speed": speed,
            "rate_limit": rate_limit,
            "organization_rate_limit": self._app.organization_rate_limit,
            "idempotency_keys": idempotency_keys,
            "rewrites": checked_rewrites(rewrites),
            "signature_style": self._sender.style,
        }
        self._set_up()

    def _set_up(self) -> None:
        for name, value in self._settings.items():
            setattr(self, name, value)
        self._world.jobs.reasons = REASONS
        if self.workers:
            self._world.jobs.workforce = SimulatedWorkers(self._world)
        with self._world.lock:
            accounts, at = self._world.accounts, self.clock.now()
            new_key = accounts.create_organization(
                "Mock Organization", "owner@example.com", free_tier=False, at=at, secret=self.api_key
            )
            self._organization = new_key.key.account.organization
            sandbox = self._organization.accounts["test"]
            accounts.create_key(sandbox, "Default key", SCOPES, "system", at, self.test_api_key)

    @cached_property
    def _control(self) -> Control:
        from firsthandapi_server.mock.control import Control  # when first needed: most tests do without

        return Control(self)

    @cached_property
    def _console(self) -> Console:
        from firsthandapi_server.console import Bench, Console  # loads Jinja2

        bench = Bench(self._world, self.public_url, self)
        return Console(
            bench,
            log=self._front.log,
            style=lambda: self.signature_style,
            pages=bench.pages,
            forms=bench.forms,
        )

    # --- life -------------------------------------------------------------------------------------------

    def start(self) -> Self:
        """Start to listen, before this returns. After a `stop`, state and port are unchanged."""
        if self._http is None:
            self._http = HttpServer(self._front, self._port)
            self._port = self._http.port
            self._app.base_url = self.public_url
            self._http.start()
            self._sender.start()
            self.clock.start(self._sender.wait_until_idle)
        return self

    def stop(self) -> None:
        """Close every connection and end every thread. The state stays readable."""
        http, self._http = self._http, None
        if http is not None:
            self.clock.stop()
            self._sender.stop()
            self._in_process.stop()
            http.stop()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *raised: object) -> None:
        self.stop()

    def __repr__(self) -> str:
        state = "open" if self._http else "stopped" if self._port else "not started"
        return f"<{type(self).__name__} [{f'{self.url}, ' if self._port else ''}{state}]>"

    @property
    def url(self) -> str:
        """The address that the server listens on."""
        if not self._port:
            raise RuntimeError("the server has no port yet: call start(), or use it in a with statement")
        return f"http://127.0.0.1:{self._port}"

    @property
    def public_url(self) -> str:
        """The address that URLs of the server begin with: the one that was given, or `url`."""
        return self._given_url or self.url

    # --- who and what -----------------------------------------------------------------------------------

    def create_organization(
        self,
        name: str = "Another Organization",
        email: str = "other@example.com",
        *,
        cents: Count = 100_000,
        free_tier: bool = False,
    ) -> NewOrganization:
        """Create one more organization.

        Args:
            name: its name.
            email: its contact address.
            cents: its balance, in US cents: purchased, or granted for a year on the free tier.
            free_tier: whether it has the limits of the free tier: one open job at a time.

        Returns:
            Its id, and a key of each environment.
        """
        with self._world.lock:
            at = self.clock.now()
            new_key = self._world.accounts.create_organization(
                name, email, free_tier=free_tier, at=at, cents=cents
            )
        organization = new_key.key.account.organization
        return NewOrganization(organization.id, new_key.secret, self._new_key(organization.accounts["test"]))

    def create_key(self, *scopes: Scope, environment: Environment = "live") -> str:
        """Create one more key of the server's own organization.

        Args:
            scopes: its scopes, such as `"jobs:read"`; all of them if none is given.
            environment: `live` or `test`.

        Returns:
            The key.

        Raises:
            ValueError: the scope or environment does not exist.
        """
        return self._new_key(self._account(environment), *scopes)

    def grant_credits(self, cents: Positive) -> None:
        """Grant bonus credit to the server's own organization, good for a year.

        Args:
            cents: the amount, in US cents.
        """
        with self._world.lock:
            self._world.credits.grant(self._organization.accounts["live"], cents, self.clock.now())

    def submit(
        self,
        job_id: str,
        *,
        content: bytes | _Each[bytes | None] | None = None,
        content_type: str | _Each[str] | None = None,
        rating: Stars | _Each[Stars] = 4,
        files: Stars | None = None,
        original_filename: str | _Each[str | None] | None = None,
        annotations: dict[str, Any] | Literal["made up"] | None = "made up",
        width: int | None = None,
        height: int | None = None,
        worker_id: str | None = None,
        latitude: float | None = None,
        longitude: float | None = None,
        location_verified: bool | None = None,
        retry_of: str | None = None,
        dimensions: Dimensions | None = None,
        ai_reasoning: str | None = None,
        rated_by: RatedBy | None = None,
        flags: Sequence[Flag] = (),
    ) -> SubmittedWork:
        """Submit files to a job, as a worker does; they are scored 5 to 15 virtual seconds later.

        Args:
            job_id: the job.
            content: the bytes; created to fit `content_type` if left out. A list means several files.
            content_type: one of the job's `accepted_formats`; the first of them when left out.
            rating: the stars that scoring will give. In the sandbox, scoring always gives 4.
            files: the number of files, where no list gives it.
            original_filename: the name from the worker's device, unchanged.
            annotations: these, or None for none, instead of plausible ones.
            width, height: measures of given `content`, for the job's `min_width` and `min_height`.
            worker_id: the worker; a new one if left out.
            latitude, longitude: where the capture was made, in degrees; they become `submission_latitude` and the like.
            location_verified: whether that is inside the job's `location`; by default, what a job with coordinates and
                a radius makes of it, and None for any other.
            retry_of: the submission with two stars that this is the second attempt of.
            dimensions: the parts of the score: `relevance`, `quality`, and `completeness`, 1 to 5 each; plausible
                ones if left out.
            ai_reasoning: why scoring gives these stars; a sentence for them if left out.
            rated_by: who rates: `person`, `rules`, or `model:<name>`; None for the service's own ensemble.
            flags: what they notice: `policy`, `stock`, `synthetic`, `addresses_rater`, `unreadable`.

        Returns:
            The ids of the submission and its files.

        Raises:
            ValueError: the job does not exist, does not accept the file, or has no slot for it.
        """
        lists = [
            len(value)
            for value in (content, content_type, rating, original_filename)
            if isinstance(value, (list, tuple))
        ]
        count = files or (lists[0] if lists else 1)
        say = _sayer(dimensions, ai_reasoning, rated_by, flags)
        with self._world.lock:
            at = self.clock.now()
            job = self._job(job_id)
            new_files = [
                self._file(job, at, *parts, annotations, (width, height))
                for parts in zip(
                    _as_list(content, count),
                    _as_list(content_type, count),
                    _as_list(rating, count),
                    _as_list(original_filename, count),
                    strict=True,
                )
            ]
            if location_verified is None and latitude is not None and longitude is not None:
                location_verified = lies_within(job.fields.get("location"), latitude, longitude)
            location = Location(latitude, longitude, location_verified)
            if retry_of is None:
                submission = self._world.jobs.submit(job, new_files, at, worker=worker_id, location=location)
            else:
                submission = self._submission(retry_of, job)
                self._world.jobs.resubmit(submission, new_files, at, location)
            if say is not None:
                self._world.jobs.verdicts[submission] = partial(say, submission)
        return SubmittedWork(submission.id, tuple(file.id for file in new_files))

    def score(
        self,
        submission_id: str,
        rating: Stars,
        *,
        dimensions: Dimensions | None = None,
        ai_reasoning: str | None = None,
        rated_by: RatedBy | None = None,
        flags: Sequence[Flag] = (),
    ) -> None:
        """Score a submission now, instead of 5 to 15 virtual seconds after it was submitted.

        Args:
            submission_id: the submission, which waits for its score.
            rating: the stars of each of its files. In the sandbox, scoring always gives 4.
            dimensions, ai_reasoning, rated_by, flags: as for `submit`, which they take the place of.

        Raises:
            ValueError: the submission does not exist, or is scored already.
        """
        _check_stars(rating)
        say = _sayer(dimensions, ai_reasoning, rated_by, flags)
        with self._world.lock:
            submission = self._world.state.submissions.get(submission_id)
            if submission is None:
                raise ValueError(f"no submission {submission_id!r} exists")
            if submission.status != "pending_score":
                raise ValueError(f"{submission_id} is {submission.status}: it does not wait for a score")
            for file in submission.files:
                file.wanted_rating = rating
            verdicts = self._world.jobs.verdicts
            verdict_of = verdicts.get(submission) if say is None else partial(say, submission)
            self._world.jobs.score(submission, self.clock.now(), verdict_of and verdict_of())

    def withdraw(self, file_id: str) -> None:
        """Withdraw an approved file, as a worker who takes back consent does.

        The file list no longer shows it, its URLs end, and the job's `files_approved` falls by one. Its
        payment stays, and no other file replaces it.

        Args:
            file_id: the file.

        Raises:
            ValueError: no such file is approved, or it was withdrawn before.
        """
        with self._world.lock:
            file = self._world.state.files.get(file_id)
            if file is None:
                raise ValueError(f"no approved file {file_id!r}, or it was withdrawn before")
            self._world.jobs.withdraw(file, self.clock.now())

    def emit(self, event_type: Filled, data: dict[str, Any], *, environment: Environment = "live") -> str:
        """Emit a webhook event to the endpoints of the server's own organization.

        Args:
            event_type: any type, known to this version or not.
            data: the event's `data`, sent unchanged.
            environment: whose endpoints: `live` or `test`.

        Returns:
            The event's id.

        Raises:
            ValueError: the environment does not exist.
        """
        with self._world.lock:
            account = self._account(environment)
            return self._world.events.emit(account, event_type, data, self.clock.now()).id

    def deliver_to(self, app: Callable[..., Any], path: str = "/webhooks") -> WebhookEndpoint:
        """Create a webhook endpoint of the server's own organization that is an application of this process.

        Deliveries call the application, without a socket: signed, in order, and repeated as those to any endpoint. An
        exception is logged, and is the `error` of the attempt. An ASGI application runs in a thread with an event loop,
        without its lifespan; a handler must not wait for virtual time.

        Args:
            app: an ASGI or WSGI application, such as one of FastAPI, Flask, or Django.
            path: the path of its receiver.

        Returns:
            The endpoint, with its `secret`. It receives events of every type.

        Raises:
            ValueError: `path` does not begin with a slash.
        """
        if not path.startswith("/"):
            raise ValueError(f"path begins with a slash, unlike {path!r}")
        with self._world.lock:
            endpoint = self._world.events.create_endpoint(
                self._account("live"), f"http://localhost{path}", None, None, self.clock.now()
            )
            fields = show.endpoint(endpoint, secret=True)
        self._sender.handlers[endpoint.id] = partial(self._in_process.post, app)
        return WebhookEndpoint.model_validate(fields)

    def deprecate(
        self,
        path: str,
        *,
        method: str | None = None,
        sunset: datetime | None = None,
        link: str | None = None,
    ) -> None:
        """Deprecate an endpoint: the headers of its responses announce it.

        Args:
            path: a path, one above it, or a glob, as for `faults.add`.
            method: only this method.
            sunset: when the endpoint ends, with a time zone; after that it responds with 410.
            link: the address of its successor.

        Raises:
            ValueError: `sunset` has no time zone.
        """
        if sunset is not None and sunset.tzinfo is None:
            raise ValueError("sunset needs a time zone")
        self._app.deprecations.append(Deprecation(path, method and method.upper(), sunset, link))

    @property
    def speed(self) -> float:
        """Virtual seconds per real second; at 0 only `clock.advance` moves time."""
        return self.clock.speed

    @speed.setter
    def speed(self, speed: Annotated[float, Field(ge=0, allow_inf_nan=False)]) -> None:
        self.clock.speed = speed

    @property
    def rate_limit(self) -> int | None:
        """Requests a key may make in 60 virtual seconds; None for no limits at all."""
        return self._app.rate_limit

    @rate_limit.setter
    def rate_limit(self, limit: Positive | None) -> None:
        self._app.rate_limit = limit

    @property
    def organization_rate_limit(self) -> int | None:
        """Requests an organization may make in a virtual second; None for no limit."""
        return self._app.organization_rate_limit

    @organization_rate_limit.setter
    def organization_rate_limit(self, limit: Positive | None) -> None:
        self._app.organization_rate_limit = limit

    @property
    def idempotency_keys(self) -> IdempotencyKeys:
        """Which POSTs need an Idempotency-Key: `all` that the contract names, or `jobs`."""
        return self._app.idempotency_keys

    @idempotency_keys.setter
    def idempotency_keys(self, keys: IdempotencyKeys) -> None:
        if keys not in ("all", "jobs"):
            raise ValueError(f"idempotency_keys is 'all' or 'jobs', not {keys!r}")
        self._app.idempotency_keys = keys

    @property
    def rewrites(self) -> tuple[Rewrite, ...]:
        """How the server changes the metadata and texts of new jobs: `upper`, `cut`, `camel`, `drop`, and `text`."""
        return self._world.jobs.rewrites

    @rewrites.setter
    def rewrites(self, names: Sequence[Rewrite]) -> None:
        self._world.jobs.rewrites = checked_rewrites(names)

    @property
    def signature_style(self) -> SignatureStyle:
        """How webhooks are signed: `plain` or `timestamped`."""
        return self._sender.style

    @signature_style.setter
    def signature_style(self, style: SignatureStyle) -> None:
        if style not in ("plain", "timestamped"):
            raise ValueError(f"signature_style is 'plain' or 'timestamped', not {style!r}")
        self._sender.style = style

    # --- what happened ----------------------------------------------------------------------------------

    @property
    def requests(self) -> list[ReceivedRequest]:
        """The requests received, in order: the latest 10,000, or fewer where they fill 32 MiB.

        Length and positions count every request, so that `requests[since:]` works after the oldest were dropped.

        A request of a web page of another host is refused and not among them.
        """
        return self._front.log.latest()

    @property
    def webhook_deliveries(self) -> list[WebhookDelivery]:
        """The latest 10,000 deliveries, in order, with their attempts so far."""
        with self._world.lock:
            return [
                WebhookDelivery(
                    delivery.event.id,
                    delivery.event.type,
                    delivery.endpoint.id,
                    delivery.endpoint.url,
                    delivery.status,
                    tuple(delivery.attempts),
                )
                for delivery in self._world.state.deliveries
            ]

    def follow_waits(self) -> None:
        """Let whoever waits move the clock, so that no wait takes real time.

        `Prefer: wait` moves it to the next change of the job, and what the server says of time is virtual. Clients need
        the same clock: those that a test creates have it, if the test has the fixture `firsthand_server`.
        """
        self._app.moved = self.clock

    def trace(self, title: str = "What happened", problem: str = "") -> str:
        """Show what happened, as one HTML page: requests, deliveries, faults, the clock, and money.

        The pytest plugin writes it into `.firsthandapi-traces/` when a test fails. API keys, secrets, and signatures of
        URLs are masked.

        Args:
            title: its heading, such as the name of a test.
            problem: the text of a failure, for its top.

        Returns:
            The HTML. It has no scripts, and loads nothing.
        """
        from .trace import trace_of  # loads Jinja2

        log, faults = self._front.log.latest(), self.faults.added()
        return trace_of(self._world, self.clock, log, faults, title=title, problem=problem)

    def reset(self) -> None:
        """Forget everything, for the next test: jobs, requests, faults, and settings.

        Address and keys stay. Virtual time returns to the present.
        """

        def forget() -> None:
            with self._world.lock:
                self.faults.clear()
                self._front.log.clear()
                self._sender.forget()
                self._sender.handlers.clear()
                self._app.forget()
                self._world.state.forget()
                self._set_up()

        self.clock.restart(forget)

    def wait_idle(self) -> None:
        """Return when everything due now has happened, webhook deliveries included."""
        self.clock.advance()

    def check_books(self) -> None:
        """Assert that the books and every escrow add up: purchased + granted - spent - expired = available + held."""
        with self._world.lock:
            self._world.check_books()

    def _account(self, environment: str) -> Account:
        account = self._organization.accounts.get(environment)
        if account is None:
            raise ValueError(f"environment is 'live' or 'test', not {environment!r}")
        return account

    def _new_key(self, account: Account, *scopes: str) -> str:
        unknown = set(scopes) - set(SCOPES)
        if unknown:
            raise ValueError(f"unknown scopes {sorted(unknown)}; known are {', '.join(SCOPES)}")
        with self._world.lock:
            return self._world.accounts.create_key(
                account, "Key", scopes or SCOPES, "system", self.clock.now()
            ).secret

    def _job(self, job_id: str) -> Job:
        job = self._world.state.jobs.get(job_id)
        if job is None:
            raise ValueError(f"no job {job_id!r} exists")
        return job

    def _submission(self, submission_id: str, job: Job) -> Submission:
        submission = self._world.state.submissions.get(submission_id)
        if submission is None or submission.job is not job:
            raise ValueError(f"{job.id} has no submission {submission_id!r}")
        return submission

    def _file(
        self,
        job: Job,
        at: float,
        content: bytes | None,
        content_type: str | None,
        rating: int,
        name: str | None,
        annotations: dict[str, Any] | Literal["made up"] | None,
        measures: tuple[int | None, int | None],
    ) -> File:
        formats = job.fields["accepted_formats"]
        if content_type is None:
            content_type = str(formats[0])
        if content_type not in formats:
            raise ValueError(f"{job.id} accepts {', '.join(formats)}, not {content_type}")
        _check_stars(rating)
        return capture(
            job,
            content_type,
            at,
            rating=rating,
            name=name,
            given=content,
            given_size=measures,
            annotations=annotations,
            is_simulated=True,
        )


def _check_stars(rating: object) -> None:
    if rating not in (1, 2, 3, 4, 5):
        raise ValueError(f"rating is 1 to 5 stars, not {rating!r}")


def _as_list(value: Any, count: int) -> Sequence[Any]:
    """A value for each of `count` files: one for all, or a list of them."""
    if isinstance(value, (list, tuple)):
        values: list[Any] = [*value]
        if len(values) != count:
            raise ValueError(f"{count} files need {count} values, not {len(values)}")
        return values
    return [value] * count


def _sayer(
    dimensions: Dimensions | None, ai_reasoning: str | None, rated_by: str | None, flags: Sequence[str]
) -> Callable[[Submission], Verdict] | None:
    """What makes the score of a submission: with what was given, and as the service makes up the rest; None if nothing
    was given."""
    if rated_by is not None and not _RATED_BY.fullmatch(rated_by):
        raise ValueError(f"rated_by is person, rules, or model: and a name, not {rated_by!r}")
    if unknown := [flag for flag in flags if flag not in get_args(Flag)]:
        raise ValueError(f"flags are {', '.join(get_args(Flag))}, not {unknown[0]!r}")
    parts = None if dimensions is None else dict(cast("Mapping[str, int]", dimensions))
    if parts is not None and parts.keys() != Dimensions.__required_keys__:
        raise ValueError(f"dimensions are {', '.join(sorted(Dimensions.__required_keys__))}")
    for part in (parts or {}).values():
        _check_stars(part)
    if (parts, ai_reasoning, rated_by, (*flags,)) == (None, None, None, ()):
        return None

    def say(submission: Submission) -> Verdict:
        stars = [file.wanted_rating for file in submission.files]
        best = 4 if submission.account.is_sandbox else max(stars)
        scores = parts or made_up_dimensions(submission.job, best)
        return Verdict(stars, ai_reasoning or REASONS[best], scores, rated_by=rated_by, flags=(*flags,))

    return say
