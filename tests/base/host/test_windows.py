"""The rules of Windows, which `tests/windows.py` has Linux keep, and the tests that must pass under them."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from processes import end_of

TESTS = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(
    not Path("/proc/self/fd").is_dir(), reason="what is open is seen in /proc, as Linux has it"
)
CHOSEN = {
    "files": [
        *(
            "base/host/test_locking.py",
            "base/host/test_replacing.py",
            "dataset/test_disk.py",
            "dataset/test_lock.py",
        ),
        *("dataset/test_orders.py", "dataset/test_ledger.py"),
        "dataset/test_decisions.py::test_a_kill_at_any_step_loses_no_file",
        *(["mcp/test_mcp_ledger.py"] if find_spec("mcp_types") else []),
        *("server/sqlite/test_opening.py", "base/host/test_byte_locks.py", "dataset/test_journal.py"),
    ],
    "downloads": [
        "download/test_part.py",
        "download/test_files_download.py",
        "base/network/test_addresses.py",
    ],
    "campaigns": [
        f"dataset/test_campaigns.py::test_{name}"
        for name in (
            "a_campaign_becomes_a_labeled_folder",
            "a_campaign_obeys_what_was_decided",
            "an_order_whose_response_is_lost_is_made_once",
            "a_removed_file_is_downloaded_again",
            "a_withdrawn_file_is_replaced",
            "a_campaign_that_another_process_runs_is_waited_for",
        )
    ],
}
REFUSED = {
    "to replace an open file": "os.replace('new', 'open')",
    "to rename an open file": "os.rename('open', 'other')",
    "to remove an open file": "os.unlink('open')",
    "to rename a file over another one": "os.rename('new', 'old')",
    "to open a folder": "os.open('.', os.O_RDONLY)",
    "to create a device": "os.open('COM¹.txt', os.O_WRONLY | os.O_CREAT)",
    "to create a stream": "os.mkdir('a:b')",
    "to select from nothing": "select.select([], [], [], 0)",
    "a lock that is held": "msvcrt.locking(other.fileno(), msvcrt.LK_NBLCK, 1)",
}


def run(folder: Path, *arguments: str) -> tuple[int, str]:
    with subprocess.Popen(
        [sys.executable, *arguments],
        cwd=folder,
        # To load every plugin of this environment would take longer than the tests.
        env={**os.environ, "PYTHONPATH": str(TESTS), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        output = end_of(process)[0]
    return process.returncode, output


@pytest.mark.slow
@pytest.mark.parametrize("kind", CHOSEN)
def test_what_differs_on_windows_passes_under_its_rules(kind: str) -> None:
    """Files, locks, and databases; downloads and connections; campaigns, and so orders."""
    chosen = [f"tests/{test}" for test in CHOSEN[kind]]
    code, output = run(TESTS.parent, "-m", "pytest", "-q", "-p", "windows", "-p", "no:cacheprovider", *chosen)
    assert code == 0, output


def test_each_chosen_test_exists() -> None:
    """What runs under these rules is named here, and may be renamed there."""
    for name in (test for chosen in CHOSEN.values() for test in chosen):
        path, _, test = name.partition("::")
        assert f"def {test}" in (TESTS / path).read_text(encoding="utf-8"), name


def test_the_rules_are_kept(tmp_path: Path) -> None:
    """Each of them refuses what Windows refuses, and what POSIX alone has is gone."""
    program = f"""if True:
        import windows
        import msvcrt, os, select
        for name in ("old", "new", "open"):
            open(name, "w").close()
        held, other = open("open", "r+"), open("open", "r+")
        msvcrt.locking(held.fileno(), msvcrt.LK_NBLCK, 1)
        for what, code in {REFUSED!r}.items():
            try:
                exec(code)
            except OSError:
                continue
            raise SystemExit(f"allowed: {{what}}")
        held.close()
        other.close()
        os.replace("new", "open")
        os.rename("open", "other")
        os.unlink("other")
        import firsthandapi._base.host.locking as locking
        assert not hasattr(locking, "fcntl") and not hasattr(os, "fork") and not hasattr(select, "poll")
    """
    assert run(tmp_path, "-c", program) == (0, "")
