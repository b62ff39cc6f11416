"""Sends a request: options, pauses, attempts, retries, deadline. `_core` makes the decisions."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from copy import copy
from types import FrameType
from typing import TYPE_CHECKING, Any, Self, TypeVar
from weakref import WeakValueDictionary

from firsthandapi._async.clock import Clock
from firsthandapi._async.limiter import ClientLimiter, NoTurnError, Turn
from firsthandapi._base.counts import count_of
from firsthandapi._base.forks import importing
from firsthandapi._base.keys import new_key
from firsthandapi._base.masking import Secret, cut_frames, mask_secrets
from firsthandapi._base.network.interception import BEGINNING, CALLING, interceptor
from firsthandapi._base.tracing import (
    ended,
    http_attributes,
    job_attribute,
    measure,
    propagated,
    span,
    tracer,
)
from firsthandapi._base.version import __version__
from firsthandapi._base.visible import visible
from firsthandapi._base.watching import is_watched, logger, report
from firsthandapi._core.calls.api_errors import error_from_response
from firsthandapi._core.calls.config import Config
from firsthandapi._core.calls.headers import Headers, RequestHeaders
from firsthandapi._core.calls.idempotency import is_known
from firsthandapi._core.calls.lost_answers import advise, how_to_repeat, may_have_arrived
from firsthandapi._core.calls.ratelimit import RateLimit, fingerprint
from firsthandapi._core.calls.request import Request, with_key
from firsthandapi._core.calls.response import ApiResponse
from firsthandapi._core.calls.retry import LONGEST_IN_LINE, NoRetry, asked_to_wait, decide
from firsthandapi.errors import (
    ConfigurationError,
    DeadlineExceededError,
    FirstHandConnectionError,
    FirstHandError,
    FirstHandTimeoutError,
    NotFoundError,
    RateLimitError,
    UnexpectedResponseError,
)

if TYPE_CHECKING:
    from firsthandapi._async.borrowed import BorrowedWire, InterceptedWire
    from firsthandapi._async.wire import Wire

    # What carries a request over the network: connections of our own, or an httpx client.
    Exchange = Wire | BorrowedWire | InterceptedWire

T = TypeVar("T")
# What a call makes of a successful response.
Decoder = Callable[[Secret[bytes], ApiResponse], T]

# A longer timeout is cut to this, because systems refuse longer waits on a socket: 11 days.
_LONGEST_ATTEMPT = 1_000_000.0
# Frames of these packages contain the request with the API key, so they are removed from every traceback.
_BELOW = frozenset({"httpcore", "httpcore2", "httpx", "httpx2", "h11"})
# Not None, which a limiter of the caller's may grant.
_NO_PERMIT = object()
# A timer may go off a little before the clock says so.
_TIMER_SLACK = 0.05

USER_AGENT = (
    f"firsthandapi-python/{__version__} (Python {sys.version_info[0]}.{sys.version_info[1]}; {sys.platform})"
)


class Shared:
    """What a client and its `with_options` copies share: connections, and whether they are closed."""

    def __init__(self, http_client: Any = None) -> None:
        self.http_client = http_client
        self.closed: bool = False
        self.clock: Clock = Clock()
        # Endpoints with a deprecation warning, which comes once.
        self.deprecations: set[str] = set()
        self._wires: dict[object, Exchange] = {}
        # Each lives as long as a client with its key.
        self._key_states: WeakValueDictionary[Secret[str] | None, KeyState] = WeakValueDictionary()

    def wire(self, config: Config) -> Exchange:
        """The connections for these options, created when first used; other ones while a tool of tests mocks httpx."""
        intercepted = interceptor() is not None
        key = (config.base_url, config.proxy, config.verify, intercepted)
        wire = self._wires.get(key)
        if wire is None:
            with importing():
                wire = self._wires.setdefault(key, self._connect(config, intercepted))
        return wire

    def _connect(self, config: Config, intercepted: bool) -> Exchange:
        if self.http_client is not None:
            from firsthandapi._async.borrowed import BorrowedWire

            return BorrowedWire(config.origin, self.http_client)
        from firsthandapi._base.network.proxies import choose_proxy

        proxy = choose_proxy(config.origin, config.proxy)
        if intercepted:
            from firsthandapi._async.borrowed import InterceptedWire

            return InterceptedWire(config.origin, proxy=proxy, verify=config.verify)
        from firsthandapi._async.wire import Wire

        return Wire(config.origin, proxy=proxy, verify=config.verify)

    def key_state(self, api_key: Secret[str] | None) -> KeyState:
        """What is counted for an API key; copies with another key do not share it."""
        state = KeyState(ClientLimiter(lambda: self.clock))
        return self._key_states.setdefault(api_key, state)

    async def aclose(self) -> None:
        self.closed = True
        for wire in list(self._wires.values()):
            await wire.aclose()

    def __del__(self, _warn: Callable[..., None] = warnings.warn) -> None:
        # Uses no loop, socket, or module: at exit each may be gone.
        if not getattr(self, "closed", True):
            _warn(
                "a firsthandapi client was not closed; use it as a context manager, or call its close()",
                ResourceWarning,
                source=self,
                stacklevel=2,
            )


class Held:
    """A call that is not finished by the response to its POST: the journal has it as finished when this block ends
    without an error."""

    def __init__(self) -> None:
        # Records in the journal whether the call finished; None without an entry.
        self.leave: Callable[[bool], Any] | None = None
        # The key of the entry.
        self.key: str | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: object, error: object, traceback: object) -> None:
        if self.leave is not None:
            await self.leave(kind is None)


class KeyState:
    """What the service last reported for an API key, and its request limiter."""

    __slots__ = ("__weakref__", "credits_remaining_cents", "limiter", "organization", "rate_limit")

    def __init__(self, limiter: ClientLimiter) -> None:
        self.limiter: ClientLimiter = limiter
        self.rate_limit: RateLimit | None = None
        self.credits_remaining_cents: int | None = None
        # The organization of the key, once it was requested.
        self.organization: str | None = None


class Call:
    """One call of the user's: a request and the results of its attempts."""

    def __init__(self, request: Request, decoder: Decoder[Any], started: float, ends: float | None) -> None:
        self.request = request
        self.decoder = decoder
        self.started = started
        self.ends = ends
        self.tracer: Any = None
        # The latest attempt: its start, its duration, its response, and whether it is still to be reported.
        self.attempt_began = self.attempt_took = 0.0
        self.response: ApiResponse | None = None
        self.untold = False
        # The latest failure, and when the key of a POST was first sent, by this machine's clock.
        self.failure: FirstHandError | None = None
        self.key_sent_at = request.key_sent_at
        self.attempts = 0
        # The attempts that a 429 sent back in line, the turn there, and when the call leaves the line.
        self.sent_back = 0
        self.turn: Turn | None = None
        self.line_ends: float | None = None
        self.delay = 0.0
        # Whether an attempt may have been received, and whether a successful response could not be read.
        self.maybe_received = False
        self.unread = False
        self.out_of_time = False


class Transport:
    """Sends requests with one set of options."""

    def __init__(self, config: Config, shared: Shared) -> None:
        self.config = config
        self.shared = shared
        self.key_state: KeyState = shared.key_state(config.api_key)
        self._held: Held | None = None
        self._seconds: float | None = None
        self._fingerprint = "" if config.rate_limiter is None else fingerprint(config.api_key)
        headers = [("Accept", "application/json"), ("Accept-Encoding", "gzip"), ("User-Agent", USER_AGENT)]
        if config.api_key is not None:
            self._headers = RequestHeaders((*headers, ("Authorization", f"Bearer {config.api_key.reveal()}")))
        else:
            self._headers = RequestHeaders(headers)
        if config.default_headers is not None:
            self._headers = self._headers.under(config.default_headers.reveal())
        for begin in BEGINNING:
            begin(self)

    @property
    def clock(self) -> Clock:
        return self.shared.clock

    def holding(self, held: Held, seconds: float | None) -> Self:
        """A copy for a call that is not finished by the response to its POST, each of whose requests may take so many
        seconds, with all attempts."""
        twin = copy(self)
        twin._held, twin._seconds = held, seconds
        return twin

    def check_open(self) -> None:
        """Raises ConfigurationError if the client was closed, or a tool of tests forbids the call."""
        for check in CALLING:
            check(self)
        if self.shared.closed:
            raise ConfigurationError("this client is closed; create a new one, or close it later")

    async def send(self, request: Request) -> tuple[ApiResponse, Secret[bytes]]:
        """Send `request` until it is answered, or trying again makes no sense.
        Raises FirstHandApiError: the service answered with an error.
        Raises FirstHandConnectionError: the network failed.
        Raises DeadlineExceededError: the client's `deadline` has passed, or would pass before the next attempt.
        """
        return await self.read(request, _as_it_came)

    async def read(self, request: Request, decoder: Decoder[T]) -> T:
        """Send `request`, and decode the response with `decoder`. A POST with an unreadable response is sent once more;
        it goes through the client's journal, if there is one.
        Raises UnexpectedResponseError: the decoder cannot read the response.
        Raises FirstHandError: what `send` raises.
        """
        if self.config.journal is not None and request.method == "POST":
            with importing():
                from firsthandapi._async.journal import post_once
            return await post_once(self, request, decoder, self._held)
        return await self.exchange(request, decoder)

    async def exchange(self, request: Request, decoder: Decoder[T]) -> T:
        """`read`, without the journal."""
        self.check_open()
        if request.method == "POST" and request.idempotency_key is None:
            request = with_key(request, new_key())
        started = self.clock.monotonic()
        limit = self.time_limit(request)
        call = Call(request, decoder, started, None if limit is None else started + limit)
        call.tracer = tracer(self.config.tracing)
        if call.tracer is None or not request.retry:
            return await self._send(call)  # type: ignore[no-any-return] # what the decoder returns
        from firsthandapi._core.calls.attempt import call_name

        name = f"firsthandapi {call_name(request.endpoint)}"
        with span(call.tracer, name, job_attribute(request.job_id)) as current:
            result: Any = await self._send(call)
            if request.endpoint == "POST /v1/jobs":
                current.set_attributes(job_attribute(getattr(result, "id", None)))
            return result  # type: ignore[no-any-return] # what the decoder returns

    async def _send(self, call: Call) -> Any:
        try:
            try:
                return await self._attempt(call)
            except FirstHandError as error:
                failure = error
            return await self._try_again(call, failure)
        except FirstHandError as error:
            self._tell(call, error)
            raise
        except BaseException as error:
            # Such as Ctrl-C. The service may have processed the request.
            key = call.request.idempotency_key
            if key is not None and call.request.method == "POST" and call.maybe_received:
                advice = how_to_repeat(key, recorded=call.request.recorded)
                error.add_note(f"{call.request.endpoint} was interrupted{advice}")
            raise

    def _tell(self, call: Call, error: FirstHandError) -> None:
        """Add to `error` what the call knows, and how to repeat a POST that may have arrived."""
        request = call.request
        if isinstance(error, FirstHandConnectionError):
            error.method, error.path = request.method, mask_secrets(request.path)
            error.seconds = self.clock.monotonic() - call.started
        key = request.idempotency_key
        if request.method != "POST" or key is None or isinstance(error, ConfigurationError):
            return
        error.idempotency_key = key
        error.request_sent = call.maybe_received or call.response is not None
        if not error.request_sent and call.attempts and self.shared.http_client is not None:
            error.request_sent = None  # the caller's client may have repeated the request by itself
        if error.request_sent is not False:
            may_be_done = call.maybe_received or error.request_sent is None
            advise(error, how_to_repeat(key, recorded=request.recorded, may_be_done=may_be_done))

    async def _try_again(self, call: Call, failure: FirstHandError) -> Any:
        try:
            if not self._retry(call, failure):
                raise failure
            return await self._retried(call, failure)
        except NotFoundError as error:
            # An earlier attempt may have deleted it, and only its response was lost.
            if call.request.method == "DELETE" and call.maybe_received and error.response is not None:
                return call.decoder(Secret(b""), error.response)
            raise
        except FirstHandError as error:
            if call.out_of_time:
                raise self._deadline_exceeded(call) from error
            raise

    async def _retried(self, call: Call, failure: FirstHandError) -> Any:
        # Loaded by the first failure only.
        with importing():
            import tenacity

        pending = [failure]

        async def attempt() -> Any:
            if pending:
                raise pending.pop()
            return await self._attempt(call)

        retrying = tenacity.AsyncRetrying(
            retry=tenacity.retry_any(
                lambda state: state.attempt_number == 1,  # the first failure has been decided on already
                tenacity.retry_if_exception(lambda error: self._retry(call, error)),
            ),
            wait=lambda _: call.delay,
            sleep=self._pause,
            reraise=True,
        )
        return await retrying(attempt)

    async def _pause(self, seconds: float) -> None:
        if seconds > 0:
            await self.clock.sleep(seconds)

    def _retry(self, call: Call, error: BaseException) -> bool:
        if not isinstance(error, FirstHandError):
            return False
        call.maybe_received |= may_have_arrived(error)
        decision = decide(
            error,
            attempts=call.attempts - call.sent_back,
            max_retries=self.config.max_retries if call.request.retry else 0,
            repeatable=call.request.repeatable,
            key_is_known=self._key_is_known(call),
            retry_after=asked_to_wait(error, now=self.clock.time()),
            time_left=self._time_left(call),
            line_left=self._line_left(call) if call.request.retry else None,
            jitter=self.clock.random(),
            ask_again=call.request.method == "POST" and not call.unread,
        )
        call.unread |= isinstance(error, UnexpectedResponseError)
        if isinstance(decision, NoRetry):
            self._report(call, error)
            call.out_of_time = decision.out_of_time
            return False
        call.failure = error
        call.delay = decision.seconds
        if decision.in_line:
            call.sent_back += 1
            if call.line_ends is None:
                call.line_ends = self.clock.monotonic() + LONGEST_IN_LINE
            if self.config.rate_limiter is None:
                call.delay = 0.0  # our own limiter makes every caller wait that long
        self._report(call, error, retry_in=decision.seconds)
        request = call.request
        path = mask_secrets(request.path)
        logger().info("%s %s is retried in %.2f s: %s", request.method, path, decision.seconds, error)
        return True

    def _report(self, call: Call, error: Exception | None, *, retry_in: float | None = None) -> None:
        is_told, call.untold = not call.untold, False
        if not is_told and is_watched(self.config.on_attempt):
            from firsthandapi._core.calls.attempt import Attempt

            response = call.response
            request_id = None if response is None else response.request_id
            attempt = Attempt(
                method=call.request.method,
                path=mask_secrets(call.request.path),
                endpoint=call.request.endpoint,
                number=call.attempts,
                status=None if response is None else response.status_code,
                error=error,
                seconds=call.attempt_took,
                request_id=shown_id(request_id),
                idempotency_key=call.request.idempotency_key,
                retry_in=retry_in,
            )
            report(attempt, self.config.on_attempt)

    async def _attempt(self, call: Call) -> Any:
        permit: Any = _NO_PERMIT
        seen: ApiResponse | None = None
        sent = True
        try:
            permit = await self._permit(call)
            response, body = await self._exchange(call)
            seen = response
        except FirstHandConnectionError as error:
            sent = bool(error.request_sent)
            raise
        except Exception as error:
            # `_retry` reports our own errors; any other passes unchanged.
            if not isinstance(error, FirstHandError):
                self._report(call, error)
            raise
        finally:
            if permit is not _NO_PERMIT:  # pragma: no branch # a signal may have interrupted it before
                await self._observe(permit, seen, sent=sent)
        self._remember(call, response)
        if 200 <= response.status_code < 300:
            result = call.decoder(body, response)
            self._report(call, None)
            return result
        raise error_from_response(response, body.reveal(), now=self.clock.time())

    async def _permit(self, call: Call) -> Any:
        limiter = self.config.rate_limiter
        timeout = self._time_left(call)
        if timeout is None and call.line_ends is not None:
            timeout = self._line_left(call)
        try:
            if limiter is not None:
                return await limiter.acquire(self._fingerprint, timeout=timeout)
            call.turn = await self.key_state.limiter.acquire(
                call.request.endpoint, timeout=timeout, turn=call.turn
            )
            return call.turn
        except RateLimitError as error:
            error.attempts = call.attempts
            raise
        except TimeoutError as error:
            # Without a time limit, or not from our line (but from a signal handler, say), it is a failure of its own.
            if timeout is None or (limiter is None and not isinstance(error, NoTurnError)):
                raise
        if call.ends is None and call.failure is not None:
            raise call.failure
        raise self._deadline_exceeded(call, "was waiting for the rate limit of its key to reset")

    async def _observe(self, permit: Any, response: ApiResponse | None, *, sent: bool) -> None:
        limiter = self.config.rate_limiter
        if limiter is None:
            # An exception here, such as Ctrl-C, ends the call.
            await self.key_state.limiter.observe(permit, response, sent=sent)
            return
        try:
            await limiter.observe(self._fingerprint, permit, response, sent=sent)
        except Exception:
            # A failure of the caller's limiter must not lose a response that may have cost money.
            logger().warning("rate_limiter.observe raised an exception; the call continues", exc_info=True)

    def _line_left(self, call: Call) -> float:
        ends = call.line_ends
        return LONGEST_IN_LINE if ends is None else ends - self.clock.monotonic()

    async def _exchange(self, call: Call) -> tuple[ApiResponse, Secret[bytes]]:
        timeout = (call.request.timeout or self.config.timeout) + (call.request.wait or 0)
        limit = self._time_left(call)
        if limit is not None:
            if limit <= 0:
                raise self._deadline_exceeded(call)
            timeout = min(timeout, limit)
        if not self._key_is_known(call):  # the machine may have slept since `decide`
            raise call.failure or FirstHandConnectionError(
                "the request was not sent: its idempotency key is more than 23 hours old by now; try again",
                attempts=0,
                request_sent=False,
            )
        if call.key_sent_at is None and call.request.method == "POST":
            call.key_sent_at = self.clock.time()
        call.attempts += 1
        call.attempt_began, call.response, call.untold = self.clock.monotonic(), None, True
        timeout = min(timeout, _LONGEST_ATTEMPT)
        outcome: int | str = ""
        try:
            if call.tracer is None:
                status, headers, body = await self.shared.wire(self.config).exchange(
                    call.request, self._headers.under(call.request.headers), timeout=timeout
                )
            else:
                status, headers, body = await self._traced(call, timeout)
            outcome = status
        except BaseException as error:
            outcome = type(error).__name__
            cut_frames(error, _BELOW)
            if not isinstance(error, FirstHandError):
                call.maybe_received = True
            if isinstance(error, FirstHandConnectionError):
                error.attempts = call.attempts
                # A timeout may also be that of connecting, which is shorter than the deadline.
                limit = self._time_left(call)
                if isinstance(error, FirstHandTimeoutError) and limit is not None and limit <= _TIMER_SLACK:
                    call.maybe_received |= may_have_arrived(error)
                    raise self._deadline_exceeded(call) from error
            raise
        finally:
            call.attempt_took = self.clock.monotonic() - call.attempt_began
            measure(self.config, call.request.endpoint, outcome, call.attempt_took)
        call.response = response = ApiResponse(
            status_code=status,
            raw_headers=headers.raw,
            idempotency_key=call.request.idempotency_key,
            attempts=call.attempts,
        )
        vars(response)["headers"] = headers  # else the response would parse them again
        return response, body

    async def _traced(self, call: Call, timeout: float) -> tuple[int, Headers, Secret[bytes]]:
        request = call.request
        if not request.retry:  # of a wait, whose span has it as an event
            return await self._exchange_in_trace(request, timeout)
        template = request.endpoint.partition(" ")[2].replace(":id", "{id}")
        origin, resends = self.config.origin, call.attempts - 1
        attributes = http_attributes(request.method, request.path, template, origin, resends)
        attributes |= job_attribute(request.job_id)
        with span(call.tracer, f"{request.method} {template}", attributes, client=True) as current:
            answer = await self._exchange_in_trace(request, timeout)
            ended(current, answer[0], shown_id(answer[1].get("x-request-id")))
            return answer

    async def _exchange_in_trace(
        self, request: Request, timeout: float
    ) -> tuple[int, Headers, Secret[bytes]]:
        own_names = {name.lower() for name, _ in request.headers}
        carried = [pair for pair in propagated().items() if pair[0].lower() not in own_names]
        headers = self._headers.under((*carried, *request.headers))
        return await self.shared.wire(self.config).exchange(request, headers, timeout=timeout)

    def _remember(self, call: Call, response: ApiResponse) -> None:
        headers = response.headers
        # A gateway's response reports neither.
        rate_limit, credits_remaining_cents = response.rate_limit, response.credits_remaining_cents
        if rate_limit is not None:
            self.key_state.rate_limit = rate_limit
        if credits_remaining_cents is not None:
            self.key_state.credits_remaining_cents = credits_remaining_cents
        if "deprecation" in headers and call.request.endpoint not in self.shared.deprecations:
            self.shared.deprecations.add(call.request.endpoint)
            try:
                _warn_deprecated(call.request.endpoint, headers.get("sunset"), headers.get("link"))
            except DeprecationWarning as warning:
                # Where warnings are errors, this one must not lose a response that may have cost money.
                if call.request.method != "POST":
                    raise
                logger().warning("%s", warning)

    def _key_is_known(self, call: Call) -> bool:
        """Whether the service certainly still has the key of a POST, or never got it."""
        return call.key_sent_at is None or is_known(call.key_sent_at, self.clock.time())

    def time_limit(self, request: Request) -> float | None:
        """The seconds that a request may take with all attempts; None for no limit."""
        limits = (self.config.deadline, request.time_limit, self._seconds)
        return min((limit for limit in limits if limit is not None), default=None)

    def _time_left(self, call: Call) -> float | None:
        return None if call.ends is None else call.ends - self.clock.monotonic()

    def _deadline_exceeded(self, call: Call, outcome: str | None = None) -> DeadlineExceededError:
        deadline = self.time_limit(call.request) or 0.0
        attempts = count_of(call.attempts, "attempt")
        reason = f"it {outcome} after {attempts}" if outcome else f"it made {attempts}"
        return DeadlineExceededError(
            f"{call.request.endpoint} did not finish within its deadline of {deadline:g} s: {reason}; "
            "increase deadline=, or try again later",
            deadline=deadline,
            attempts=call.attempts,
        )

    def __repr__(self) -> str:
        key = "none" if self.config.api_key is None else repr(self.config.api_key)
        state = "closed" if self.shared.closed else "open"
        return f"[base_url={self.config.base_url}, key={key}, {state}]"


def shown_id(request_id: str | None) -> str | None:
    """The id of a response as people may see it."""
    return None if request_id is None else visible(mask_secrets(request_id[:100]))


def _as_it_came(content: Secret[bytes], response: ApiResponse) -> tuple[ApiResponse, Secret[bytes]]:
    return response, content


def _warn_deprecated(endpoint: str, sunset: str | None, link: str | None) -> None:
    message = f"FirstHandAPI has deprecated {endpoint}"
    if sunset:
        message += f"; it stops working on {sunset}"
    if link:
        message += f"; see {mask_secrets(link)}"
    message += ". A newer firsthandapi may use its successor"
    import inspect

    # The warning points to the user's line, not to ours or tenacity's.
    frame, level = inspect.currentframe(), 1
    while frame is not None and _module(frame).startswith(("firsthandapi.", "tenacity.")):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, DeprecationWarning, stacklevel=level)


def _module(frame: FrameType) -> str:
    return f"{frame.f_globals.get('__name__')}."
