"""The official suite of the Model Context Protocol, against `firsthandapi mcp --http`.

`make mcp-conformance` installs it and runs this. It stays out of `make test`, since it needs Node and a network.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
from mcp_support import over_http

from firsthandapi.testing import MockServer

_HOME = os.environ.get("FIRSTHAND_MCP_CONFORMANCE")
pytestmark = pytest.mark.skipif(
    not _HOME, reason="install Node (https://nodejs.org), then run: make mcp-conformance"
)
TOOLS = Path(_HOME or "") / "node_modules"
LISTED = Path(__file__).with_name("conformance.toml")
# What programs speak today: with sessions, and without.
REVISIONS = ("2025-11-25", "2026-07-28")


def run(revision: str, url: str, folder: Path) -> dict[str, str]:
    """The checks that a revision of the protocol requires, and what came of each."""
    suite = TOOLS / "@modelcontextprotocol" / "conformance" / "dist" / "index.js"
    options = [
        "server",
        "--url",
        url,
        "--requirements",
        revision,
        "--timeout",
        "10000",
        "--output-dir",
        folder,
    ]
    subprocess.run([TOOLS / ".bin" / "node", suite, *options], capture_output=True, timeout=50)
    status_by_name: dict[str, str] = {}
    for file in folder.glob("*/checks.json"):
        scenario = re.sub(r"^server-|-\d{4}-\d\d-\d\dT.*", "", file.parent.name)
        for check in json.loads(file.read_text(encoding="utf-8")):
            name = f"{scenario}/{check['id']}"
            status_by_name[name] = "FAILURE" if status_by_name.get(name) == "FAILURE" else check["status"]
    return status_by_name


def test_the_official_suite(tmp_path: Path) -> None:
    """What applies passes, in each revision; what does not apply is listed with its reason, and only that."""
    groups = tomllib.loads(LISTED.read_text(encoding="utf-8"))["does_not_apply"]
    listed = [check for group in groups for check in group["checks"]]
    assert len(listed) == len({*listed})
    failed: set[str] = set()
    with MockServer(speed=0) as server, over_http(server, tmp_path / "ledger") as url:
        for revision in REVISIONS:
            checks = run(revision, url, tmp_path / revision)
            assert list(checks.values()).count("SUCCESS") > 30, "the suite did not run"
            failed |= {name for name, status in checks.items() if status == "FAILURE"}
    assert sorted(failed - {*listed}) == []
    assert sorted({*listed} - failed) == [], "these pass, or are gone: take them out of conformance.toml"
