"""What an error of the network means, and the words for what another attempt does not fix."""

from __future__ import annotations

import ssl
from collections.abc import Iterator

from firsthandapi._masking import mask_secrets

# What OpenSSL says of a server that speaks no TLS at all, or none that we do.
_NO_TLS = frozenset({"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNSUPPORTED_PROTOCOL"})


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error, and what it was raised from; where several addresses failed, the first of them."""
    while error is not None:
        yield error
        several: tuple[BaseException, ...] = getattr(error, "exceptions", ())
        error = several[0] if several else error.__cause__ or error.__context__


def errno_of(error: BaseException) -> int | None:
    """The system's number for what went wrong, if it has one."""
    # OpenSSL numbers its errors by itself.
    system = (
        cause for cause in causes(error) if isinstance(cause, OSError) and not isinstance(cause, ssl.SSLError)
    )
    return next((cause.errno for cause in system if cause.errno), None)


def distrust(
    error: BaseException, peer: str, *, check: str = "verify=, SSL_CERT_FILE, and the clock"
) -> str | None:
    """Why the certificate of `peer` is not trusted, nor will be the next time; None if that is not what failed."""
    for cause in causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            reason = mask_secrets(getattr(cause, "verify_message", "") or str(cause))
            return f"the certificate of {peer} is not trusted ({reason}); check {check}"
    return None


def speaks_no_tls(error: BaseException) -> bool:
    """Whether the server speaks no TLS; a handshake that was cut does not say so."""
    return any(
        isinstance(cause, ssl.SSLError) and getattr(cause, "reason", None) in _NO_TLS
        for cause in causes(error)
    )
