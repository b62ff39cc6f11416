"""The command line, run as a user runs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from firsthandapi.cli.failures import _advice, _in_the_shell
from firsthandapi.errors import FirstHandConnectionError, InsufficientCreditsError
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
    assert run.stderr.startswith("firsthandapi: no API key: set FIRSTHAND_API_KEY. ")
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


def test_an_error_speaks_of_the_shell(monkeypatch: pytest.MonkeyPatch) -> None:
    """A balance that is too low is in dollars and names the command; a dead server here, how to start one."""
    poor = InsufficientCreditsError("x", status=402, request_id="req_1")
    poor.required_cents, poor.current_balance_cents = 4_000, 1_000
    assert _in_the_shell(poor) == (
        "the job costs $40.00, and the balance is $10.00: purchase credits with `firsthandapi purchase 5000`, "
        "or request fewer files (HTTP 402, req_1)"
    )
    dead = FirstHandConnectionError("check the network, base_url and the proxy settings", request_sent=False)
    assert _in_the_shell(dead) == "check the network, FIRSTHAND_BASE_URL, and the proxy settings"
    for url, advises in (("http://127.0.0.1:8080", True), ("https://api.firsthandapi.com", False)):
        monkeypatch.setenv("FIRSTHAND_BASE_URL", url)
        assert ("firsthandapi mock-server" in (_advice(dead) or "")) is advises
        assert _advice(FirstHandConnectionError("x")) is None


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
    assert run.stderr.strip() == "the command line needs an extra: pip install 'firsthandapi[cli]'"
