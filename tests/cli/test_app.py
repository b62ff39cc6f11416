"""The command line, run as a user runs it."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys

import pytest

from firsthandapi._base.version import __version__
from firsthandapi.cli.failures import _advice, _in_the_shell
from firsthandapi.errors import FirstHandConnectionError, InsufficientCreditsError
from firsthandapi.testing import MockServer

from .support import START, Cli, Ran


def firsthandapi(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("FIRSTHAND_")}
    return subprocess.run(
        [sys.executable, "-c", START, *arguments],
        env={**clean, "PYTHONIOENCODING": "utf-8", **environment},
        capture_output=True,
        encoding="utf-8",
        timeout=60,
    )


def test_whoami_tells_whose_key_it_is(shell: Cli, fresh_server: MockServer) -> None:
    """A table for people, JSON and nothing else for programs, here by the program itself."""
    key = fresh_server.test_api_key
    as_text = shell.at(fresh_server, key)("whoami")
    as_json = firsthandapi("whoami", "--json", FIRSTHAND_API_KEY=key, FIRSTHAND_BASE_URL=fresh_server.url)
    assert (as_text.code, as_json.returncode) == (0, 0)
    assert "environment   test" in as_text.out
    assert json.loads(as_json.stdout)["environment"] == "test"
    assert key not in as_text.out + as_json.stdout


def test_no_key_is_a_usage_error(shell: Cli) -> None:
    """Exit code 2, one line, and what to do."""
    run = shell("whoami")
    assert run.code == 2
    assert run.err.startswith("firsthandapi: no API key: set FIRSTHAND_API_KEY. ")
    assert run.err.count("\n") == 1


def test_a_refused_key_exits_1(shell: Cli, fresh_server: MockServer) -> None:
    """An error of the service is one line and exit code 1."""
    run = shell.at(fresh_server, "fh_live_wrong")("whoami")
    assert run.code == 1
    assert "HTTP 401" in run.err
    assert "fh_live_wrong" not in run.err


def test_version(shell: Cli) -> None:
    """`--version` prints the version."""
    assert shell("--version") == Ran(0, f"firsthandapi {__version__}\n", "")


def test_the_package_is_the_command() -> None:
    """For a container without the folder of commands on its PATH."""
    ran = subprocess.run(
        [sys.executable, "-m", "firsthandapi", "--version"], capture_output=True, text=True, check=False
    )
    assert (ran.returncode, ran.stdout) == (0, f"firsthandapi {__version__}\n")


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
    monkeypatch.setenv("FIRSTHAND_BASE_URL", "https://127.0.0.1:8080")
    plain = FirstHandConnectionError("write http:// in base_url or the proxy settings", request_sent=False)
    plain.no_tls = True
    assert _in_the_shell(plain) == "write http:// in FIRSTHAND_BASE_URL or the proxy settings"
    assert _advice(plain) is None


@pytest.mark.parametrize("missing", ["typer", "rich", "yaml"])
def test_a_missing_extra_says_how_to_install_it(
    shell: Cli, missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the extra the command is one line, not a traceback."""
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == missing else find(name))
    assert shell() == Ran(2, "", "the command line needs an extra: pip install 'firsthandapi[cli]'\n")
