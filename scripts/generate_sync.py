"""Make `src/firsthandapi/_sync` from `src/firsthandapi/_async`.

    python scripts/generate_sync.py           # write
    python scripts/generate_sync.py --check   # fail if a file differs, is left over, or a rule matches nothing

A rule is a regular expression and what takes its place, tried in order on every line. Rules are words, not
syntax: the async half is written so that these few turn it into plain Python.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src" / "firsthandapi" / "_async"
TARGET = ROOT / "src" / "firsthandapi" / "_sync"

# Written by hand on both sides; each says why.
BY_HAND = {"bridge.py", "pages.py", "pool.py", "streams.py"}

HEADER = "# Made from _async/{name} by `make generate`. Do not edit.\n"

RULES: list[tuple[str, str]] = [
    (r"\basync def\b", "def"),
    (r"\basync with\b", "with"),
    (r"\basync for\b", "for"),
    (r"\bawait ", ""),
    (r" when awaited;", ";"),
    (r"\b__aenter__\b", "__enter__"),
    (r"\b__aexit__\b", "__exit__"),
    (r"\baclose\b", "close"),
    (r"\bAsyncIterator\b", "Iterator"),
    (r"\bAsyncFirstHandClient\b", "FirstHandClient"),
    (r"\bAsyncRateLimiter\b", "RateLimiter"),
    (r"\bAsyncPageRequest\b", "Page"),
    (r"\bfirsthandapi\._async\b", "firsthandapi._sync"),
    (r"\baiter_raw\b", "iter_raw"),
    (r"\baread\b", "read"),
    (r"\bAsyncClient\b", "Client"),
    (r"\bimport anyio\b", "import contextlib"),
    (r"\banyio\.fail_after\b", "contextlib.nullcontext"),
    (r"\btenacity\.AsyncRetrying\b", "tenacity.Retrying"),
]
# The clock's module needs another import for its one wait.
FILE_RULES: dict[str, list[tuple[str, str]]] = {
    "clock.py": [(r"^import anyio$", "import time"), (r"\banyio\.sleep\b", "time.sleep")],
}


def convert(name: str, text: str, used: set[str]) -> str:
    for pattern, replacement in [*FILE_RULES.get(name, ()), *RULES]:
        text, count = re.subn(pattern, replacement, text, flags=re.MULTILINE)
        if count:
            used.add(pattern)
    return HEADER.format(name=name) + text


def tidy(files: dict[str, str]) -> dict[str, str]:
    """Sort imports and break lines anew: names got shorter."""
    with tempfile.TemporaryDirectory() as folder:
        for name, text in files.items():
            path = Path(folder) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8", newline="\n")
        for command in (["check", "--fix-only", "--select", "I"], ["format"]):
            ruff = [
                sys.executable,
                "-m",
                "ruff",
                *command,
                "--quiet",
                "--no-cache",
                "--config",
                "pyproject.toml",
            ]
            subprocess.run([*ruff, folder], check=True, cwd=ROOT)
        return {name: (Path(folder) / name).read_text(encoding="utf-8") for name in files}


def main() -> int:
    check = "--check" in sys.argv[1:]
    used: set[str] = set()
    problems: list[str] = []
    sources = {path.relative_to(SOURCE).as_posix(): path for path in sorted(SOURCE.rglob("*.py"))}
    texts = {name: path.read_text(encoding="utf-8") for name, path in sources.items() if name not in BY_HAND}
    converted = {name: convert(name, text, used) if text.strip() else text for name, text in texts.items()}
    for name, code in tidy(converted).items():
        target = TARGET / name
        if check:
            if not target.exists() or target.read_text(encoding="utf-8") != code:
                problems.append(f"{target.relative_to(ROOT)} is not what {name} makes: run `make generate`")
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(code, encoding="utf-8", newline="\n")
    for left_over in sorted(set(TARGET.rglob("*.py")) - {TARGET / name for name in sources}):
        problems.append(f"{left_over.relative_to(ROOT)} has no source any more: delete it")
    every_rule = {
        pattern for pattern, _ in [*RULES, *(rule for rules in FILE_RULES.values() for rule in rules)]
    }
    problems += [
        f"the rule {pattern!r} matches nothing any more: remove it" for pattern in sorted(every_rule - used)
    ]
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
