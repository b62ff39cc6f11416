"""Read requests: bodies within bounds, parsed and validated, and queries."""

from __future__ import annotations

import asyncio
import json
import math
import re
from typing import Any, cast

from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect, Request
from starlette.types import Receive

from firsthandapi_server.contract.errors import ApiError, invalid

MAX_BODY = 1 << 20
MAX_UPLOAD = 8 << 20  # for `/_control`, where photos are Base64
_BODY_SECONDS = 30.0


async def read_body(receive: Receive, keep: int) -> bytes:
    """The first `keep` bytes of the body. Reads the rest as well, within bounds, so that the response can arrive."""
    body = bytearray()
    read = 0
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ClientDisconnect
                part = message.get("body", b"")
                read += len(part)
                body += part[: keep - len(body)]
                if not message.get("more_body", False):
                    return bytes(body)
                if read > MAX_UPLOAD:
                    raise ApiError(400, "validation_error", f"The body is larger than {MAX_BODY} bytes.")
    except TimeoutError:
        late = f"The body did not arrive within {_BODY_SECONDS:.0f} seconds."
        raise ApiError(408, "request_timeout", late) from None


def read_query(request: Request) -> dict[str, str]:
    query: dict[str, str] = {}
    for name, value in request.query_params.multi_items():
        if name in query:
            raise invalid(name, "was given more than once")
        query[name] = value
    return query


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("a number is too large")
    return number


def parse_body(raw: bytes, content_type: str | None, most: int = MAX_BODY) -> dict[str, Any]:
    if len(raw) > most:
        raise ApiError(400, "validation_error", f"The body is larger than {most} bytes.")
    if not raw:
        return {}
    kind, _, parameters = (content_type or "").partition(";")
    if kind.strip().lower() != "application/json":
        raise invalid("Content-Type", "must be application/json")
    charset = re.search(r"charset\s*=\s*\"?([^\s;\"]+)", parameters, re.IGNORECASE)
    if charset and charset[1].lower() not in ("utf-8", "utf8", "us-ascii"):
        raise invalid("Content-Type", "JSON is sent in UTF-8")
    try:
        parsed = json.loads(raw.decode("utf-8"), parse_constant=_refuse_constant, parse_float=_finite)
        json.dumps(parsed)  # a response could not contain deeper nesting
    except (ValueError, RecursionError):
        raise ApiError(400, "validation_error", "The body is not valid JSON in UTF-8.") from None
    if not isinstance(parsed, dict):
        raise ApiError(400, "validation_error", "The body must be a JSON object.")
    return cast("dict[str, Any]", parsed)


def validate(model: type[BaseModel], value: Any) -> Any:
    try:
        return model.model_validate(value)
    except ValidationError as error:
        details = [
            {
                "field": ".".join(map(str, item["loc"])) or "body",
                "message": item["msg"].removeprefix("Value error, "),
            }
            for item in error.errors(include_url=False, include_context=False, include_input=False)
        ]
    first = details[0]
    message = f"{first['field']}: {first['message']}"
    raise ApiError(400, "validation_error", message, details=details)
