"""A connection, as httpcore takes it."""

from __future__ import annotations

import socket
import ssl

import httpcore
import pytest

from firsthandapi._sync import streams


def test_a_stream_says_how_it_broke() -> None:
    """A peer that takes nothing, a socket that is closed, a name that is none."""
    ours, theirs = socket.socketpair()
    stream = streams.SocketStream(ours)
    with pytest.raises(httpcore.WriteTimeout):
        stream.write(b"x" * 50_000_000, timeout=0.05)
    assert stream.get_extra_info("nothing of the kind") is None
    stream.close()
    theirs.close()
    with pytest.raises(httpcore.WriteError):
        stream.write(b"x", timeout=1)
    with pytest.raises(httpcore.ReadError):
        stream.read(1, timeout=1)
    with pytest.raises(httpcore.ConnectError):
        stream.start_tls(ssl.create_default_context(), "localhost", timeout=1)
    with pytest.raises(httpcore.ConnectError):
        streams.connect("x" * 70 + ".example", 80, timeout=1)
