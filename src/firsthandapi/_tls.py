"""Certificates: one SSL context for all clients with the same trust, since making one costs milliseconds."""

from __future__ import annotations

import os
import ssl
from functools import lru_cache

from firsthandapi._masking import mask_secrets
from firsthandapi.errors import ConfigurationError


def ssl_context(verify: bool | str | ssl.SSLContext) -> ssl.SSLContext:
    """The context for `verify`: first a context of the caller's, then a path, then `SSL_CERT_FILE` and
    `SSL_CERT_DIR`, then the certificates of certifi.

    Raises:
        ConfigurationError: the certificates cannot be read.
    """
    if isinstance(verify, ssl.SSLContext):
        return verify
    if isinstance(verify, str):
        return _trusting(verify, None) if os.path.isfile(verify) else _trusting(None, verify)  # noqa: PTH113 # pathlib would cost its import at start-up
    if not verify:
        return _unverified()
    return _trusting(os.environ.get("SSL_CERT_FILE") or None, os.environ.get("SSL_CERT_DIR") or None)


@lru_cache(maxsize=8)
def _trusting(file: str | None, directory: str | None) -> ssl.SSLContext:
    if file is None and directory is None:
        import certifi

        file = certifi.where()
    try:
        context = ssl.create_default_context(cafile=file, capath=directory)
    except OSError as error:
        raise ConfigurationError(
            f"the certificates in {mask_secrets(str(file or directory))} cannot be read ({error}); "
            "check verify=, SSL_CERT_FILE and SSL_CERT_DIR"
        ) from error
    context.set_alpn_protocols(["http/1.1"])
    return context


@lru_cache(maxsize=1)
def _unverified() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["http/1.1"])
    return context
