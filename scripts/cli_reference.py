"""The command line as `typer scripts/cli_reference.py utils docs` is to document it: its lists in whole sentences.

Typer cuts what has no short help of its own after 45 characters; here the first sentence of each help is that.

    python scripts/cli_reference.py build/cli.md

then makes the page's commands look as everywhere in the docs: no prompt, and what can be pasted as a block.
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


def as_in_the_docs(page: str) -> str:
    """The page of Typer with its usages and examples as blocks that a reader can copy."""
    page = re.sub(r"^```console\n\$ ", "```text\n", page, flags=re.MULTILINE)
    return re.sub(
        r"^(Example:|) +((?:FIRSTHAND_\S+ )?firsthandapi .+)$",
        lambda line: f"{line[1]}\n\n```sh\n{html.unescape(line[2])}\n```".lstrip(),
        page,
        flags=re.MULTILINE,
    )


if __name__ == "__main__":
    path = Path(sys.argv[1])
    path.write_text(as_in_the_docs(path.read_text(encoding="utf-8")), encoding="utf-8")
