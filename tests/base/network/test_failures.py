"""What an error of the network means."""

from __future__ import annotations

import errno
import ssl
from itertools import pairwise

from firsthandapi._base.network.failures import distrust, errno_of, speaks_no_tls


def chained(*errors: Exception) -> Exception:
    """The first of these errors, raised from the second, and so on."""
    for error, cause in pairwise(errors):
        error.__cause__ = cause
    return errors[0]


def tls_error(kind: type[ssl.SSLError], **attributes: str) -> ssl.SSLError:
    error = kind(1, "[SSL] words of OpenSSL")
    for name, value in attributes.items():
        setattr(error, name, value)
    return error


def test_a_certificate_that_is_not_trusted() -> None:
    """It is found behind other errors, named with its peer, and the advice is the caller's; nothing else is one."""
    error = chained(
        OSError("x"), tls_error(ssl.SSLCertVerificationError, verify_message="certificate has expired")
    )
    assert distrust(error, "api.example") == (
        "the certificate of api.example is not trusted (certificate has expired); "
        "check verify=, SSL_CERT_FILE, and the clock"
    )
    assert str(distrust(error, "the proxy", check="the clock")).endswith("expired); check the clock")
    # A library that verifies by itself may give no such words.
    assert "(" in str(distrust(tls_error(ssl.SSLCertVerificationError), "api.example"))
    for failure in (tls_error(ssl.SSLError), ConnectionResetError(), chained(ValueError(), OSError())):
        assert distrust(failure, "api.example") is None


def test_a_server_without_tls() -> None:
    """What OpenSSL says of another protocol is known behind other errors; a handshake that was cut is not that."""
    assert speaks_no_tls(chained(OSError(), tls_error(ssl.SSLError, reason="WRONG_VERSION_NUMBER")))
    assert not speaks_no_tls(tls_error(ssl.SSLError, reason="UNEXPECTED_EOF_WHILE_READING"))
    assert not speaks_no_tls(OSError())


def test_the_number_of_the_system() -> None:
    """OpenSSL's own numbers are none of the system's; of several addresses that failed, the first one's counts."""
    refused = ConnectionRefusedError(errno.ECONNREFUSED, "refused")
    assert errno_of(chained(ValueError(), tls_error(ssl.SSLError), refused)) == errno.ECONNREFUSED
    group = ExceptionGroup("all failed", [refused, OSError(errno.ENETUNREACH, "no route")])
    assert errno_of(chained(OSError("x"), group)) == errno.ECONNREFUSED
    assert errno_of(tls_error(ssl.SSLError)) is None
