"""Help pages that fit 80 columns, and the groups and commands that have them."""

from __future__ import annotations

import re
import shutil
import sys
import textwrap
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from . import is_for_a_person

_WIDTH = 80
# Columns: the text of a longer name begins on the next line.
_LONGEST_NAME = 28


def group(help: str = "", **more: Any) -> typer.Typer:
    """A group of commands."""
    return typer.Typer(cls=Group, help=help, add_completion=False, **more)


class Page:
    """A command whose help page is the same with every version of Typer: without types, and with ranges in words."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        formatter.write(help_page(self, ctx))


class Command(Page, TyperCommand):
    """A command."""


class Group(Page, TyperGroup):
    """A group of commands, which shows its help if it is called alone."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if not args and not (self.invoke_without_command or ctx.resilient_parsing):
            typer.echo(ctx.get_help())
            raise typer.Exit(2)
        return super().parse_args(ctx, args)

    def listed(self, context: Any) -> dict[str, list[tuple[str, str]]]:
        """The names of the commands and what they do, by heading."""
        entries = [(name, self.get_command(context, name)) for name in self.list_commands(context)]
        return {
            "Commands": [
                (name, first_sentence(entry.help)) for name, entry in entries if entry and not entry.hidden
            ]
        }


def first_sentence(text: str | None) -> str:
    return re.split(r"(?<=\.)\s|\n\n", text or "", maxsplit=1)[0].replace("\n", " ")


def help_page(command: Any, context: Any) -> str:
    width = min(shutil.get_terminal_size().columns, _WIDTH)
    is_styled = is_for_a_person(sys.stdout)

    def bold(text: str) -> str:
        return typer.style(text, bold=True) if is_styled else text

    parts = [f"{bold('Usage:')} {usage(command, context)}"]
    for paragraph in (command.help or "").split("\n\n"):
        # Lines that are indented are to be copied.
        parts.append(paragraph if paragraph.startswith("  ") else textwrap.fill(paragraph, width))
    listed = sections(command, context)
    longest = max(len(name) for rows in listed.values() for name, _ in rows)
    column = min(longest, _LONGEST_NAME) + 4
    for title, rows in listed.items():
        lines = [bold(f"{title}:")]
        for name, text in rows:
            first, *rest = textwrap.wrap(text, width - column) or [""]
            begun = f"  {name:<{column - 2}}"
            if len(name) > _LONGEST_NAME:
                begun, rest = f"  {name}", [first, *rest]
            else:
                begun += first
            lines += [begun.replace(name, bold(name), 1), *(" " * column + line for line in rest)]
        parts.append("\n".join(line.rstrip() for line in lines))
    return "\n\n".join(parts).replace("\xa0", " ") + "\n"


def usage(command: Any, context: Any) -> str:
    arguments = [
        parameter.metavar if parameter.required else f"[{parameter.metavar}]"
        for parameter in command.get_params(context)
        if parameter.param_type_name == "argument"
    ]
    rest = [command.subcommand_metavar] if isinstance(command, Group) else []
    return " ".join([context.command_path, "[OPTIONS]", *arguments, *rest])


def sections(command: Any, context: Any) -> dict[str, list[tuple[str, str]]]:
    """What a page lists, by heading: arguments, options, and commands, each with its text."""
    entries: dict[str, list[tuple[str, str]]] = {}
    for item in command.get_params(context):
        if not getattr(item, "hidden", False):
            is_option = item.param_type_name == "option"
            title = getattr(item, "rich_help_panel", None) or ("Options" if is_option else "Arguments")
            entries.setdefault(title, []).append((_name(item) if is_option else item.metavar, _text(item)))
    return entries | (command.listed(context) if isinstance(command, Group) else {})


def _name(option: Any) -> str:
    # Of several long names the first one: the others are older.
    long = [name for name in option.opts if name.startswith("--")][:1]
    names = [name for name in option.opts if not name.startswith("--")] + long + option.secondary_opts
    return ", ".join(names) + ("" if option.is_flag else f" {option.metavar}")


def _text(parameter: Any) -> str:
    facts: list[str] = []
    low, high = (
        # An attribute of the type in older versions of Typer.
        next(
            (
                at
                for of in (parameter, getattr(parameter, "type", None))
                if (at := getattr(of, bound, None)) is not None
            ),
            None,
        )
        for bound in ("min", "max")
    )
    if low is not None:
        facts.append(f"{low:,} or more" if high is None else f"{low:,} to {high:,}")
    if parameter.envvar:
        facts.append(f"variable: {parameter.envvar}")
    default = parameter.default
    if isinstance(default, str | int | float | Path) and default is not False:
        text = f"{default:.15g}" if isinstance(default, float) else default
        facts.append(f"default: {parameter.opts[0] if default is True else text}")
    if parameter.required and parameter.param_type_name == "option":
        facts.append("required")
    # Nobody wants to read half a range.
    brackets = " ".join(f"[{fact}]".replace(" ", "\xa0") for fact in facts)
    return f"{parameter.help or ''} {brackets}".strip()
