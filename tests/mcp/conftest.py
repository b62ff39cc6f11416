"""What the tests of the MCP server share: a server whose workers are fast, and an agent's client."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from mcp_support import in_memory

from firsthandapi.mcp import Options
from firsthandapi.testing import MockServer
from mcp import Client


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def server() -> Iterator[MockServer]:
    with MockServer(speed=300, rate_limit=None) as server:
        yield server
    server.check_books()


@pytest.fixture
def idle() -> Iterator[MockServer]:
    """A server where nothing happens by itself."""
    with MockServer(speed=0, workers=False, rate_limit=None) as server:
        yield server
    server.check_books()


@pytest.fixture
async def agent(server: MockServer, tmp_path: Path) -> AsyncIterator[Client]:
    """A client of an MCP server in this process."""
    async with in_memory(server, Options(ledger=tmp_path)) as client:
        yield client
