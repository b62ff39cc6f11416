"""The container of a server of one's own: built where a builder is, and its command and its parts everywhere."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from fnmatch import fnmatch
from pathlib import Path

import pytest

from .support import Cli

ROOT = Path(__file__).resolve().parents[2]
LINES = (ROOT / "Containerfile").read_text(encoding="utf-8").replace("\\\n", " ").splitlines()


def instruction(name: str) -> str:
    (argument,) = [line.partition(" ")[2] for line in LINES if line.startswith(f"{name} ")]
    return argument


def test_its_command_is_one(shell: Cli, tmp_path: Path) -> None:
    """The server asks for what is missing alone: the address that people use, and then their tokens."""
    command: list[str] = json.loads(instruction("ENTRYPOINT"))
    assert command[:3] == ["firsthandapi", "serve", "/data"]
    arguments = ["serve", str(tmp_path / "data"), *command[3:]]
    assert "needs --public-url" in shell(*arguments).err
    shell.set(FIRSTHAND_SERVE_PUBLIC_URL="https://photos.example.org")
    assert "needs a token for workers and one for operators" in shell(*arguments).err
    check: list[str] = json.loads(instruction("HEALTHCHECK").removeprefix("CMD "))
    compile(check[2], "HEALTHCHECK", "exec")


def test_it_is_not_root_and_takes_what_it_needs() -> None:
    """Its user owns the folder, its extras are ours, and what is copied in is there."""
    assert instruction("USER") == "photos"
    assert instruction("VOLUME") == "/data"
    (extras,) = re.findall(r'"/source\[([\w,-]+)\]"', "\n".join(LINES))
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert not [name for name in extras.split(",") if not re.search(rf"^{name} = \[", project, re.MULTILINE)]
    ignored = (ROOT / ".containerignore").read_text(encoding="utf-8").split()
    assert ignored[0] == "*"
    patterns = [pattern.removeprefix("!") for pattern in ignored[1:]]
    assert not [pattern for pattern in patterns if not (ROOT / pattern).exists()]
    assert not [pattern for pattern in patterns if fnmatch(".git", pattern)]


@pytest.mark.slow
def test_it_is_built() -> None:
    """Where a builder works: many machines have its command alone, without the service behind it."""
    builders = [tool for tool in ("podman", "docker") if shutil.which(tool)]
    works = [tool for tool in builders if subprocess.run([tool, "info"], capture_output=True).returncode == 0]
    if not works:
        pytest.skip("no builder works here; install podman, or start docker, to build the container")
    command = [
        works[0],
        "build",
        "--file",
        str(ROOT / "Containerfile"),
        "--tag",
        "firsthandapi-test",
        str(ROOT),
    ]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=900)
    assert ran.returncode == 0, ran.stderr[-2000:]
