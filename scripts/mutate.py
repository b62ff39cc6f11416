"""Are the tests of the rules worth their size? Change one token of a rule, and see whether they notice.

    python scripts/mutate.py [--count 40] [--seed 7] [--only retry,config] [--own]

The rules are the modules of `_core`, and `_masking.py` and `_visible.py`. First run the tests that have the name of the
module, then those in `OTHERS`; with `--own`, only the first: fast, and strict.

Prints each mutant and whether a test killed it; the survivors come last. The seed makes the same mutants of the same
source, so that tests can be compared before and after a change. The tree itself is never touched.
"""

from __future__ import annotations

import argparse
import ast
import multiprocessing
import os
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import NoReturn

import httpx
import hypothesis
import pydantic
import pytest
import starlette.applications
import uvicorn

LOADED = (httpx, hypothesis, pydantic, pytest, starlette, uvicorn)
ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src" / "firsthandapi"
RULES = [*sorted((SOURCE / "_core").glob("*.py")), SOURCE / "_masking.py", SOURCE / "_visible.py"]
# Who notices, when the tests of the module itself do not.
OTHERS = [
    "tests/core",
    "tests/test_types.py",
    "tests/test_webhooks.py",
    "tests/test_visible.py",
    "tests/download",
]
OTHERS += [f"tests/client/test_{each}.py" for each in ("limiter", "pages", "transport", "waiting")]
OTHERS += [f"tests/dataset/test_{each}.py" for each in ("bucket", "collecting", "dataset", "following")]
# The public module is made of these rules.
ELSEWHERE = {"signatures": "webhooks"}
SWAPPED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip


def mutants(tree: ast.Module) -> Iterator[tuple[ast.expr, ast.expr]]:
    """Each expression that can change, and what it becomes."""
    for node in ast.walk(tree):
        match node:
            case ast.Compare(left, [op], right):
                yield node, ast.Compare(left, [SWAPPED[type(op)]()], right)
            case ast.BoolOp(ast.And(), values):
                yield node, ast.BoolOp(ast.Or(), values)
            case ast.BoolOp(ast.Or(), values):
                yield node, ast.BoolOp(ast.And(), values)
            case ast.UnaryOp(ast.Not(), operand):
                yield node, ast.Call(ast.Name("bool", ast.Load()), [operand], [])
            case ast.Constant(int() | float() as value) if value and not isinstance(value, bool):
                yield node, ast.Constant(value + 1)
            case ast.Call(ast.Name("min" | "max" as name), arguments, keywords):
                yield (
                    node,
                    ast.Call(ast.Name("max" if name == "min" else "min", ast.Load()), arguments, keywords),
                )


def replaced(source: str, old: ast.expr, new: ast.expr) -> str:
    """The source with one expression in another's place, and nothing else changed."""
    lines = source.encode().splitlines(keepends=True)
    assert old.end_lineno is not None
    assert old.end_col_offset is not None
    start = sum(map(len, lines[: old.lineno - 1])) + old.col_offset
    end = sum(map(len, lines[: old.end_lineno - 1])) + old.end_col_offset
    text = source.encode()
    return (text[:start] + f"({ast.unparse(new)})".encode() + text[end:]).decode()


def killed(tree: Path, path: Path, others: list[str], patience: float = 300) -> bool:
    """Whether a test fails; those of the module itself run first, and need no fixture of `conftest.py`.

    A mutant that runs for longer than `patience` seconds is dead too.
    """
    name = ELSEWHERE.get(path.stem, path.stem.strip("_"))
    own = [
        str(test) for folder in ("core", "") for test in (ROOT / "tests" / folder).glob(f"test_{name}*.py")
    ]
    for tests in (["--noconftest", *own] if own else [], others):
        if not tests:
            continue
        # A fork of this process, which has loaded the libraries already.
        child = multiprocessing.get_context("fork").Process(target=run_tests, args=(tree, tests))
        child.start()
        child.join(patience)
        if child.exitcode != 0:
            child.kill()
            return True
    return False


def run_tests(tree: Path, tests: list[str]) -> NoReturn:
    """Run the tests on the source in `tree`, and exit with what pytest says."""
    os.chdir(ROOT)
    hypothesis.settings.load_profile("ci")  # the same examples each time, as in `conftest.py`
    sys.path.insert(0, str(tree / "src"))
    sys.pycache_prefix = str(tree / "cache")
    if "--noconftest" in tests:
        os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    options = ["-x", "-q", "-p", "no:cacheprovider", "-m", "not slow"]
    options += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]  # of LOADED
    with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):  # noqa: PTH123 # no path
        code = pytest.main([*options, *tests])
    os._exit(code)


def main() -> None:
    """Mutate, test, report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=40)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--only", default="", help="names of modules, separated by commas")
    parser.add_argument(
        "--own", action="store_true", help="run only the tests that have the name of the module"
    )
    options = parser.parse_args()
    only = set(filter(None, options.only.split(",")))
    sites = [
        (path.relative_to(ROOT), old, new)
        for path in RULES
        if not only or path.stem in only
        for old, new in mutants(ast.parse(path.read_text(encoding="utf-8")))
    ]
    chosen = random.Random(options.seed).sample(sites, min(options.count, len(sites)))
    others = [] if options.own else OTHERS
    alive: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder)
        shutil.copytree(ROOT / "src", tree / "src", ignore=shutil.ignore_patterns("__pycache__"))
        patience: dict[Path, float] = {}
        for path in sorted({path for path, _, _ in chosen}):
            started = time.monotonic()
            if killed(tree, path, others):
                sys.exit(f"the tests of {path} fail without a mutant")
            patience[path] = 10 + 5 * (time.monotonic() - started)
        for number, (path, old, new) in enumerate(chosen):
            source = (ROOT / path).read_text(encoding="utf-8")
            (tree / path).write_text(replaced(source, old, new), encoding="utf-8")
            os.utime(tree / path, (number, number))  # another time for other bytecode
            told = f"{path.name}:{old.lineno}  {ast.unparse(old)[:70]}  →  {ast.unparse(new)[:70]}"
            dead = killed(tree, path, others, patience[path])
            (tree / path).write_text(source, encoding="utf-8")
            print("killed  " if dead else "SURVIVED", told, flush=True)
            if not dead:
                alive.append(told)
    print(f"{len(chosen) - len(alive)} killed, {len(alive)} survived, of {len(sites)} possible")
    print("\n".join(alive))


if __name__ == "__main__":
    main()
