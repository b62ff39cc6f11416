"""Which certificates are trusted."""

from __future__ import annotations

import os
from functools import lru_cache
from typing import TYPE_CHECKING

from firsthandapi._masking import mask_secrets
from firsthandapi.errors import ConfigurationError

if TYPE_CHECKING:
    import ssl


# As `verify`: those of the operating system.
SYSTEM = "system"


def check_verify(verify: str) -> None:
    """Check that `verify` exists, or can be had.

    Raises:
        ConfigurationError: it does not.
    """
    if verify == SYSTEM:
        _system()
    elif not os.path.exists(verify):  # noqa: PTH110 # pathlib would cost its import at start-up
        raise ConfigurationError(
            "the path in verify= does not exist: it must be a file or directory of certificates, or "
            "'system' for those of the operating system; check the path"
        )


def ssl_context(verify: bool | str | ssl.SSLContext) -> ssl.SSLContext:
    """The context for `verify`: first a context of the caller's, then a path or the operating system, then
    `SSL_CERT_FILE` and `SSL_CERT_DIR`, then `REQUESTS_CA_BUNDLE`, then the certificates of certifi. Clients with the
    same trust share a context, since making one costs milliseconds.

    Raises:
        ConfigurationError: the certificates cannot be read.
    """
    if not isinstance(verify, (bool, str)):
        return verify
    if verify == SYSTEM:
        return _system()
    if not verify:
        return _unverified()
    file, directory = os.environ.get("SSL_CERT_FILE") or None, os.environ.get("SSL_CERT_DIR") or None
    path = verify if isinstance(verify, str) else os.environ.get("REQUESTS_CA_BUNDLE")
    if path and (verify is path or (file is None and directory is None)):
        # A path that does not exist is read as a file: OpenSSL says nothing of a directory that is not there.
        file, directory = (None, path) if os.path.isdir(path) else (path, None)  # noqa: PTH112 # pathlib would cost its import at start-up
    return _trusting(file, directory)


@lru_cache(maxsize=8)
def _trusting(file: str | None, directory: str | None) -> ssl.SSLContext:
    import ssl  # only where TLS is spoken

    if file is None and directory is None:
        import certifi

        file = certifi.where()
    try:
        context = ssl.create_default_context(cafile=file, capath=directory)
    except OSError as error:
        raise ConfigurationError(
            f"the certificates in {mask_secrets(str(file or directory))} cannot be read ({error}); "
            "check verify=, SSL_CERT_FILE, SSL_CERT_DIR and REQUESTS_CA_BUNDLE"
        ) from error
    context.set_alpn_protocols(["http/1.1"])
    return context


@lru_cache(maxsize=1)
def _system() -> ssl.SSLContext:
    import ssl

    try:
        import truststore
    except ImportError:
        raise ConfigurationError(
            "verify='system' needs an extra: pip install 'firsthandapi[truststore]'"
        ) from None
    context = truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.set_alpn_protocols(["http/1.1"])
    return context


@lru_cache(maxsize=1)
def _unverified() -> ssl.SSLContext:
    import ssl

    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["http/1.1"])
    return context
