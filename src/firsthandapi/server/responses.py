"""JSON and the error envelope, as the service writes them."""

from __future__ import annotations

import json
from typing import Any

from starlette.responses import Response

from .errors import ApiError


def json_bytes(value: Any) -> bytes:
    """Compact JSON, without NaN."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False).encode()


def error_response(error: ApiError, request_id: str) -> Response:
    """The documented envelope."""
    content: dict[str, Any] = {
        "type": error.type,
        "message": error.message,
        "request_id": request_id,
        **error.extra,
    }
    if error.details:
        content["details"] = error.details
    body = json_bytes({"error": content})
    return Response(body, error.status, {"x-request-id": request_id, **error.headers}, "application/json")
