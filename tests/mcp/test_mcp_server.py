"""The MCP server as agents start it: a process of its own, over a real pipe and over HTTP."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import tomllib
from contextlib import suppress
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import httpx
import mcp_types
import pytest
from mcp.client.streamable_http import streamable_http_client
from mcp_support import COMMAND, JOB, environment, found, in_memory, ledger_of, over_http, over_pipe, spent

from firsthandapi import ConfigurationError
from firsthandapi._base.version import __version__
from firsthandapi.mcp import Options, make_server, serve
from firsthandapi.mcp._server import _client, _timeout
from firsthandapi.testing import MockServer
from mcp import Client
from processes import end_of

pytestmark = pytest.mark.anyio

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "agents.md"
REGISTRY = GUIDE.parents[2] / "server.json"


def configurations() -> dict[str, dict[str, Any]]:
    """What the guide tells people to paste, by the file's name."""
    page = GUIDE.read_text(encoding="utf-8")
    pasted: dict[str, dict[str, Any]] = {}
    for language, name, text in re.findall(r'```(json|toml) title="([^"]+)"\n(.*?)```', page, re.DOTALL):
        if name.startswith("with "):
            continue
        text = textwrap.dedent(text)
        loaded = json.loads(text) if language == "json" else tomllib.loads(text)
        (servers,) = loaded.values()
        pasted[name] = servers["firsthandapi"]
    return pasted


def test_the_guide_runs_it_without_an_installation() -> None:
    """With uvx and with pipx, from the repository as long as the index has only 0.1.0; the arguments run below."""
    page = GUIDE.read_text(encoding="utf-8")
    repository = json.loads(REGISTRY.read_text(encoding="utf-8"))["repository"]["url"]
    for name, options in (("uvx", ["--from"]), ("pipx", ["run", "--spec"])):
        (text,) = re.findall(rf'```json title="with {name}"\n(.*?)```', page, re.DOTALL)
        plain = ["firsthandapi", "mcp", "--budget-cents", "2500"]
        assert json.loads(text) == {
            "command": name,
            "args": [*options, f"firsthandapi[mcp] @ git+{repository}", *plain],
        }


def test_the_registry_finds_this_version() -> None:
    """`server.json` names it, and the README has the marker that proves the name."""
    entry = json.loads(REGISTRY.read_text(encoding="utf-8"))
    (package,) = entry["packages"]
    assert entry["version"] == package["version"] == __version__
    assert package["runtimeArguments"][0]["value"] == f"firsthandapi[mcp]=={__version__}"
    assert len(entry["description"]) <= 100
    assert f"mcp-name: {entry['name']} -->" in (REGISTRY.parent / "README.md").read_text(encoding="utf-8")


def test_the_main_job_with_the_configuration_of_the_guide(server: MockServer, tmp_path: Path) -> None:
    """All agents start the same command and pass the key on; over its pipe a model orders, waits, and looks."""
    pasted = configurations()
    assert pasted.keys() == {".mcp.json", "config.toml"}
    for name, entry in pasted.items():
        assert entry["command"] == "firsthandapi", name
        assert "FIRSTHAND_API_KEY" in str(entry.get("env") or entry.get("env_vars")), name
    (arguments,) = {tuple(entry["args"]) for entry in pasted.values()}
    assert arguments[0] == "mcp"
    reports: list[float] = []

    async def progress(done: float, total: float | None, message: str | None) -> None:
        reports.append(done)

    async def main() -> None:
        async with over_pipe(environment(server), *arguments[1:], "--ledger", str(tmp_path)) as client:
            job = found(await client.call_tool("create_job_and_wait", JOB, progress_callback=progress))
            assert (job["status"], job["budget_left_cents"]) == ("completed", 2400)
            files = await client.call_tool("get_job_files", {"job_id": job["id"], "images": 1})
            assert [
                block.mime_type for block in files.content if isinstance(block, mcp_types.ImageContent)
            ] == ["image/jpeg"]

    anyio.run(main)
    assert reports[-1] == 2


async def test_without_a_key_there_is_signup_alone(
    server: MockServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It gives the key once, and asks to save it."""
    monkeypatch.setenv("FIRSTHAND_BASE_URL", server.url)

    async with _client() as (api, key), Client(make_server(api, key, Options())) as client:
        (tool,) = (await client.list_tools()).tools
        announced = client.server_capabilities
        assert announced is not None
        assert (announced.prompts, announced.resources) == (None, None)
        assert tool.name == "signup"
        assert set(tool.input_schema["required"]) == {"org_name", "email"}
        account = found(await client.call_tool("signup", {"org_name": "Signs", "email": "a@example.com"}))
        assert account["api_key"].startswith("fh_live_")


@pytest.mark.slow
def test_a_killed_server_leaves_its_order_counted(tmp_path: Path) -> None:
    """SIGKILL as soon as the service has the order: the same call of the next session finds it, and pays nothing."""
    pid = tmp_path / "pid"
    killed = threading.Event()

    def kill(request: Any) -> None:
        if (request.method, request.path) == ("POST", "/v1/jobs") and not killed.is_set():
            killed.set()
            os.kill(int(pid.read_text()), signal.SIGKILL)

    code = f"import os, pathlib; pathlib.Path({str(pid)!r}).write_text(str(os.getpid())); {COMMAND}"
    with MockServer(speed=0, workers=False, on_request=kill) as server:

        async def main() -> None:
            options = ("--ledger", str(tmp_path / "ledger"))
            with anyio.move_on_after(20):
                async with over_pipe(environment(server), *options, code=code) as client:
                    with suppress(Exception):  # however the client tells it
                        await client.call_tool("create_job", JOB)
            assert await anyio.to_thread.run_sync(killed.wait, 30)
            assert ledger_of(server, tmp_path / "ledger").left_cents() == 2400
            async with in_memory(server, Options(ledger=tmp_path / "ledger")) as client:
                job = found(await client.call_tool("create_job", JOB))
                assert (job["created_before"], job["budget_left_cents"]) == (True, 2400)

        anyio.run(main)
        assert spent(server) == 100
        server.check_books()


@pytest.mark.slow
def test_a_pipe_full_of_nonsense_ends_nothing(server: MockServer, tmp_path: Path) -> None:
    """Lines that are no JSON, no message, or no text get an error, under their id; a closed pipe ends the server."""
    hello = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "initialize",
        "params": {
            "protocolVersion": "2025-06-18",
            "capabilities": {},
            "clientInfo": {"name": "t", "version": "1"},
        },
    }
    call = {"jsonrpc": "2.0", "id": 2, "method": "tools/call"}
    lines = [
        json.dumps(hello).encode(),
        b'{"jsonrpc": "2.0", "method": "notifications/initialized"}',
        b"nonsense",
        b"\xff\xfe",
        b"[]",
        b'{"jsonrpc": "1.0", "id": {}, "method": 5}',
        json.dumps(
            {**call, "id": 3, "params": {"name": "get_job", "arguments": {"job_id": "\ud800"}}}
        ).encode(),
        json.dumps({**call, "id": 4, "params": {"name": "get_job", "arguments": []}}).encode(),
        b"[" * 10_000,
        *(
            json.dumps({**call, "id": bad, "method": "ping"}).encode()
            for bad in (7.0, 1.5, True, None, {}, [])
        ),
        json.dumps({**call, "id": 8, "params": [1]}).encode(),
        json.dumps({"jsonrpc": "2.0", "id": 9, "result": []}).encode(),
        json.dumps({**call, "id": "\ud800", "method": "ping"}).encode(),
        "\ufeff{}".format(json.dumps({**call, "id": 10, "method": "ping"})).encode(),
        json.dumps({**call, "params": {"name": "get_credits", "arguments": {}}}).encode(),
        b"",
    ]
    process = subprocess.Popen(
        [sys.executable, "-c", COMMAND, "mcp", "--ledger", str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, **environment(server)},
    )
    assert process.stdin is not None
    assert process.stdout is not None
    with process:
        process.stdin.write(b"\n".join(lines))
        process.stdin.flush()
        answers: dict[Any, Any] = {}
        refused: list[int] = []
        while 2 not in answers:
            answer = json.loads(process.stdout.readline())
            answers[answer["id"]] = answer
            refused += [answer["error"]["code"]] if answer["id"] is None else []
        out, errors = end_of(process)
    assert answers[2]["result"]["structuredContent"]["budget_left_cents"] == 2500
    assert "error" in answers[4]
    # "nonsense", bytes that are no text, and "[[[…"; then "[]", a message of another version, ids that are none, and an
    # answer that is none
    assert sorted(refused) == [-32700] * 3 + [-32600] * 7
    for request_id in (
        3,
        7,
        1.5,
        8,
    ):  # half a character, ids that are no integers, and params that are a list
        assert answers[request_id]["error"]["code"] == -32600
    assert answers["?"]["error"]["code"] == -32600
    assert answers[10]["result"] == {}
    capabilities = answers[1]["result"]["capabilities"]
    assert {"tools", "resources"} <= set(capabilities)
    assert "prompts" not in capabilities
    assert process.returncode == 0
    assert b"Traceback" not in out + errors


@pytest.mark.slow
def test_two_clients_at_once_over_http(server: MockServer, tmp_path: Path) -> None:
    """Both order the same: one job, paid once. A web page of elsewhere gets nothing, by name or by origin."""

    async def main(url: str) -> None:
        jobs: list[dict[str, Any]] = []

        async def one() -> None:
            async with Client(streamable_http_client(url)) as client:
                jobs.append(found(await client.call_tool("create_job", JOB)))

        async with anyio.create_task_group() as group:
            group.start_soon(one)
            group.start_soon(one)
        assert len({job["id"] for job in jobs}) == 1
        assert [job["budget_left_cents"] for job in jobs] == [2400, 2400]

    with over_http(server, tmp_path) as url:
        anyio.run(main, url)
        asked = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
        headers = {"accept": "application/json, text/event-stream"}
        for bad in ({"host": "evil.example"}, {"origin": "https://evil.example"}, {"origin": "null"}):
            answer = httpx.post(url, json=asked, headers={**headers, **bad}, trust_env=False)
            assert answer.status_code in (403, 421), bad
            assert "tools" not in answer.text
        for broken in (b"", b"{", b"[" * 100_000, b"\xff", b"x" * 10_000_000):
            answer = httpx.post(
                url, content=broken, headers={**headers, "content-type": "application/json"}, trust_env=False
            )
            assert 400 <= answer.status_code < 500
            assert "Traceback" not in answer.text
        port = int(url.rpartition(":")[2].partition("/")[0])
        with pytest.raises(ConfigurationError, match=f"could not use --http {port}"):
            anyio.run(lambda: serve(Options(ledger=tmp_path), http_port=port))
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0
    assert spent(server) == 100


@pytest.mark.parametrize("value", ["", "0", "-1", "nan", "inf", "soon"])
def test_a_bad_timeout_is_named(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    """FIRSTHAND_TIMEOUT_MS, as the service's own server had it; empty is the default."""
    monkeypatch.setenv("FIRSTHAND_TIMEOUT_MS", value)
    if value:
        with pytest.raises(ConfigurationError, match="FIRSTHAND_TIMEOUT_MS"):
            _timeout()
    else:
        assert _timeout() == 30
    monkeypatch.setenv("FIRSTHAND_TIMEOUT_MS", "1500")
    assert _timeout() == 1.5


def test_the_skill_is_in_the_package() -> None:
    """`firsthandapi skill` prints it, with the head that agents look for."""
    from importlib.resources import files

    from typer.testing import CliRunner

    from firsthandapi.cli.app import app

    text = (files("firsthandapi") / "SKILL.md").read_text(encoding="utf-8")
    assert text.startswith("---\nname: firsthandapi\n")
    run = CliRunner().invoke(app, ["skill"])
    assert (run.exit_code, run.stdout) == (0, text)


def test_the_programs_of_the_skill_run(
    server: MockServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Agents copy them as they stand."""
    from importlib.resources import files

    monkeypatch.chdir(tmp_path)
    for name, value in environment(server).items():
        monkeypatch.setenv(name, value)
    text = (files("firsthandapi") / "SKILL.md").read_text(encoding="utf-8")
    programs = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(programs) == 2
    for number, program in enumerate(programs):
        (tmp_path / str(number)).mkdir()
        monkeypatch.chdir(tmp_path / str(number))
        exec(program, {"__name__": "__main__"})
    assert "10 True" in capsys.readouterr().out
    assert spent(server) == 500 + 3000


def test_without_the_extra_the_import_names_it() -> None:
    """As for every other room that needs one."""
    program = "import sys; sys.modules['mcp'] = None; import firsthandapi.mcp"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert ran.stderr.rstrip().endswith(
        "ConfigurationError: the MCP server needs an extra: pip install 'firsthandapi[mcp]'"
    )
