"""The rules do no I/O, in ways that import-linter does not see: parts of packages, built-in functions, the clock."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import firsthandapi

SOURCE = Path(firsthandapi.__file__).parent
RULES = sorted({*(SOURCE / "_core").glob("*.py"), *(SOURCE / "types").glob("*.py"), SOURCE / "errors.py"})
IO = {"urllib.request", "open", "print", "input", "now", "today", "utcnow"}


def used(module: Path) -> set[str]:
    """What a module imports, by its whole name, and calls, by its last."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        match node:
            case ast.Import(names=imported):
                names.update(one.name for one in imported)
            case ast.ImportFrom(module=str(package), names=imported):
                names.update([package, *(f"{package}.{one.name}" for one in imported)])
            case ast.Call(func=ast.Name(id=name)) | ast.Call(func=ast.Attribute(attr=name)):
                names.add(name)
    return names


@pytest.mark.parametrize("module", RULES, ids=lambda path: path.stem)
def test_a_rule_reads_nothing_but_its_arguments(module: Path) -> None:
    """No network, disk, terminal or clock: what a rule says depends on what it is given."""
    assert not used(module) & IO


@pytest.mark.parametrize("module", sorted((SOURCE / "_core").glob("[a-z]*.py")), ids=lambda path: path.stem)
def test_the_tests_of_a_rule_are_found_by_its_name(module: Path) -> None:
    """`_core/retry.py` is tested in `tests/core/test_retry.py`."""
    elsewhere = {"signatures": "test_webhooks.py"}  # the public module is made of these rules
    tests = Path(__file__).parent
    assert (tests / f"test_{module.stem}.py").is_file() or (tests.parent / elsewhere[module.stem]).is_file()
