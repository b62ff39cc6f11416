"""The OpenAPI document, made from the table that is served and the models that validate."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache, partial
from types import GenericAlias
from typing import Annotated, Any, Literal, cast

from pydantic import BaseModel, Field, create_model
from pydantic.json_schema import models_json_schema

from . import answers
from .operations import ANY_SCOPE, NO_KEY, OPERATIONS, Operation

Json = dict[str, Any]

CONTROL = "control"
_SCHEMA = "#/components/schemas/{model}"
_TAGS = {
    "jobs": "Post jobs and follow them.",
    "files": "The approved files of jobs.",
    "submissions": "What workers submitted, in every status.",
    "consents": "What workers agreed to, where they join a study.",
    "billing": "The balance, its transactions, and purchases.",
    "webhooks": "Endpoints that events are delivered to, and the events.",
    "api_keys": "Create, rotate, and revoke API keys.",
    "account": "The organization, its settings, and its audit trail.",
    CONTROL: "Not of the service: drives the bundled server in tests, without a key.",
}
_MEANINGS = {
    400: "The request is not what the contract says.",
    401: "No API key, or not a good one.",
    402: "The balance does not cover the job.",
    403: "The API key lacks the scope, or the organization the right.",
    404: "No such thing exists, or it is not yours.",
    409: "The state does not allow this, or an idempotency key was used for another request.",
    410: "The endpoint has been shut down.",
    422: "The URL is not allowed.",
    429: "Too many requests; wait for `Retry-After` seconds.",
}
_HEADERS = {
    "x-request-id": ("string", "Identifies the request."),
    "x-ratelimit-limit": ("integer", "Requests per window."),
    "x-ratelimit-remaining": ("integer", "Requests left in this window."),
    "x-ratelimit-reset": ("integer", "When the window ends, in Unix seconds."),
    "x-firsthandapi-credits-remaining": ("integer", "The balance, in US cents."),
    "retry-after": ("integer", "Seconds to wait."),
    "idempotent-replayed": (
        "string",
        "`true` where the response is that of an earlier request with the same key.",
    ),
    "preference-applied": ("string", "How long the request could be held, such as `wait=30`."),
    "deprecation": ("string", "`true` where the endpoint is deprecated."),
    "sunset": ("string", "When a deprecated endpoint ends, as an HTTP-date."),
    "link": ("string", "The successor of a deprecated endpoint."),
}
_KEYED = (
    "x-ratelimit-limit",
    "x-ratelimit-remaining",
    "x-ratelimit-reset",
    "x-firsthandapi-credits-remaining",
)
_DEPRECATED = ("deprecation", "sunset", "link")


def document(base_url: str, control: Iterable[Operation] = ()) -> Json:
    """The whole document: the contract, and the operations beside it, without a key, that control the server."""
    control = [*control]
    paths: Json = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation)
    for operation in control:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _control(operation)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "FirstHandAPI",  # which generators make the name of a package of
            "version": "1",
            "description": "As the bundled server serves it. Responses may have more fields, and enums more values.",
        },
        "servers": [{"url": base_url}],
        "security": [{"apiKey": []}],
        "tags": [
            {"name": name, "description": text} for name, text in _TAGS.items() if control or name != CONTROL
        ],
        "paths": paths,
        "webhooks": {event: _webhook(event) for event in answers.EVENT_DATA},
        "components": {
            "schemas": _schemas(control),
            "headers": {name: _header(name) for name in _HEADERS},
            "securitySchemes": {"apiKey": {"type": "http", "scheme": "bearer"}},
        },
    }


def _control(operation: Operation) -> Json:
    statuses = [400, *operation.errors]
    return {**_described(operation, CONTROL, statuses, lambda _status: {}), "security": []}


def _described(
    operation: Operation, tag: str, statuses: Iterable[int], headers: Callable[[int], Json]
) -> Json:
    """What every operation has; `headers` gives those of a response."""
    good: Json = {"description": "Done.", **headers(operation.status)}
    answer = _answer(operation)
    if answer is not None:
        good["content"] = _content(_ref(answer))
    refused: Json = {
        str(status): {
            "description": _MEANINGS[status],
            **headers(status),
            "content": _content(_ref(answers.InsufficientCreditsError if status == 402 else answers.Error)),
        }
        for status in sorted(statuses)
    }
    entry: Json = {
        "operationId": operation.name,
        "summary": operation.summary,
        "tags": [tag],
        "responses": {str(operation.status): good, **refused},
    }
    body = operation.body
    if body is not None:
        # A request without a body counts as an empty one.
        needs_body = any(field.is_required() for field in body.model_fields.values())
        entry["requestBody"] = {"required": needs_body, "content": _content(_ref(body))}
    return entry


class _Page(answers.Answer):
    object: Literal["list"]
    data: list[Any]
    has_more: bool
    next_cursor: Annotated[str | None, Field(description="`cursor` of the next page.")]


@cache
def _page(kind: type[answers.Answer]) -> type[answers.Answer]:
    fields: Any = {"data": GenericAlias(list, kind)}
    return create_model(f"{kind.__name__}List", __base__=_Page, **fields)


@cache
def _event(name: str) -> type[answers.Answer]:
    stem = "".join(word.capitalize() for word in name.replace(".", "_").split("_"))
    kind = Annotated[str, Field(json_schema_extra={"const": name})]
    fields: Any = {"type": kind, "data": answers.EVENT_DATA[name]}
    return create_model(f"{stem}Event", __base__=answers.Event, **fields)


def _answer(operation: Operation) -> type[answers.Answer] | None:
    """The model of a response: of a list, that of a page."""
    return _page(operation.answer) if operation.is_list and operation.answer else operation.answer


def _schemas(control: Iterable[Operation]) -> Json:
    outputs: list[type[BaseModel] | None] = [answers.Error, answers.InsufficientCreditsError]
    outputs += [_event(name) for name in answers.EVENT_DATA]
    models: list[Any] = []
    for operation in (*OPERATIONS, *control):
        models.append((operation.body, "validation"))
        outputs.append(_answer(operation))
    models += [(model, "serialization") for model in outputs]
    pairs = dict.fromkeys(pair for pair in models if pair[0] is not None)
    _, definitions = models_json_schema([*pairs], ref_template=_SCHEMA)
    return {name: _plain(schema) for name, schema in sorted(definitions["$defs"].items())}


def _plain(schema: Any) -> Any:
    """Without the keywords that generators misread.

    A title becomes the name of a type, a default makes a field required, and `additionalProperties: true`, which
    nobody needs to say, turns every misspelled field into a known one.
    """
    if isinstance(schema, list):
        return [_plain(item) for item in schema]  # pyright: ignore[reportUnknownVariableType] # it is JSON
    if not isinstance(schema, dict):
        return schema
    source = cast("Json", schema)
    result: Json = {}
    for name, value in source.items():
        if name == "properties":
            result[name] = {key: _plain(item) for key, item in value.items()}
        elif name not in ("title", "default") and not (
            name == "additionalProperties" and value is True and "properties" in source
        ):
            result[name] = _plain(value)
    return result


def _webhook(event: str) -> Json:
    signature = "HMAC-SHA256 of the raw body under the endpoint's secret, in hex: alone, or as `t=…,v1=…`."
    names = {
        "X-FirstHandAPI-Signature": signature,
        "X-FirstHand-Event-Id": "The `id` of the event.",
        "webhook-id": "The same, as Standard Webhooks call it.",
        "webhook-timestamp": "When it was sent, in Unix seconds.",
        "webhook-signature": "`v1,` and the signature of Standard Webhooks in base64.",
    }
    return {
        "post": {
            "operationId": f"on_{event.replace('.', '_')}",
            "summary": f"The event {event}",
            "tags": ["webhooks"],
            "security": [],
            "parameters": [
                _parameter(name, "header", {"type": "string"}, text, required=True)
                for name, text in names.items()
            ],
            "requestBody": {"required": True, "content": _content(_ref(_event(event)))},
            "responses": {"200": {"description": "Any 2xx within 10 seconds; otherwise it comes again."}},
        }
    }


def _operation(operation: Operation) -> Json:
    statuses = {400, 410, *operation.errors}
    if operation.scope != NO_KEY:
        statuses |= {401, 403, 429}
    if "{id}" in operation.path or "job_id" in operation.query.model_fields:
        statuses.add(404)
    if operation.method == "POST":
        statuses.add(409)
    entry = _described(operation, operation.tag, statuses, partial(_response_headers, operation))
    entry["parameters"] = _parameters(operation)
    if operation.scope == NO_KEY:
        entry["security"] = []
    elif operation.scope != ANY_SCOPE:
        entry["description"] = f"Needs the scope `{operation.scope}`."
        if operation.job is not None:
            entry["description"] += f" The job must be {operation.job}."
    if operation.method == "POST" and operation.body is None:
        empty = {"type": "object", "additionalProperties": False}
        entry["requestBody"] = {"required": False, "content": _content(empty)}
    return entry


def _parameters(operation: Operation) -> list[Json]:
    parameters: list[Json] = []
    if "{id}" in operation.path:
        parameters.append(_parameter("id", "path", {"type": "string", "minLength": 1}, required=True))
    schema = operation.query.model_json_schema(ref_template=_SCHEMA)
    for name, field in schema.get("properties", {}).items():
        # A query cannot contain null: leaving it out is the same.
        options = [option for option in field.get("anyOf", []) if option != {"type": "null"}]
        default = None if field.get("default") is None else f"Default: {field['default']}."
        parameters.append(_parameter(name, "query", _plain((options or [field])[0]), default))
    if operation.method == "POST":
        key = {"type": "string", "minLength": 1, "maxLength": 255}
        text = "Any unique string. The same key and body get the same response for 24 hours."
        needs_key = operation.needs_idempotency_key
        parameters.append(_parameter("Idempotency-Key", "header", key, text, required=needs_key))
    if operation.waits:
        text = "`wait=N` holds the request up to N seconds (at most 60) for a new status."
        parameters.append(_parameter("Prefer", "header", {"type": "string"}, text))
    return parameters


def _parameter(
    name: str, place: str, schema: Json, text: str | None = None, *, required: bool = False
) -> Json:
    described = {} if text is None else {"description": text}
    return {"name": name, "in": place, "required": required, **described, "schema": schema}


def _response_headers(operation: Operation, status: int) -> Json:
    names = ["x-request-id"]
    if operation.scope != NO_KEY and status not in (401, 410):
        names += _KEYED
    if status == 429:
        names.append("retry-after")
    if status < 300 and operation.method == "POST":
        names.append("idempotent-replayed")
    if status < 300 and operation.waits:
        names.append("preference-applied")
    if status < 300 or status == 410:
        names += _DEPRECATED
    return {"headers": {name: {"$ref": f"#/components/headers/{name}"} for name in names}}


def _header(name: str) -> Json:
    type_, text = _HEADERS[name]
    return {"description": text, "required": name == "x-request-id", "schema": {"type": type_}}


def _ref(model: type[BaseModel]) -> Json:
    return {"$ref": _SCHEMA.format(model=model.__name__)}


def _content(schema: Json) -> Json:
    return {"application/json": {"schema": schema}}
