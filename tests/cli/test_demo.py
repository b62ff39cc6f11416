"""`firsthandapi demo`."""

from __future__ import annotations

import sys
import urllib.request
from pathlib import Path

import pytest

from firsthandapi.cli import demo

from .support import Cli


def test_demo_shows_the_whole_job(shell: Cli, tmp_path: Path) -> None:
    """The demo posts, waits, downloads, shows annotations and verifies a webhook."""
    # A proxy in the environment is none of its business: it sets the last two.
    proxy = dict.fromkeys(("HTTP_PROXY", "http_proxy"), "http://127.0.0.1:9")
    shell.set(**proxy, NO_PROXY="", no_proxy="")
    run = shell("demo", "--dest", str(tmp_path / "files"))
    assert run.code == 0, run.err
    for part in (
        "completed",
        "4 of 4 files approved",
        "★",
        "640x480",
        "its signature is valid",
        "job.completed",
        "in a browser:\n\n  firsthandapi demo --console",
    ):
        assert part in run.out
    (folder,) = (tmp_path / "files").iterdir()
    assert len(list((folder / "data").iterdir())) == 4


def test_demo_opens_the_console(shell: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """In a browser, from its first step on; the server stays until Ctrl-C, with the job in its console."""
    opened: list[str] = []
    pages: list[str] = []

    def wait_for_stop() -> None:
        with urllib.request.urlopen(opened[0], timeout=30) as page:
            pages.append(page.read().decode())

    monkeypatch.setattr("webbrowser.open", opened.append)
    monkeypatch.setattr(demo, "wait_for_stop", wait_for_stop)
    monkeypatch.setattr(demo, "_SPEED", 500.0)
    run = shell("demo", "--console", "--dest", str(tmp_path / "files"))
    assert run.code == 0, run.err
    assert f"Watch it in a browser: {opened[0]}\n" in run.out
    assert "Street signs" in pages[0]
    assert run.out.endswith("Press Ctrl-C to stop it.\n")


def test_demo_needs_a_folder(cli: Cli, tmp_path: Path) -> None:
    """A file in the way is told of."""
    (tmp_path / "taken").write_bytes(b"")
    taken = cli("demo", "--dest", str(tmp_path / "taken"))
    assert taken.code == 2
    assert "Traceback" not in taken.err


@pytest.mark.parametrize("folder", ["bin", "my bin"])
def test_the_next_command_runs_as_it_is_typed(
    folder: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """From an environment that is not on PATH, the demo shows the path by which it was called itself."""
    program = tmp_path / folder / ("firsthandapi.exe" if sys.platform == "win32" else "firsthandapi")
    program.parent.mkdir()
    program.touch(0o755)
    monkeypatch.setattr(sys, "argv", [str(program), "demo"])
    monkeypatch.setenv("PATH", str(tmp_path))
    assert demo._program() == (f'"{program}"' if " " in folder else str(program))
    monkeypatch.setenv("PATH", str(program.parent))
    assert demo._program() == "firsthandapi"
