"""What the tests of the MCP server share: a server whose workers are fast, and an agent's client."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from mcp.server.mcpserver.tools import base
from mcp.server.mcpserver.utilities.func_metadata import func_metadata
from mcp_support import in_memory

from firsthandapi.mcp import Options
from firsthandapi.testing import MockServer
from mcp import Client


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session", autouse=True)
def schemas_are_made_once() -> Iterator[None]:
    """Each test has a server of its own with the same tools: to make their schemas takes longer than most tests."""
    metadata_by_key: dict[Any, Any] = {}

    def once(function: Any, skip_names: list[str], structured_output: bool | None) -> Any:
        key = (function.__module__, function.__qualname__, *skip_names, structured_output)
        if key not in metadata_by_key:
            metadata_by_key[key] = func_metadata(function, skip_names, structured_output)
        return metadata_by_key[key]

    with patch.object(base, "func_metadata", once):
        yield


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
