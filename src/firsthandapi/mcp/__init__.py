"""The MCP server: jobs and their files as tools for agents (extra `mcp`)."""

from __future__ import annotations

from ._ledger import BudgetError, Ledger
from ._server import Options, make_server, serve

__all__ = ["BudgetError", "Ledger", "Options", "make_server", "serve"]
