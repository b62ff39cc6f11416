"""The addresses of this machine in its local network."""

from __future__ import annotations

import socket

import pytest

from firsthandapi._base.host.lan import is_local_network, lan_addresses


@pytest.mark.parametrize(
    ("host", "is_one"),
    [
        ("192.168.1.5", True),
        ("10.0.0.2", True),
        ("100.64.0.9", True),
        ("127.0.0.1", False),
        ("0.0.0.0", False),
        ("169.254.3.4", False),
        ("224.0.0.1", False),
        ("8.8.8.8", False),
        ("photos.local", False),
    ],
)
def test_what_is_an_address_of_a_local_network(host: str, is_one: bool) -> None:
    """One that other machines there reach, and the internet does not."""
    assert is_local_network(host) is is_one


def test_that_of_the_usual_way_out_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each once; a way that there is not is left out, and a name that leads to the machine itself."""

    class Probe(socket.socket):
        def connect(self, address: object) -> None:
            if "10.255.255.254" in str(address):
                raise OSError("no route")

        def getsockname(self) -> tuple[str, int]:
            return ("192.168.1.5", 9)

    monkeypatch.setattr(socket, "socket", Probe)
    monkeypatch.setattr(
        socket, "gethostbyname_ex", lambda name: (name, [], ["127.0.1.1", "10.8.0.2", "192.168.1.5"])
    )
    assert lan_addresses() == ["192.168.1.5", "10.8.0.2"]
