"""Read a job from a file: YAML, JSON, or TOML."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from firsthandapi._base.nearest import nearest
from firsthandapi._base.specs import parse_spec, read_spec
from firsthandapi.errors import ConfigurationError

# Options of collect that do not describe the job.
_OPTIONS = {"dest", "timeout", "concurrency"}
_PREFIX = "--spec: "
_EXAMPLE = "description: Photos of street signs"


def job_fields(
    path: Path, *, idempotency_key: str | None, max_spend_cents: int | None, name: str | None = None
) -> dict[str, Any]:
    """Read the arguments of `jobs.create` from a file; an option of the command overrides the file.
    Raises ConfigurationError: the file cannot be read, is not a mapping of names to values, contains an unknown name,
    or lacks a required one; or `name` is one key too many.
    """
    fields = _read(path)
    _check_names(fields)
    if name is not None:
        if not name.strip():
            raise ConfigurationError("--name is empty; use a name such as signs")
        if idempotency_key is not None or "idempotency_key" in fields:
            raise ConfigurationError(
                "--name creates an idempotency key, and another one is given; remove one of the two"
            )
        idempotency_key = _key_of(name, fields)
    for name, value in (("idempotency_key", idempotency_key), ("max_spend_cents", max_spend_cents)):
        if value is not None:
            fields[name] = value
    return fields


def _key_of(name: str, fields: dict[str, Any]) -> str:
    """The key of a name and a job, whatever the file calls, orders, or comments on."""
    from firsthandapi._core.calls.idempotency import idempotency_key

    # A limit says nothing about the job. Floats and dates, of which keys are not made, as text.
    job = {field: value for field, value in fields.items() if field != "max_spend_cents"}
    return idempotency_key("collect", name, json.dumps(job, sort_keys=True, default=str))


def _read(path: Path) -> dict[str, Any]:
    if str(path) == "-":
        return parse_spec(_input(), Path("standard input"), _EXAMPLE, _PREFIX)
    return read_spec(path, _EXAMPLE, _PREFIX)


def _input() -> str:
    """Read `-`: YAML, of which JSON is a part."""
    try:
        return sys.stdin.buffer.read().decode("utf-8-sig")
    except (AttributeError, OSError, UnicodeDecodeError) as error:  # it may be closed, or replaced
        reason = "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else "it is closed"
        raise ConfigurationError(f"--spec: could not read standard input: {reason}") from None


def _check_names(fields: dict[str, Any]) -> None:
    from firsthandapi.types.job_arguments import JobArguments, JobCreateParams

    names = JobArguments.__required_keys__ | JobArguments.__optional_keys__
    for name in sorted(fields.keys() - names):
        if name in _OPTIONS:
            raise ConfigurationError(f"--spec: {name} is an option of the command, not of the job")
        like = nearest(name, sorted(names))
        raise ConfigurationError(
            f"--spec: {name[:100]} is not an argument; "
            + (f"did you mean {like}?" if like else f"use one of: {', '.join(sorted(names))}")
        )
    for name, field in JobCreateParams.model_fields.items():
        if field.is_required() and name not in fields:
            raise ConfigurationError(f"--spec: {name} is required: {field.description}")
