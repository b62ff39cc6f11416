"""Check arguments before anything is sent, and turn them into a query or a body."""

from __future__ import annotations

import json
from collections.abc import Mapping
from math import isfinite
from operator import index
from typing import TYPE_CHECKING, Any, TypeVar, cast

from firsthandapi._base.masking import mask_secrets
from firsthandapi._core.calls.integers import as_int
from firsthandapi.errors import InvalidArgumentError

if TYPE_CHECKING:
    from pydantic import ValidationError

    from firsthandapi.types._base import Params

    P = TypeVar("P", bound=Params)

# Levels of nesting in a body. Far below the limit of the json module, far above any real use.
_DEEPEST = 100
_EXTENSIONS = {
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "image/jpg": "image/jpeg",
    "png": "image/png",
    "webp": "image/webp",
    "gif": "image/gif",
    "mp3": "audio/mpeg",
    "audio/mp3": "audio/mpeg",
    "wav": "audio/wav",
    "m4a": "audio/mp4",
    "mp4": "video/mp4",
    "mov": "video/quicktime",
}


def check(params_type: type[P], values: Mapping[str, Any]) -> P:
    """Check `values`, and return them as a `params_type`. None means "leave out"; tuples become lists, and numpy's
    integers ints.
    Raises InvalidArgumentError: an argument is missing, or the contract does not allow its value.
    """
    arguments = {name: _plain(value) for name, value in values.items() if value is not None}
    for name, value in arguments.items():
        # pydantic reads the characters of a str only to count them.
        if isinstance(value, str) and (problem := _surrogate(value)):
            raise InvalidArgumentError(f"{name} {problem}", field=name)
    try:
        return params_type.model_validate(arguments)
    except validation_error() as error:
        # Without the input, which may be a secret.
        misfit: Any = error.errors(include_url=False, include_input=False)[0]
    # Outside the except block, so that the pydantic error, which quotes the input, is not chained.
    raise _invalid(params_type, misfit, arguments)


def validation_error() -> type[ValidationError]:
    """pydantic's ValidationError, for an `except` clause. Python evaluates the clause only after an exception, so a
    call without one does not pay for the import."""
    from pydantic import ValidationError

    return ValidationError


def _plain(value: Any) -> Any:
    return [*value] if isinstance(value, tuple) else as_int(value)  # pyright: ignore[reportUnknownVariableType] # of any type


def _invalid(params_type: type[Params], problem: Any, arguments: Mapping[str, Any]) -> InvalidArgumentError:
    name, *rest = problem["loc"]
    field = params_type.model_fields.get(name)
    if field is None:
        allowed = ", ".join(params_type.model_fields)
        return InvalidArgumentError(
            f"{name} is not an argument of this method; use one of: {allowed}", field=name
        )
    if problem["type"] == "missing":
        return InvalidArgumentError(f"{name} is required: {field.description}", field=name)
    message = f"{name} must be {field.description}"
    if problem["type"] == "value_error" and "ctx" in problem:
        message += f"; it {problem['ctx']['error']}"
    else:
        message += _what_it_is(problem["type"], arguments[name], rest)
    return InvalidArgumentError(message, field=name)


def _what_it_is(kind: str, value: Any, rest: list[int | str]) -> str:
    """The problem with `value`, without quoting what could be a secret."""
    if rest and rest[-1] == "[key]":
        return "; its keys must be str"
    if rest:
        value = value[rest[0]]
    # Types are compared by name, so that `value` stays Any to a type checker.
    type_name = type(value).__name__
    if kind == "literal_error" and type_name == "str":
        hint = _EXTENSIONS.get(value.lower().lstrip("."))
        return f", not {mask_secrets(repr(value))[:60]}" + (f": use the MIME type {hint}" if hint else "")
    if type_name in ("bool", "float") or (type_name == "int" and value.bit_length() <= 64):
        return f", not {value}"
    if type_name == "int":
        return "; it is far out of range"
    if kind in ("string_too_short", "string_too_long"):
        return f"; it has {len(value):,} characters"
    if kind in ("too_short", "too_long"):
        return f"; it has {len(value):,} items"
    return f", not a value of type {type_name}"


def body(params: Params | None = None, extra_body: Any = None) -> bytes:
    """The JSON to send: compact UTF-8 without omitted arguments. Fields of `extra_body` replace those of `params`.
    Raises InvalidArgumentError: the body contains a value that JSON cannot represent.
    """
    merged: dict[str, Any] = {}
    if params is not None:
        for name, value in _given(params):
            _check_json(value, name, name)
            merged[name] = value
    if extra_body is not None:
        if not isinstance(extra_body, dict):
            raise InvalidArgumentError(
                f"extra_body must be a dict, not a value of type {type(extra_body).__name__}",
                field="extra_body",
            )
        _check_json(extra_body, "extra_body", "extra_body")
        merged.update(cast("dict[str, Any]", extra_body))
    return _dump(merged)


def json_bytes(value: Any, field: str) -> bytes:
    """Serialize a JSON value to bytes. Raises InvalidArgumentError: it contains a value that JSON cannot represent."""
    _check_json(value, field, field)
    return _dump(value)


def _dump(value: Any) -> bytes:
    return json.dumps(
        value, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=index
    ).encode()


def query(params: Params) -> list[tuple[str, str]]:
    """The query to send, without omitted arguments. The transport percent-encodes it."""
    return [
        (name, str(value).lower() if isinstance(value, bool) else str(value))
        for name, value in _given(params)
    ]


def _given(params: Params) -> list[tuple[str, Any]]:
    # Not `model_dump(exclude_none=True)`, which would remove the user's own None values inside `metadata`.
    return [(name, value) for name, value in params.__dict__.items() if value is not None]


def _check_json(value: Any, path: str, field: str, depth: int = 0) -> None:
    """Raise an error that names the path if `value` is not JSON. json.dumps would silently turn a key 1 into "1"."""
    problem = None
    value = as_int(value)
    if isinstance(value, str):
        problem = _surrogate(value)
    elif isinstance(value, bool) or value is None:
        pass
    elif isinstance(value, int):
        if value.bit_length() > 1024:
            problem = "is too large a number"
    elif isinstance(value, float):
        if not isfinite(value):
            problem = f"is {value}, which JSON cannot represent"
    elif depth == _DEEPEST:
        problem = "is nested too deeply"
    elif isinstance(value, dict):
        entries: dict[Any, Any] = value  # pyright: ignore[reportUnknownVariableType] # of any type
        for key, item in entries.items():
            if not isinstance(key, str):
                problem = f"has a key of type {type(key).__name__}: JSON allows only str keys"
                break
            problem = _surrogate(key)
            if problem is not None:
                problem = f"has a key that {problem}"
                break
            _check_json(item, f"{path}.{mask_secrets(key)[:60]}", field, depth + 1)
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(cast("list[Any]", value)):
            _check_json(item, f"{path}.{index}", field, depth + 1)
    else:
        problem = f"is of type {type(value).__name__}, which JSON cannot represent: convert it first"
    if problem is not None:
        raise InvalidArgumentError(f"{path} {problem}", field=field)


def _surrogate(text: str) -> str | None:
    try:
        text.encode()
    except UnicodeEncodeError:
        return "contains half of a character (a lone surrogate): decode the text with the right encoding"
    return None
