"""The gates try a failed test once more, alone; `make test` does not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import second_try

# Each test of the sample fails while its file is missing, and makes it: the next try passes.
UNSTEADY = """
from pathlib import Path

import pytest

@pytest.mark.parametrize("number", range({count}))
def test_unsteady(number):
    made = Path(f"made-{{number}}")
    is_there = made.exists()
    made.touch()
    assert is_there

def test_steady():
    pass
"""
BROKEN = "\ndef test_broken():\n    raise AssertionError\n"


def run(folder: Path, sample: str, *options: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a sample of tests as the gates do."""
    (folder / "test_sample.py").write_text(sample, encoding="utf-8")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_XDIST")}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "second_try", "-p", "no:cacheprovider", *options],
        cwd=folder,
        env={**inherited, "PYTHONPATH": str(Path(second_try.__file__).parent), **variables},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize("options", [(), ("-n", "2")], ids=["alone", "workers"])
def test_a_test_that_passes_the_second_time_is_unsteady(tmp_path: Path, options: tuple[str, ...]) -> None:
    """The step passes, and the file names the test."""
    unsteady = tmp_path / "unsteady.txt"
    unsteady.write_text("test_before.py::test_of_an_earlier_step\n")
    done = run(tmp_path, UNSTEADY.format(count=2), *options, FIRSTHAND_UNSTEADY=str(unsteady))
    assert done.returncode == 0, done.stdout
    names = ["test_sample.py::test_unsteady[0]", "test_sample.py::test_unsteady[1]"]
    assert sorted(unsteady.read_text().splitlines()) == ["test_before.py::test_of_an_earlier_step", *names]


def test_a_test_that_fails_twice_fails(tmp_path: Path) -> None:
    """Others that pass the second time do not change that."""
    unsteady = tmp_path / "unsteady.txt"
    done = run(tmp_path, UNSTEADY.format(count=1) + BROKEN, FIRSTHAND_UNSTEADY=str(unsteady))
    assert done.returncode == 1
    assert unsteady.read_text() == "test_sample.py::test_unsteady[0]\n"


def test_many_unsteady_tests_fail(tmp_path: Path) -> None:
    """More than five in one gate, over all its steps, are not tried again."""
    unsteady = tmp_path / "unsteady.txt"
    unsteady.write_text("a\nb\nc\nd\n")
    done = run(tmp_path, UNSTEADY.format(count=2), FIRSTHAND_UNSTEADY=str(unsteady))
    assert done.returncode == 1
    assert "2 failed, 4 before them: more than 5 are not tried again." in done.stdout
    assert unsteady.read_text() == "a\nb\nc\nd\n"


def test_a_file_that_cannot_be_collected_is_no_unsteady_test(tmp_path: Path) -> None:
    """Nor is anything tried again where no test has failed."""
    unsteady = tmp_path / "unsteady.txt"
    assert run(tmp_path, "import no_such_module", FIRSTHAND_UNSTEADY=str(unsteady)).returncode == 2
    assert run(tmp_path, "def test_one(): pass", FIRSTHAND_UNSTEADY=str(unsteady)).returncode == 0
    assert not unsteady.exists()


def test_without_a_gate_nothing_is_tried_again(tmp_path: Path) -> None:
    """As `make test` runs."""
    assert run(tmp_path, UNSTEADY.format(count=1), FIRSTHAND_UNSTEADY="").returncode == 1
