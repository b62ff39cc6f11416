"""The pytest plugin: `firsthand_server`, `firsthand_client`, and `firsthand_async_client`.

It is loaded in every pytest run of an environment that has this package, so it imports nothing until used.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from firsthandapi import AsyncFirstHandClient, FirstHandClient
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


@pytest.fixture
def firsthand_async_client(firsthand_server: MockServer) -> Iterator[AsyncFirstHandClient]:
    """An async client of `firsthand_server`, with its live key, for tests on any event loop."""
    import asyncio

    client = firsthand_server.async_client()
    yield client
    # The loop of the test has ended, or belongs to a plugin; what is left to close needs none in particular.
    asyncio.run(client.close())
