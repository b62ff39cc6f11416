"""What the tests of datasets share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from firsthandapi import FirstHandClient
from firsthandapi.testing import MockServer


@pytest.fixture
def quick_server() -> Iterator[MockServer]:
    """A server whose workers need no patience, without limits."""
    with MockServer(speed=300) as server:
        server.rate_limit = server.organization_rate_limit = None
        yield server
    server.check_books()


@pytest.fixture(scope="module")
def server() -> Iterator[MockServer]:
    """A server for the tests of one file, whose workers are driven by hand, without limits."""
    with MockServer(speed=0, workers=False) as server:
        server.rate_limit = server.organization_rate_limit = None
        yield server


@pytest.fixture
def client(server: MockServer) -> Iterator[FirstHandClient]:
    """A client of `server`."""
    with server.client() as client:
        yield client
