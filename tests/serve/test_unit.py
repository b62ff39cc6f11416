"""The unit for systemd that the guide shows."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "guides" / "operating.md"
ANALYZE = shutil.which("systemd-analyze")
if ANALYZE is None:
    pytest.skip("systemd-analyze is not installed", allow_module_level=True)


@pytest.mark.parametrize("check", ["verify", "security"])
def test_systemd_takes_the_unit(tmp_path: Path, check: str) -> None:
    """Without a warning, and with little that a taken-over server could do to the machine."""
    match = re.search(
        r'```text title="[^"]*\.service"\n(.*?)```', GUIDE.read_text(encoding="utf-8"), re.DOTALL
    )
    assert match is not None
    program = "/opt/firsthandapi/bin/firsthandapi"
    assert match[1].count(program) == 1
    unit = tmp_path / "photos.service"
    unit.write_text(match[1].replace(program, sys.executable))
    options = ["--offline=yes", "--threshold=25"] if check == "security" else ["--man=no"]
    ran = subprocess.run(
        [str(ANALYZE), check, *options, str(unit)], capture_output=True, text=True, timeout=60
    )
    lines = [line for line in ran.stderr.splitlines() if "photos.service" in line]
    assert (ran.returncode, lines) == (0, []), ran.stdout[-2000:] + ran.stderr
