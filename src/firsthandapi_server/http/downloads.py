"""The download host, which behaves like S3, with XML errors."""

from __future__ import annotations

import re
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
    size, etag = file.facts().size, file.etag
    modified = formatdate(file.created_at, usegmt=True)
    headers = {
        "etag": etag,
        "last-modified": modified,
        "accept-ranges": "bytes",
        "x-content-type-options": "nosniff",
    }
    wanted = request.headers
    if "if-match" in wanted and not _names(wanted["if-match"], etag):
        return xml_error(412, "PreconditionFailed", "At least one of the preconditions did not hold")
    if "if-none-match" in wanted and _names(wanted["if-none-match"], etag):
        return Response(status_code=304, headers=headers)
    match = _RANGE.fullmatch(wanted.get("range", "").strip())
    unchanged = wanted.get("if-range", etag) in (etag, modified)
    if match is None or match.group(0) == "bytes=-" or not unchanged:
        return _part(file, 0, size, 200, headers)
    first, last = match.groups()
    if first:
        start, end = int(first), min(int(last), size - 1) if last else size - 1
        if last and int(last) < int(first):
            return _part(file, 0, size, 200, headers)  # not a range at all: ignored
    else:
        start, end = max(0, size - int(last)), size - 1
    if start > end:
        return xml_error(
            416,
            "InvalidRange",
            "The requested range is not satisfiable",
            {"content-range": f"bytes */{size}"},
        )
    headers["content-range"] = f"bytes {start}-{end}/{size}"
    return _part(file, start, end + 1, 206, headers)


def _part(file: File, start: int, stop: int, status: int, headers: dict[str, str]) -> Response:
    pieces = file.source.read(start, stop)
    if isinstance(pieces, tuple):  # in memory
        return Response(b"".join(pieces), status, headers, file.content_type)
    # Read piece by piece in a thread, so that memory use stays flat and other requests do not wait.
    headers["content-length"] = str(stop - start)
    return StreamingResponse(pieces, status, headers, file.content_type)


def _names(header: str, etag: str) -> bool:
    return header.strip() == "*" or etag in (item.strip() for item in header.split(","))
