"""The errors of the contract, as the rules raise them."""

from __future__ import annotations

from typing import Any


class ApiError(Exception):
    """A request that is refused: a status and the `error` object of its envelope."""

    def __init__(
        self,
        status: int,
        type: str,
        message: str,
        *,
        details: list[dict[str, str]] | None = None,
        extra: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.type = type
        self.message = message
        self.details = details
        self.extra = extra or {}
        self.headers = headers or {}


def invalid(field: str, message: str, *, status: int = 400) -> ApiError:
    """A field that breaks the contract."""
    details = [{"field": field, "message": message}]
    return ApiError(status, "validation_error", f"{field}: {message}", details=details)


def not_found(kind: str) -> ApiError:
    """It does not exist, or it belongs to somebody else: the response is the same."""
    return ApiError(404, "not_found", f"No such {kind}.")


def conflict(message: str) -> ApiError:
    """A state that does not allow the request."""
    return ApiError(409, "conflict", message)
