"""The OpenAPI document, made from the table that is served and the models that validate."""

from __future__ import annotations

from typing import Any

from pydantic.json_schema import models_json_schema

from . import _schemas as schemas
from ._endpoints import ANY_SCOPE, NO_KEY, OPERATIONS, Operation

_REF = "#/components/schemas/{model}"
_MEANINGS = {
    400: "The request is not what the contract says.",
    401: "No API key, or not a good one.",
    402: "The balance does not cover the job.",
    403: "The API key lacks the scope, or the organization the right.",
    404: "There is no such thing, or it is not yours.",
    409: "The state does not allow it, or an idempotency key was used for another request.",
    410: "The endpoint has been shut down.",
    422: "The URL is not allowed.",
    429: "Too many requests; wait for `Retry-After` seconds.",
}


def document(base_url: str) -> dict[str, Any]:
    """The whole document."""
    models: list[Any] = [(schemas.Error, "serialization")]
    for operation in OPERATIONS:
        if operation.body is not None:
            models.append((operation.body, "validation"))
        if operation.answer is not None:
            models.append((operation.answer, "serialization"))
    _, definitions = models_json_schema([*dict.fromkeys(models)], ref_template=_REF)
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation)
    return {
        "openapi": "3.1.0",
        "info": {"title": "FirstHandAPI, as the bundled server serves it", "version": "1"},
        "servers": [{"url": base_url}],
        "security": [{"apiKey": []}],
        "paths": paths,
        "components": {
            "schemas": definitions["$defs"],
            "securitySchemes": {"apiKey": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(operation: Operation) -> dict[str, Any]:
    made: dict[str, Any] = {
        "operationId": operation.name,
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
            "required": operation.method == "POST" and operation.body is not None,
            "content": {"application/json": {"schema": schema}},
        }
    return made


def _parameters(operation: Operation) -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = []
    if "{id}" in operation.path:
        made.append(
            {"name": "id", "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
        )
    for name, schema in operation.query.model_json_schema().get("properties", {}).items():
        # In a query null cannot be said: left out is the same.
        options = [option for option in schema.get("anyOf", []) if option != {"type": "null"}]
        shown = {key: value for key, value in (options or [schema])[0].items() if key != "title"}
        made.append({"name": name, "in": "query", "required": False, "schema": shown})
    if operation.method == "POST":
        made.append(
            {
                "name": "Idempotency-Key",
                "in": "header",
                "required": operation.needs_idempotency_key,
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


def _responses(operation: Operation) -> dict[str, Any]:
    good: dict[str, Any] = {"description": "Done."}
    if operation.answer is not None:
        schema: dict[str, Any] = _ref(operation.answer)
        if operation.is_list:
            schema = {
                "type": "object",
                "required": ["object", "data", "has_more", "next_cursor"],
                "properties": {
                    "object": {"const": "list"},
                    "data": {"type": "array", "items": schema},
                    "has_more": {"type": "boolean"},
                    "next_cursor": {"type": ["string", "null"]},
                },
            }
        good["content"] = {"application/json": {"schema": schema}}
    statuses = {400, 410, *operation.errors}
    if operation.scope != NO_KEY:
        statuses |= {401, 403, 429}
    if "{id}" in operation.path or "job_id" in operation.query.model_fields:
        statuses.add(404)
    if operation.method == "POST":
        statuses.add(409)
    error = {"content": {"application/json": {"schema": _ref(schemas.Error)}}}
    refused = {str(status): {"description": _MEANINGS[status], **error} for status in sorted(statuses)}
    return {str(operation.status): good, **refused}


def _ref(model: type[Any]) -> dict[str, str]:
    return {"$ref": _REF.format(model=model.__name__)}
