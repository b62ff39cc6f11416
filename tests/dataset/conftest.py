"""What the tests of datasets share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from firsthandapi.testing import MockServer


@pytest.fixture
def quick_server() -> Iterator[MockServer]:
    """A server whose workers need no patience, without limits."""
    with MockServer(speed=300) as server:
        server.rate_limit = server.organization_rate_limit = None
        yield server
    server.check_books()
