"""Which proxy leads to a host."""

from __future__ import annotations

import pytest

from firsthandapi._base.masking import secret_or_none
from firsthandapi._base.network.proxies import choose_proxy, is_exempt
from firsthandapi._base.origins import Origin
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


@pytest.mark.parametrize(
    ("no_proxy", "host", "exempt"),
    [
        ("10.0.0.0/8", "10.1.2.3", True),
        ("10.0.0.0/8", "11.1.2.3", False),
        ("10.1.2.3/8", "10.9.9.9", True),
        ("10.0.0.0/8:8443", "10.1.2.3", True),
        ("10.0.0.0/8:443", "10.1.2.3", False),
        ("10.0.0.0/99", "10.1.2.3", False),
        ("10.1.2.3", "10.1.2.3", True),
        ("2.3", "10.1.2.3", False),
        ("fd00::/8", "fd12::1", True),
        ("fd00::/8", "fe80::1", False),
        ("fd00::/8", "10.1.2.3", False),
        ("[fd00::/8]:8443", "fd12::1", True),
        ("[fd00::]/8", "fd12::1", True),
        ("[fd12::1]:443", "fd12::1", False),
        ("FD12::0:1", "fd12::1", True),
        ("::1", "::1", True),
        ("10.0.0.0/8", "api.example", False),
        (".example", "api.example", True),
        ("*.example", "api.example", True),
        ("*.example", "example", True),
        ("EXAMPLE", "API.example", True),
        ("ample", "api.example", False),
        ("api.example:8443", "api.example", True),
        ("api.example:443", "api.example", False),
        ("*", "10.1.2.3", True),
        ("other, ,10.0.0.0/8 x.example", "10.1.2.3", True),
        ("", "api.example", False),
        (".", "api.example", False),
        ("[", "api.example", False),
    ],
)
def test_no_proxy(no_proxy: str, host: str, exempt: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """`NO_PROXY` lists names, domains, addresses and networks, each with or without a port, or `*`."""
    assert is_exempt(no_proxy, host, 8443) is exempt
    monkeypatch.setenv("HTTPS_PROXY", "http://p:1")
    monkeypatch.setenv("NO_PROXY", no_proxy)
    assert (choose_proxy(Origin("https", host, 8443, ""), None) is None) is exempt


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "ALL_PROXY"])
def test_a_bad_proxy_variable(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable that holds no proxy is named, and its value, which may hold a password, is not shown."""
    monkeypatch.setenv(name, "ftp://user:hunter2@p.example")
    with pytest.raises(ConfigurationError, match=f"^{name} must be") as caught:
        choose_proxy(HTTPS, None)
    assert "hunter2" not in str(caught.value)
