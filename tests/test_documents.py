"""The README is a test: what it shows is run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from firsthandapi.testing import MockServer

ROOT = Path(__file__).resolve().parent.parent
README_BLOCKS = re.findall(
    r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL
)


def run(arguments: list[str], server: MockServer, cwd: Path) -> str:
    environment = {**os.environ, "FIRSTHAND_BASE_URL": server.url, "FIRSTHAND_API_KEY": server.api_key}
    done = subprocess.run(
        [sys.executable, "-W", "error", *arguments],
        cwd=cwd,
        env={**environment, "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        encoding="utf-8",
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("number", range(len(README_BLOCKS)))
def test_each_python_block_of_the_readme_runs(number: int, tmp_path: Path) -> None:
    """What a reader copies from the README works as it stands."""
    block = README_BLOCKS[number]
    if "def test_" in block:
        (tmp_path / "test_readme.py").write_text(block, encoding="utf-8")
        arguments = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "test_readme.py"]
    else:
        (tmp_path / "readme.py").write_text(block, encoding="utf-8")
        arguments = ["readme.py"]
    with MockServer(speed=60) as server:
        output = run(arguments, server, tmp_path)
    if "jobs.collect" in block:
        assert output.count(".jpg") == 10
        assert len(list((tmp_path / "signs" / "data").iterdir())) == 10
    if "def test_" in block:
        assert "1 passed" in output


def test_the_readme_names_the_two_commands_first() -> None:
    """A newcomer finds `make demo` and `make test` at the top, and the Makefile has both."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for command in ("demo", "test"):
        assert f"$ make {command}" in readme[:2000]
        assert re.search(rf"^{command}:", makefile, re.MULTILINE)
