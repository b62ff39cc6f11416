"""Runs the command line as a user does: in this process where that is the same, else in one of its own."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from firsthandapi.testing import MockServer
from processes import unmeasured

# A shell's background jobs, a CI's among them, start with Ctrl-C switched off.
START = (
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "from firsthandapi.cli import main; main()"
)

SPEC: dict[str, Any] = {
    "description": "Photos of street signs in daylight",
    "files_needed": 3,
    "accepted_formats": ["image/jpeg"],
    "price_per_file_cents": 50,
}
YAML = """\
description: Photos of street signs in daylight
files_needed: 3
accepted_formats: [image/jpeg]
price_per_file_cents: 50
"""
TOML = """\
description = "Photos of street signs in daylight"
files_needed = 3
accepted_formats = ["image/jpeg"]
price_per_file_cents = 50
"""


@dataclass(frozen=True)
class Ran:
    """What came of it."""

    code: int
    out: str
    err: str


class Cli:
    """`cli("jobs", "list")`, with the key and the address of a server in the environment."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch = monkeypatch
        self._capsys = capsys

    def at(self, server: MockServer, key: str | None = None) -> Cli:
        self.set(FIRSTHAND_BASE_URL=server.url, FIRSTHAND_API_KEY=key or server.api_key)
        return self

    def set(self, **variables: str | None) -> None:
        for name, value in variables.items():
            if value is None:
                self._monkeypatch.delenv(name, raising=False)
            else:
                self._monkeypatch.setenv(name, value)

    def __call__(self, *arguments: str, input: str | None = None) -> Ran:
        from firsthandapi.cli import main

        self._monkeypatch.setattr(sys, "argv", ["firsthandapi", *arguments])
        if input is not None:
            self._monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(input.encode()), "utf-8"))
        self._capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        captured = self._capsys.readouterr()
        return Ran(int(str(ended.value.code or 0)), captured.out, captured.err)

    def on_screen(self, *arguments: str, columns: int = 80) -> str:
        """What a command that ends at once prints to a person; `on_terminal` shows a display that moves as well."""
        screen = Person()
        with self._monkeypatch.context() as patch:
            patch.setenv("COLUMNS", str(columns))
            patch.setenv("TERM", "xterm")
            patch.setattr(sys, "stdout", screen)
            patch.setattr(sys, "stderr", screen)
            self(*arguments)
        return screen.getvalue()


class Person(io.StringIO):
    """A terminal, with what somebody types there, or sees."""

    def isatty(self) -> bool:
        return True


def on_terminal(*arguments: str, cwd: Path, columns: int = 80, code: str = START, **environment: str) -> str:
    """What a person sees on a terminal, escape sequences included."""
    import fcntl
    import pty
    import struct
    import termios

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    # They would count for more than the terminal, and test runners set them.
    inherited = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    process = subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        cwd=cwd,
        env={**inherited, "TERM": "xterm", "PYTHONIOENCODING": "utf-8", **environment},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    seen = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # how Linux says that the other end is closed
            break
        if not part:
            break
        seen += part
    os.close(ours)
    process.wait(timeout=60)
    return seen.decode().replace("\r\n", "\n")


def start(*arguments: str, cwd: Path | None = None, **environment: str) -> subprocess.Popen[str]:
    """The command as a process of its own, which Ctrl-C reaches."""
    # What is not buffered breaks at another place, and users do not set this.
    inherited = {name: value for name, value in unmeasured().items() if name != "PYTHONUNBUFFERED"}
    return subprocess.Popen(
        [sys.executable, "-c", START, *arguments],
        cwd=cwd,
        env={**inherited, "PYTHONIOENCODING": "utf-8", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )


# One interpreter for several commands: to start one takes as long as all that it does.
EACH = """if True:
    import sys
    from firsthandapi.cli import main
    for command in sys.argv[1:]:
        sys.argv = ["firsthandapi", *command.split()]
        try:
            main()
        except SystemExit:
            pass
"""

needs_a_terminal = pytest.mark.skipif(os.name == "nt", reason="it takes a pseudo-terminal")
