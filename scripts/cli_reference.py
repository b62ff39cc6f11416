"""The command line as `typer scripts/cli_reference.py utils docs` is to document it: its lists in whole sentences.

Typer cuts what has no short help of its own after 45 characters; here the first sentence of each help is that.
"""

from __future__ import annotations

import inspect
import re

import typer

from firsthandapi.cli.app import app


def _first_sentence(text: str | None) -> str:
    return re.split(r"(?<=\.)\s|\n\n", text or "", maxsplit=1)[0].replace("\n", " ")


def _give_short_help(group: typer.Typer) -> None:
    for command in group.registered_commands:
        command.short_help = _first_sentence(command.help or inspect.getdoc(command.callback))
    for below in group.registered_groups:
        assert below.typer_instance is not None
        callback = below.typer_instance.registered_callback
        own = inspect.getdoc(callback.callback) if callback else None
        below.short_help = _first_sentence(below.typer_instance.info.help or own)
        _give_short_help(below.typer_instance)


_give_short_help(app)
