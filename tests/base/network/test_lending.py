"""What downloads take from the caller's own httpx client."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import certifi
import httpx
import pytest

from client.support import JOB, KEY, Connect
from firsthandapi._base.masking import Secret
from firsthandapi._base.network.certificates import ssl_context
from firsthandapi._base.network.lending import lend
from firsthandapi._core.calls.config import Config
from firsthandapi.errors import ConfigurationError, FirstHandError


def config(**changes: Any) -> Config:
    options: dict[str, Any] = {"timeout": 1, "deadline": None, "max_retries": 0, "max_spend_cents": None}
    options |= {"proxy": None, "verify": True}
    return Config(api_key=Secret(KEY), base_url="https://api.example", **{**options, **changes})


def authorities(context: Any) -> list[bytes]:
    assert isinstance(context, ssl.SSLContext)
    return context.get_ca_certs(binary_form=True)


@pytest.fixture
def company(trust: str) -> ssl.SSLContext:
    """What trusts a company's own authority alone."""
    return ssl.create_default_context(cafile=trust)


@pytest.mark.parametrize("kind", [httpx.Client, httpx.AsyncClient])
def test_certificates(kind: Any, company: ssl.SSLContext) -> None:
    """Its certificates are lent, as a context that is shared; what is passed to our client comes first."""
    lent = lend(config(), kind(verify=company))
    assert lent.verify is company
    assert lent.proxy is None
    assert lend(config(verify=False), kind(verify=company)).verify is False
    assert authorities(lend(config(), kind()).verify) == authorities(
        ssl.create_default_context(cafile=certifi.where())
    )


def test_http_2(company: ssl.SSLContext) -> None:
    """Downloads speak HTTP/1.1: of a client that offers HTTP/2, the trust alone is lent."""
    http_client = httpx.Client(transport=httpx.HTTPTransport(verify=company, http2=True))
    lent = lend(config(), http_client).verify
    assert lent is not company
    assert authorities(lent) == authorities(company)
    unverified = httpx.Client(transport=httpx.HTTPTransport(verify=False, http2=True))
    assert getattr(lend(config(), unverified).verify, "verify_mode", None) is ssl.CERT_NONE


@pytest.mark.parametrize(
    "url", ["http://proxy.example:3128", "https://an%40na:p%40ss@proxy.example:3128", "http://[::1]:3128"]
)
@pytest.mark.parametrize("how", ["proxy", "transport", "mounts"])
def test_proxy(url: str, how: str, company: ssl.SSLContext) -> None:
    """Its proxy is lent, with name and password; what is passed to our client comes first."""
    transport = httpx.HTTPTransport(proxy=url, verify=company)
    options: dict[str, Any] = {
        "proxy": {"proxy": url, "verify": company},
        "transport": {"transport": transport},
        "mounts": {"mounts": {"https://": transport}},
    }[how]
    lent = lend(config(), httpx.Client(**options))
    assert lent.proxy == Secret(url)
    assert lent.verify is company
    address = Secret("http://other.example:1")
    assert lend(config(proxy=address), httpx.Client(**options)).proxy == address


def test_a_proxy_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not lent: downloads read the variables themselves, NO_PROXY included."""
    monkeypatch.setenv("ALL_PROXY", "http://proxy.example:3128")
    assert lend(config(), httpx.Client()).proxy is None


class Own(httpx.BaseTransport, httpx.AsyncBaseTransport):
    """A transport of the caller's."""

    def __init__(self) -> None:
        self.sent: list[httpx.Request] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.sent.append(request)
        return httpx.Response(404, json={"error": {"type": "not_found", "message": "nobody is here"}})

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return self.handle_request(request)


def test_a_transport_of_ones_own() -> None:
    """What cannot be known is not guessed; a mock knows no network, so nothing is missing."""
    assert lend(config(), httpx.Client(transport=Own())) == config()
    assert lend(config(), httpx.Client(mounts={"all://": None})) == config()
    mock = httpx.Client(transport=httpx.MockTransport(lambda _: httpx.Response(200)))
    assert authorities(lend(config(), mock).verify) == authorities(ssl_context(True))
    assert lend(config(verify=False), mock).verify is False


def test_a_job_that_could_not_be_downloaded_is_not_posted(connect: Connect, tmp_path: Path) -> None:
    """Where the transport of an http_client shows nothing, collect sends no request, and says what to pass."""
    transport = Own()
    client = connect(transport=transport, base_url="https://api.example", max_retries=0)
    with pytest.raises(
        ConfigurationError, match=r"downloads cannot use http_client.* pass verify= or proxy="
    ):
        client.jobs.collect(tmp_path / "none", **JOB)
    assert transport.sent == []
    # Whoever says what downloads trust may go on.
    with pytest.raises(FirstHandError, match="nobody is here"):
        client.with_options(verify=certifi.where()).jobs.collect(tmp_path / "some", **JOB)
    assert transport.sent
