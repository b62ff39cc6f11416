"""Pre-signed download URLs, like those of S3: they expire, and a modified URL is refused."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import urlencode

LIFETIME = 7 * 86400
_FORMAT = "%Y%m%dT%H%M%SZ"
_NAMES = ("X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-Expires", "X-Amz-SignedHeaders")


class Signer:
    """Signs download paths with a secret, and checks them."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def sign(self, path: str, at: float) -> tuple[str, float]:
        """`path` with its signed query, and its expiry time (a date in the URL has whole seconds)."""
        date = datetime.fromtimestamp(int(at), UTC).strftime(_FORMAT)
        values = (
            "AWS4-HMAC-SHA256",
            f"MOCK/{date[:8]}/us-east-1/s3/aws4_request",
            date,
            str(LIFETIME),
            "host",
        )
        query = urlencode({**dict(zip(_NAMES, values, strict=True))})
        return f"{path}?{query}&X-Amz-Signature={self._signature(path, query)}", float(int(at) + LIFETIME)

    def check(self, method: str, path: str, query: Mapping[str, str], now: float) -> tuple[str, str] | None:
        """The reason to refuse the URL, as the code and message of an S3 error; None if it is valid."""
        if set(query) != {*_NAMES, "X-Amz-Signature"}:
            return "AccessDenied", "Access Denied"
        signed = urlencode({name: query[name] for name in _NAMES})
        signature = query["X-Amz-Signature"].encode("utf-8", "surrogatepass")
        if method != "GET" or not hmac.compare_digest(self._signature(path, signed).encode(), signature):
            return "SignatureDoesNotMatch", "The request signature we calculated does not match yours."
        signed_at = datetime.strptime(query["X-Amz-Date"], _FORMAT).replace(tzinfo=UTC).timestamp()
        if now >= signed_at + int(query["X-Amz-Expires"]):
            return "AccessDenied", "Request has expired"
        return None

    def _signature(self, path: str, query: str) -> str:
        message = f"GET\n{path}\n{query}".encode("utf-8", "surrogatepass")
        return hmac.new(self._secret, message, hashlib.sha256).hexdigest()
