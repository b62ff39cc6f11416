"""Webhook deliveries: verify the sender, parse the event, and handle each event once.

    from firsthandapi.webhooks import EventRouter, unwrap

    router = EventRouter()

    @router.on("submission.approved")
    def approved(event):
        print(event.data.submission_id)

    def endpoint(request):  # Django; FastAPI: await request.body(), Flask: request.get_data()
        router.dispatch(unwrap(request.body, request.headers, secret))
        return HttpResponse(status=204)

You need no client and no API key, only the secret that `client.webhooks.create` returned. Respond with 400 to a
`WebhookSignatureError`, and with 2xx to every event that was handled, including duplicates. After any other response,
or none within 10 s, the service delivers the event again after 1 min, 5 min, 30 min, 2 h, and 8 h.
"""

from __future__ import annotations

import hmac
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from types import CoroutineType
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, Self, TypeVar, get_args, overload

from ._base.counts import count_of
from ._base.masking import Secret, mask_secrets
from ._base.visible import visible
from ._core.calls import signatures
from .errors import FirstHandError, InvalidArgumentError, WebhookSignatureError

# Code that only verifies, such as a serverless function at its cold start, should not wait for the models to load.
if TYPE_CHECKING:
    from .types.enums import CreditsEventType, JobEventType, SubmissionEventType
    from .types.event import CreditsEvent, JobEvent, SubmissionEvent, WebhookEvent

__all__ = [
    "DeduplicationStore",
    "EventClaimedError",
    "EventRouter",
    "MemoryStore",
    "sign",
    "unwrap",
    "verify_signature",
]

_Any = TypeVar("_Any", bound="Callable[[WebhookEvent], object]")
_OfSubmission = TypeVar("_OfSubmission", bound="Callable[[SubmissionEvent], object]")
_OfJob = TypeVar("_OfJob", bound="Callable[[JobEvent], object]")
_OfCredits = TypeVar("_OfCredits", bound="Callable[[CreditsEvent], object]")


def verify_signature(
    payload: bytes | bytearray | memoryview | str,
    signature: str | signatures.SupportsItems | Iterable[tuple[Any, Any]] | None,
    secret: str | Iterable[str],
    *,
    tolerance: float = 300,
    allow_plain: bool = True,
) -> None:
    """Return only if the delivery was signed with the secret (contract §6). The body is not parsed.

    Args:
        payload: the raw request body exactly as received; a str counts as its UTF-8 bytes. FastAPI and
            Starlette: `await request.body()`; Flask: `request.get_data()`; Django: `request.body`.
        signature: the value of the header `X-FirstHandAPI-Signature` (older: `X-FirstHand-Signature`): 64 hex
            digits of either case, or `t=<Unix seconds>,v1=<64 hex digits>` with up to 16 `v1=`. None counts
            as missing. At most 4,096 characters. Or all headers, as for `unwrap`.
        secret: the endpoint's secret `whsec_…`, unchanged; or several, of which one must match, while
            the secret is being rotated. None may be empty.
        tolerance: how old, or how far in the future, a timestamped signature may be: seconds, 0 or more.
            Both clocks count whole seconds. A plain signature has no time, so the tolerance does not apply.
        allow_plain: whether to accept plain signatures. The service sends them by default, but they do not protect
            against replays: deduplicate by `event.id`, as `EventRouter` does.

    Raises:
        WebhookSignatureError: the signature is missing, malformed, wrong, too old, too far in the future, or
            plain although `allow_plain` is False; the message says which. Do not trust the body.
        InvalidArgumentError: another argument is invalid, such as a parsed `payload`.
    """
    # Report the caller's mistakes first, so that a stranger's do not hide them. The usual types skip the full checks:
    # for a 1 KB body, each function call costs 3 % of the hash.
    try:
        macs = (signatures.keyed_mac(secret),) if isinstance(secret, str) else signatures.keyed_macs(secret)
    finally:
        del secret  # tracebacks show the local variables of every frame that an exception leaves
    body = payload if isinstance(payload, bytes) else signatures.check_payload(payload)
    if type(tolerance) is not int or tolerance < 0:
        signatures.check_tolerance(tolerance)

    if isinstance(signature, str) or not signatures.are_headers(signature):
        _check(signatures.parse(signature), macs, body, tolerance, allow_plain)
        return
    refusals: list[WebhookSignatureError] = []
    for read in signatures.forms_in(signature):
        try:
            _check(read(), macs, body, tolerance, allow_plain)
            return  # one valid form is enough
        except WebhookSignatureError as refusal:
            refusals.append(refusal)
    raise refusals[0]


def _check(
    form: signatures.Form,
    macs: Iterable[signatures.Keyed],
    body: bytes | bytearray | memoryview,
    tolerance: float,
    allow_plain: bool,
) -> None:
    stamp, prefix, candidates, standard = form
    if stamp is None and not allow_plain:
        raise WebhookSignatureError(
            "plain signature refused: it has no timestamp, so an old delivery could be replayed, and "
            "allow_plain is False. Do not process the delivery; if the service signs this endpoint's "
            "deliveries plain, pass allow_plain=True and deduplicate by event.id"
        )
    # Compare all of them, even after a match: the time must not reveal which secret or signature matched.
    matched = False
    for keyed in macs:
        mac = keyed.standard if standard else keyed.own
        if mac is None:
            continue  # no secret of Standard Webhooks
        expected = signatures.digest(mac, prefix, body)
        for candidate in candidates:
            matched |= hmac.compare_digest(expected, candidate)
        del expected  # with it, anyone can sign this body
    if not matched:
        raise WebhookSignatureError(
            "wrong signature: do not process the delivery. If it is genuine, check that payload is the raw "
            "body exactly as received (not parsed and serialized again), and that secret is this endpoint's, "
            "whole (whsec_ included) and with no newline at its end"
        )
    if stamp is None:
        return
    # Only now, so that "too old" always means a delivery that the service did sign. In whole seconds, because the
    # sender truncates its own clock to them.
    age = int(time.time()) - int(stamp)
    if not -tolerance <= age <= tolerance:
        problem = f"too old: made {age} s ago" if age > 0 else f"too far in the future: dated {-age} s ahead"
        raise WebhookSignatureError(
            f"signature {problem}, and tolerance is {tolerance} s. Do not process the delivery: it may be a "
            "replay. If it is genuine, set this machine's clock, or pass a larger tolerance"
        )


def unwrap(
    payload: bytes | bytearray | memoryview | str,
    headers: signatures.SupportsItems | Iterable[tuple[Any, Any]],
    secret: str | Iterable[str],
    *,
    tolerance: float = 300,
    allow_plain: bool = True,
) -> WebhookEvent:
    """Verify the signature of a delivery, then parse and return its event (contract §6).

    A delivery may be signed by `X-FirstHandAPI-Signature`, or as Standard Webhooks are, by `webhook-id`,
    `webhook-timestamp`, and `webhook-signature`; one valid form is enough. For the latter, the key is what follows
    `whsec_`, decoded from base64.

    Args:
        payload: see `verify_signature`.
        headers: the request's headers: a mapping, or pairs of name and value. Names may have any case, names
            and values may be bytes; WSGI's `HTTP_X_FIRSTHANDAPI_SIGNATURE` (Django's `request.META`) also
            counts. `X-FirstHand-Signature` is read only if `X-FirstHandAPI-Signature` is missing.
        secret: see `verify_signature`.
        tolerance: seconds, see `verify_signature`.
        allow_plain: see `verify_signature`.

    Returns:
        A `SubmissionEvent`, `JobEvent`, or `CreditsEvent`; a `WebhookEvent` with `data` as plain JSON if the
        type is unknown to this version, or the data is not as documented. Unknown fields are kept.

    Raises:
        WebhookSignatureError: see `verify_signature`; also if the header occurs twice with different values.
        UnexpectedResponseError: the body is signed, but is not the documented JSON; `status` is 0.
        InvalidArgumentError: an argument is invalid.
    """
    try:
        # Copy only mutable payloads, which could change between check and use.
        body = bytes(signatures.check_payload(payload))
        if not signatures.are_headers(headers):
            raise signatures.not_headers(headers)
        verify_signature(body, headers, secret, tolerance=tolerance, allow_plain=allow_plain)
    finally:
        del secret

    from ._core.calls.decode import decode
    from .types.event import WebhookEvent

    return decode(WebhookEvent, Secret(body), None)


def sign(
    payload: bytes | bytearray | memoryview | str,
    secret: str | Iterable[str],
    *,
    timestamp: float | None = None,
) -> str:
    """Sign a body as the service does, to test a receiver, and return the header's value (contract §6).

    Args:
        payload: the body to sign, exactly as you will send it; a str counts as its UTF-8 bytes.
        secret: the endpoint's secret. Several secrets give one `v1=` each, and need a `timestamp`.
        timestamp: Unix seconds, 0 or more and below 10¹², truncated to whole seconds; None for a plain signature.

    Returns:
        64 lower-case hex digits if `timestamp` is None, else `t=<seconds>,v1=<64 hex digits>`.

    Raises:
        InvalidArgumentError: an argument is invalid.
    """
    try:
        return signatures.sign(payload, secret, timestamp)
    finally:
        del secret


class DeduplicationStore(Protocol):
    """Remembers which events were handled. Write your own if several processes receive the same webhook.

    With Redis, for example:

        # Atomic, so that nobody can claim the event between the comparison and what follows.
        OURS = "local holder = redis.call('GET', KEYS[1]) if not holder or holder == ARGV[1] then redis.call(%s) end"

        class RedisStore:
            def __init__(self):
                self.tokens = {}  # event id → the token of our claim

            def claim(self, event_id):
                token = uuid.uuid4().hex
                redis.set(f"firsthand:{event_id}", token, nx=True, ex=300)
                holder = redis.get(f"firsthand:{event_id}")
                if holder == b"done":
                    return False
                if holder != token.encode():
                    raise EventClaimedError.of(event_id)
                self.tokens[event_id] = token
                return True

            def commit(self, event_id):
                self.finish(event_id, "'SET', KEYS[1], 'done', 'EX', 604800")

            def release(self, event_id):
                self.finish(event_id, "'DEL', KEYS[1]")

            def finish(self, event_id, command):
                redis.eval(OURS % command, 1, f"firsthand:{event_id}", self.tokens.pop(event_id, ""))

    Give each claim a token of its own. A client may repeat a command whose response was lost: it must recognize its own
    claim. And a claim that expired may belong to another process now: `commit` and `release` must not touch that.

    The methods are plain functions, and `adispatch` calls them as well; several threads may call them at the same time.
    If your store has only an async client, run its loop in its own thread and wait with
    `asyncio.run_coroutine_threadsafe(…).result()`. If the store is slow, keep it out of the event loop:
    `await asyncio.to_thread(router.dispatch, event)`, with sync handlers.
    """

    def claim(self, event_id: str) -> bool:
        """Claim `event_id` and return True; return False if it was committed. Check and claim in one atomic step.

        For an event that another process has claimed but not committed, raise an exception rather than return
        False: you then respond with 5xx, and the service delivers the event again in case that process dies. For the
        same reason, let a claim expire after about 5 minutes.
        """
        ...

    def commit(self, event_id: str) -> None:
        """Remember that the event was handled: for 7 days, `claim` must return False for `event_id`. The claim of
        another process must stay."""
        ...

    def release(self, event_id: str) -> None:
        """Drop the claim after a failure: the next claim of `event_id` must succeed, unless it was just committed. The
        claim of another process must stay."""
        ...


class EventClaimedError(FirstHandError, RuntimeError):
    """Another delivery of the event is still being handled. Respond with 5xx, so that the service sends the event again
    in case that handling fails."""

    @classmethod
    def of(cls, event_id: str) -> Self:
        """The error for the event `event_id`."""
        return cls(
            f"{visible(event_id[:128])} is still being handled; respond with 5xx: the service sends it again"
        )


class MemoryStore:
    """The default store, in the memory of this process. Thread-safe.

    Its `claim` raises an `EventClaimedError` for an event that is claimed but not committed.

    It remembers the latest 100,000 handled events for 7 days (at most about 20 MB, even with long ids), and forgets
    all of them when the process ends.
    """

    _DONE_SECONDS = 7 * 86_400
    # Claims expire, because a handler may hang forever. 10 minutes are far more than the 10 s in which the service
    # expects a response, so a working handler keeps its claim.
    _CLAIM_SECONDS = 600
    _MOST_DONE = _MOST_CLAIMED = 100_000
    _LONGEST_ID = 128

    def __init__(self) -> None:
        self._lock = threading.Lock()
        # Event id → when to forget it, in Unix seconds; oldest first. Not plain dicts: finding the first item of a
        # dict walks over all removed items before it.
        self._claimed: OrderedDict[str, float] = OrderedDict()
        self._done: OrderedDict[str, float] = OrderedDict()

    def claim(self, event_id: str) -> bool:
        now, event_id = time.time(), self._short(event_id)
        with self._lock:
            for entries in (self._claimed, self._done):
                while entries and next(iter(entries.values())) <= now:
                    entries.popitem(last=False)
            # After a clock was set back, expired entries may come after younger ones.
            if self._done.get(event_id, 0) > now:
                return False
            if self._claimed.get(event_id, 0) > now:
                raise EventClaimedError.of(event_id)
            self._claimed[event_id] = now + self._CLAIM_SECONDS
            self._claimed.move_to_end(event_id)
            if len(self._claimed) > self._MOST_CLAIMED:
                self._claimed.popitem(last=False)
            return True

    def commit(self, event_id: str) -> None:
        event_id = self._short(event_id)
        with self._lock:
            self._claimed.pop(event_id, None)
            self._done[event_id] = time.time() + self._DONE_SECONDS
            self._done.move_to_end(event_id)
            if len(self._done) > self._MOST_DONE:
                self._done.popitem(last=False)

    def release(self, event_id: str) -> None:
        event_id = self._short(event_id)
        with self._lock:
            self._claimed.pop(event_id, None)

    def _short(self, event_id: str) -> str:
        """The id as stored: the hash of it if it is longer than any id of the service."""
        if len(event_id) <= self._LONGEST_ID:
            return event_id
        import hashlib

        return hashlib.sha256(event_id.encode("utf-8", "surrogatepass")).hexdigest()

    def __repr__(self) -> str:
        return f"<MemoryStore [{len(self._claimed)} running, {len(self._done)} done]>"


class _Registered(NamedTuple):
    event_type: str
    function: Callable[[Any], object]
    is_async: bool


class EventRouter:
    """Calls the functions registered for an event, once per event.

    The service repeats a delivery until it gets a 2xx in time, so the same event can arrive several times. The router
    claims its id in the store, runs the handlers, then commits. If a handler raises, the router releases the claim and
    passes the exception on: respond with 5xx, and the next delivery runs all handlers again, even those that succeeded.
    Keep handlers under 10 s: if one is slower, the service delivers the event again, and while the first handling still
    runs, that delivery raises an `EventClaimedError`. Respond to it with 5xx as well, so that the service delivers the
    event again in case the first handling fails.

    Args:
        store: remembers handled events; None for a `MemoryStore`, which is enough for one process.

    Raises:
        InvalidArgumentError: `store` is not a `DeduplicationStore`, or its methods are async.
    """

    def __init__(self, store: DeduplicationStore | None = None) -> None:
        self._store: DeduplicationStore = MemoryStore() if store is None else store
        # One list, so that handlers of a type and of "*" run in the order of registration.
        self._handlers: list[_Registered] = []
        for name in ("claim", "commit", "release"):
            method = getattr(self._store, name, None)
            # An async claim returns a coroutine, which is truthy, so the handlers would run for every duplicate.
            if isinstance(self._store, type) or not callable(method) or _is_async(method):
                raise InvalidArgumentError(
                    f"store must have a plain method {name}(event_id): see DeduplicationStore", field="store"
                )

    @overload
    def on(self, event_type: SubmissionEventType) -> Callable[[_OfSubmission], _OfSubmission]: ...
    @overload
    def on(self, event_type: JobEventType) -> Callable[[_OfJob], _OfJob]: ...
    @overload
    def on(self, event_type: CreditsEventType) -> Callable[[_OfCredits], _OfCredits]: ...
    @overload
    def on(self, event_type: str) -> Callable[[_Any], _Any]: ...
    def on(self, event_type: str) -> Callable[[Any], Any]:
        """Register the decorated function for a type of event: `@router.on("submission.approved")`.

        Args:
            event_type: the type (contract §4); `"*"` for every event, including those with their own handler. A type
                that this version does not know is allowed; one that resembles a known type causes a warning.

        Returns:
            A decorator that returns the function unchanged, so that you can stack decorators. The function, sync or
            async, takes the event; its result is ignored. Several functions for one event run one after the other, in
            the order of registration. To a type checker, the event has the class of its type; at run time, an event
            whose data is not as documented is a plain `WebhookEvent`.

        Raises:
            InvalidArgumentError: `event_type` is empty or not a str, or the function cannot be called or is a
                generator function, whose body would never run.
        """
        if not isinstance(event_type, str) or not event_type:
            raise InvalidArgumentError(
                'event_type must be a str: @router.on("submission.approved"), or @router.on("*") for all',
                field="event_type",
            )
        _warn_of_near_miss(event_type)

        def register(handler: Callable[[Any], object]) -> Callable[[Any], object]:
            import inspect

            if (
                not callable(handler)
                or inspect.isgeneratorfunction(handler)
                or inspect.isasyncgenfunction(handler)
            ):
                raise InvalidArgumentError(
                    "the handler must be a function of the event, without yield", field="handler"
                )
            self._handlers.append(_Registered(event_type, handler, _is_async(handler)))
            return handler

        return register

    def dispatch(self, event: WebhookEvent) -> bool:
        """Run the event's handlers, unless they have run before.

        Args:
            event: what `unwrap` returned.

        Returns:
            True if the event was handled now, even if its type has no handler; False if the same event was handled
            within the last 7 days. Respond with 2xx to both.

        Raises:
            InvalidArgumentError: a handler of this event is async (use `adispatch`), or `event` is not an event.
                No handler ran.
            EventClaimedError: another delivery of the event is still being handled. Respond with 5xx.
            Exception: any exception of a handler or the store.
        """
        handlers = self._handlers_of(event)
        for handler in handlers:
            if handler.is_async:
                raise _needs_adispatch(handler)
        if not self._store.claim(event.id):
            return False
        try:
            for handler in handlers:
                result = handler.function(event)
                if hasattr(result, "__await__"):  # a plain function that wraps an async one
                    if isinstance(result, CoroutineType):
                        result.close()  # else Python warns that it was never awaited
                    raise _needs_adispatch(handler)  # noqa: TRY301 - the claim is to be released
        except BaseException:  # after a KeyboardInterrupt, the next delivery must also be handled
            self._release(event.id)
            raise
        # Outside the try: the handlers have run, so if the commit fails, the claim must stay.
        self._store.commit(event.id)
        return True

    async def adispatch(self, event: WebhookEvent) -> bool:
        """The same as `dispatch(event)` for sync and async handlers, on any event loop.

        Handlers run one after the other; a sync handler, and the store, run in the loop's thread and block it.
        If the task is cancelled, the claim is released.
        """
        handlers = self._handlers_of(event)
        if not self._store.claim(event.id):
            return False
        try:
            for handler in handlers:
                result: Any = handler.function(event)
                if hasattr(result, "__await__"):
                    await result
        except BaseException:
            self._release(event.id)
            raise
        self._store.commit(event.id)
        return True

    def _handlers_of(self, event: object) -> list[_Registered]:
        event_id, event_type = getattr(event, "id", None), getattr(event, "type", None)
        if not isinstance(event_id, str) or not event_id or not isinstance(event_type, str):
            raise InvalidArgumentError(
                f"event must be what unwrap() returned, with an id, not this {type(event).__name__}",
                field="event",
            )
        handlers = [handler for handler in self._handlers if handler.event_type in ("*", event_type)]
        if not handlers:
            import logging

            logging.getLogger("firsthandapi").info(
                "No handler for %s (%s)", visible(event_id), visible(event_type)
            )
        return handlers

    def _release(self, event_id: str) -> None:
        try:
            self._store.release(event_id)
        except Exception:  # it must not replace the handler's exception, or a cancellation
            import logging

            logging.getLogger(__name__).warning(
                "The claim of %s was not released: deliveries of it may be refused or skipped until it expires",
                visible(event_id),
                exc_info=True,
            )

    def __repr__(self) -> str:
        handlers = count_of(len(self._handlers), "handler")
        return f"<EventRouter [{handlers}, {self._store!r}]>"


def _warn_of_near_miss(event_type: str) -> None:
    """Warn of an unknown type that resembles a known one: it is probably misspelled, not new."""
    from difflib import get_close_matches

    from .types.enums import EventType

    event_types = get_args(EventType)
    nearest = get_close_matches(event_type.lower(), event_types, n=1, cutoff=0.85)
    if event_type not in event_types and nearest:
        import warnings

        text = mask_secrets(event_type[:100])
        warnings.warn(
            f"{text!r} is no event type that this version knows: did you mean {nearest[0]!r}?",
            UserWarning,
            stacklevel=3,
        )


def _is_async(function: object) -> bool:
    import inspect  # takes 5 ms to load, which verify_signature avoids

    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__)


def _needs_adispatch(handler: _Registered) -> InvalidArgumentError:
    name = getattr(handler.function, "__qualname__", type(handler.function).__name__)
    return InvalidArgumentError(
        f"the handler {name} is async: use `await router.adispatch(event)`", field="handler"
    )


def __getattr__(name: str) -> Any:
    from ._base.habits import missing

    raise missing(__name__, name)
