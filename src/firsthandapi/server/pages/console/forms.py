"""Forms of the console: only its own pages may send them."""

from __future__ import annotations

from starlette.requests import Request

from firsthandapi.server.contract.errors import ApiError
from firsthandapi.server.http.forms import is_own, read_fields


async def read_form(request: Request) -> dict[str, str]:
    """The fields of a form, each once; empty ones are left out.

    A page of another port on this machine is another page: `gate` lets it call the API, which needs a key, but the
    console needs none.

    Raises:
        ApiError: another page sent it, or it is no form.
    """
    if not is_own(request):
        raise ApiError(403, "forbidden", "The console takes forms from its own pages only.")
    return await read_fields(request)


def whole(text: str | None, name: str, low: int, high: int, default: int) -> int:
    """A whole number from a form or a query.

    Raises:
        ValueError: it is none, or out of bounds.
    """
    if text is None:
        return default
    if not (text.isascii() and text.lstrip("-").isdigit() and len(text) <= 12 and low <= int(text) <= high):
        raise ValueError(f"{name} must be a whole number from {low:,} to {high:,}")
    return int(text)
