"""The pytest plugin: `firsthand_server` and `firsthand_client`.

It is loaded in every pytest run of an environment that has this package, so it imports nothing until used.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from firsthandapi import FirstHandClient
    from firsthandapi.testing import MockServer


@pytest.fixture
def firsthand_server() -> Iterator[MockServer]:
    """A fresh bundled server, with simulated workers; its books are checked at the end."""
    from firsthandapi.testing import MockServer

    with MockServer() as server:
        yield server
    server.check_books()


@pytest.fixture
def firsthand_client(firsthand_server: MockServer) -> Iterator[FirstHandClient]:
    """A client of `firsthand_server`, with its live key."""
    with firsthand_server.client() as client:
        yield client
