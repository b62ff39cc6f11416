"""A local is a noun: `python scripts/check_names.py` fails if over 1 % of bound names are pronouns or participles.

Names are counted each time they are bound, arguments included. The sync half is generated, so it is left out."""

from __future__ import annotations

import ast
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

MOST_PERCENT = 1
FOLDERS = ("src", "contract", "tests", "scripts", "examples", "benchmarks")
WORDS = (
    "again before each found given here it kept known left made one other others own said shown there told wanted"
    " way what"
)
NO_NOUNS = frozenset(WORDS.split())


def bound_names(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.arg):
            yield node.arg


def main() -> None:
    paths = [
        path for folder in FOLDERS for path in sorted(Path(folder).rglob("*.py")) if "_sync" not in path.parts
    ]
    names = Counter(name for path in paths for name in bound_names(path))
    vague = {name: count for name, count in names.most_common() if name in NO_NOUNS}
    percent = 100 * sum(vague.values()) / names.total()
    print(f"bound names that are no nouns: {sum(vague.values())} of {names.total():,}, {percent:.1f}%", vague)
    sys.exit(percent > MOST_PERCENT)


if __name__ == "__main__":
    main()
