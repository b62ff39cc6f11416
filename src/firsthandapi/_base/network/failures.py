"""The meaning of network errors, and messages for those that no retry fixes."""

from __future__ import annotations

import ssl
from collections.abc import Iterator

from firsthandapi._base.masking import mask_secrets

# OpenSSL's reasons if a server speaks no TLS, or no version that we support.
_NO_TLS = frozenset({"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNSUPPORTED_PROTOCOL"})


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error and its causes; of an exception group, the first exception."""
    while error is not None:
        yield error
        several: tuple[BaseException, ...] = getattr(error, "exceptions", ())
        error = several[0] if several else error.__cause__ or error.__context__


def errno_of(error: BaseException) -> int | None:
    """The errno of the system error behind `error`, if there is one."""
    # The numbers of OpenSSL's errors are its own.
    system = (
        cause for cause in causes(error) if isinstance(cause, OSError) and not isinstance(cause, ssl.SSLError)
    )
    return next((cause.errno for cause in system if cause.errno), None)


def distrust(
    error: BaseException, peer: str, *, check: str = "verify=, SSL_CERT_FILE, and the clock"
) -> str | None:
    """Why the certificate of `peer` is not trusted; None if something else failed."""
    for cause in causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            reason = mask_secrets(getattr(cause, "verify_message", "") or str(cause))
            return f"the certificate of {peer} is not trusted ({reason}); check {check}"
    return None


def speaks_no_tls(error: BaseException) -> bool:
    """Whether the server speaks no TLS. A broken handshake does not prove that."""
    return any(
        isinstance(cause, ssl.SSLError) and getattr(cause, "reason", None) in _NO_TLS
        for cause in causes(error)
    )
