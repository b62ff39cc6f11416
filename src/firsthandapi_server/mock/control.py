"""`/_control`: the methods of `BundledServer` over HTTP, so that a test in any language can use them.

What a method takes, its action takes: bodies follow from signatures, and what is said of them from docstrings.

It takes no API key: only this machine reaches it, and whoever a proxy in front lets through. Its requests are not
logged, and no fault strikes them.
"""

from __future__ import annotations

import asyncio
import base64
import inspect
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from operator import attrgetter
from types import MethodType
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_type_hints

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, create_model
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from firsthandapi_server.contract.answers import Answer
from firsthandapi_server.contract.bodies import Body, EmptyBody
from firsthandapi_server.contract.errors import ApiError
from firsthandapi_server.contract.operations import NO_KEY, Operation
from firsthandapi_server.contract.text import iso, parse_iso
from firsthandapi_server.contract.words import Time
from firsthandapi_server.http.reading import MAX_UPLOAD, parse_body, validate
from firsthandapi_server.http.responses import error_response, json_bytes, no_method
from firsthandapi_server.rules.rewrites import Rewrite

if TYPE_CHECKING:
    from firsthandapi_server.mock.bundled import BundledServer

PREFIX = "/_control"


# --- what is taken --------------------------------------------------------------------------------------


def _decoded(value: Any) -> Any:
    if isinstance(value, str):
        try:
            return base64.b64decode(value, validate=True)
        except ValueError:
            raise ValueError("must be Base64") from None
    return value and [_decoded(part) for part in value]


# Where JSON says it in another way: the parameter, the name and the type of its field.
_IN_JSON: dict[str, tuple[str, Any]] = {
    "content": (
        "content_base64",
        Annotated[
            str | Annotated[Sequence[str | None], Field(min_length=1, max_length=5)] | None,
            AfterValidator(_decoded),
        ],
    ),
    "sunset": (
        "sunset",
        Annotated[
            Time | None, AfterValidator(lambda text: text and datetime.fromtimestamp(parse_iso(text), UTC))
        ],
    ),
    "event_type": ("type", None),
    "fault_id": ("id", None),
}
_ARGUMENT = re.compile(r"^    ([a-z_, ]+): (.*(?:\n {5,}.*)*)", re.MULTILINE)


def _body_of(name: str, method: Callable[..., Any]) -> type[Body]:
    """The model of a body: a field for each parameter of a method."""
    arguments = (inspect.getdoc(method) or "").partition("Args:\n")[2].partition("\n\n")[0]
    texts = {
        argument: " ".join(text.split())
        for names, text in _ARGUMENT.findall(arguments)
        for argument in names.split(", ")
    }
    fields: dict[str, Any] = {}
    for parameter, hint in zip(inspect.signature(method).parameters.values(), _hints(method), strict=False):
        alias, kind = _IN_JSON.get(parameter.name, (parameter.name, None))
        kind, default = kind or hint, ... if parameter.default is parameter.empty else parameter.default
        if parameter.kind is parameter.VAR_POSITIONAL:
            kind, default = list.__class_getitem__(hint) | None, None
        fields[parameter.name] = kind, Field(default, alias=alias, description=texts.get(parameter.name))
    return create_model(name, __base__=Body, **fields)


def _settings_body(server: BundledServer) -> type[Body]:
    """The model of a body that has what can be set."""
    fields: dict[str, Any] = {}
    # A subclass has what it inherits, in the order of the class.
    members = {name: held for kind in reversed(type(server).__mro__) for name, held in vars(kind).items()}
    for name, held in members.items():
        if isinstance(held, property) and held.fset is not None:
            kind, *_ = _hints(held.fset)
            fields[name] = kind, Field(None, description=inspect.getdoc(held))
    return create_model("SettingsBody", __base__=Body, **fields)


def _hints(method: Callable[..., Any]) -> list[Any]:
    return [*get_type_hints(method, include_extras=True).values()]


# --- what is answered -----------------------------------------------------------------------------------


class Shown(Answer):
    """An answer that is read off an object."""

    model_config = ConfigDict(from_attributes=True)


class Submitted(Shown):
    submission_id: str
    file_ids: list[str]


class Emitted(Shown):
    event_id: str


class FaultAnswer(Shown):
    id: str
    does: Annotated[
        str,
        BeforeValidator(lambda method: method()),
        Field(validation_alias="describe", description="In words, what it does to a request."),
    ]
    path: str
    method: str | None
    times: Annotated[int | None, Field(description="How many requests it still strikes.")]
    after: int
    status: int | None
    fired: Annotated[int, Field(description="How many requests it has struck.")]
    optional: bool


class Faulty(Shown):
    data: list[FaultAnswer]


class OrganizationAnswer(Shown):
    id: str
    api_key: str
    test_api_key: str


class KeyAnswer(Shown):
    api_key: str


class ServerAnswer(Shown):
    url: Annotated[str, Field(validation_alias="public_url")]
    api_key: str
    test_api_key: str
    now: Annotated[
        Time,
        BeforeValidator(lambda clock: iso(clock.now())),
        Field(validation_alias="clock", description="The virtual time."),
    ]
    speed: Annotated[float, Field(description="Virtual seconds per real second.")]
    workers: Annotated[bool, Field(description="Whether simulated workers do the jobs.")]
    rate_limit: int | None
    organization_rate_limit: int | None
    idempotency_keys: Literal["all", "jobs"]
    rewrites: Annotated[list[Rewrite], Field(description="How new jobs are rewritten when they are stored.")]
    signature_style: Literal["plain", "timestamped"]


class RequestAnswer(Shown):
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Annotated[
        str, BeforeValidator(lambda raw: raw.decode("utf-8", "replace")), Field(description="As UTF-8 text.")
    ]
    time: Annotated[float, Field(description="Real Unix seconds.")]
    status: int | None
    seconds: Annotated[float | None, Field(description="Real seconds until the response.")]
    replayed: Annotated[bool, Field(description="The first response again, for the same idempotency key.")]
    dropped: Literal["before", "after"] | None


class Received(Shown):
    data: Annotated[list[RequestAnswer], Field(description="The latest 1,000, oldest first.")]


class AttemptAnswer(Shown):
    at: Annotated[Time, BeforeValidator(iso)]
    status: int | None
    error: str | None
    signature: str | None


class DeliveryAnswer(Shown):
    event_id: str
    event_type: str
    endpoint_id: str
    url: str
    status: Literal["pending", "delivered", "failed", "dropped"]
    attempts: list[AttemptAnswer]


class Delivered(Shown):
    data: list[DeliveryAnswer]


# --- the actions ----------------------------------------------------------------------------------------


def describe(_server: BundledServer) -> None:
    """Show the address, the keys, the time, and the settings."""


def change_settings(server: BundledServer, **settings: Any) -> None:
    """Change settings; omitted ones stay unchanged."""
    for name, value in settings.items():
        setattr(server, name, value)


def list_requests(server: BundledServer) -> Any:
    """List the requests that arrived, except those to `/_control`."""
    return server.requests[-1000:]


def list_deliveries(server: BundledServer) -> Any:
    """List webhook deliveries with their attempts."""
    return server.webhook_deliveries


def check_books(server: BundledServer) -> None:
    """Check that every cent and every slot adds up."""
    try:
        server.check_books()
    except AssertionError as error:
        raise ApiError(409, "conflict", str(error)) from None


@dataclass(frozen=True, slots=True)
class Action:
    """One line of the table of `/_control`: a method of the server or of a part of it, or a function of this module."""

    method: str
    path: str
    do: str | Callable[..., Any]
    answer: type[Shown] | None = None
    status: int = 200
    name: str = ""
    waits: bool = False  # for others, such as receivers of webhooks, which may call this server meanwhile
    errors: tuple[int, ...] = ()

    def bound(self, server: BundledServer) -> Callable[..., Any]:
        """What does it."""
        method: Callable[..., Any] = (
            attrgetter(self.do)(server) if isinstance(self.do, str) else MethodType(self.do, server)
        )
        return method

    def described(self, server: BundledServer) -> Operation:
        """As the OpenAPI document takes it."""
        method = self.bound(server)
        name, summary = self.name or method.__name__, (inspect.getdoc(method) or "").partition("\n")[0]
        words = re.sub("^(?:add|change|create|grant)_", "", f"{name}_body").split("_")
        body = None
        if self.do is change_settings:
            body = _settings_body(server)
        elif inspect.signature(method).parameters:
            body = _body_of("".join(map(str.capitalize, words)), method)
        path, summary = PREFIX + self.path, summary.rstrip(".")
        return Operation(
            self.method, path, NO_KEY, f"control_{name}", summary, self.answer, self.status, body,
            errors=self.errors,
        )  # fmt: skip

    def answered(self, server: BundledServer, body: Body | None) -> Any:
        """Do it, and read off what is answered."""
        arguments = {} if body is None else {name: getattr(body, name) for name in body.model_fields_set}
        result = self.bound(server)(*(arguments.pop("scopes", None) or ()), **arguments)
        if self.answer is None:
            return None
        if self.answer is ServerAnswer:
            result = server
        elif len(self.answer.model_fields) == 1:
            result = dict.fromkeys(self.answer.model_fields, result)
        return self.answer.model_validate(result).model_dump(mode="json")


ACTIONS = (
    Action("GET", "", describe, ServerAnswer),
    Action("PATCH", "/settings", change_settings, ServerAnswer),
    Action("POST", "/submit", "submit", Submitted, 201),
    Action("POST", "/score", "score", status=204),
    Action("POST", "/withdraw", "withdraw", status=204),
    Action("POST", "/advance", "clock.advance", ServerAnswer, waits=True),
    Action("POST", "/emit", "emit", Emitted, 201),
    Action("POST", "/faults", "faults.add", FaultAnswer, 201, "add_fault"),
    Action("GET", "/faults", "faults.active", Faulty, 200, "list_faults"),
    Action("POST", "/faults/remove", "faults.remove", None, 204, "remove_fault"),
    Action("DELETE", "/faults", "faults.clear", None, 204, "clear_faults"),
    Action("POST", "/deprecate", "deprecate", status=204),
    Action("POST", "/organizations", "create_organization", OrganizationAnswer, 201),
    Action("POST", "/keys", "create_key", KeyAnswer, 201),
    Action("POST", "/credits", "grant_credits", status=204),
    Action("GET", "/requests", list_requests, Received),
    Action("GET", "/deliveries", list_deliveries, Delivered),
    Action("POST", "/check_books", check_books, status=204, waits=True, errors=(409,)),
    Action("POST", "/reset", "reset", ServerAnswer, waits=True),
)


class Control:
    """The ASGI application behind `/_control`."""

    def __init__(self, server: BundledServer) -> None:
        self._server = server
        self.described = [action.described(server) for action in ACTIONS]
        by_path: dict[str, dict[str, tuple[Action, type[Body]]]] = {}
        for action, described in zip(ACTIONS, self.described, strict=True):
            by_path.setdefault(described.path, {})[action.method] = action, described.body or EmptyBody
        self.asgi = Starlette(
            routes=[
                Route(path, partial(self._serve, verbs), methods=[*verbs]) for path, verbs in by_path.items()
            ],
            exception_handlers={404: self._no_path, 405: no_method},
        )
        self.asgi.router.redirect_slashes = False

    async def _serve(self, actions: dict[str, tuple[Action, type[Body]]], request: Request) -> Response:
        action, model = actions["GET" if request.method == "HEAD" else request.method]
        try:
            body = None
            if action.method in ("POST", "PATCH"):
                parsed = parse_body(await request.body(), request.headers.get("content-type"), MAX_UPLOAD)
                body = validate(model, parsed)
            answer = (
                await asyncio.to_thread(action.answered, self._server, body)
                if action.waits
                else action.answered(self._server, body)
            )
        except ApiError as error:
            return error_response(error)
        except ValueError as error:  # `BundledServer` raises it, with a message for people
            return error_response(ApiError(400, "validation_error", str(error)))
        if answer is None:
            return Response(status_code=action.status)
        return Response(json_bytes(answer), action.status, media_type="application/json")

    async def _no_path(self, _request: Request, _error: Exception) -> Response:
        return error_response(ApiError(404, "not_found", f"{PREFIX} has no such path."))
