"""Which certificates are trusted."""

from __future__ import annotations

import ssl
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import certifi
import pytest

from client.support import Connect
from firsthandapi._base.network import certificates
from firsthandapi._base.network.certificates import ssl_context
from firsthandapi.errors import ConfigurationError, FirstHandConnectionError
from raw import RawServer


@pytest.mark.parametrize("verify", ["context", False])
def test_other_ways_to_trust(verify: Any, connect: Connect, tls: RawServer, trust: str) -> None:
    """An `ssl.SSLContext` of the caller's is used as it is; False trusts anyone."""
    if verify == "context":
        verify = ssl.create_default_context(cafile=trust)
    client = connect(base_url=f"https://127.0.0.1:{tls.port}", verify=verify, max_retries=0)
    assert client.me().organization_id == "org_tls"
    client.close()


def test_the_bundle_of_requests(
    connect: Connect, tls: RawServer, trust: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`REQUESTS_CA_BUNDLE` is obeyed where neither `SSL_CERT_FILE` nor `SSL_CERT_DIR` is set."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", trust)
    client = connect(base_url=f"https://localhost:{tls.port}", max_retries=0)
    assert client.me().organization_id == "org_tls"
    client.close()
    monkeypatch.setenv("SSL_CERT_FILE", certifi.where())
    client = connect(base_url=f"https://localhost:{tls.port}", max_retries=0)
    with pytest.raises(FirstHandConnectionError, match="is not trusted"):
        client.me()
    # A path of the caller's goes before both.
    client = connect(base_url=f"https://localhost:{tls.port}", max_retries=0, verify=trust)
    assert client.me().organization_id == "org_tls"
    client.close()


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"])
def test_a_bundle_of_the_environment_that_is_not_there(
    variable: str, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is named before anything is sent; without that, no certificate would be trusted, and nobody would know why."""
    monkeypatch.setenv(variable, "/no/such/bundle.pem")
    client = connect(base_url="https://localhost:1", max_retries=0)
    with pytest.raises(ConfigurationError, match=f"in /no/such/bundle.pem cannot be read .*{variable}"):
        client.me()


@pytest.mark.skipif(find_spec("truststore") is None, reason="the extra truststore is not installed")
def test_the_certificates_of_the_system(
    connect: Connect, tls: RawServer, trust: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`verify="system"` trusts what the operating system does: here, where OpenSSL looks for it."""
    certificates._system.cache_clear()
    client = connect(base_url=f"https://localhost:{tls.port}", max_retries=0, verify="system")
    with pytest.raises(FirstHandConnectionError, match="is not trusted") as caught:
        client.me()
    assert caught.value.untrusted
    certificates._system.cache_clear()
    monkeypatch.setenv("SSL_CERT_FILE", trust)  # OpenSSL reads it, as the system's place
    client = connect(base_url=f"https://localhost:{tls.port}", max_retries=0, verify="system")
    assert client.me().organization_id == "org_tls"
    client.close()
    certificates._system.cache_clear()


def test_the_system_without_the_extra(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where truststore is not installed, the client says so when it is made, and names the extra."""
    certificates._system.cache_clear()
    monkeypatch.setitem(sys.modules, "truststore", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'firsthandapi\[truststore\]'"):
        connect(verify="system")


def test_a_directory_of_certificates(
    connect: Connect, tls: RawServer, trust: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`verify` and `SSL_CERT_DIR` take a directory of certificates."""
    process = subprocess.run(
        ["openssl", "x509", "-hash", "-noout", "-in", trust], capture_output=True, check=True
    )
    (tmp_path / f"{process.stdout.decode().strip()}.0").write_bytes(Path(trust).read_bytes())
    for options in ({"verify": str(tmp_path)}, {}):
        monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
        client = connect(base_url=f"https://localhost:{tls.port}", max_retries=0, **options)
        assert client.me().organization_id == "org_tls"
        client.close()


def test_certificates_that_are_not_there(connect: Connect) -> None:
    """A path that does not exist is refused when the client is made, and when a copy is."""
    with pytest.raises(ConfigurationError, match=r"^the path in verify= does not exist"):
        connect(verify="/no/such/file")
    with pytest.raises(ConfigurationError, match=r"^the path in verify= does not exist"):
        connect().with_options(verify="/no/such/file")


def test_certificates_that_cannot_be_read(
    connect: Connect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that holds no certificates is told by name, before anything is sent."""
    junk = tmp_path / "junk.pem"
    junk.write_text("no certificate")
    with pytest.raises(ConfigurationError, match=r"junk\.pem cannot be read .* check verify="):
        connect(verify=str(junk)).me()
    monkeypatch.setenv("SSL_CERT_FILE", str(junk))
    with pytest.raises(ConfigurationError, match="SSL_CERT_FILE"):
        connect().me()


def test_contexts_are_shared(trust: str) -> None:
    """Clients with the same trust share a context: making one costs milliseconds."""
    assert ssl_context(trust) is ssl_context(trust)
    assert ssl_context(True) is ssl_context(True)
    assert ssl_context(False) is ssl_context(False)
    assert ssl_context(True) is not ssl_context(False)
    assert ssl_context(True).verify_mode is ssl.CERT_REQUIRED
    assert ssl_context(True).check_hostname
