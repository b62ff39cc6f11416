"""Are the tests of the rules worth their size? Change one token of `_core`, and see whether they notice.

    python scripts/mutate.py [--count 40] [--seed 7] [--only retry,config]

Prints each mutant and whether a test killed it; the survivors come last. The seed makes the same mutants of the same
source, so that tests can be compared before and after a change. The tree itself is never touched.
"""

from __future__ import annotations

import argparse
import ast
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RULES = Path("src") / "firsthandapi" / "_core"
# Who notices, when the tests of the module itself do not.
OTHERS = [
    "tests/core",
    "tests/test_types.py",
    "tests/test_webhooks.py",
    "tests/test_visible.py",
    "tests/download",
]
OTHERS += [f"tests/client/test_{each}.py" for each in ("limiter", "pages", "transport", "waiting")]
OTHERS += [f"tests/dataset/test_{each}.py" for each in ("bucket", "collecting", "dataset", "follow")]
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


def killed(tree: Path, module: str) -> bool:
    """Whether a test fails; those of the module itself are asked first."""
    own = ROOT / "tests" / "core" / f"test_{module}.py"
    environment = {**os.environ, "PYTHONPATH": str(tree / "src"), "PYTHONDONTWRITEBYTECODE": "1"}
    pytest = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider"]
    for tests in ([str(own)] if own.exists() else [], OTHERS):
        if not tests:
            continue
        try:
            done = subprocess.run(
                [*pytest, *tests], cwd=ROOT, env=environment, capture_output=True, check=False, timeout=300
            )
        except subprocess.TimeoutExpired:
            return True
        if done.returncode:
            return True
    return False


def main() -> None:
    """Mutate, test, report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=40)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--only", default="", help="modules of _core, separated by commas")
    options = parser.parse_args()
    only = set(filter(None, options.only.split(",")))
    sites = [
        (path.relative_to(ROOT), old, new)
        for path in sorted((ROOT / RULES).glob("*.py"))
        if not only or path.stem in only
        for old, new in mutants(ast.parse(path.read_text(encoding="utf-8")))
    ]
    chosen = random.Random(options.seed).sample(sites, min(options.count, len(sites)))
    alive: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder)
        shutil.copytree(ROOT / "src", tree / "src", ignore=shutil.ignore_patterns("__pycache__"))
        for path, old, new in chosen:
            source = (ROOT / path).read_text(encoding="utf-8")
            (tree / path).write_text(replaced(source, old, new), encoding="utf-8")
            told = f"{path.name}:{old.lineno}  {ast.unparse(old)[:70]}  →  {ast.unparse(new)[:70]}"
            dead = killed(tree, path.stem)
            (tree / path).write_text(source, encoding="utf-8")
            print("killed  " if dead else "SURVIVED", told, flush=True)
            if not dead:
                alive.append(told)
    print(f"{len(chosen) - len(alive)} killed, {len(alive)} survived, of {len(sites)} possible")
    print("\n".join(alive))


if __name__ == "__main__":
    main()
