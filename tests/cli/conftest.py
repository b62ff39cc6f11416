"""What the tests of the command line share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from firsthandapi.testing import MockServer


@pytest.fixture
def server() -> Iterator[MockServer]:
    with MockServer(speed=60) as running:
        running.rate_limit = None
        yield running
        running.check_books()
