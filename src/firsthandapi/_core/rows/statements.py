"""Statements that only a person can make about a dataset, such as its license and its limits: checked, stored in
`card.json`, and never invented."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast
from urllib.parse import urlsplit

from firsthandapi._base.names import ROOM
from firsthandapi.errors import ConfigurationError, InvalidArgumentError

from .splits import check_parts

STATEMENTS_FILE = f"{ROOM}/card.json"
LARGEST_STATEMENTS = 1024 * 1024

# By argument of `Dataset.write_card`, the name in the Croissant metadata; `Card.missing` lists those that are missing.
NEEDED = {
    "license": "license",
    "creator": "creator",
    "url": "url",
    "data_limitations": "rai:dataLimitations",
    "data_biases": "rai:dataBiases",
    "personal_sensitive_information": "rai:personalSensitiveInformation",
    "data_use_cases": "rai:dataUseCases",
    "data_social_impact": "rai:dataSocialImpact",
    "has_synthetic_data": "rai:hasSyntheticData",
}
MORE = {"data_release_maintenance_plan": "rai:dataReleaseMaintenancePlan"}

_MOST_LINE = 500
_MOST_TEXT = 10_000


def check_statements(values: Mapping[str, object]) -> dict[str, Any]:
    """Check the statements of a caller or of `card.json`, and return them as JSON values, without None.
    Raises InvalidArgumentError: a value is not allowed.
    """
    return {name: _CHECKS[name](value, name) for name, value in values.items() if value is not None}


def read_statements(content: bytes | None, path: object) -> dict[str, Any]:
    """The statements in `card.json`; none if the file does not exist.
    Raises ConfigurationError: the file is damaged.
    """
    try:
        loaded: Any = {} if content is None else json.loads(content)
        # Ignore fields of later versions rather than refuse them: they cannot cost money.
        return check_statements({name: value for name, value in loaded.items() if name in _CHECKS})
    except (ValueError, RecursionError, AttributeError) as error:
        why = str(error) if isinstance(error, InvalidArgumentError) else "it is not a JSON object"
        raise ConfigurationError(f"{path} cannot be used: {why}; correct it, or remove it") from None


def encode_statements(statements: Mapping[str, Any]) -> bytes:
    """`card.json` with these statements. Splits keep their order, which decides their rows."""
    return json.dumps(statements, ensure_ascii=True, indent=1).encode() + b"\n"


def check_text(value: object, field: str) -> str:
    """Check one line of text for the card and the metadata, and return it.
    Raises InvalidArgumentError: the value is not a str, or contains unprintable characters.
    """
    if not isinstance(value, str) or not value.strip() or not value.isprintable() or len(value) > _MOST_LINE:
        raise InvalidArgumentError(
            f"{field} must be a str of 1 to {_MOST_LINE} printable characters on one line", field=field
        )
    return value.strip()


def _check_url(value: object, field: str) -> str:
    url = check_text(value, field)
    try:
        whole = urlsplit(url).scheme in ("https", "http") and urlsplit(url).hostname
    except ValueError:  # as of https://[
        whole = None
    if not whole:
        raise InvalidArgumentError(f"{field} must be the https URL of a page", field=field)
    return url


def _check_base(value: object, field: str) -> str:
    return _check_url(value, field).rstrip("/") + "/"


def _check_creator(value: object, field: str) -> dict[str, str]:
    fields = cast("Mapping[str, object]", value) if isinstance(value, Mapping) else {"name": value}
    unknown = set(fields) - {"type", "name", "url", "email"}
    kind = fields.get("type", "Organization")
    if unknown or kind not in ("Organization", "Person"):
        raise InvalidArgumentError(
            f"{field} must be a name, or a dict with name and perhaps type (Organization or Person), url, and email",
            field=field,
        )
    checked = {"name": check_text(fields.get("name"), field)}
    for key in sorted(fields.keys() & {"url", "email"}):
        checked[key] = (_check_url if key == "url" else check_text)(fields[key], f"{field}.{key}")
    return {"type": str(kind), **checked}


def _check_texts(value: object, field: str) -> list[str]:
    texts = cast("Sequence[object]", value) if isinstance(value, list | tuple) else [value]
    for text in texts:
        line = text.replace("\n", " ") if isinstance(text, str) else ""
        if not line.strip() or not line.isprintable() or len(line) > _MOST_TEXT:
            raise InvalidArgumentError(
                f"{field} must be a str of 1 to {_MOST_TEXT:,} printable characters, or a list of them",
                field=field,
            )
    if not texts:
        raise InvalidArgumentError(f"{field} must not be an empty list; leave it out", field=field)
    return [cast("str", text).strip() for text in texts]


def _check_flag(value: object, field: str) -> bool:
    if not isinstance(value, bool):
        raise InvalidArgumentError(f"{field} must be True or False", field=field)
    return value


def _check_splits(value: object, field: str) -> dict[str, float]:
    if not isinstance(value, Mapping) or not value:
        raise InvalidArgumentError(
            f'{field} must be a dict with the share of each split, such as {{"train": 0.8, "test": 0.2}}',
            field=field,
        )
    parts = cast("Mapping[object, object]", value)
    return check_parts({check_text(name, field): share for name, share in parts.items()})


_CHECKS: dict[str, Callable[[object, str], Any]] = {
    "name": check_text,
    "license": check_text,
    "creator": _check_creator,
    "url": _check_url,
    "content_url": _check_base,
    "data_limitations": _check_texts,
    "data_biases": _check_texts,
    "personal_sensitive_information": _check_texts,
    "data_use_cases": _check_texts,
    "data_social_impact": _check_texts,
    "data_release_maintenance_plan": _check_texts,
    "has_synthetic_data": _check_flag,
    "splits": _check_splits,
}
