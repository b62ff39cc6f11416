"""The HTTP layer: checks the API key, scope, request, and idempotency key, then calls the rules."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import math
import re
import threading
import time
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Literal, Protocol

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from firsthandapi_server.contract.bodies import EmptyBody
from firsthandapi_server.contract.errors import ApiError, invalid
from firsthandapi_server.contract.operations import ANY_SCOPE, NO_KEY, OPERATIONS, Operation
from firsthandapi_server.rules.deprecation import Deprecation, path_matches
from firsthandapi_server.rules.world import World
from firsthandapi_server.state.limits import RateLimiter, StoredResponse
from firsthandapi_server.state.model import Key
from firsthandapi_server.state.state import DAY

from . import handlers
from .checkout import CheckoutPage
from .downloads import serve_file
from .handlers import Call
from .pagination import Search
from .reading import parse_body, read_query, validate
from .requests import until_gone
from .responses import error_response, json_bytes, no_method, request_id
from .signing import Signer

IdempotencyKeys = Literal["all", "jobs"]

MAX_KEY = 255
MAX_WAIT = 60
_WINDOW = 60.0
_READERS = 2  # at the same time; the others' threads may be busy with files
# The handler of each operation, by the operation's name.
_HANDLERS: dict[str, Callable[[Call], dict[str, Any] | Search[Any] | None]] = {
    operation.name: vars(handlers)[operation.name] for operation in OPERATIONS
}
# Retry-After while time stands still: longer than a client waits within a call, so that it gives up immediately.
_STANDSTILL = 61
_PREFER_WAIT = re.compile(r'(?:^|[,;])\s*wait\s*=\s*"?([0-9]{1,9})"?\s*(?=$|[,;])', re.IGNORECASE)


class MovedClock(Protocol):
    """A clock that whoever waits moves."""

    def now(self) -> float:
        """The time, in Unix seconds."""
        ...

    def reach(self, when: float, until: Callable[[], bool]) -> None:
        """Move time on to `when`, or until `until` is true."""
        ...


class App:
    """The Starlette application with its own state: rate limits, replays, and deprecations.

    Attributes:
        moved: the clock, if clients have the same one and move it by waiting; None if they have the machine's.
    """

    def __init__(self, world: World, base_url: str = "") -> None:
        self.world = world
        self.base_url = base_url  # with any free port, known once the server listens
        self.moved: MovedClock | None = None
        self.signer = Signer(world.state.url_secret)
        self.rate_limit: int | None = 100
        self.organization_rate_limit: int | None = 500
        self.forget()
        self.idempotency_keys: IdempotencyKeys = "all"
        self.control: Callable[[], Iterable[Operation]] = tuple  # for the OpenAPI document
        self._document: bytes | None = None
        self._readers = ThreadPoolExecutor(_READERS, "firsthandapi-reader")
        self.asgi = Starlette(
            routes=[*self._routes()],
            exception_handlers={404: self._no_path, 405: no_method, 500: self._failed},
        )
        self.asgi.router.redirect_slashes = False

    def forget(self) -> None:
        """Forget earlier requests and deprecated endpoints."""
        self.deprecations: list[Deprecation] = []
        self._per_key = RateLimiter(_WINDOW)
        self._per_organization = RateLimiter(1)

    @property
    def paths(self) -> dict[str, set[str]]:
        """Every path, such as `/v1/jobs/{id}`, with its methods."""
        return {route.path: route.methods or set() for route in self._routes()}

    def _routes(self) -> Iterable[Route]:
        by_path: dict[str, dict[str, Operation]] = {}
        for operation in OPERATIONS:
            by_path.setdefault(operation.path, {})[operation.method] = operation
        for path, operations in by_path.items():
            yield Route(path, partial(self._serve, operations), methods=[*operations])
        yield Route("/openapi.json", self._openapi, methods=["GET"])
        yield from CheckoutPage(self.world).routes()
        yield Route("/files/{id}", self._download, methods=["GET", "HEAD"])

    # --- one request ------------------------------------------------------------------------------------

    async def _serve(self, operations: dict[str, Operation], request: Request) -> Response:
        operation = operations["GET" if request.method == "HEAD" else request.method]
        headers: dict[str, str] = {}
        try:
            response = await self._answer(operation, request, headers)
        except ApiError as error:
            response = error_response(error)
        response.headers.setdefault("x-request-id", request_id())
        for name, value in headers.items():
            response.headers[name] = value
        return response

    async def _answer(self, operation: Operation, request: Request, headers: dict[str, str]) -> Response:
        now = self.world.clock.now()
        self._deprecated(request, headers, now)
        with self.world.lock:
            key = None if operation.scope == NO_KEY else self._authenticate(request, headers)
        if key is not None:
            self._limit(key, headers, now)
            if operation.scope not in (ANY_SCOPE, *key.scopes):
                raise ApiError(403, "authorization_error", f"This API key lacks the scope {operation.scope}.")
        idempotency_key = self._idempotency_key(operation, request)
        query = validate(operation.query, read_query(request))
        body, parsed = None, None
        if operation.method in ("POST", "PATCH"):
            parsed = parse_body(await request.body(), request.headers.get("content-type"))
            body = validate(operation.body or EmptyBody, parsed)
        call = Call(
            self.world,
            self.signer,
            self.base_url,
            self.world.clock.now(),
            key,
            request.path_params.get("id", ""),
            body,
            query,
        )
        if operation.waits:
            await self._hold(call, request, headers)
        if operation.method == "GET":
            response = _response(operation, await self._read(operation, call))
        else:
            # Nothing is awaited here, so two requests with one idempotency key cannot interleave: the second finds the
            # stored response of the first.
            with self.world.lock:
                if idempotency_key is None:
                    response = self._handle(operation, call)
                else:
                    path = request.scope["path"]
                    response = self._once(operation, call, path, idempotency_key, parsed, headers)
        if key is not None:  # after the transaction
            headers["x-firsthandapi-credits-remaining"] = str(key.account.book.available)
        return response

    async def _read(self, operation: Operation, call: Call) -> Any:
        """What a GET answers. Whatever has to be looked for in a large state holds up nobody."""
        world = self.world
        with world.lock:
            answer = _HANDLERS[operation.name](call)
            if isinstance(answer, Search) and not world.state.reads_aside:
                return answer.show(answer.look())
        if isinstance(answer, Search):
            result = await asyncio.get_running_loop().run_in_executor(self._readers, answer.look)
            with world.lock:
                return answer.show(result)
        return answer

    def _handle(self, operation: Operation, call: Call) -> Response:
        return _response(operation, _HANDLERS[operation.name](call))

    def _once(
        self, operation: Operation, call: Call, path: str, key: str, parsed: Any, headers: dict[str, str]
    ) -> Response:
        caller = call.caller
        owner = "" if caller is None else caller.account.id
        slot = (owner, operation.method, path, key)
        fingerprint = hashlib.sha256(json.dumps(parsed, sort_keys=True).encode()).hexdigest()
        stored = self.world.state.replies.get(slot, call.at)
        if stored is not None:
            if stored.fingerprint != fingerprint:
                message = (
                    "This Idempotency-Key was used for another request. Use a new key for a new request."
                )
                raise ApiError(409, "idempotency_error", message)
            headers["idempotent-replayed"] = "true"
            media_type = "application/json" if stored.body else None
            return Response(stored.body or None, stored.status, media_type=media_type)
        response = self._handle(operation, call)
        body, ends = bytes(response.body), call.at + DAY
        reply = StoredResponse(fingerprint, response.status_code, body, ends, operation.shows_secret)
        self.world.state.replies.put(slot, reply, call.at)
        return response

    def _deprecated(self, request: Request, headers: dict[str, str], now: float) -> None:
        for deprecation in self.deprecations:
            if not path_matches(deprecation.path, request.scope["path"]):
                continue
            if deprecation.method not in (None, request.method):
                continue
            headers.update(deprecation.headers())
            if deprecation.sunset is not None and deprecation.sunset.timestamp() <= now:
                raise ApiError(410, "gone", "This endpoint has been shut down; see the Link header.")

    def client_time(self) -> float:
        """The time of a client's clock, in Unix seconds."""
        return time.time() if self.moved is None else self.moved.now()

    def key(self, request: Request) -> Key | None:
        """The good key that a request comes with; the lock is held."""
        scheme, _, secret = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            return None
        return self.world.accounts.authenticate(secret.strip(), self.world.clock.now())

    def _authenticate(self, request: Request, headers: dict[str, str]) -> Key:
        key = self.key(request)
        if key is None:
            message = (
                "Send a valid API key in the header `Authorization`, after the word `Bearer` and a space."
            )
            raise ApiError(401, "authentication_error", message)
        headers["x-firsthandapi-credits-remaining"] = str(key.account.book.available)
        return key

    def _limit(self, key: Key, headers: dict[str, str], now: float) -> None:
        if self.rate_limit is None:
            return
        limit = self.rate_limit
        allowed, requests_left, ends = self._per_key.take(key.id, limit, now)
        if allowed and self.organization_rate_limit is not None:
            organization_limit = self.organization_rate_limit
            fits, _, organization_ends = self._per_organization.take(
                key.account.organization.id, organization_limit, now
            )
            if not fits:
                allowed, requests_left, ends, limit = False, 0, organization_ends, organization_limit
        headers["x-ratelimit-limit"] = str(limit)
        headers["x-ratelimit-remaining"] = str(requests_left)
        is_stopped = not self.world.clock.speed and self.moved is None
        if not is_stopped:
            seconds = ends - now if self.moved else self.world.clock.real_seconds(ends - now)
            headers["x-ratelimit-reset"] = str(math.ceil(self.client_time() + seconds))
            retry_after = max(1, math.ceil(seconds))
            message = "Too many requests. Wait for Retry-After seconds."
        else:
            # The window never ends by itself, so a client must not wait for it.
            headers["x-ratelimit-reset"] = str(int(time.time()))
            retry_after = _STANDSTILL
            message = (
                "Too many requests, and time stands still: advance the clock, or set rate_limit to None."
            )
        if not allowed:
            headers["retry-after"] = str(retry_after)
            if is_stopped:
                headers["x-firsthandapi-clock"] = "stopped"  # clients then wait for nothing
            raise ApiError(429, "rate_limit_exceeded", message)

    def _idempotency_key(self, operation: Operation, request: Request) -> str | None:
        if operation.method != "POST":
            return None
        key = request.headers.get("idempotency-key")
        if key == "":
            raise invalid("Idempotency-Key", "must not be empty: send a unique string, such as a UUID")
        if key is None and operation.needs_idempotency_key:
            if self.idempotency_keys == "all" or operation.path == "/v1/jobs":
                message = "this header is required here: send a unique string, such as a UUID"
                raise invalid("Idempotency-Key", message)
        elif key is not None and len(key) > MAX_KEY:
            raise invalid("Idempotency-Key", f"must be at most {MAX_KEY} characters")
        return key

    async def _hold(self, call: Call, request: Request, headers: dict[str, str]) -> None:
        """Return when the job's status changes, the wait ends, or the client disconnects."""
        match = _PREFER_WAIT.search(",".join(request.headers.getlist("prefer")))
        if match is None:
            return
        seconds = min(int(match[1]), MAX_WAIT)
        headers["preference-applied"] = f"wait={seconds}"
        loop = asyncio.get_running_loop()
        changed, has_changed = asyncio.Event(), threading.Event()

        def wake() -> None:
            has_changed.set()
            with contextlib.suppress(RuntimeError):  # the server has stopped
                loop.call_soon_threadsafe(changed.set)

        with self.world.lock:
            job = call.job()
            if job.is_terminal or not seconds:
                return
            job.listeners.append(wake)
        try:
            if self.moved is None:
                await _first_of(seconds, changed.wait(), until_gone(request.receive))
            else:
                await asyncio.to_thread(self.moved.reach, call.at + seconds, has_changed.is_set)
        finally:
            with self.world.lock:
                job.listeners.remove(wake)

    # --- other than the contract's operations -----------------------------------------------------------

    async def _openapi(self, _request: Request) -> Response:
        if self._document is None:
            from firsthandapi_server.contract.document import document

            self._document = json_bytes(document(self.base_url, self.control()))
        return Response(self._document, media_type="application/json")

    async def _download(self, request: Request) -> Response:
        with self.world.lock:
            file = self.world.state.files.get(request.path_params["id"])
        return serve_file(request, file, self.signer, self.world.clock.now())

    async def _no_path(self, _request: Request, _error: Exception) -> Response:
        refused = ApiError(404, "not_found", "This path does not exist.")
        return error_response(refused)

    async def _failed(self, _request: Request, _error: Exception) -> Response:
        """The response to an internal error. Starlette raises the error again afterwards, so that it is logged."""
        failed = ApiError(500, "internal_error", "The server failed.")
        return error_response(failed)


def _response(operation: Operation, answer: Any) -> Response:
    if answer is None:
        return Response(status_code=operation.status)
    return Response(json_bytes(answer), operation.status, media_type="application/json")


async def _first_of(seconds: float, *waits: Awaitable[Any]) -> None:
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
