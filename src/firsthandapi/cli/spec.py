"""A job described in a file: YAML, JSON or TOML, by its ending."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from firsthandapi.errors import ConfigurationError


def load_spec(path: Path) -> dict[str, Any]:
    """The arguments of `jobs.create` that a file holds.

    Raises:
        ConfigurationError: it cannot be read, or is not a mapping of names to values.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise ConfigurationError(f"--spec: {path} cannot be read: {reason}") from None
    parsers: dict[str, Callable[[str], Any]] = {".json": json.loads, ".toml": _toml}
    parse = parsers.get(path.suffix.lower(), _yaml)
    try:
        value = parse(text)
    except (ValueError, RecursionError) as error:
        line = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ConfigurationError(
            f"--spec: {path} is not valid {path.suffix.lstrip('.') or 'YAML'}: {line}"
        ) from None
    fields: dict[Any, Any] = value if isinstance(value, dict) else {}  # pyright: ignore[reportUnknownVariableType]
    if not fields or not all(isinstance(name, str) for name in fields):
        raise ConfigurationError(
            f"--spec: {path} must hold names and values, such as `description: Photos of street signs`"
        )
    return fields


def check_names(fields: dict[str, Any], known: frozenset[str]) -> None:
    """Refuse a name that is not an argument.

    Raises:
        ConfigurationError: there is one.
    """
    unknown = sorted(fields.keys() - known)
    if unknown:
        raise ConfigurationError(
            f"--spec: {', '.join(unknown)} is not an argument; there are: {', '.join(sorted(known))}"
        )


def _toml(text: str) -> Any:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    return tomllib.loads(text)


def _yaml(text: str) -> Any:
    import yaml

    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from None
