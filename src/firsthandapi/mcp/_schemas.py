"""The schemas of the tools: closed, so that programs can make strict ones of them, and short.

What they describe is checked where it always is, by the client: its errors say more than those of a schema.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable
from functools import wraps
from typing import Annotated, Any, get_args

import mcp_types
from pydantic import BeforeValidator, Field, Strict, WithJsonSchema

from firsthandapi._base.visible import visible
from firsthandapi.types.enums import JobType, MediaFormat
from firsthandapi.types.job import Job
from firsthandapi.types.job_arguments import JobCreateParams

_NULL = {"type": "null"}
_VALUE = {"type": ["string", "number", "boolean", "null"]}


def _list(value: Any) -> list[Any]:
    return value  # type: ignore[no-any-return]


def _dict(value: Any) -> dict[str, Any]:
    return value  # type: ignore[no-any-return]


def _closed(properties: dict[str, Any], *required: str) -> dict[str, Any]:
    members = {"type": "object", "properties": properties, "additionalProperties": False}
    return {**members, "required": [*required]} if required else members


_NUMBER, _TEXT = {"type": "number"}, {"type": "string"}
_PLACES = [
    _closed(dict.fromkeys(("city", "state"), _TEXT), "city", "state"),
    _closed(
        dict.fromkeys(("latitude", "longitude", "radius_km"), _NUMBER),
        "latitude",
        "longitude",
        "radius_km",
    ),
]
# A strict schema has no object whose names are free.
_PAIRS = {
    "type": "array",
    "items": _closed({"name": _TEXT, "value": _VALUE}, "name", "value"),
    "maxItems": 20,
}
_SHARED: dict[str, Any] = {
    "location": {"anyOf": [*_PLACES, _NULL]},
    "metadata": {"anyOf": [_PAIRS, _NULL]},
    "accepted_formats": {
        "anyOf": [{"type": "array", "items": {"type": "string", "enum": [*get_args(MediaFormat)]}}, _NULL]
    },
}
# Of a number. What else there is to know, an error says.
_BOUNDS = ("minimum", "maximum")


def _job_fields() -> dict[str, Any]:
    """The schemas of all fields of a job, none of which a label or the defaults of a campaign need have."""
    schemas: dict[str, Any] = {}
    for name, schema in JobCreateParams.model_json_schema()["properties"].items():
        kind = (schema.get("anyOf") or [schema])[0]
        bounds = {key: kind[key] for key in _BOUNDS if "maximum" in kind}
        schemas[name] = _SHARED.get(name) or {"type": [kind.get("type", "string"), "null"], **bounds}
    schemas["type"] = {"type": ["string", "null"], "enum": [*get_args(JobType), None]}
    return schemas


_FIELDS = _job_fields()
LABELS: dict[str, Any] = {
    "type": "array",
    "minItems": 1,
    "maxItems": 100,
    "items": _closed({"label": _TEXT, **_FIELDS}, "label"),
}
DEFAULTS: dict[str, Any] = {"anyOf": [_closed(_FIELDS), _NULL]}


def _as_parameter(name: str, text: str | None) -> inspect.Parameter:
    """A field of a job as an argument of a tool, checked as the client checks it."""
    field = JobCreateParams.model_fields[name]
    needed = field.is_required() or name == "type"
    schema = _needed(_FIELDS[name]) if needed else _FIELDS[name]
    kind: Any = Annotated[
        (
            field.annotation,
            *field.metadata,
            *([BeforeValidator(_READ[name])] if name in _READ else ()),
            *([Strict()] if "integer" in schema.get("type", ()) else ()),
            Field(description=text),
            WithJsonSchema(schema),
        )
    ]
    default = inspect.Parameter.empty if needed else None
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind)


def _needed(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema without null."""
    if "anyOf" in schema:
        return schema["anyOf"][0]  # type: ignore[no-any-return]
    kind = {**schema, "type": schema["type"][0]}
    return {**kind, "enum": [item for item in kind["enum"] if item is not None]} if "enum" in kind else kind


def job_parameters(*, explained: bool = False) -> list[inspect.Parameter]:
    """The fields of a job as arguments of a tool; if `explained`, each with the text of `Job`."""
    texts = dict(re.findall(r"^ +(\w+): (.+)\.$", (explained and Job.__doc__) or "", re.MULTILINE))
    return [_as_parameter(name, texts.get(name)) for name in _FIELDS]


def taking(parameters: Iterable[inspect.Parameter]) -> Callable[[Callable[..., Any]], Any]:
    """Make a tool of a function that takes these arguments as `fields`: the tool takes each by its name.

    Those that are null are left out, as are those that nobody passes.
    """
    named = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in parameters]

    def decorator(function: Callable[..., Any]) -> Any:
        signature = inspect.signature(function, eval_str=True)
        extras = [parameter for parameter in signature.parameters.values() if parameter.name != "fields"]
        both = [*named, *(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in extras)]

        @wraps(function)
        async def called(**values: Any) -> Any:
            fields = {parameter.name: values.pop(parameter.name) for parameter in named}
            return await function(**values, fields={name: v for name, v in fields.items() if v is not None})

        called.__signature__ = signature.replace(parameters=both)  # type: ignore[attr-defined]
        called.__annotations__ = {parameter.name: parameter.annotation for parameter in both}
        called.__annotations__["return"] = signature.return_annotation
        return called

    return decorator


def by_label(jobs: Any) -> Any:
    """The jobs of a campaign by label, from a list of them; one that is by label already may be so."""
    if isinstance(jobs, dict):
        return {label: fields_of(job) for label, job in _dict(jobs).items()}
    if not isinstance(jobs, list):
        return jobs
    fields_by_label: dict[Any, Any] = {}
    for job in _list(jobs):
        fields = dict(_dict(job)) if isinstance(job, dict) else {}
        label = fields.pop("label", None)
        if not isinstance(label, str) or label in fields_by_label:
            raise ValueError("each job needs a label, another one for each")  # pydantic shows it
        fields_by_label[label] = fields_of(fields)
    return fields_by_label


def fields_of(job: Any) -> Any:
    """The fields of a job without those that are null, as strict programs send what they leave out."""
    if not isinstance(job, dict):
        return job
    fields = {name: value for name, value in _dict(job).items() if value is not None}
    return {**fields, **{name: read(fields[name]) for name, read in _READ.items() if name in fields}}


def _unpaired(metadata: Any) -> Any:
    if not isinstance(metadata, list):
        return metadata
    value_by_name: dict[Any, Any] = {}
    for pair in _list(metadata):
        if (
            not isinstance(pair, dict)
            or pair.keys() != {"name", "value"}
            or not isinstance(pair["name"], str)
        ):
            raise ValueError("metadata is a list of {name, value}")
        if pair["name"] in value_by_name:
            raise ValueError("metadata has the same name twice")
        value_by_name[pair["name"]] = pair["value"]
    return value_by_name


def _placed(location: Any) -> Any:
    names = [name for place in _PLACES for name in place["properties"]]
    for name in _dict(location) if isinstance(location, dict) else ():
        if name not in names:
            raise ValueError(f"location takes {', '.join(names)}, not {visible(str(name)[:60])}")
    return _dict(location)


# What these fields are read with, before they are checked.
_READ: dict[str, Callable[[Any], Any]] = {"metadata": _unpaired, "location": _placed}


# ── The list of tools ────────────────────────────────────────────────────────────────────────────────────


def shorter(tool: mcp_types.Tool) -> mcp_types.Tool:
    """A tool without what a model learns nothing from."""
    return tool.model_copy(
        update={
            "description": inspect.cleandoc(tool.description or ""),
            "input_schema": {**_with_shared(_shorter(tool.input_schema)), "additionalProperties": False},
            # For programs that check it; a model sees what comes.
            "output_schema": _shorter(tool.output_schema, is_output=True),
        }
    )


def _with_shared(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema of a campaign, which says once what its jobs and their defaults both have."""
    if "defaults" not in schema.get("properties", {}):
        return schema
    return {**_referring(schema), "$defs": _SHARED}


def _referring(schema: Any) -> Any:
    for name, part in _SHARED.items():
        if schema == part:
            return {"$ref": f"#/$defs/{name}"}
    if isinstance(schema, list):
        return [_referring(item) for item in _list(schema)]
    if isinstance(schema, dict):
        return {name: _referring(value) for name, value in _dict(schema).items()}
    return schema


def _shorter(schema: Any, *, is_output: bool = False) -> Any:
    """A schema without titles, which repeat the names, and without defaults that are null."""
    if isinstance(schema, list):
        return [_shorter(item, is_output=is_output) for item in _list(schema)]
    if not isinstance(schema, dict):
        return schema
    result: dict[str, Any] = {}
    dropped = ("title", "description", "format") if is_output else ("title",)
    for name, value in _dict(schema).items():
        if name in ("properties", "$defs"):
            result[name] = {key: _shorter(part, is_output=is_output) for key, part in value.items()}
        elif name not in dropped and (name, value) not in (("default", None), ("additionalProperties", True)):
            result[name] = _shorter(value, is_output=is_output)
    return _merged(result) if is_output else result


def _merged(schema: dict[str, Any]) -> dict[str, Any]:
    """`anyOf` a type and null, as one schema."""
    match schema.get("anyOf"):
        case [{"type": str(kind)}, {"type": "null"}] if "enum" not in schema["anyOf"][0]:
            rest = {key: value for key, value in schema.items() if key != "anyOf"}
            return {**schema["anyOf"][0], "type": [kind, "null"], **rest}
        case _:
            return schema
