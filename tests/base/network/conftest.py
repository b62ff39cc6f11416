"""A proxy and a TLS server on loopback."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from firsthandapi.testing import MockServer
from raw import RawServer, make_certificate, response

from .servers import HOST, Proxy


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate that nobody trusts, for this machine and for the test's host."""
    if shutil.which("openssl") is None:
        pytest.skip("the openssl command, which makes the certificate, is not installed")
    folder = tmp_path_factory.mktemp("tls")
    pem, key = make_certificate(folder, f"DNS:localhost,IP:127.0.0.1,DNS:{HOST}")
    both = folder / "both.pem"
    both.write_bytes(key.read_bytes() + pem.read_bytes())
    return both


@pytest.fixture(scope="module")
def trust(certificate: Path) -> str:
    """The certificate alone, to be trusted."""
    return str(certificate.with_name("cert.pem"))


@pytest.fixture
def tls(certificate: Path) -> Iterator[RawServer]:
    """A TLS server that answers every request with an identity."""
    with RawServer(lambda _: response(b'{"organization_id":"org_tls"}'), tls=certificate) as server:
        yield server


@pytest.fixture
def proxy(fresh_server: MockServer) -> Iterator[Proxy]:
    """A proxy in front of the bundled server."""
    with Proxy(int(fresh_server.url.rpartition(":")[2])) as server:
        yield server
