"""Write the fields of a job into the source of `jobs.create`, `jobs.create_and_wait`, and `jobs.collect`, so that every
editor sees them. Their names, types, and texts are those of `JobArguments` in types/job.py.

    python scripts/generate_fields.py           # write
    python scripts/generate_fields.py --check   # fail if the source has others

A place is found by its first and its last field, so a new one needs no line there.
"""

from __future__ import annotations

import re
import sys
import textwrap
from collections.abc import Callable, Iterable
from pathlib import Path

from firsthandapi._methods import attribute_docs
from firsthandapi.types import JobArguments, JobCreateParams

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "src" / "firsthandapi" / "_async" / "resources" / "jobs.py"

KEYS = {name: annotation.__forward_arg__ for name, annotation in JobArguments.__annotations__.items()}
DOCS = attribute_docs("firsthandapi.types.options") | attribute_docs("firsthandapi.types.job")
FIELDS = JobCreateParams.model_fields
FIRST, *_, LAST = KEYS
*_, LAST_FIELD = (name for name in KEYS if name in FIELDS)


def parameter(name: str, _: str) -> str:
    if name in JobArguments.__required_keys__:
        return f"{name}: {KEYS[name]},"
    default = FIELDS[name].default if name in FIELDS else None
    return f"{name}: {KEYS[name]} = " + (f'"{default}",' if isinstance(default, str) else f"{default!r},")


def entry(name: str, indent: str) -> str:
    return textwrap.fill(
        f"{name}: {' '.join(DOCS[name].split())}",
        120 - len(indent),
        subsequent_indent=4 * " ",
        break_long_words=False,
        break_on_hyphens=False,
    ).replace("\n", "\n" + indent)


# Where they stand: a pattern, which fields, and how each is written there.
PLACES: list[tuple[str, Iterable[str], Callable[[str, str], str]]] = [
    (rf"^( +){FIRST}: {KEYS[FIRST]},\n(?:.*\n)*?\1{LAST}: .*\n", KEYS, parameter),
    (rf"^( +){FIRST}: \w+ .*\n(?:.*\n)*?\1{LAST}: .*\n(?:\1 +.*\n)*", KEYS, entry),
    (rf"^( +){FIRST}={FIRST},\n(?:.*\n)*?\1{LAST}={LAST},\n", KEYS, lambda name, _: f"{name}={name},"),
    (
        rf'^( +)"{FIRST}": {FIRST},\n(?:.*\n)*?\1"{LAST_FIELD}": {LAST_FIELD},\n',
        [name for name in KEYS if name in FIELDS],
        lambda name, _: f'"{name}": {name},',
    ),
]


def written(text: str) -> str:
    for pattern, names, write in PLACES:

        def lines(
            found: re.Match[str], names: Iterable[str] = names, write: Callable[[str, str], str] = write
        ) -> str:
            return "".join(f"{found[1]}{write(name, found[1])}\n" for name in names)

        text, count = re.subn(pattern, lines, text, flags=re.MULTILINE)
        if not count:
            sys.exit(f"{TARGET.relative_to(ROOT)} has no place any more for {pattern}")
    return text


def main() -> int:
    text = TARGET.read_text(encoding="utf-8")
    made = written(text)
    if "--check" not in sys.argv[1:]:
        TARGET.write_text(made, encoding="utf-8", newline="\n")
    elif made != text:
        print(f"{TARGET.relative_to(ROOT)} lacks what types/job.py has: run `make generate`", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
