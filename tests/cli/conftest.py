"""What the tests of the command line share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from firsthandapi.cli import AGENTS
from firsthandapi.testing import MockServer

from .support import Cli


@pytest.fixture(autouse=True)
def a_person(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who runs the tests may be a program that acts for somebody: the tests are about people."""
    for name in AGENTS:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def server() -> Iterator[MockServer]:
    with MockServer(speed=60) as running:
        running.rate_limit = None
        yield running
        running.check_books()


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    """The command line, without a key or a server."""
    return Cli(monkeypatch, capsys)


@pytest.fixture
def cli(fresh_server: MockServer, shell: Cli) -> Cli:
    """The command line, with a key of a server of its own."""
    return shell.at(fresh_server)


@pytest.fixture
def runner(server: MockServer, shell: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """The command line in an empty folder, with a server whose workers work."""
    monkeypatch.chdir(tmp_path)
    return shell.at(server)
