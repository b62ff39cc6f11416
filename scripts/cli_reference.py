"""The command line as `typer scripts/cli_reference.py utils docs` is to document it: its lists in whole sentences.

Typer cuts what has no short help of its own after 45 characters; here the first sentence of each help is that.

    python scripts/cli_reference.py build/cli.md

then makes the page's commands look as everywhere in the docs, without a prompt, and cuts the page into build/cli/: a
page for each group of commands, and `index.md` for the rest.
"""

from __future__ import annotations

import html
import inspect
import re
import sys
from pathlib import Path

import typer

from firsthandapi.cli.app import app


def _first_sentence(text: str | None) -> str:
    return re.split(r"(?<=\.)\s|\n\n", text or "", maxsplit=1)[0].replace("\n", " ")


def _give_short_help(group: typer.Typer) -> None:
    # What is hidden in --help is an old name.
    group.registered_commands = [each for each in group.registered_commands if not each.hidden]
    group.registered_groups = [each for each in group.registered_groups if each.hidden is not True]
    for command in group.registered_commands:
        command.short_help = _first_sentence(command.help or inspect.getdoc(command.callback))
    for below in group.registered_groups:
        assert below.typer_instance is not None
        callback = below.typer_instance.registered_callback
        own = inspect.getdoc(callback.callback) if callback else None
        below.short_help = _first_sentence(below.typer_instance.info.help or own)
        _give_short_help(below.typer_instance)


_give_short_help(app)
PAGES = Path(__file__).parents[1] / "docs" / "reference"


def as_in_the_docs(page: str) -> str:
    """The page of Typer with its usages and examples as blocks that a reader can copy."""
    page = re.sub(r"^```console\n\$ ", "```text\n", page, flags=re.MULTILINE)
    return re.sub(
        r"^(Example:|) +((?:FIRSTHAND_\S+ )?firsthandapi .+)$",
        lambda line: f"{line[1]}\n\n```sh\n{html.unescape(line[2])}\n```".lstrip(),
        page,
        flags=re.MULTILINE,
    )


def cut(page: str) -> dict[str, str]:
    """The pages, by the name of their group."""
    names = [below.name for below in app.registered_groups]
    pages = {"index": ""}
    for part in re.split(r"^(?=## )", page, flags=re.MULTILINE):
        named = re.match(r"## `\w+ ([\w-]+)`\n+", part)
        if named and named[1] in names:
            pages[named[1]] = re.sub(r"^#(#+ )", r"\1", part[named.end() :], flags=re.MULTILINE)
        else:
            pages["index"] += part
    return pages


def main(path: Path) -> None:
    path.write_text(as_in_the_docs(path.read_text(encoding="utf-8")), encoding="utf-8")
    folder = path.with_suffix("")
    folder.mkdir(exist_ok=True)
    for name, text in cut(path.read_text(encoding="utf-8")).items():
        (folder / f"{name}.md").write_text(text, encoding="utf-8")
        shown = PAGES / f"cli/{name}.md" if name != "index" else PAGES / "cli.md"
        if f"build/cli/{name}.md" not in (shown.read_text(encoding="utf-8") if shown.exists() else ""):
            sys.exit(f"{shown} does not show build/cli/{name}.md: write it like the pages beside it")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
