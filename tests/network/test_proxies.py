"""Which proxy leads to a host."""

from __future__ import annotations

import pytest

from firsthandapi._core.config import Origin
from firsthandapi._masking import secret_or_none
from firsthandapi._network.proxies import choose_proxy
from firsthandapi.errors import ConfigurationError

HTTPS = Origin("https", "api.firsthandapi.com", 443, "")
HTTP = Origin("http", "127.0.0.1", 8080, "")


@pytest.mark.parametrize(
    ("origin", "argument", "environ", "proxy"),
    [
        (HTTPS, None, {}, None),
        (HTTPS, None, {"HTTPS_PROXY": "http://p:1"}, "http://p:1"),
        (HTTPS, None, {"HTTP_PROXY": "http://p:1"}, None),
        (HTTP, None, {"HTTP_PROXY": "http://p:1"}, "http://p:1"),
        (HTTP, None, {"HTTPS_PROXY": "http://p:1"}, None),
        (HTTPS, None, {"ALL_PROXY": "socks5://p:1"}, "socks5://p:1"),
        (HTTPS, None, {"ALL_PROXY": "http://a:1", "HTTPS_PROXY": "http://p:1"}, "http://p:1"),
        (HTTPS, None, {"HTTPS_PROXY": "p:1"}, "http://p:1"),
        (HTTPS, None, {"https_proxy": "http://low:1"}, "http://low:1"),
        (HTTPS, "http://arg:1", {"HTTPS_PROXY": "http://p:1"}, "http://arg:1"),
        (HTTPS, "http://arg:1", {"NO_PROXY": "*"}, "http://arg:1"),
        (HTTPS, None, {"HTTPS_PROXY": "http://p:1", "NO_PROXY": "*"}, None),
        (HTTPS, None, {"HTTPS_PROXY": "http://p:1", "NO_PROXY": "api.firsthandapi.com"}, None),
        (HTTPS, None, {"HTTPS_PROXY": "http://p:1", "NO_PROXY": ".firsthandapi.com"}, None),
        (HTTPS, None, {"HTTPS_PROXY": "http://p:1", "NO_PROXY": "x.example, firsthandapi.com"}, None),
        (HTTPS, None, {"HTTPS_PROXY": "http://p:1", "NO_PROXY": "api.firsthandapi.com:443"}, None),
        (HTTPS, None, {"HTTPS_PROXY": "http://p:1", "NO_PROXY": "api.firsthandapi.com:80"}, "http://p:1"),
        (HTTPS, None, {"HTTPS_PROXY": "http://p:1", "NO_PROXY": "handapi.com"}, "http://p:1"),
        (HTTP, None, {"HTTP_PROXY": "http://p:1", "NO_PROXY": "127.0.0.1"}, None),
        (HTTP, None, {"HTTP_PROXY": "http://p:1", "NO_PROXY": "127.0.0.1:8080"}, None),
        (HTTP, None, {"HTTP_PROXY": ""}, None),
    ],
)
def test_which_proxy(
    origin: Origin,
    argument: str | None,
    environ: dict[str, str],
    proxy: str | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """First the option, then the variable of the scheme, then ALL_PROXY; NO_PROXY takes hosts out."""
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    assert choose_proxy(origin, secret_or_none(argument)) == secret_or_none(proxy)


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "ALL_PROXY"])
def test_a_bad_proxy_variable(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable that holds no proxy is named, and its value, which may hold a password, is not shown."""
    monkeypatch.setenv(name, "ftp://user:hunter2@p.example")
    with pytest.raises(ConfigurationError, match=f"^{name} must be") as caught:
        choose_proxy(HTTPS, None)
    assert "hunter2" not in str(caught.value)
