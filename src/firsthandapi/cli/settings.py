"""The options of `serve` from a file and from the environment: a flag wins over a variable, and that over the file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import typer

from firsthandapi._base.nearest import nearest
from firsthandapi._base.specs import read_spec
from firsthandapi.errors import ConfigurationError

PREFIX = "FIRSTHAND_SERVE_"
FILES = ("serve.yaml", "serve.yml", "serve.toml", "serve.json")
_EXAMPLE = "port: 8080"


def set_defaults(context: typer.Context, config: Path | None) -> Path | None:
    """Make the values of a file and of the environment the defaults of a command; the callback of `--config`.
    Raises ConfigurationError: a name is unknown, or a value is none for its option.
    """
    options: dict[str, Any] = {
        str(item.name): item for item in context.command.params if item.param_type_name == "option"
    }
    for name in ("config", "help"):
        options.pop(name, None)
    config = _found(context.params.get("folder")) if config is None else config
    defaults: dict[str, Any] = {}
    if config is not None:
        for name, value in read_spec(config, _EXAMPLE).items():
            option = _known(f"{config}: {name}", name, options, "")
            if option.metavar == "FILE" and isinstance(value, str):
                value = str(config.parent / value)  # noqa: PLW2901 - beside the file, as its author means it
            defaults[name] = _checked(context, f"{config}: {name}", option, value)
    for variable, value in sorted(os.environ.items()):
        name = variable.removeprefix(PREFIX).lower()
        if variable.startswith(PREFIX) and value and name != "config":
            option = _known(variable, name, options, PREFIX)
            defaults[name] = _checked(context, variable, option, value)
    context.default_map = {**(context.default_map or {}), **defaults}
    return config


def _found(folder: Any) -> Path | None:
    """The file in the server's folder."""
    paths = [folder / name for name in FILES if folder is not None and (folder / name).is_file()]
    if len(paths) > 1:
        raise ConfigurationError(f"{paths[0]} and {paths[1].name} both have settings; remove one of the two")
    return paths[0] if paths else None


def _known(where: str, name: str, options: dict[str, Any], prefix: str) -> Any:
    if name in options:
        return options[name]
    meant = nearest(name, options)
    advice = (
        f"did you mean {prefix}{meant.upper() if prefix else meant}?"
        if meant
        else "see: firsthandapi serve --help"
    )
    raise ConfigurationError(f"{where} is not a setting of serve; {advice}")


def _checked(context: typer.Context, where: str, option: Any, value: object) -> Any:
    if not isinstance(value, str | int | float | bool):
        raise ConfigurationError(f"{where} must be a single value, such as in `{_EXAMPLE}`")
    is_switch: bool = option.is_flag
    if isinstance(value, bool) != is_switch and not isinstance(value, str):
        raise ConfigurationError(
            f"{where} must be {'true or false' if is_switch else 'a value, not a switch'}"
        )
    try:
        # The text, as on the command line: 8080.5 is no port.
        return option.process_value(context, value if isinstance(value, bool) else str(value))
    except typer.BadParameter as error:
        raise ConfigurationError(f"{where}: {error.message}") from None
