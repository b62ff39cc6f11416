"""Write into the source what types/ says once, so that every editor sees it:

- the fields of `JobArguments` in types/job_arguments.py, wherever `jobs.create`, `jobs.estimate`,
  `jobs.create_and_wait`, and `jobs.collect` name them; a place is found by its first and its last field, so a new one
  needs no line there;
- the public names of types/, in its `__init__.py`, and what the reference lacks of them.

    python scripts/generate_fields.py           # write
    python scripts/generate_fields.py --check   # fail if the source has others
"""

from __future__ import annotations

import re
import sys
import textwrap
from collections.abc import Callable, Iterable
from pathlib import Path

from firsthandapi.types.job_arguments import JobArguments, JobCreateParams

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src" / "firsthandapi"
JOBS = SOURCE / "_async" / "resources" / "jobs.py"
TYPES = SOURCE / "types" / "__init__.py"
REFERENCE = ROOT / "docs" / "reference" / "types.md"
SECTIONS = {"job": "Jobs", "file": "Files", "submission": "Submissions", "billing": "Money"}
SECTIONS |= {"job_arguments": "Jobs", "webhook": "Webhooks", "event": "Webhooks", "options": "Options"}
# What modules of types/ share among themselves; constants are no types.
SHARED = {
    "Items",
    "JobOptions",
    "Tolerant",
    "TypedAnnotations",
    "UtcDatetime",
    "WebhookUrl",
    "Whole",
    "WireTime",
}
SHARED |= {"CreditsEventType", "JobEventType", "SubmissionEventType"}


def attribute_docs(module: str) -> dict[str, str]:
    """What stands below each key of a module's TypedDicts."""
    source = (SOURCE / "types" / f"{module}.py").read_text(encoding="utf-8")
    return dict(re.findall(r'^    (\w+): .+\n    """((?:.|\n)+?)"""$', source, re.MULTILINE))


KEYS = {name: annotation.__forward_arg__ for name, annotation in JobArguments.__annotations__.items()}
DOCS = attribute_docs("options") | attribute_docs("job_arguments")
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


def with_fields(text: str) -> str:
    for pattern, names, write in PLACES:

        def lines(
            match: re.Match[str], names: Iterable[str] = names, write: Callable[[str, str], str] = write
        ) -> str:
            return "".join(f"{match[1]}{write(name, match[1])}\n" for name in names)

        text, count = re.subn(pattern, lines, text, flags=re.MULTILINE)
        if not count:
            sys.exit(f"{JOBS.relative_to(ROOT)} has no place any more for {pattern}")
    return text


def public_names() -> dict[str, list[str]]:
    """By module of types/, the names that it makes public, in the order of the alphabet."""
    modules: dict[str, list[str]] = {}
    for path in sorted(TYPES.parent.glob("*.py")):
        matches = re.findall(
            r"^(?:class )?([A-Z]\w*[a-z]\w*)(?: =|\()", path.read_text(encoding="utf-8"), re.MULTILINE
        )
        if names := {*matches} - SHARED:
            modules[path.stem] = sorted(names)
    return modules


def with_names(text: str) -> str:
    """`types/__init__.py` with the public names: as imports for type checkers, and as lines of a table."""
    imports, table = "", ""
    for module, names in public_names().items():
        imports += "".join(f"    from .{module} import {name} as {name}\n" for name in names)
        table += "".join(f"{module} {line}\n" for line in textwrap.wrap(" ".join(names), 109 - len(module)))
    text = re.sub(r"(?<=^if TYPE_CHECKING:\n)(?: +from .*\n)+", imports, text, flags=re.MULTILINE)
    return re.sub(r'(?<=^_NAMES = """\n)(?:\w.*\n)*', table, text, flags=re.MULTILINE)


def with_reference(text: str) -> str:
    """`docs/reference/types.md` with the words of the contract, what checks arguments, and each new model."""
    modules = public_names()
    words = modules.pop("enums")
    for heading, names in (
        ("Words in arguments", [name for name in words if not name.startswith("Open")]),
        ("Words in responses", [name for name in words if name.startswith("Open")]),
        ("Arguments", [name for group in modules.values() for name in group if name.endswith("Params")]),
    ):
        blocks = "".join(map(shown, names))
        text = re.sub(
            rf"^(## {heading}\n\n.+\n\n)(?:\n|:::.*\n| .*\n)+", rf"\1{blocks}", text, flags=re.MULTILINE
        )
    for module, names in modules.items():
        for name in names:
            if f"types.{name}\n" not in text:  # a new one: at the end of its section
                start, heading, rest = text.partition(f"## {SECTIONS.get(module, 'Organization')}\n")
                section, more, after = rest.partition("\n## ")
                text = f"{start}{heading}{section}\n{shown(name).rstrip()}\n{more}{after}"
    return text.rstrip() + "\n"


def shown(name: str) -> str:
    return f"::: firsthandapi.types.{name}\n    options: {{ heading_level: 3, members: false }}\n\n"


TARGETS = {TYPES: with_names, REFERENCE: with_reference, JOBS: with_fields}


def main() -> int:
    stale: list[Path] = []
    for path, written in TARGETS.items():
        text = path.read_text(encoding="utf-8")
        new_text = written(text)
        if new_text != text:
            stale.append(path.relative_to(ROOT))
            if "--check" not in sys.argv[1:]:
                path.write_text(new_text, encoding="utf-8", newline="\n")
    if "--check" in sys.argv[1:] and stale:
        print(f"{', '.join(map(str, stale))}: not as types/ has it: run `make generate`", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
