"""JSON and the error envelope, as the service writes them."""

from __future__ import annotations

import json
import time
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from firsthandapi_server.contract.errors import ApiError
from firsthandapi_server.contract.text import new_id


def json_bytes(value: Any) -> bytes:
    """Compact JSON, without NaN."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False).encode()


def request_id() -> str:
    """A new request id, with the real time in it."""
    return new_id("req_", time.time())


def error_response(error: ApiError) -> Response:
    """The documented error envelope, with a new request id."""
    id = request_id()
    content: dict[str, Any] = {
        "type": error.type,
        "message": error.message,
        "request_id": id,
        **error.extra,
    }
    if error.details:
        content["details"] = error.details
    body = json_bytes({"error": content})
    scheme = {"www-authenticate": "Bearer"} if error.status == 401 else {}
    return Response(body, error.status, {"x-request-id": id, **scheme, **error.headers}, "application/json")


async def no_method(_request: Request, error: Exception) -> Response:
    """The response to a method that a path does not support; Starlette names the supported ones in `error`."""
    refused = ApiError(405, "method_not_allowed", "This path does not support this method.")
    refused.headers.update(getattr(error, "headers", None) or {})
    return error_response(refused)
