"""`/_control`: the methods of `MockServer` over HTTP, so that a test in any language can use them.

It takes no API key: only this machine reaches it, and whoever a proxy in front lets through. Its requests are not
logged, and no fault strikes them.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import inspect
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from firsthandapi.server.contract.answers import Answer
from firsthandapi.server.contract.bodies import Body, EmptyBody
from firsthandapi.server.contract.document import Described
from firsthandapi.server.contract.errors import ApiError, invalid
from firsthandapi.server.contract.text import iso, parse_iso
from firsthandapi.server.contract.words import Environment, Scope, Time
from firsthandapi.server.http.reading import MAX_UPLOAD, parse_body, validate
from firsthandapi.server.http.responses import error_response, json_bytes, no_method

if TYPE_CHECKING:
    from firsthandapi.server.http.requests import ReceivedRequest
    from firsthandapi.server.rules.faults import Fault

    from ._mock import MockServer

PREFIX = "/_control"
Json = dict[str, Any]


# --- models of requests and responses -------------------------------------------------------------------


Stars = Annotated[int, Field(ge=1, le=5)]
# One value for all files of a submission, or one for each.
Text = str | Annotated[list[str], Field(min_length=1, max_length=5)]


class SubmitBody(Body):
    job_id: str
    content_base64: Annotated[
        Text | None,
        Field(
            description="The bytes; small valid files are made where they are left out. A list: several files."
        ),
    ] = None
    content_type: Annotated[
        Text | None, Field(description="One of the job's formats, or a list. Default: the first.")
    ] = None
    rating: Annotated[
        Stars | Annotated[list[Stars], Field(min_length=1, max_length=5)],
        Field(description="The stars that scoring will give, or a list of them. Default: 4."),
    ] = 4
    files: Annotated[int | None, Field(ge=1, le=5, description="How many files. Default: 1.")] = None
    original_filename: Text | None = None
    annotations: Annotated[
        dict[str, Any] | None, Field(description="Plausible ones are made up where this is left out.")
    ] = None
    width: int | None = None
    height: int | None = None
    worker_id: str | None = None
    latitude: float | None = None
    longitude: float | None = None
    location_verified: bool | None = None
    retry_of: Annotated[
        str | None, Field(description="The submission with two stars that this is the second attempt of.")
    ] = None


class Submitted(Answer):
    submission_id: str
    file_ids: list[str]


class ScoreBody(Body):
    submission_id: str
    rating: Stars


class DeprecateBody(Body):
    path: Annotated[str, Field(description="A path, one above it, or a glob.")]
    method: str | None = None
    sunset: Annotated[Time | None, Field(description="When the endpoint ends: from then on a 410.")] = None
    link: Annotated[str | None, Field(description="The address of its successor.")] = None


class RemoveFaultBody(Body):
    id: str


class WithdrawBody(Body):
    file_id: str


class AdvanceBody(Body):
    weeks: float = 0
    days: float = 0
    hours: float = 0
    minutes: float = 0
    seconds: float = 0
    milliseconds: float = 0


class EmitBody(Body):
    type: Annotated[str, Field(min_length=1, description="Any event type, known or not.")]
    data: dict[str, Any]
    environment: Environment = "live"


class Emitted(Answer):
    event_id: str


class FaultBody(Body):
    path: Annotated[str, Field(description="A path, one above it, or a glob. Default: `*`.")] = "*"
    method: str | None = None
    times: Annotated[
        int | None, Field(ge=1, description="How many requests it strikes; null for all. Default: 1.")
    ] = 1
    after: Annotated[int, Field(ge=0, description="How many requests pass first.")] = 0
    status: Annotated[int | None, Field(ge=200, le=599)] = None
    retry_after: int | float | str | None = None
    drop: Literal["before", "after"] | None = None
    cut: Annotated[int | None, Field(ge=0, description="Bytes of the body to send before closing.")] = None
    delay: Annotated[float, Field(ge=0, le=600, description="Real seconds to wait first.")] = 0
    garbage: bool = False
    dribble: Annotated[float, Field(ge=0, le=60, description="Real seconds before each byte.")] = 0
    expired_url: bool = False
    repeat_cursor: bool = False
    headers: dict[str, str] | None = None


class FaultAnswer(Answer):
    id: str
    does: Annotated[str, Field(description="In words, what it does to a request.")]
    path: str
    method: str | None
    times: Annotated[int | None, Field(description="How many requests it still strikes.")]
    after: int
    status: int | None


class Faulty(Answer):
    data: list[FaultAnswer]


class OrganizationBody(Body):
    name: str = "Another Organization"
    email: str = "other@example.com"
    cents: Annotated[int, Field(ge=0, description="US cents to spend. Default: 100,000.")] = 100_000
    free_tier: bool = False


class OrganizationAnswer(Answer):
    id: str
    api_key: str
    test_api_key: str


class KeyBody(Body):
    scopes: Annotated[list[Scope] | None, Field(description="Default: all.")] = None
    environment: Environment = "live"


class KeyAnswer(Answer):
    api_key: str


class CreditsBody(Body):
    cents: Annotated[int, Field(ge=1, description="US cents of bonus credit, good for a year.")]


class SettingsBody(Body):
    rate_limit: Annotated[
        int | None, Field(ge=1, description="Requests per key in 60 virtual seconds; null for no limits.")
    ] = None
    organization_rate_limit: Annotated[int | None, Field(ge=1)] = None
    idempotency_keys: Literal["all", "jobs"] = "all"
    signature_style: Literal["plain", "timestamped"] = "plain"


class ServerAnswer(Answer):
    url: str
    api_key: str
    test_api_key: str
    now: Annotated[Time, Field(description="The virtual time.")]
    speed: Annotated[float, Field(description="Virtual seconds per real second.")]
    workers: Annotated[bool, Field(description="Whether simulated workers do the jobs.")]
    rate_limit: int | None
    organization_rate_limit: int | None
    idempotency_keys: Literal["all", "jobs"]
    signature_style: Literal["plain", "timestamped"]


class RequestAnswer(Answer):
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Annotated[str, Field(description="As UTF-8 text.")]
    time: Annotated[float, Field(description="Real Unix seconds.")]
    status: int | None
    seconds: Annotated[float | None, Field(description="Real seconds until the response.")]
    replayed: Annotated[bool, Field(description="The first response again, for the same idempotency key.")]
    dropped: Literal["before", "after"] | None


class Received(Answer):
    data: Annotated[list[RequestAnswer], Field(description="The latest 1,000, oldest first.")]


class AttemptAnswer(Answer):
    at: Time
    status: int | None
    error: str | None
    signature: str | None


class DeliveryAnswer(Answer):
    event_id: str
    event_type: str
    endpoint_id: str
    url: str
    status: Literal["pending", "delivered", "failed", "dropped"]
    attempts: list[AttemptAnswer]


class Delivered(Answer):
    data: list[DeliveryAnswer]


# --- the actions ----------------------------------------------------------------------------------------


def describe(server: MockServer, _body: Any = None) -> Json:
    """Show the address, the keys, the time, and the settings."""
    return {
        "url": server.public_url,
        "api_key": server.api_key,
        "test_api_key": server.test_api_key,
        "now": iso(server.clock.now()),
        "speed": server.clock.speed,
        "workers": server.workers,
        "rate_limit": server.rate_limit,
        "organization_rate_limit": server.organization_rate_limit,
        "idempotency_keys": server.idempotency_keys,
        "signature_style": server.signature_style,
    }


def change_settings(server: MockServer, body: SettingsBody) -> Json:
    """Change settings; omitted ones stay unchanged."""
    for name in body.model_fields_set:
        setattr(server, name, getattr(body, name))
    return describe(server)


def submit(server: MockServer, body: SubmitBody) -> Json:
    """Submit files to a job, as a worker does; they are scored 5 to 15 virtual seconds later."""
    given = body.model_dump(exclude_unset=True)
    encoded = given.pop("content_base64", None)
    if encoded is not None:
        try:
            each = [
                base64.b64decode(one, validate=True)
                for one in ([encoded] if isinstance(encoded, str) else encoded)
            ]
        except (binascii.Error, ValueError):
            raise invalid("content_base64", "must be Base64") from None
        given["content"] = each[0] if isinstance(encoded, str) else each
    work = server.submit(**given)
    return {"submission_id": work.submission_id, "file_ids": [*work.file_ids]}


def score(server: MockServer, body: ScoreBody) -> None:
    """Score a submission now, instead of 5 to 15 virtual seconds after it was submitted."""
    server.score(body.submission_id, body.rating)


def withdraw(server: MockServer, body: WithdrawBody) -> None:
    """Withdraw an approved file: the file list no longer shows it."""
    server.withdraw(body.file_id)


async def advance(server: MockServer, body: AdvanceBody) -> Json:
    """Move time on. The response comes when everything that fell due has happened, deliveries included."""
    try:
        await asyncio.to_thread(partial(server.clock.advance, **body.model_dump()))
    except OverflowError:
        raise ValueError("time ends with the year 9990; advance by less") from None
    return describe(server)


def emit(server: MockServer, body: EmitBody) -> Json:
    """Emit a webhook event of any type."""
    return {"event_id": server.emit(body.type, body.data, environment=body.environment)}


def add_fault(server: MockServer, body: FaultBody) -> Json:
    """Add a fault to the next requests."""
    return _fault(server.faults.add(**body.model_dump()))


def remove_fault(server: MockServer, body: RemoveFaultBody) -> None:
    """Remove one fault."""
    server.faults.remove(body.id)


def list_faults(server: MockServer, _body: Any = None) -> Json:
    """List the faults that still strike."""
    return {"data": [_fault(fault) for fault in server.faults.active()]}


def clear_faults(server: MockServer, _body: Any = None) -> None:
    """Remove all faults."""
    server.faults.clear()


def deprecate(server: MockServer, body: DeprecateBody) -> None:
    """Deprecate an endpoint: the headers of its responses announce it."""
    sunset = None if body.sunset is None else datetime.fromtimestamp(parse_iso(body.sunset), UTC)
    server.deprecate(body.path, method=body.method, sunset=sunset, link=body.link)


def create_organization(server: MockServer, body: OrganizationBody) -> Json:
    """Create one more organization."""
    made = server.create_organization(body.name, body.email, cents=body.cents, free_tier=body.free_tier)
    return {"id": made.id, "api_key": made.api_key, "test_api_key": made.test_api_key}


def create_key(server: MockServer, body: KeyBody) -> Json:
    """Create one more key of the server's own organization."""
    return {"api_key": server.create_key(*(body.scopes or ()), environment=body.environment)}


def grant_credits(server: MockServer, body: CreditsBody) -> None:
    """Grant bonus credit to the server's own organization."""
    server.grant_credits(body.cents)


def list_requests(server: MockServer, _body: Any = None) -> Json:
    """List the requests that arrived, except those to `/_control`."""
    return {"data": [_request(request) for request in server.requests[-1000:]]}


def list_deliveries(server: MockServer, _body: Any = None) -> Json:
    """List webhook deliveries with their attempts."""
    return {
        "data": [
            {
                "event_id": delivery.event_id,
                "event_type": delivery.event_type,
                "endpoint_id": delivery.endpoint_id,
                "url": delivery.url,
                "status": delivery.status,
                "attempts": [
                    {
                        "at": iso(attempt.at),
                        "status": attempt.status,
                        "error": attempt.error,
                        "signature": attempt.signature,
                    }
                    for attempt in delivery.attempts
                ],
            }
            for delivery in server.webhook_deliveries
        ]
    }


async def check_books(server: MockServer, _body: Any = None) -> None:
    """Check that every cent and every slot adds up."""
    try:
        await asyncio.to_thread(server.check_books)
    except AssertionError as error:
        raise ApiError(409, "conflict", str(error)) from None


async def reset(server: MockServer, _body: Any = None) -> Json:
    """Start again: no jobs, faults, or requests, the first settings, the present time, and the same keys."""
    await asyncio.to_thread(server.reset)
    return describe(server)


_SHOWN_OF_REQUEST = ("method", "path", "time", "status", "seconds", "replayed", "dropped")


def _fault(fault: Fault) -> Json:
    shown = {name: getattr(fault, name) for name in ("id", "path", "method", "times", "after", "status")}
    return {**shown, "does": fault.describe()}


def _request(request: ReceivedRequest) -> Json:
    shown = {name: getattr(request, name) for name in _SHOWN_OF_REQUEST}
    text = request.body.decode("utf-8", "replace")
    return {**shown, "query": dict(request.query), "headers": dict(request.headers), "body": text}


# --- how it is served -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Action:
    """One line of the table of `/_control`."""

    method: str
    path: str
    do: Callable[..., Json | Awaitable[Json | None] | None]
    body: type[Body] | None = None
    answer: type[Answer] | None = None
    status: int = 200

    def described(self) -> Described:
        """As the OpenAPI document takes it."""
        name, summary = f"control_{self.do.__name__}", self.do.__doc__ or ""
        path = PREFIX + self.path
        return Described(self.method, path, name, summary.rstrip("."), self.status, self.body, self.answer)


ACTIONS = (
    Action("GET", "", describe, answer=ServerAnswer),
    Action("PATCH", "/settings", change_settings, SettingsBody, ServerAnswer),
    Action("POST", "/submit", submit, SubmitBody, Submitted, 201),
    Action("POST", "/score", score, ScoreBody, status=204),
    Action("POST", "/withdraw", withdraw, WithdrawBody, status=204),
    Action("POST", "/advance", advance, AdvanceBody, ServerAnswer),
    Action("POST", "/emit", emit, EmitBody, Emitted, 201),
    Action("POST", "/faults", add_fault, FaultBody, FaultAnswer, 201),
    Action("GET", "/faults", list_faults, answer=Faulty),
    Action("POST", "/faults/remove", remove_fault, RemoveFaultBody, status=204),
    Action("DELETE", "/faults", clear_faults, status=204),
    Action("POST", "/deprecate", deprecate, DeprecateBody, status=204),
    Action("POST", "/organizations", create_organization, OrganizationBody, OrganizationAnswer, 201),
    Action("POST", "/keys", create_key, KeyBody, KeyAnswer, 201),
    Action("POST", "/credits", grant_credits, CreditsBody, status=204),
    Action("GET", "/requests", list_requests, answer=Received),
    Action("GET", "/deliveries", list_deliveries, answer=Delivered),
    Action("POST", "/check_books", check_books, status=204),
    Action("POST", "/reset", reset, answer=ServerAnswer),
)


class Control:
    """The ASGI application behind `/_control`."""

    def __init__(self, server: MockServer) -> None:
        self._server = server
        by_path: dict[str, dict[str, Action]] = {}
        for action in ACTIONS:
            by_path.setdefault(PREFIX + action.path, {})[action.method] = action
        self.asgi = Starlette(
            routes=[
                Route(path, partial(self._serve, found), methods=[*found]) for path, found in by_path.items()
            ],
            exception_handlers={404: self._no_path, 405: no_method},
        )
        self.asgi.router.redirect_slashes = False

    def described(self) -> Iterable[Described]:
        """Every action, for the OpenAPI document."""
        return [action.described() for action in ACTIONS]

    async def _serve(self, actions: dict[str, Action], request: Request) -> Response:
        action = actions["GET" if request.method == "HEAD" else request.method]
        try:
            body = None
            if action.method in ("POST", "PATCH"):
                parsed = parse_body(await request.body(), request.headers.get("content-type"), MAX_UPLOAD)
                body = validate(action.body or EmptyBody, parsed)
            answer = action.do(self._server, body)
            if inspect.isawaitable(answer):
                answer = await answer
        except ApiError as error:
            return error_response(error)
        except ValueError as error:  # `MockServer` raises it, with a message for people
            refused = ApiError(400, "validation_error", str(error))
            return error_response(refused)
        if answer is None:
            return Response(status_code=action.status)
        return Response(json_bytes(answer), action.status, media_type="application/json")

    async def _no_path(self, _request: Request, _error: Exception) -> Response:
        refused = ApiError(404, "not_found", f"{PREFIX} has no such path.")
        return error_response(refused)
