"""Forms of the console: only its own pages may send them."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlsplit

from starlette.requests import Request

from firsthandapi.server.errors import ApiError

MAX_FORM = 64 * 1024
_MAX_FIELDS = 50


async def read_form(request: Request) -> dict[str, str]:
    """The fields of a form, each once; empty ones are left out.

    Raises:
        ApiError: another page sent it, or it is no form.
    """
    if not is_own(request):
        raise ApiError(403, "forbidden", "The console takes forms from its own pages only.")
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    body = await request.body()
    if body and kind != "application/x-www-form-urlencoded":
        raise ApiError(415, "unsupported_media_type", "The console takes plain forms only.")
    if len(body) > MAX_FORM:
        raise ApiError(413, "too_large", "The form is too large.")
    try:
        fields = parse_qsl(body.decode("utf-8"), max_num_fields=_MAX_FIELDS, errors="strict")
    except ValueError:
        raise ApiError(400, "validation_error", "The form cannot be read.") from None
    return {name: value.strip() for name, value in fields if value.strip()}


def is_own(request: Request) -> bool:
    """Whether a form comes from the console itself, or from a program.

    A page of another port on this machine is another page: `gate` lets it call the API, which needs a key, but the
    console needs none. Browsers send `Origin` with every form.
    """
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        return False
    origin = request.headers.get("origin")
    if origin is None:
        return True
    try:
        return urlsplit(origin).netloc == request.headers.get("host", "-")
    except ValueError:
        return False


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
