"""The trusted certificates."""

from __future__ import annotations

import os
from functools import lru_cache
from typing import TYPE_CHECKING

from firsthandapi._base.masking import mask_secrets
from firsthandapi.errors import ConfigurationError

if TYPE_CHECKING:
    import ssl


# The value of `verify` for the certificates of the operating system.
SYSTEM = "system"


def check_verify(verify: str) -> None:
    """Check that the path in `verify` exists, or that the certificates of the operating system can be used.
    Raises ConfigurationError: the path does not exist, or the extra is not installed.
    """
    if verify == SYSTEM:
        _system()
    elif not os.path.exists(verify):  # noqa: PTH110 # pathlib would cost its import at start-up
        raise ConfigurationError(
            "the path in verify= does not exist: it must be a file or directory of certificates, or "
            "'system' for those of the operating system; check the path"
        )


def ssl_context(verify: bool | str | ssl.SSLContext) -> ssl.SSLContext:
    """The TLS context for `verify`: a context as given, a path, or the operating system; for True, `SSL_CERT_FILE` and
    `SSL_CERT_DIR`, else `REQUESTS_CA_BUNDLE`, else the certificates of certifi. Clients with the same settings share a
    context, because creating one takes milliseconds.
    Raises ConfigurationError: the certificates cannot be read.
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
        # A missing path counts as a file, because OpenSSL ignores a missing directory.
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
