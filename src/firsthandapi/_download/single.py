"""One file, over one connection, into place in one step."""

from __future__ import annotations

import contextlib
import os
import ssl
import time
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, HTTPSHandler, ProxyHandler, Request, build_opener

from firsthandapi._core.config import CONNECT_TIMEOUT
from firsthandapi._core.files import file_name_on_disk
from firsthandapi._core.masking import mask_secrets
from firsthandapi._tls import ssl_context
from firsthandapi.errors import DownloadError, IntegrityError, InvalidArgumentError

if TYPE_CHECKING:
    from firsthandapi.types.file import File

_CHUNK = 256 * 1024
_MOST_REDIRECTS = 5


class _CheckedRedirects(HTTPRedirectHandler):
    max_redirections = _MOST_REDIRECTS

    def __init__(self, schemes: frozenset[str]) -> None:
        self._schemes = schemes

    def redirect_request(self, req: Request, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        if urlsplit(newurl).scheme not in self._schemes or (
            req.type == "https" and not newurl.startswith("https:")
        ):
            raise OSError("the download was redirected to another scheme")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def download_file(
    file: File,
    path: Path,
    *,
    base_url: str,
    proxy: str | None,
    verify: bool | str | ssl.SSLContext,
    timeout: float,
) -> Path:
    """Fetch `file` to `path`, or into it if it is a directory. See `files.download`."""
    # Plain http only where the API itself is plain http: on loopback.
    schemes = frozenset({"https"} | ({"http"} if base_url.startswith("http:") else set()))
    url = file.download_url
    if url is None or urlsplit(url).scheme not in schemes:
        raise InvalidArgumentError(
            f"{file.id} has no usable download URL; read it again with files.list or files.refresh_url",
            field="file",
        )
    target = path / file_name_on_disk(file.id, file.content_type) if path.is_dir() else path
    opener = build_opener(
        ProxyHandler(None if proxy is None else {"http": proxy, "https": proxy}),
        HTTPSHandler(context=ssl_context(verify)),
        _CheckedRedirects(schemes),
    )
    request = Request(url, headers={"Accept-Encoding": "identity"})  # noqa: S310 # the scheme is checked above
    part = target.with_name(f".{target.name}.{token_hex(8)}.part")
    try:
        with opener.open(request, timeout=min(timeout, CONNECT_TIMEOUT * 6)) as body, part.open("xb") as out:
            size = _copy(
                body, out, file, ends=time.monotonic() + max(timeout, (file.size_bytes or 0) / 10_000)
            )
            framed = body.headers.get("Content-Length") is not None or body.headers.get("Transfer-Encoding")
            out.flush()
            os.fsync(out.fileno())
        if file.size_bytes is not None and size != file.size_bytes:
            raise _failed(IntegrityError, file, f"{size} bytes came, {file.size_bytes} were promised")
        if file.size_bytes is None and not framed:
            raise _failed(DownloadError, file, "nothing tells whether the body is whole")
        part.replace(target)
    except HTTPError as error:
        error.close()
        raise _failed(
            DownloadError, file, f"the storage answered {error.code}; the URL may have expired"
        ) from None
    except (OSError, ValueError) as error:
        raise _failed(DownloadError, file, mask_secrets(str(error)) or type(error).__name__) from None
    finally:
        with contextlib.suppress(FileNotFoundError):
            part.unlink()
    return target


def _copy(body: Any, out: Any, file: File, *, ends: float) -> int:
    size = 0
    while chunk := body.read(_CHUNK):
        out.write(chunk)
        size += len(chunk)
        if file.size_bytes is not None and size > file.size_bytes:
            raise _failed(IntegrityError, file, f"more than the promised {file.size_bytes} bytes came")
        if time.monotonic() > ends:
            raise _failed(DownloadError, file, "it came too slowly")
    return size


def _failed(kind: type[DownloadError], file: File, reason: str) -> DownloadError:
    error = kind(f"{file.id} could not be downloaded: {reason}")
    error.failures = ((file.id, kind(reason)),)
    return error
