"""Clients of the MCP server: in this process, or of a process of its own over a real pipe.

This folder is no package: it would hide the `mcp` that it tests.
"""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from mcp_types import CallToolResult, ElicitResult

from firsthandapi import AsyncFirstHandClient
from firsthandapi._base.masking import Secret
from firsthandapi._core.calls.ratelimit import fingerprint
from firsthandapi._core.orders.record import Account
from firsthandapi.mcp import Ledger, Options, make_server
from firsthandapi.testing import MockServer
from mcp import Client, StdioServerParameters, stdio_client
from processes import stopped, unmeasured

JOB: dict[str, Any] = {
    "type": "data_collection",
    "description": "Photos of street signs in daylight",
    "files_needed": 2,
    "accepted_formats": ["image/jpeg"],
    "price_per_file_cents": 50,
}
COMMAND = "from firsthandapi.cli import main; main()"


def environment(server: MockServer, **more: str) -> dict[str, str]:
    """What an agent's configuration sets."""
    return {"FIRSTHAND_BASE_URL": server.url, "FIRSTHAND_API_KEY": server.api_key, **more}


@asynccontextmanager
async def over_pipe(
    env: dict[str, str], *options: str, code: str = COMMAND, errors: Any = sys.stderr, **client_options: Any
) -> AsyncIterator[Client]:
    """A client of a server process of its own, over stdin and stdout."""
    parameters = StdioServerParameters(command=sys.executable, args=["-c", code, "mcp", *options], env=env)
    async with Client(stdio_client(parameters, errlog=errors), **client_options) as client:
        yield client


@asynccontextmanager
async def in_memory(server: MockServer, options: Options, **client_options: Any) -> AsyncIterator[Client]:
    """A client of a server in this process: all but the transport is the same."""
    async with (
        AsyncFirstHandClient(server.api_key, server.url, deadline=50, max_retries=1) as api,
        Client(make_server(api, server.api_key, options), **client_options) as client,
    ):
        yield client


@contextmanager
def over_http(server: MockServer, folder: Path, *options: str) -> Iterator[str]:
    """The URL of a server process that speaks HTTP; it ends without a word."""
    process = subprocess.Popen(
        [sys.executable, "-c", COMMAND, "mcp", "--http", "0", "--ledger", str(folder), *options],
        env=unmeasured(**environment(server)),
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    try:
        first = process.stderr.readline()
        address = re.search(r"http://127\.0\.0\.1:\d+/mcp", first)
        assert address, first
        yield address[0]
    finally:
        _, errors = stopped(process, signal.SIGINT)
    assert "Traceback" not in errors


class Person(list[str]):
    """Somebody whom a server asks, and the questions. The last answer is also that to all others."""

    def __init__(self, *answers: Any) -> None:
        """Answers are `accept`, `refuse`, `decline`, `cancel`, or the content of one."""
        super().__init__()
        self._answers = answers

    async def answer(self, _: object, question: Any) -> ElicitResult:
        """The callback of a client."""
        answer = self._answers[min(len(self), len(self._answers) - 1)]
        self.append(question.message)
        if answer in ("decline", "cancel"):
            return ElicitResult(action=answer)
        content = {"approve": answer == "accept"} if isinstance(answer, str) else answer
        return ElicitResult(action="accept", content=content)


def ledger_of(server: MockServer, folder: Path, budget_cents: int = 2500) -> Ledger:
    """The ledger that the servers of a key share."""
    account = Account(server.url, fingerprint(Secret(server.api_key)), "test")
    return Ledger(folder, budget_cents, account=account)


def found(result: CallToolResult) -> dict[str, Any]:
    """The structured output of a call that succeeded."""
    assert not result.is_error, text_of(result)
    assert result.structured_content is not None
    return result.structured_content


def text_of(result: CallToolResult) -> str:
    """All text that a model reads."""
    return "".join(getattr(part, "text", "") for part in result.content)


def spent(server: MockServer) -> int:
    """What all jobs cost."""
    with server.client() as client:
        return sum(job.total_cost_cents or 0 for job in client.jobs.list())
