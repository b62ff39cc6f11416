"""Which hosts are this machine."""

from __future__ import annotations

import pytest

from firsthandapi._base.host.loopback import is_loopback


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LOCALHOST",
        "api.localhost",
        "127.0.0.1",
        "127.8.9.1",
        "::1",
        "0:0:0:0:0:0:0:1",
        "::ffff:127.0.0.1",
    ],
)
def test_this_machine(host: str) -> None:
    """In whatever way its name or address is written."""
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host",
    [
        "",
        "localhost.example",
        "notlocalhost",
        "127.0.0.1.example",
        "10.0.0.1",
        "::",
        "::ffff:10.0.0.1",
        "127..1",
    ],
)
def test_another_machine(host: str) -> None:
    """What only looks like it is another machine."""
    assert not is_loopback(host)


@pytest.mark.parametrize("host", ["127.1", "127.999", "127.0.0.1."])
def test_what_resolvers_read_differently(host: str) -> None:
    """A key would leave unencrypted if one of them took it for a name."""
    assert not is_loopback(host)
