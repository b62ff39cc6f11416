"""The OpenAPI document, made from the table that is served and the models that validate."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, cast, get_args

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from . import answers, bodies, words
from .operations import ANY_SCOPE, NO_KEY, OPERATIONS, Operation

Json = dict[str, Any]

CONTROL = "control"
_TAGS = {
    "jobs": "Post jobs and follow them.",
    "files": "The approved files of jobs.",
    "submissions": "What workers submitted, in every status.",
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


@dataclass(frozen=True, slots=True)
class Described:
    """An operation beside the contract: without a key, for tests."""

    method: str
    path: str
    name: str
    summary: str
    status: int
    body: type[bodies.Body] | None
    answer: type[answers.Answer] | None


def document(base_url: str, control: Iterable[Described] = ()) -> Json:
    """The whole document: the contract, and what controls the server."""
    control = [*control]
    paths: Json = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation)
    for described in control:
        paths.setdefault(described.path, {})[described.method.lower()] = _control(described)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "FirstHandAPI, as the bundled server serves it",
            "version": "1",
            "description": "Responses may have more fields than these, and enums more values.",
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


def _control(described: Described) -> Json:
    good: Json = {"description": "Done."}
    if described.answer is not None:
        good["content"] = {"application/json": {"schema": _ref(described.answer)}}
    statuses = [400] + [409] * described.path.endswith("check_books")
    error = {"content": {"application/json": {"schema": _ref(answers.Error)}}}
    refused = {str(status): {"description": _MEANINGS[status], **error} for status in statuses}
    made: Json = {
        "operationId": described.name,
        "summary": described.summary,
        "tags": [CONTROL],
        "security": [],
        "responses": {str(described.status): good, **refused},
    }
    if described.body is not None:
        content = {"application/json": {"schema": _ref(described.body)}}
        made["requestBody"] = {"required": _needs_body(described.body), "content": content}
    return made


def _needs_body(model: type[BaseModel] | None) -> bool:
    """Whether a request without a body, which counts as an empty one, lacks something."""
    return model is not None and any(field.is_required() for field in model.model_fields.values())


def _schemas(control: Iterable[Described]) -> Json:
    models: list[Any] = [
        (answers.Error, "serialization"),
        (answers.InsufficientCreditsError, "serialization"),
    ]
    models += [(data, "serialization") for data in answers.EVENT_DATA.values()]
    described: list[Operation | Described] = [*OPERATIONS, *control]
    for operation in described:
        if operation.body is not None:
            models.append((operation.body, "validation"))
        if operation.answer is not None:
            models.append((operation.answer, "serialization"))
    _, definitions = models_json_schema([*dict.fromkeys(models)], ref_template="#/components/schemas/{model}")
    made: Json = {name: _plain(schema) for name, schema in definitions["$defs"].items()}
    for operation in OPERATIONS:
        if operation.answer is not None and operation.is_list:
            made[f"{operation.answer.__name__}List"] = _list_of(operation.answer)
    for event, data in answers.EVENT_DATA.items():
        made[_event_name(event)] = _envelope(event, data)
    made["EventType"] = {"type": "string", "enum": [*get_args(words.EventType.__value__)]}
    return dict(sorted(made.items()))


def _plain(schema: Any) -> Any:
    """Without the keywords that generators misread.

    A title becomes the name of a type, a default makes a field required, and `additionalProperties: true`, which
    nobody needs to say, turns every misspelled field into a known one.
    """
    if isinstance(schema, list):
        return [_plain(item) for item in schema]  # pyright: ignore[reportUnknownVariableType] # it is JSON
    if not isinstance(schema, dict):
        return schema
    found = cast("Json", schema)
    kept: Json = {}
    for name, value in found.items():
        if name == "properties":
            kept[name] = {key: _plain(item) for key, item in value.items()}
        elif name not in ("title", "default") and not (
            name == "additionalProperties" and value is True and "properties" in found
        ):
            kept[name] = _plain(value)
    return kept


def _list_of(model: type[Any]) -> Json:
    return {
        "type": "object",
        "required": ["object", "data", "has_more", "next_cursor"],
        "properties": {
            "object": {"type": "string", "const": "list"},
            "data": {"type": "array", "items": _ref(model)},
            "has_more": {"type": "boolean"},
            "next_cursor": {"type": ["string", "null"], "description": "`cursor` of the next page."},
        },
    }


def _event_name(event: str) -> str:
    return "".join(word.capitalize() for word in event.replace(".", "_").split("_")) + "Event"


def _envelope(event: str, data: type[Any]) -> Json:
    return {
        "type": "object",
        "required": ["id", "object", "type", "api_version", "created_at", "data"],
        "properties": {
            "id": {"type": "string", "description": "The deduplication key."},
            "object": {"type": "string", "const": "event"},
            "type": {"type": "string", "const": event},
            "api_version": {"type": "string"},
            "created_at": {"type": "string", "format": "date-time"},
            "data": _ref(data),
        },
    }


def _webhook(event: str) -> Json:
    signature = "HMAC-SHA256 of the raw body under the endpoint's secret, in hex: alone, or as `t=…,v1=…`."
    names = {"X-FirstHandAPI-Signature": signature, "X-FirstHand-Event-Id": "The `id` of the event."}
    ref = {"$ref": f"#/components/schemas/{_event_name(event)}"}
    return {
        "post": {
            "operationId": f"on_{event.replace('.', '_')}",
            "summary": f"The event {event}",
            "tags": ["webhooks"],
            "security": [],
            "parameters": [
                {
                    "name": name,
                    "in": "header",
                    "required": True,
                    "description": text,
                    "schema": {"type": "string"},
                }
                for name, text in names.items()
            ],
            "requestBody": {"required": True, "content": {"application/json": {"schema": ref}}},
            "responses": {"200": {"description": "Any 2xx within 10 seconds; otherwise it comes again."}},
        }
    }


def _operation(operation: Operation) -> Json:
    made: Json = {
        "operationId": operation.name,
        "summary": operation.summary,
        "tags": [operation.tag],
        "parameters": _parameters(operation),
        "responses": _responses(operation),
    }
    if operation.scope == NO_KEY:
        made["security"] = []
    elif operation.scope != ANY_SCOPE:
        made["description"] = f"Needs the scope `{operation.scope}`."
    if operation.method in ("POST", "PATCH"):
        schema = _ref(operation.body) if operation.body else {"type": "object", "additionalProperties": False}
        made["requestBody"] = {
            "required": _needs_body(operation.body),
            "content": {"application/json": {"schema": schema}},
        }
    return made


def _parameters(operation: Operation) -> list[Json]:
    made: list[Json] = []
    if "{id}" in operation.path:
        made.append(
            {"name": "id", "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
        )
    schema = operation.query.model_json_schema(ref_template="#/components/schemas/{model}")
    for name, found in schema.get("properties", {}).items():
        # A query cannot contain null: leaving it out is the same.
        options = [option for option in found.get("anyOf", []) if option != {"type": "null"}]
        parameter = {
            "name": name,
            "in": "query",
            "required": False,
            "schema": _plain((options or [found])[0]),
        }
        if found.get("default") is not None:
            parameter["description"] = f"Default: {found['default']}."
        made.append(parameter)
    if operation.method == "POST":
        made.append(
            {
                "name": "Idempotency-Key",
                "in": "header",
                "required": operation.needs_idempotency_key,
                "description": "Any unique string. The same key and body get the same response for 24 hours.",
                "schema": {"type": "string", "minLength": 1, "maxLength": 255},
            }
        )
    if operation.waits:
        made.append(
            {
                "name": "Prefer",
                "in": "header",
                "required": False,
                "description": "`wait=N` holds the request up to N seconds (at most 60) for a new status.",
                "schema": {"type": "string"},
            }
        )
    return made


def _responses(operation: Operation) -> Json:
    good: Json = {"description": "Done.", "headers": _response_headers(operation, operation.status)}
    if operation.answer is not None:
        name = operation.answer.__name__ + ("List" if operation.is_list else "")
        good["content"] = {"application/json": {"schema": {"$ref": f"#/components/schemas/{name}"}}}
    statuses = {400, 410, *operation.errors}
    if operation.scope != NO_KEY:
        statuses |= {401, 403, 429}
    if "{id}" in operation.path or "job_id" in operation.query.model_fields:
        statuses.add(404)
    if operation.method == "POST":
        statuses.add(409)
    refused = {
        str(status): {
            "description": _MEANINGS[status],
            "headers": _response_headers(operation, status),
            "content": {
                "application/json": {
                    "schema": _ref(answers.InsufficientCreditsError if status == 402 else answers.Error)
                }
            },
        }
        for status in sorted(statuses)
    }
    return {str(operation.status): good, **refused}


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
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _header(name: str) -> Json:
    type_, text = _HEADERS[name]
    return {"description": text, "required": name == "x-request-id", "schema": {"type": type_}}


def _ref(model: type[Any]) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{model.__name__}"}
