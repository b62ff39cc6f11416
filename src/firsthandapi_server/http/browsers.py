"""The security headers of every page: load and run only our own files, and allow no frames."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

# Only our own styles and scripts, nothing from other hosts, no frames, and no forms to other hosts.
POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; media-src 'self'; connect-src 'self'; "
    "manifest-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
# A page with a camera shows the captured picture before it sends it.
CAMERA_POLICY = POLICY.replace("img-src 'self'", "img-src 'self' blob:").replace(
    "media-src 'self'", "media-src 'self' blob:"
)
# A worker's file is shown only as its stated type, and may run nothing.
MEDIA_POLICY = "default-src 'none'; sandbox; frame-ancestors 'none'"
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    # Not `no-referrer`, with which browsers send `Origin: null` with a form.
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}
MEDIA_HEADERS = {
    **HEADERS,
    "content-security-policy": MEDIA_POLICY,
    "content-disposition": "inline",
    # The bytes of an id never change.
    "cache-control": "private, max-age=3600, immutable",
}
# A browser of somebody who has left keeps no page, no picture, and no file to send: others may use the phone.
EMPTIED = {"clear-site-data": '"cache", "storage"'}


def attachment(name: str, pieces: Iterable[str | bytes], media_type: str) -> Response:
    """A file to save, whose pieces are made as it is sent."""
    headers = {**HEADERS, "content-disposition": f'attachment; filename="{name}"'}
    return StreamingResponse(pieces, 200, headers, media_type)


def etag_of(content: bytes) -> str:
    """A strong entity tag."""
    return f'"{hashlib.sha256(content).hexdigest()[:32]}"'


def unchanged_or(request: Request, response: Response, etag: str | None = None) -> Response:
    """The response with an ETag; an empty one of status 304 if the browser has the same already.

    Args:
        request: the request.
        response: its response.
        etag: that of what it shows; None for that of the body.
    """
    etag = etag or etag_of(bytes(response.body))
    tags = [tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")]
    if etag in tags and response.status_code == 200 and request.method in ("GET", "HEAD"):
        # Few bytes: a page that looks for news gets this most of the time.
        return Response(None, 304, {"etag": etag, "cache-control": response.headers["cache-control"]})
    response.headers["etag"] = etag
    return response
