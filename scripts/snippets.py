"""The code that the docs show, as files that can be run and type-checked.

    python scripts/snippets.py FOLDER

writes them into FOLDER, where `make check` lets mypy and pyright read them; tests/docs/test_documents.py runs them.
How a page becomes programs:

- The ```python blocks of a page under docs/ are one program, in order. A block of README.md stands alone.
- A block with a `def test_` in it is a pytest file of its own.
- A block inside an HTML comment counts too: set-up that a reader need not see.
- A block of any language with a title="job.yaml" is also a file that the page's programs and commands find.
- The lines of a ```sh block are commands, as a reader pastes them; what they print is a ```text block below. Those of
  `firsthandapi` are run after the programs, and `python` on such a file. `# exit code 3` at the end of one says what it
  ends with, and `job_…` stands for the id of a job. What a ```text block right below shows is held against what the
  last command printed; `…` alone on a line says that there is more.

- `<!-- after quickstart.md -->` stands in a page that continues where the first program of another one ends.
- `<!-- needs torch -->` on the line above a block: it runs where these modules are installed, and is not type-checked.

What cannot run is another language: ```text.
"""

from __future__ import annotations

import re
import sys
import textwrap
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FENCE = re.compile(
    r"^(?P<indent> *)(?P<fence>```+)(?P<language>\w+)(?P<info>[^\n`]*)\n(?P<code>.*?)^(?P=indent)(?P=fence) *$",
    re.DOTALL | re.MULTILINE,
)
# Nothing but an empty line stands between a command and what it prints.
OUTPUT = re.compile(r"\n*```text\n(.*?)^```$", re.DOTALL | re.MULTILINE)
AFTER = re.compile(r"^<!-- after (\S+\.md) -->$", re.MULTILINE)
NEEDS = re.compile(r"^ *<!-- needs ([\w, ]+) -->\n+\Z", re.MULTILINE)
TITLE = re.compile(r'title="([^"]+)"')


@dataclass(frozen=True)
class Program:
    """A file of Python: a script, or a test for pytest if its name starts with `test_`."""

    name: str
    source: str


@dataclass(frozen=True)
class Command:
    """A line for the shell, and what the page says that it prints."""

    line: str
    shown: str = ""


@dataclass
class Page:
    """What a page of the docs shows that can be run."""

    path: Path
    programs: list[Program] = field(default_factory=list[Program])
    files: dict[str, str] = field(default_factory=dict[str, str])
    commands: list[Command] = field(default_factory=list[Command])
    loads_others: bool = False

    @property
    def name(self) -> str:
        """The page's path as an identifier: `guides_rate_limits`."""
        parts = self.path.relative_to(ROOT).with_suffix("").parts
        return "_".join(parts[1:] if parts[0] == "docs" else parts).replace("-", "_").lower()


def read_page(path: Path, *, typed: bool = False) -> Page:
    """The programs, files and commands of one page; if `typed`, without the blocks that need more than the SDK does."""
    page = Page(path)
    alone = path.parent == ROOT
    script: list[str] = []
    text = path.read_text(encoding="utf-8")
    if match := AFTER.search(text):
        script.append(first_program(ROOT / "docs" / match[1]))
    for number, block in enumerate(FENCE.finditer(text), start=1):
        code = textwrap.dedent(block["code"])
        needs = NEEDS.search(text, 0, block.start())
        if needs and (typed or not all(map(find_spec, needs[1].split(", ")))):
            continue
        page.loads_others = page.loads_others or needs is not None
        if title := TITLE.search(block["info"]):
            page.files[title[1]] = code
        if block["language"] == "python":
            if "def test_" in code:
                page.programs.append(Program(f"test_{page.name}_{number}.py", code))
            elif alone:
                page.programs.append(Program(f"{page.name}_{number}.py", code))
            else:
                script.append(code)
        elif block["language"] == "sh":
            *lines, last = filter(None, code.replace("\\\n", " ").splitlines())
            output = OUTPUT.match(text, block.end())
            page.commands += [*map(Command, lines), Command(last, output[1] if output else "")]
    if script:
        page.programs.insert(0, Program(f"{page.name}.py", "\n".join(script)))
    return page


def first_program(path: Path) -> str:
    blocks = FENCE.finditer(path.read_text(encoding="utf-8"))
    return next(textwrap.dedent(block["code"]) for block in blocks if block["language"] == "python")


def read_pages(*, typed: bool = False) -> list[Page]:
    """README.md and every page of docs/."""
    return [
        read_page(path, typed=typed) for path in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    ]


def main(folder: Path) -> None:
    """Write every program into `folder`, and nothing else."""
    folder.mkdir(parents=True, exist_ok=True)
    for stale in folder.glob("*.py"):
        stale.unlink()
    for page in read_pages(typed=True):
        for program in page.programs:
            (folder / program.name).write_text(program.source, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
