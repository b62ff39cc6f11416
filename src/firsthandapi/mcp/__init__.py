"""The MCP server: jobs and their files as tools for agents (extra `mcp`)."""

from __future__ import annotations

from firsthandapi.errors import ConfigurationError

try:
    from ._ledger import BudgetError, Ledger
    from ._server import Options, make_server, serve
except ModuleNotFoundError as error:
    if (error.name or "").partition(".")[0] not in ("mcp", "mcp_types"):
        raise
    raise ConfigurationError("the MCP server needs an extra: pip install 'firsthandapi[mcp]'") from None

__all__ = ["BudgetError", "Ledger", "Options", "make_server", "serve"]
