"""A proxy and a TLS server on loopback."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from firsthandapi.testing import MockServer

from .servers import HOST, Proxy, Tls


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate that nobody trusts, for this machine and for the test's host."""
    if shutil.which("openssl") is None:
        pytest.skip("the openssl command, which makes the certificate, is not installed")
    folder = tmp_path_factory.mktemp("tls")
    arguments = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "2",
        "-subj",
        "/CN=test",
    ]
    arguments += ["-addext", f"subjectAltName=DNS:localhost,IP:127.0.0.1,DNS:{HOST}"]
    arguments += ["-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")]
    subprocess.run(arguments, check=True, capture_output=True)
    both = folder / "both.pem"
    both.write_bytes((folder / "key.pem").read_bytes() + (folder / "cert.pem").read_bytes())
    return both


@pytest.fixture(scope="module")
def trust(certificate: Path) -> str:
    """The certificate alone, to be trusted."""
    return str(certificate.with_name("cert.pem"))


@pytest.fixture
def tls(certificate: Path) -> Iterator[Tls]:
    """A TLS server."""
    server = Tls(certificate)
    yield server
    server.close()


@pytest.fixture
def proxy(fresh_server: MockServer) -> Iterator[Proxy]:
    """A proxy in front of the bundled server."""
    made = Proxy(int(fresh_server.url.rpartition(":")[2]))
    yield made
    made.close()
