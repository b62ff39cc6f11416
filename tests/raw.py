"""Servers of bytes with certificates, ports that nobody listens on, and pumps between sockets."""

from __future__ import annotations

import contextlib
import socket
import ssl
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

from firsthandapi.testing import _raw
from firsthandapi.testing._raw import Loopback as Loopback
from firsthandapi.testing._raw import RawRequest as RawRequest
from firsthandapi.testing._raw import Reply as Reply
from firsthandapi.testing._raw import Step as Step
from firsthandapi.testing._raw import read_request as read_request
from firsthandapi.testing._raw import reset as reset
from firsthandapi.testing._raw import response as response

CERTIFICATE = Path(__file__).with_name("localhost.pem")


def make_certificate(folder: Path, names: str) -> tuple[Path, Path]:
    """A certificate that nobody trusts, and its key, for names such as `DNS:localhost,IP:127.0.0.1`."""
    certificate, key = folder / "cert.pem", folder / "key.pem"
    command = [
        *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=test"),
        *("-addext", f"subjectAltName={names}", "-keyout", str(key), "-out", str(certificate)),
    ]
    subprocess.run(command, check=True, capture_output=True)
    return certificate, key


def server_context(certificate: Path) -> ssl.SSLContext:
    """What a server with this certificate and its key speaks TLS with."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


class RawServer(_raw.RawServer):
    """`tls` is a certificate with its key; True is that of localhost.
    `first` is called with each new connection, before its first byte: it gives what is spoken to, or None to end it.
    """

    def __init__(
        self,
        handler: Step,
        *,
        tls: bool | Path = False,
        first: Callable[[socket.socket], socket.socket | None] | None = None,
    ) -> None:
        self.tls = tls
        self.first = first
        self._context = server_context(CERTIFICATE if tls is True else tls) if tls else None
        super().__init__(handler)

    @property
    def base_url(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    def talk(self, sock: socket.socket, number: int) -> None:
        spoken = sock if self.first is None else self.first(sock)
        if spoken is not None and self._context is not None:
            spoken = self.adopt(self._context.wrap_socket(sock, server_side=True))
        if spoken is not None:
            with spoken:
                super().talk(spoken, number)


@contextlib.contextmanager
def refused() -> Iterator[int]:
    """A port that nobody listens on, and that nobody else gets."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


def pump(source: socket.socket, sink: socket.socket) -> None:
    """Pass bytes on until either end is closed."""
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_RDWR)
