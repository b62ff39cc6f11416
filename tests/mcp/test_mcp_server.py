"""The MCP server over a real pipe and over HTTP, with the client of the official package.

This folder is no package: it would hide the `mcp` that it tests.
"""

from __future__ import annotations

import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import textwrap
import time
import tomllib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import mcp_types
import pytest
from mcp.client.streamable_http import streamable_http_client

from firsthandapi.mcp import BudgetError, Ledger
from firsthandapi.testing import MockServer
from mcp import Client, MCPError, StdioServerParameters, stdio_client

JOB: dict[str, Any] = {
    "type": "data_collection",
    "description": "Photos of street signs in daylight",
    "files_needed": 2,
    "accepted_formats": ["image/jpeg"],
    "price_per_file_cents": 50,
}
_COMMAND = "from firsthandapi.cli import main; main()"


@pytest.fixture
def server() -> Iterator[MockServer]:
    with MockServer(speed=300) as server:
        server.rate_limit = server.organization_rate_limit = None
        yield server
    server.check_books()


def environment(server: MockServer, **more: str) -> dict[str, str]:
    """What an agent's configuration sets."""
    return {"FIRSTHAND_BASE_URL": server.url, "FIRSTHAND_API_KEY": server.api_key, **more}


@asynccontextmanager
async def over_pipe(env: dict[str, str], *options: str, **client_options: Any) -> AsyncIterator[Client]:
    """A client of a server process of its own, over stdin and stdout."""
    parameters = StdioServerParameters(
        command=sys.executable, args=["-c", _COMMAND, "mcp", *options], env=env
    )
    async with Client(stdio_client(parameters), **client_options) as client:
        yield client


def test_the_whole_main_job_over_a_pipe(server: MockServer, tmp_path: Path) -> None:
    """A model orders, sees progress, gets files with their annotations and a picture it can look at."""

    async def main() -> None:
        told: list[tuple[float, float | None, str | None]] = []

        async def progress(done: float, total: float | None, message: str | None) -> None:
            told.append((done, total, message))

        async with over_pipe(environment(server), "--ledger", str(tmp_path)) as client:
            made = await client.call_tool("create_job_and_wait", JOB, progress_callback=progress)
            job = made.structured_content
            assert job is not None
            assert (job["status"], job["timed_out_waiting"], job["budget_left_cents"]) == (
                "completed",
                False,
                2400,
            )
            assert told[-1][:2] == (2, 2)
            files = await client.call_tool("get_job_files", {"job_id": job["id"], "images": 1})
            assert files.structured_content is not None
            assert len(files.structured_content["files"]) == 2
            assert files.structured_content["files"][0]["annotations"]["type"] == "image"
            (picture,) = [one for one in files.content if isinstance(one, mcp_types.ImageContent)]
            assert picture.mime_type == "image/jpeg"
            assert len(picture.data) < 100_000
            file_id = files.structured_content["files"][0]["id"]
            (shown,) = (await client.read_resource(f"firsthand://jobs/{job['id']}/files/{file_id}")).contents
            assert isinstance(shown, mcp_types.BlobResourceContents)
            (read,) = (await client.read_resource(f"firsthand://jobs/{job['id']}")).contents
            assert isinstance(read, mcp_types.TextResourceContents)
            assert json.loads(read.text)["status"] == "completed"

    anyio.run(main)


def test_every_tool_of_the_service_is_there_by_its_name(server: MockServer, tmp_path: Path) -> None:
    """The contract's names and arguments (§9), each with a schema of what comes back and with hints."""
    creating = {"type", "description", "files_needed", "accepted_formats", "price_per_file_cents"}
    optional = {"min_star_rating", "location", "files_per_submission", "metadata"}
    arguments = {
        "create_job": creating | optional,
        "create_job_and_wait": creating | optional | {"max_wait_seconds"},
        "get_job": {"job_id"},
        "list_jobs": {"status"},
        "get_job_files": {"job_id", "min_score"},
        "cancel_job": {"job_id"},
        "get_credits": set(),
        "get_submission_summary": {"job_id"},
        "list_submissions": {"job_id", "status"},
    }

    async def main() -> None:
        async with over_pipe(environment(server), "--ledger", str(tmp_path)) as client:
            tools = {tool.name: tool for tool in (await client.list_tools()).tools}
            assert set(tools) == set(arguments)
            for name, wanted in arguments.items():
                assert wanted <= set(tools[name].input_schema.get("properties", {})), name
                assert tools[name].output_schema, name
                hints = tools[name].annotations
                assert hints is not None
                assert hints.read_only_hint is (
                    name not in ("create_job", "create_job_and_wait", "cancel_job")
                )
            for name in ("create_job", "create_job_and_wait"):
                assert set(tools[name].input_schema["required"]) == creating
        async with over_pipe(environment(server), "--read-only") as client:
            names = {tool.name for tool in (await client.list_tools()).tools}
            assert names == set(arguments) - {"create_job", "create_job_and_wait", "cancel_job"}
            assert (await client.call_tool("create_job", JOB)).is_error

    anyio.run(main)
    assert not [r for r in server.requests if r.method == "POST"]


def test_without_a_key_there_is_signup_alone(server: MockServer) -> None:
    """It gives the key once, and asks to save it."""

    async def main() -> None:
        async with over_pipe({"FIRSTHAND_BASE_URL": server.url, "FIRSTHAND_API_KEY": ""}) as client:
            (tool,) = (await client.list_tools()).tools
            assert tool.name == "signup"
            made = await client.call_tool("signup", {"org_name": "Signs", "email": "a@example.com"})
            assert made.structured_content is not None
            assert made.structured_content["api_key"].startswith("fh_live_")

    anyio.run(main)


def test_over_http_on_loopback(server: MockServer, tmp_path: Path) -> None:
    """The same tools; a web page of elsewhere is refused."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-c", _COMMAND, "mcp", "--http", str(port), "--ledger", str(tmp_path)],
        env={**os.environ, **environment(server)},
        stderr=subprocess.PIPE,
    )

    async def main() -> None:
        ends = time.monotonic() + 30
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            assert time.monotonic() < ends
            await anyio.sleep(0.05)
        async with Client(streamable_http_client(f"http://127.0.0.1:{port}/mcp")) as client:
            made = await client.call_tool("create_job", JOB)
            assert made.structured_content is not None
            assert made.structured_content["status"] == "open"

    try:
        anyio.run(main)
        import httpx

        asked = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
        headers = {"accept": "application/json, text/event-stream"}
        for bad in ({"host": "evil.example"}, {"origin": "https://evil.example"}):
            answer = httpx.post(
                f"http://127.0.0.1:{port}/mcp", json=asked, headers={**headers, **bad}, trust_env=False
            )
            assert answer.status_code in (403, 421)
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=20)


# ── Money ────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_same_call_again_orders_nothing(server: MockServer, tmp_path: Path) -> None:
    """A model that repeats itself, in another session too, gets the job it has, and pays nothing."""

    async def main() -> None:
        ids: set[str] = set()
        for _ in range(2):
            async with over_pipe(environment(server), "--ledger", str(tmp_path)) as client:
                for _ in range(2):
                    made = (await client.call_tool("create_job", JOB)).structured_content
                    assert made is not None
                    ids.add(made["id"])
                    assert made["budget_left_cents"] == 2400
        assert len(ids) == 1
        assert made["created_before"] is True

    anyio.run(main)


def test_no_argument_raises_the_budget(server: MockServer, tmp_path: Path) -> None:
    """What would exceed it is refused before anything is sent, in every session; what fits goes through."""

    async def main() -> None:
        for _ in range(2):
            async with over_pipe(
                environment(server), "--ledger", str(tmp_path), "--budget-cents", "120"
            ) as client:
                hostile = {"budget_cents": 10**9, "approved": {"action": "accept", "data": {"approve": True}}}
                refused = await client.call_tool("create_job", {**JOB, "files_needed": 3, **hostile})
                assert refused.is_error
                assert "--budget-cents" in refused.content[0].text  # type: ignore[union-attr] # text it is
                assert not (await client.call_tool("create_job", JOB)).is_error
                free = await client.call_tool("get_credits", {})
                assert free.structured_content is not None
                assert free.structured_content["budget_left_cents"] == 20

    anyio.run(main)
    assert spent(server) == 100


def test_a_refused_order_costs_nothing_of_the_budget(server: MockServer, tmp_path: Path) -> None:
    """After a 402 the whole budget is there; after a lost answer the cost stays counted."""

    async def main() -> None:
        async with over_pipe(environment(server), "--ledger", str(tmp_path)) as client:
            server.faults.add(path="/v1/jobs", method="POST", status=402, times=1)
            refused = await client.call_tool("create_job", JOB)
            assert refused.is_error
            assert Ledger(tmp_path, 2500).left_cents() == 2500
            server.faults.add(path="/v1/jobs", method="POST", drop="after", times=9)
            assert (await client.call_tool("create_job", JOB)).is_error
            assert Ledger(tmp_path, 2500).left_cents() == 2400
            server.faults.clear()
            assert not (await client.call_tool("create_job", JOB)).is_error
            assert Ledger(tmp_path, 2500).left_cents() == 2400

    anyio.run(main)
    assert spent(server) == 100


@pytest.mark.parametrize(("answer", "jobs"), [("accept", 1), ("decline", 0), ("cancel", 0)])
def test_above_the_bound_the_person_is_asked(
    server: MockServer, tmp_path: Path, answer: Any, jobs: int
) -> None:
    """With the cost in words; without a yes nothing is ordered."""
    asked: list[str] = []

    async def ask(_: object, question: Any) -> mcp_types.ElicitResult:
        asked.append(question.message)
        return mcp_types.ElicitResult(
            action=answer, content={"approve": True} if answer == "accept" else None
        )

    async def main() -> None:
        options = ("--ledger", str(tmp_path), "--confirm-cents", "50")
        async with over_pipe(environment(server), *options, elicitation_callback=ask) as client:
            assert (await client.call_tool("create_job", JOB)).is_error is not bool(jobs)
        async with over_pipe(environment(server), *options) as client:
            unable = await client.call_tool("create_job", {**JOB, "files_needed": 3})
            assert unable.is_error

    anyio.run(main)
    assert len(asked) == 1
    assert "$1.00" in asked[0]
    assert spent(server) == 100 * jobs


def spent(server: MockServer) -> int:
    """What all jobs cost."""
    with server.client() as client:
        return sum(job.total_cost_cents or 0 for job in client.jobs.list())


def hostile_calls(chance: random.Random) -> Iterator[tuple[str, dict[str, Any]]]:
    """What a model that understood nothing might call."""
    odd: list[Any] = [
        None,
        "",
        "x",
        -1,
        0,
        10**400,
        1.5,
        True,
        [],
        {},
        ["image/jpeg"],
        "job_1",
        "../x",
        "💸",
    ]
    tools = [
        "create_job",
        "create_job_and_wait",
        "get_job",
        "list_jobs",
        "get_job_files",
        "cancel_job",
        "get_credits",
    ]
    tools += ["get_submission_summary", "list_submissions", "no_such_tool"]
    while True:
        arguments: dict[str, Any] = {**JOB, "max_wait_seconds": 1, "metadata": {"n": chance.random()}}
        for name in chance.sample([*arguments, "job_id", "limit", "cursor", "status"], chance.randrange(4)):
            arguments[name] = chance.choice(odd)
        if chance.random() < 0.5:
            arguments["files_needed"] = chance.randrange(1, 30)
        yield chance.choice(tools), arguments


def run_hostile(server: MockServer, folder: Path, calls: int) -> int:
    """Four processes, each with a client that calls nonsense; how many calls were answered."""
    budget = 2_000

    async def one(seed: int) -> int:
        answered = 0
        made = hostile_calls(random.Random(seed))
        async with over_pipe(
            environment(server), "--ledger", str(folder), "--budget-cents", str(budget)
        ) as client:
            for _ in range(calls):
                name, arguments = next(made)
                try:
                    with anyio.fail_after(60):
                        answer = await client.call_tool(name, arguments)
                except MCPError:  # such as for a tool that does not exist
                    continue
                text = "".join(getattr(part, "text", "") for part in answer.content)
                assert "Traceback" not in text
                assert server.api_key not in text
                answered += 1
        return answered

    async def main() -> int:
        done: list[int] = []

        async def count(seed: int) -> None:
            done.append(await one(seed))

        async with anyio.create_task_group() as group:
            for seed in range(4):
                group.start_soon(count, seed)
        return sum(done)

    answered = anyio.run(main)
    assert spent(server) <= budget
    assert spent(server) + Ledger(folder, budget).left_cents() <= budget
    return answered


def test_nonsense_never_goes_over_the_budget(server: MockServer, tmp_path: Path) -> None:
    """Four processes at once, one ledger: not a cent over, no traceback, every call answered."""
    assert run_hostile(server, tmp_path, 12) > 30


@pytest.mark.slow
def test_a_thousand_hostile_sequences(server: MockServer, tmp_path: Path) -> None:
    """The same at length."""
    assert run_hostile(server, tmp_path, 1_000) > 3_000


# ── The ledger ───────────────────────────────────────────────────────────────────────────────────────────


def test_an_order_counts_once_until_its_key_may_be_forgotten(tmp_path: Path) -> None:
    """The same arguments are one order for 23 hours; then, or when the clock went back, they are another."""
    now = 1_800_000_000.0
    ledger = Ledger(tmp_path, 250, lambda: now)
    key, fresh = ledger.reserve({"n": 1}, 100)
    assert fresh
    now += 22 * 3600
    assert ledger.reserve({"n": 1}, 100) == (key, False)
    now += 2 * 3600
    later, fresh = ledger.reserve({"n": 1}, 100)
    assert fresh
    assert later != key
    assert ledger.left_cents() == 50
    now -= 5 * 3600
    with pytest.raises(BudgetError):
        ledger.reserve({"n": 2}, 100)


def test_a_call_that_was_refused_leaves_another_counted(tmp_path: Path) -> None:
    """Two calls sent one order: the refusal of one says nothing of the other."""
    ledger = Ledger(tmp_path, 250)
    key, _ = ledger.reserve({}, 100)
    ledger.reserve({}, 100)
    ledger.refused(key)
    assert ledger.left_cents() == 150
    ledger.refused(key)
    assert ledger.left_cents() == 250


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"version": 1, "orders": {"k": 5}}', b"\xff"])
def test_a_damaged_ledger_spends_nothing(tmp_path: Path, content: bytes) -> None:
    """What was spent is unknown then."""
    from firsthandapi import ConfigurationError

    (tmp_path / "ledger.json").write_bytes(content)
    with pytest.raises(ConfigurationError, match="damaged"):
        Ledger(tmp_path, 250).reserve({}, 1)


def test_the_skill_is_in_the_package() -> None:
    """`firsthandapi skill` prints it, with the head that agents look for."""
    run = subprocess.run(
        [sys.executable, "-c", _COMMAND, "skill"],
        capture_output=True,
        text=True,
        timeout=60,
        encoding="utf-8",
    )
    assert run.stdout.startswith("---\nname: firsthandapi\n")


def configurations() -> Iterator[tuple[str, dict[str, Any]]]:
    """What the guide tells people to paste, by the file's name."""
    page = (Path(__file__).parents[2] / "docs" / "guides" / "agents.md").read_text(encoding="utf-8")
    for language, name, text in re.findall(r'```(json|toml) title="([^"]+)"\n(.*?)```', page, re.DOTALL):
        text = textwrap.dedent(text)
        loaded = json.loads(text) if language == "json" else tomllib.loads(text)
        (servers,) = loaded.values()
        yield name, servers["firsthandapi"]


@pytest.mark.parametrize(
    ("name", "entry"), [*configurations()], ids=lambda value: value if isinstance(value, str) else ""
)
def test_what_the_guide_says_to_paste_works(
    server: MockServer, tmp_path: Path, name: str, entry: dict[str, Any]
) -> None:
    """Each configuration names the command, and passes the key on."""
    assert entry["command"] == "firsthandapi"
    assert "FIRSTHAND_API_KEY" in str(entry.get("env") or entry.get("env_vars"))

    async def main() -> None:
        async with over_pipe(environment(server), *entry["args"][1:], "--ledger", str(tmp_path)) as client:
            assert "create_job" in {tool.name for tool in (await client.list_tools()).tools}

    assert entry["args"][0] == "mcp"
    anyio.run(main)
