"""The command line, run as a user runs it."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from firsthandapi.testing import MockServer


def firsthandapi(
    *arguments: str, cwd: Path | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("FIRSTHAND_")}
    return subprocess.run(
        [sys.executable, "-c", "from firsthandapi.cli import main; main()", *arguments],
        cwd=cwd,
        env={**clean, "PYTHONIOENCODING": "utf-8", **environment},
        capture_output=True,
        encoding="utf-8",
        timeout=60,
    )


def test_demo_shows_the_whole_job(tmp_path: Path) -> None:
    """The demo posts, waits, downloads, shows annotations and verifies a webhook."""
    run = firsthandapi("demo", "--dest", "files", cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    for part in (
        "completed",
        "4 of 4 files approved",
        "★",
        "640x480",
        "its signature is valid",
        "job.completed",
        "firsthandapi mock-server --speed 10 and open the console",
    ):
        assert part in run.stdout
    (folder,) = (tmp_path / "files").iterdir()
    assert len(list((folder / "data").iterdir())) == 4
    again = firsthandapi("demo", "--dest", "files", cwd=tmp_path)
    assert again.returncode == 0, again.stderr


def test_whoami_tells_whose_key_it_is() -> None:
    """A table for people, JSON and nothing else for programs."""
    with MockServer() as server:
        environment = {"FIRSTHAND_API_KEY": server.test_api_key, "FIRSTHAND_BASE_URL": server.url}
        shown = firsthandapi("whoami", **environment)
        as_json = firsthandapi("whoami", "--json", **environment)
    assert shown.returncode == 0
    assert "environment   test" in shown.stdout
    assert json.loads(as_json.stdout)["environment"] == "test"
    assert server.test_api_key not in shown.stdout + as_json.stdout


def test_no_key_is_a_usage_error() -> None:
    """Exit code 2, one line, and what to do."""
    run = firsthandapi("whoami")
    assert run.returncode == 2
    assert run.stderr.startswith("firsthandapi: no API key")
    assert "FIRSTHAND_API_KEY" in run.stderr
    assert "Traceback" not in run.stderr


def test_a_refused_key_exits_1() -> None:
    """An error of the service is one line and exit code 1."""
    with MockServer() as server:
        run = firsthandapi("whoami", FIRSTHAND_API_KEY="fh_live_wrong", FIRSTHAND_BASE_URL=server.url)
    assert run.returncode == 1
    assert "HTTP 401" in run.stderr
    assert "fh_live_wrong" not in run.stderr


def test_help_and_version() -> None:
    """`--help` lists the commands, `--version` the version."""
    assert "mock-server" in firsthandapi("--help").stdout
    assert firsthandapi("--version").stdout.startswith("firsthandapi 1.")


@pytest.mark.skipif(os.name == "nt", reason="Windows cannot send Ctrl-C to one child")
@pytest.mark.parametrize("how", ["SIGINT", "SIGTERM"])
def test_mock_server_serves_until_it_is_stopped(how: str) -> None:
    """It prints the two variables, serves, and stops cleanly."""
    server = subprocess.Popen(
        # A shell's background jobs, a CI's among them, start with Ctrl-C switched off.
        [
            sys.executable,
            "-c",
            "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
            "from firsthandapi.cli import main; main()",
            "mock-server",
            "--port",
            "0",
            "--api-key",
            "fh_live_fixed",
            "--no-workers",
            "--speed",
            "0",
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert server.stdout is not None
    variables = {}
    said = ""
    for line in server.stdout:
        said += line
        if "export " in line:
            name, _, value = line.split()[1].partition("=")
            variables[name] = value
        if "Ctrl-C" in line:
            break
    run = firsthandapi("whoami", **variables)
    server.send_signal(getattr(signal, how))
    output, errors = server.communicate(timeout=30)
    assert run.returncode == 0
    assert server.returncode == 0
    assert re.fullmatch(r"\d\d:\d\d:\d\d GET /v1/me 200 \d+ ms\n", errors)
    assert "Stopped." in output
    assert variables["FIRSTHAND_API_KEY"] == "fh_live_fixed"
    assert "fh_test_fixed" in said
    url = variables["FIRSTHAND_BASE_URL"]
    assert f"{url}/console\n" in said
    for action in ("submit", "advance", "reset"):
        assert f"curl {url}/_control/{action}" in said


@pytest.mark.parametrize("missing", ["typer", "rich", "yaml"])
def test_a_missing_extra_says_how_to_install_it(missing: str) -> None:
    """Without the extra the command is one line, not a traceback."""
    code = (
        "import importlib.util as u; find = u.find_spec\n"
        f"u.find_spec = lambda name, *a: None if name == {missing!r} else find(name, *a)\n"
        "from firsthandapi.cli import main; main()"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.returncode == 2
    assert run.stderr.strip() == "The command line needs an extra: pip install 'firsthandapi[cli]'"


@pytest.mark.skipif(os.name == "nt", reason="Windows cannot send Ctrl-C to one child")
@pytest.mark.parametrize("option", ["--log", "--no-log"])
def test_a_stderr_that_nobody_reads_stops_no_server(option: str) -> None:
    """Lines that are not read are dropped; with --no-log there are none."""
    code = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    code += "from firsthandapi.cli import main; main()"
    server = subprocess.Popen(
        [sys.executable, "-c", code, "mock-server", "--port", "0", option],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert server.stdout is not None
    url = next(line for line in server.stdout if "FIRSTHAND_BASE_URL" in line).strip().partition("=")[2]
    with closing(http.client.HTTPConnection(url.removeprefix("http://"), timeout=30)) as connection:
        for _ in range(100):  # of 4,000 bytes each: more than a pipe holds
            connection.request("GET", "/v1/me?" + "x" * 4000)
            connection.getresponse().read()
    server.send_signal(signal.SIGINT)
    assert server.wait(30) == 0
    errors = server.communicate()[1]
    assert bool(errors) == (option == "--log")


def test_a_busy_port_and_a_bad_speed_are_usage_errors() -> None:
    """One line that names the option, not a traceback."""
    with MockServer() as server:
        port = server.url.rpartition(":")[2]
        busy = firsthandapi("mock-server", "--port", port)
    slow = firsthandapi("mock-server", "--port", "0", "--speed", "nan")
    sandbox = firsthandapi("mock-server", "--port", "0", "--api-key", "fh_test_mine")
    assert (busy.returncode, slow.returncode, sandbox.returncode) == (2, 2, 2)
    assert "could not use --api-key: api_key is fh_live_ and" in sandbox.stderr
    assert "mine" not in sandbox.stderr
    assert f"could not use --port {port}" in busy.stderr
    assert "--speed must be" in slow.stderr
    assert "Traceback" not in busy.stderr + slow.stderr


def test_demo_needs_no_proxy_and_a_folder(tmp_path: Path) -> None:
    """A proxy in the environment is none of the demo's business; a file in the way is told of."""
    (tmp_path / "taken").write_bytes(b"")
    proxied = firsthandapi(
        "demo", cwd=tmp_path, HTTP_PROXY="http://127.0.0.1:9", http_proxy="http://127.0.0.1:9"
    )
    taken = firsthandapi("demo", "--dest", "taken", cwd=tmp_path)
    assert proxied.returncode == 0, proxied.stderr
    assert taken.returncode == 2
    assert "Traceback" not in taken.stderr
