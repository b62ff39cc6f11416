"""Plain HTML forms: read them within bounds, and recognize those from the server's own pages."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlsplit

from starlette.requests import Request

from firsthandapi_server.contract.errors import ApiError

MAX_FORM = 64 * 1024
_MAX_FIELDS = 100


async def read_fields(request: Request) -> dict[str, str]:
    """The fields of a form, each once; empty fields are left out.

    Not by `request.form()`, for which the bundled server would need python-multipart.
    Raises ApiError: the request is not a form, or is too large.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    body = await request.body()
    if body and kind != "application/x-www-form-urlencoded":
        raise ApiError(415, "unsupported_media_type", "This page accepts only plain forms.")
    if len(body) > MAX_FORM:
        raise ApiError(413, "too_large", "The form is too large: shorten its texts.")
    try:
        fields = parse_qsl(body.decode("utf-8"), max_num_fields=_MAX_FIELDS, errors="strict")
    except ValueError:
        raise ApiError(400, "validation_error", "The form cannot be read.") from None
    return {name: value.strip() for name, value in fields if value.strip()}


def is_own(request: Request) -> bool:
    """Whether a form comes from a page of this server or from a program. Browsers send `Origin` with every form."""
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        return False
    origin = request.headers.get("origin")
    try:
        return origin is None or urlsplit(origin).netloc == request.headers.get("host", "-")
    except ValueError:
        return False
