"""What tools of tests have to say. While one answers in place of httpx, API calls go through httpx, so that it sees
them; `firsthandapi.testing` sees each client and each call."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from firsthandapi.errors import ConfigurationError

# Called with each new transport, and with the transport before each of its calls. Only `firsthandapi.testing` adds any.
BEGINNING: list[Callable[[Any], None]] = []
CALLING: list[Callable[[Any], None]] = []

# The packages of the tools, and their names.
_TOOLS = {"respx": "respx", "vcr": "vcrpy", "pytest_httpx": "pytest-httpx"}
# What they replace, by library, class, and method; vcrpy the first two, before version 9 one of the others.
_METHODS = (
    ("httpx", "HTTPTransport", "handle_request"),
    ("httpx", "AsyncHTTPTransport", "handle_async_request"),
    ("httpx", "Client", "_transport_for_url"),
    ("httpx", "AsyncClient", "_transport_for_url"),
    ("httpx", "Client", "_send_single_request"),
    ("httpx", "AsyncClient", "_send_single_request"),
    ("httpcore", "ConnectionPool", "handle_request"),
    ("httpcore", "AsyncConnectionPool", "handle_async_request"),
)


def interceptor() -> str | None:
    """The tool whose function stands in for a method of httpx or httpcore; None without one. Programs that have loaded
    no such tool pay for a few lookups."""
    if not any(package in sys.modules for package in _TOOLS):
        return None
    for library, owner, method in _METHODS:
        function = getattr(getattr(sys.modules.get(library), owner, None), method, None)
        # `__module__` would not do: a wrapper copies it from what it wraps.
        module: str = getattr(function, "__globals__", {}).get("__name__", "")
        if (tool := _TOOLS.get(module.partition(".")[0])) is not None:
            return tool
    return None


def refuse_downloads() -> None:
    """Raises ConfigurationError: a tool of tests answers in place of httpx, and would not see a download."""
    tool = interceptor()
    if tool is not None:
        raise ConfigurationError(
            f"files cannot be downloaded while {tool} mocks httpx: downloads do not use httpx, so they would go to "
            "the network unseen; test them with firsthandapi.testing.MockServer, outside the mock"
        )
