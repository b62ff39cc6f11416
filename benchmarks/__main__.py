"""What the SDK costs, against the bare tools below it.

    python -m benchmarks                    # everything that is installed: with Ray, minutes
    python -m benchmarks calls decoding     # some subjects
    python -m benchmarks --quick            # proves that everything runs; measures nothing

Run it from the repository's root. Both sides of every ratio run in this one process (for start-up: in fresh
interpreters), taking turns in rounds; a figure is the median of the rounds. Only CPU time is counted, servers
run in processes of their own, and nothing asserts a time. `benchmarks/README.md` says how to compare commits.
"""

from __future__ import annotations

import argparse
import platform
from collections.abc import Iterator
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec

from benchmarks._measure import Row

# Where they are installed, httpcore takes other paths.
_OTHER_PATHS = "trio makes the start-up of httpx slower, sniffio makes its async client faster"

SUBJECTS = (
    "startup",
    "calls",
    "decoding",
    "webhooks",
    "filesystem",
    "folders",
    "opinions",
    "uploads",
    "ray_workers",
)


def main() -> None:
    summary, _, usage = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=summary,
        epilog=usage,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("subjects", nargs="*", metavar="name", help=f"of {', '.join(SUBJECTS)}; default: all")
    parser.add_argument("--quick", action="store_true", help="one small round of everything, in seconds")
    arguments = parser.parse_args()
    for unknown in set(arguments.subjects) - set(SUBJECTS):
        parser.error(f"there is no {unknown!r}; choose from {', '.join(SUBJECTS)}")

    print(_machine())
    extra = [name for name in ("trio", "sniffio") if find_spec(name)]
    if extra:
        print(f"With {' and '.join(extra)}, which a default install has not: {_OTHER_PATHS}.")
    print(f"\n{'':12}{'':37}{'measured':>9}  {'unit':34}{'target':>7}  reached", flush=True)
    for subject in arguments.subjects or SUBJECTS:
        module = import_module(f"benchmarks.{subject}")
        missing = [name for name in getattr(module, "NEEDS", ()) if find_spec(name) is None]
        if missing:
            print(f"{subject:12}left out: {' and '.join(missing)} not installed")
            continue
        rows: Iterator[Row] = module.rows(arguments.quick)
        for row in rows:
            aim = "" if row.target is None else f"≤ {row.target:g}"
            verdict = "" if row.target is None else "yes" if row.value <= row.target else "NO"
            line = f"{subject:12}{row.what:37}{row.value:9.3g}  {row.unit:34}{aim:>7}  {verdict}"
            print(line.rstrip(), flush=True)
    if arguments.quick:
        print("\n--quick is not a measurement: one small round shows that everything runs, and no more.")


def _machine() -> str:
    parts = [f"Python {platform.python_version()} on {platform.system()} {platform.machine()}"]
    parts += [f"{name} {version(name)}" for name in ("firsthandapi", "httpx", "httpcore", "pydantic")]
    return ", ".join(parts)


if __name__ == "__main__":
    main()
