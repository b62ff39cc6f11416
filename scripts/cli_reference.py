"""Write the reference of the command line, in the words of --help, into build/cli/: a page for each group of commands,
and `index.md` for the rest.

    python scripts/cli_reference.py build/cli
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import typer

from firsthandapi.cli.app import app
from firsthandapi.cli.pages import Group, sections, usage

PAGES = Path(__file__).parents[1] / "docs" / "reference"


def description(help: str) -> str:
    """The text of a help page, with what readers copy as blocks."""
    parts: list[str] = []
    for paragraph in help.split("\n\n"):
        intro, example, command = paragraph.partition("Example: ")
        if example and not intro:
            parts.append(f"Example:\n\n```sh\n{command}\n```")
        elif paragraph.startswith("  "):
            language = "sh" if "firsthandapi " in paragraph else "yaml"
            parts.append(f"```{language}\n{re.sub('^  ', '', paragraph, flags=re.MULTILINE)}\n```")
        else:
            parts.append(paragraph)
    return "\n\n".join(parts)


def entry(command: Any, context: Any, level: int) -> str:
    """A command; of a group, all below it, but for the whole, whose groups have pages of their own."""
    text = f"{'#' * level} `{context.command_path}`\n\n{description(command.help)}\n\n"
    text += f"```text\n{usage(command, context)}\n```\n\n"
    for title, rows in sections(command, context).items():
        # What is in brackets is no link.
        items = "".join(f"* `{name}`: {words.replace('[', chr(92) + '[')}\n" for name, words in rows)
        text += f"**{title}**:\n\n{items}\n".replace("\xa0", " ")
    if isinstance(command, Group) and level > 1:
        text += "".join(
            entry(*below(command, name, context), level + 1) for name in command.list_commands(context)
        )
    return text


def below(group: Any, name: str, context: Any) -> tuple[Any, Any]:
    """A command of a group, and its context."""
    command = group.get_command(context, name)
    return command, typer.Context(command, info_name=name, parent=context)


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    root: Any = typer.main.get_command(app)
    context = typer.Context(root, info_name="firsthandapi", help_option_names=["-h", "--help"])
    pages = {"index": entry(root, context, 1).partition("\n\n")[2]}
    for name in root.list_commands(context):
        command, inner = below(root, name, context)
        if isinstance(command, Group):
            section = entry(command, inner, 2).partition("\n\n")[2]
            pages[name] = re.sub(r"^#(#+ )", r"\1", section, flags=re.MULTILINE)
        else:
            pages["index"] += entry(command, inner, 2)
    for name, text in pages.items():
        (folder / f"{name}.md").write_text(text, encoding="utf-8")
        page = PAGES / f"cli/{name}.md" if name != "index" else PAGES / "cli.md"
        if f"build/cli/{name}.md" not in (page.read_text(encoding="utf-8") if page.exists() else ""):
            sys.exit(f"{page} does not show build/cli/{name}.md: write it like the pages beside it")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
