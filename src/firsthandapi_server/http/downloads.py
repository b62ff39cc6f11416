"""The download host, which behaves like S3, with XML errors."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from email.utils import formatdate
from xml.sax.saxutils import escape

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from firsthandapi_server.state.model import File

from .responses import request_id
from .signing import Signer

_RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})")


def xml_error(status: int, code: str, message: str, headers: dict[str, str] | None = None) -> Response:
    """An error as XML, as S3 sends it."""
    body = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f"<Error><Code>{escape(code)}</Code><Message>{escape(message)}</Message>"
        f"<RequestId>{request_id()}</RequestId></Error>"
    )
    return Response(body, status, headers, "application/xml")


def expired() -> Response:
    return xml_error(403, "AccessDenied", "Request has expired")


def serve_file(request: Request, file: File | None, signer: Signer, now: float) -> Response:
    """The response with a file or a range of it, if the URL is signed and has not expired."""
    if "authorization" in request.headers:
        message = "Only one auth mechanism allowed: the query string, not the Authorization header"
        return xml_error(400, "InvalidArgument", message)
    query = dict(request.query_params)
    if len(query) != len(request.query_params.multi_items()):
        return xml_error(403, "AccessDenied", "Access Denied")
    refusal = signer.check(request.method, request.scope["path"], query, now)
    if refusal is not None:
        return xml_error(403, *refusal)
    if file is None:
        return xml_error(404, "NoSuchKey", "The specified key does not exist.")
    return file_response(request, file)


def file_response(request: Request, file: File) -> Response:
    """The response with a file or a range of it, as the request's headers ask."""
    headers = {"last-modified": formatdate(file.created_at, usegmt=True), "x-content-type-options": "nosniff"}
    return bytes_response(
        request, file.source.read, file.facts().size, {**headers, "etag": file.etag}, file.content_type
    )


def bytes_response(
    request: Request,
    read: Callable[[int, int], Iterable[bytes]],
    size: int,
    headers: Mapping[str, str],
    media_type: str,
) -> Response:
    """The response with all that `read` gives from one byte up to another, or a range of it. `headers` has an etag."""
    etag = headers["etag"]
    headers = {**headers, "accept-ranges": "bytes"}
    request_headers = request.headers
    if "if-match" in request_headers and not _names(request_headers["if-match"], etag):
        return xml_error(412, "PreconditionFailed", "At least one of the preconditions did not hold")
    if "if-none-match" in request_headers and _names(request_headers["if-none-match"], etag):
        return Response(status_code=304, headers=headers)
    start, stop, status = 0, size, 200
    match = _RANGE.fullmatch(request_headers.get("range", "").strip())
    is_unchanged = request_headers.get("if-range", etag) in (etag, headers.get("last-modified"))
    if match is not None and match.group(0) != "bytes=-" and is_unchanged:
        first, last = match.groups()
        if not first:
            start, status = max(0, size - int(last)), 206
        elif not last or int(last) >= int(first):  # else it is no range at all, and ignored
            start, stop, status = int(first), min(int(last) + 1, size) if last else size, 206
        if start >= stop and status == 206:
            message = "The requested range is not satisfiable"
            return xml_error(416, "InvalidRange", message, {"content-range": f"bytes */{size}"})
    if status == 206:
        headers["content-range"] = f"bytes {start}-{stop - 1}/{size}"
    pieces = read(start, stop)
    if isinstance(pieces, tuple):  # in memory
        return Response(b"".join(pieces), status, headers, media_type)
    # Read piece by piece in a thread, so that memory use stays flat and other requests do not wait.
    headers["content-length"] = str(stop - start)
    return StreamingResponse(pieces, status, headers, media_type)


def _names(header: str, etag: str) -> bool:
    return header.strip() == "*" or etag in (item.strip() for item in header.split(","))
