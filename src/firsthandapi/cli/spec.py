"""Read a job from a file: YAML, JSON, or TOML."""

from __future__ import annotations

import difflib
import json
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from firsthandapi.errors import ConfigurationError

# Options of collect that do not describe the job.
_OPTIONS = {"dest", "timeout", "concurrency"}
# Aliases can turn a few lines into more values than fit into memory.
_MOST_VALUES = 100_000
# YAML 1.1 reads the price 050 as 40, the postal code 01067 as 567, and 1:30 as 90.
_OTHER_BASE = re.compile(r"[-+]?0_*[0-7]|.*:")


def job_fields(
    path: Path, *, idempotency_key: str | None, max_spend_cents: int | None, name: str | None = None
) -> dict[str, Any]:
    """Read the arguments of `jobs.create` from a file; an option of the command overrides the file.

    Raises:
        ConfigurationError: the file cannot be read, is not a mapping of names to values, contains an unknown
            name, or lacks a required one; or `name` is one key too many.
    """
    fields = _read(path)
    _check_names(fields)
    if name is not None:
        if not name.strip():
            raise ConfigurationError("--name is empty; use a name such as signs")
        if idempotency_key is not None or "idempotency_key" in fields:
            raise ConfigurationError("--name makes an idempotency key: remove the other one, or --name")
        idempotency_key = _key_of(name, fields)
    for name, value in (("idempotency_key", idempotency_key), ("max_spend_cents", max_spend_cents)):
        if value is not None:
            fields[name] = value
    return fields


def _key_of(name: str, fields: dict[str, Any]) -> str:
    """The key of a name and a job, whatever the file calls, orders, or comments on."""
    from firsthandapi._core.idempotency import idempotency_key

    # A limit says nothing about the job. Floats and dates, of which keys are not made, as text.
    job = {field: value for field, value in fields.items() if field != "max_spend_cents"}
    return idempotency_key("collect", name, json.dumps(job, sort_keys=True, default=str))


def _read(path: Path) -> dict[str, Any]:
    path, text = (Path("standard input"), _input()) if str(path) == "-" else (path, _content(path))
    parsers: dict[str, tuple[str, Callable[[str], Any]]] = {
        ".json": ("JSON", _json),
        ".toml": ("TOML", _toml),
    }
    kind, parse = parsers.get(path.suffix.lower(), ("YAML", _yaml))
    try:
        value = parse(text)
    except RecursionError:
        raise ConfigurationError(f"--spec: {path} is nested too deeply") from None
    except ValueError as error:
        raise ConfigurationError(f"--spec: {path} is not valid {kind}: {error}") from None
    fields: dict[Any, Any] = value if isinstance(value, dict) else {}  # pyright: ignore[reportUnknownVariableType]
    if not fields or not all(isinstance(name, str) for name in fields):
        raise ConfigurationError(
            f"--spec: {path} must contain names and values, such as `description: Photos of street signs`"
        )
    return fields


def _content(path: Path) -> str:
    try:
        # Editors on Windows write a byte order mark first.
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise ConfigurationError(f"--spec: could not read {path}: {reason}") from None


def _input() -> str:
    """Read `-`: YAML, of which JSON is a part."""
    try:
        return sys.stdin.buffer.read().decode("utf-8-sig")
    except (AttributeError, OSError, UnicodeDecodeError) as error:  # it may be closed, or replaced
        reason = "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else "it is closed"
        raise ConfigurationError(f"--spec: could not read standard input: {reason}") from None


def _check_names(fields: dict[str, Any]) -> None:
    from firsthandapi.types.job import JobArguments, JobCreateParams

    known = JobArguments.__required_keys__ | JobArguments.__optional_keys__
    for name in sorted(fields.keys() - known):
        if name in _OPTIONS:
            raise ConfigurationError(f"--spec: {name} is an option of the command, not of the job")
        like = difflib.get_close_matches(name[:100], known, n=1)
        raise ConfigurationError(
            f"--spec: {name[:100]} is not an argument; "
            + (f"did you mean {like[0]}?" if like else f"use one of: {', '.join(sorted(known))}")
        )
    for name, field in JobCreateParams.model_fields.items():
        if field.is_required() and name not in fields:
            raise ConfigurationError(f"--spec: {name} is required: {field.description}")


def _json(text: str) -> Any:
    def mapping(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        _refuse_twice(name for name, _ in pairs)
        return dict(pairs)

    return json.loads(text, object_pairs_hook=mapping)


def _toml(text: str) -> Any:
    import tomllib

    return tomllib.loads(text)


def _yaml(text: str) -> Any:
    import yaml

    try:
        loader: Any = yaml.SafeLoader(text)
        try:
            root = loader.get_single_node()
            if root is None:
                return None
            _check_yaml(root)
            return loader.construct_document(root)
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise ValueError(f"{where}{error.problem or error.context}") from None
    except yaml.YAMLError as error:
        raise ValueError(str(error).partition("\n")[0]) from None
    except (LookupError, TypeError, AttributeError):  # PyYAML raises these for `!!bool maybe` and the like
        raise ValueError("a value does not match its tag") from None


def _check_yaml(root: Any) -> None:
    import yaml

    waiting, seen = [root], 0
    while waiting:
        node = waiting.pop()
        seen += 1
        if seen > _MOST_VALUES:  # a value that contains itself also ends here
            raise ValueError(f"with its aliases, it has more than {_MOST_VALUES:,} values")
        if isinstance(node, yaml.MappingNode):
            _refuse_twice(key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode))
            waiting.extend(part for pair in node.value for part in pair)
        elif isinstance(node, yaml.SequenceNode):
            waiting.extend(node.value)
        elif node.tag.endswith(":int") and _OTHER_BASE.match(node.value):
            raise ValueError(
                f"line {node.start_mark.line + 1}: YAML does not read {node.value[:20]} as the decimal number that it "
                "looks like; quote it if it is text"
            )


def _refuse_twice(names: Iterable[str]) -> None:
    """Refuse a name that occurs twice: parsers silently use the last one, which may be the wrong price."""
    twice = [name for name, times in Counter(names).items() if times > 1]
    if twice:
        raise ValueError(f"{twice[0]} occurs twice")
