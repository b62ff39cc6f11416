"""What all models share: open, frozen responses and closed, strict request arguments."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self, TypeVar, cast

from pydantic import BaseModel, BeforeValidator, ConfigDict, GetCoreSchemaHandler, PlainValidator
from pydantic_core import CoreSchema, core_schema

from firsthandapi._base.habits import NotADict, missing_attribute
from firsthandapi._base.masking import mask_key, mask_secrets

if TYPE_CHECKING:
    from pydantic import ValidationInfo

    from firsthandapi._core.calls.response import ApiResponse

# Labels of a tolerant union's branches. They stand in an error's path, from which the decoder takes them out.
TYPED_BRANCH = "<typed>"
PLAIN_BRANCH = "<plain>"

# Ends of names, so that `webhook_secret` and `access_token` are known too.
_SECRETS = ("secret", "api_key", "token", "password", "authorization")
_SIGNED_URLS = frozenset({"download_url", "file_url", "checkout_url", "purchase_url"})
# Patterns stay strings until they are used: compiling them costs as much as defining three models.
_HOST = r"(https?://)(?:[^/?#\s]*@)?([A-Za-z0-9.\-]+(?::[0-9]+)?)"
# A repr is for a log line or a notebook cell, not for the data.
_LONGEST_TEXT = 80
_MOST_ITEMS = 5
_DEEPEST = 3


class _Bare:
    """Text that a repr shows without quotes."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text


_ELLIPSIS = _Bare("…")


def _masked(name: str, value: Any, depth: int = 0) -> Any:
    """`value` as a repr may show it: without secrets, and short."""
    if isinstance(value, str):
        if name.endswith(_SECRETS):
            return mask_key(value)
        if name in _SIGNED_URLS:
            # The path of a checkout page is as good as a key, so only the host is left.
            host = re.match(_HOST, value)
            return f"{host[1]}{host[2]}/…" if host else "…"
        # Masked before it is cut: a cut could take away what gives a secret away.
        text = mask_secrets(value)
        return text if len(text) <= _LONGEST_TEXT else text[: _LONGEST_TEXT - 1] + "…"
    if isinstance(value, (dict, list)) and depth == _DEEPEST:
        return _ELLIPSIS
    if isinstance(value, datetime):
        return _Bare(value.isoformat().replace("+00:00", "Z"))
    if isinstance(value, list):
        return _masked_list(name, value, depth + 1)  # pyright: ignore[reportUnknownArgumentType] # its items may be anything
    if isinstance(value, dict):
        return _masked_dict(value, depth + 1)  # pyright: ignore[reportUnknownArgumentType] # its items may be anything
    return value


def _masked_list(name: str, items: list[Any], depth: int) -> list[Any]:
    masked_items = [_masked(name, item, depth) for item in items[:_MOST_ITEMS]]
    return masked_items if len(items) <= _MOST_ITEMS else [*masked_items, _ELLIPSIS]


def _masked_dict(entries: dict[Any, Any], depth: int) -> dict[str, Any]:
    return {mask_secrets(str(key)): _masked(str(key).lower(), item, depth) for key, item in entries.items()}


# What `fitting` passes to the validation: values that do not fit become None.
_FITTING = object()
_TOLERANT = {"firsthandapi": "tolerant"}
_warned: set[tuple[str, str]] = set()
# Above it a float no longer tells neighbors apart.
_LARGEST_WHOLE = 2**53


def _from_float(value: float) -> int:
    """A whole float as an int: JavaScript, Lua, PHP, and SQL's numeric write 20 as 20.0."""
    if not value.is_integer() or abs(value) > _LARGEST_WHOLE:
        raise ValueError("is not whole")
    return int(value)


def _choices(*schemas: Any) -> CoreSchema:
    """The first of these that fits."""
    # Each is as strict as it says itself; before 2.12, pydantic would ask the union.
    union = core_schema.union_schema([*schemas], mode="left_to_right")
    return cast("CoreSchema", {**union, "strict": False})


def _reading(schema: Any) -> Any:
    """`schema` that also reads a whole float as an int, at any depth outside other models."""
    if schema["type"] == "int":
        whole = core_schema.no_info_after_validator_function(_from_float, core_schema.float_schema())
        return _choices(schema, whole)
    inner = {name: _reading(schema[name]) for name in ("items_schema", "values_schema") if name in schema}
    return {**schema, **inner}


def _keeping(owner: str, name: str) -> CoreSchema:
    """The last choice for an optional field: any value, as received."""

    def keep(value: Any, info: ValidationInfo) -> Any:
        if info.context is _FITTING:
            return None
        if (owner, name) not in _warned:
            _warned.add((owner, name))
            import logging

            logging.getLogger("firsthandapi").warning(
                "%s.%s is not as the contract documents it, but a value of type %s: it stays as received; check its "
                "type before you use it, or upgrade firsthandapi",
                *(owner, name, type(value).__name__),
            )
        return value

    return core_schema.with_info_after_validator_function(keep, core_schema.any_schema())


class Model(NotADict, BaseModel):
    """Something that the service sent.

    It is frozen, keeps fields that this version does not know (as attributes and in `model_extra`), and knows the
    response that contained it. An optional field keeps a value of another type as received, with one WARNING per field
    and process; a whole float is an int. `repr` and `str` mask secrets and signed URLs; attributes, `model_dump` and
    pickles carry them whole. Two are equal if type and fields are; a model hashes by type and `id`.
    """

    # Outside the fields: a pydantic private attribute would take part in equality, and cost an allocation.
    __slots__ = ("_response",)

    model_config: ClassVar[ConfigDict] = ConfigDict(
        frozen=True, extra="allow", strict=True, cache_strings="keys"
    )

    # Whether an optional field that does not fit keeps its value; else the whole does not fit.
    __keeps_raw__: ClassVar[bool] = True

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        schema = handler(source)
        fields: Any = handler.resolve_ref_schema(schema)
        while "fields" not in fields:
            fields = fields["schema"]
        for name, field in fields["fields"].items():
            optional = field["schema"]
            if optional["type"] != "default" or optional["schema"]["type"] != "nullable":
                continue
            nullable = optional["schema"]
            if nullable.get("metadata") == _TOLERANT:
                continue  # the class is part of another one, and this is its finished schema
            nullable["metadata"] = _TOLERANT
            typed = _reading(nullable["schema"])
            if cls.__keeps_raw__:
                choices = typed["choices"] if typed.get("mode") == "left_to_right" else [typed]
                typed = _choices(*choices, _keeping(cls.__name__, name))
            nullable["schema"] = typed
        return schema

    # What the decoder checks against in place of the class itself, where that is a union of its subclasses.
    __decodes_as__: ClassVar[Any] = None

    @property
    def response(self) -> ApiResponse:
        """The response that contained this: status, headers, rate limit, attempts. A page's items share one."""
        return cast("ApiResponse", _RESPONSE.__get__(self))

    if not TYPE_CHECKING:  # pragma: no branch - to a checker it would mean that every attribute exists

        def __getattr__(self, name: str) -> Any:
            # Python comes here when the property above finds nothing.
            if name != "response":
                try:
                    return super().__getattr__(name)
                except AttributeError:
                    raise missing_attribute(type(self), name) from None
            raise AttributeError(
                f"this {type(self).__name__} has no response: it is part of another model, "
                "came by webhook, or was built by hand"
            )

    def __hash__(self) -> int:
        fields = self.__dict__
        identity = fields.get("id")
        if identity is None:
            identity = tuple(
                (name, fields.get(name))
                for name in type(self).model_fields
                if isinstance(fields.get(name), (str, int, float, datetime))
            )
        return hash((type(self), identity))

    def __repr_args__(self) -> Iterator[tuple[str, Any]]:
        for name, value in (*self.__dict__.items(), *(self.__pydantic_extra__ or {}).items()):
            if value is not None:
                yield mask_secrets(name), _masked(name.lower(), value)

    def __str__(self) -> str:
        return repr(self)

    def __getstate__(self) -> dict[Any, Any]:
        state = super().__getstate__()
        state["_response"] = getattr(self, "response", None)
        return state

    def __setstate__(self, state: dict[Any, Any]) -> None:
        response = state.pop("_response", None)
        super().__setstate__(state)
        attach(self, response)

    def __copy__(self) -> Self:
        return attach(super().__copy__(), getattr(self, "response", None))

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        # A response never changes, so copies may share it.
        return attach(super().__deepcopy__(memo), getattr(self, "response", None))


_RESPONSE: Any = Model.__dict__["_response"]

M = TypeVar("M", bound=Model)


def attach(model: M, response: ApiResponse | None) -> M:
    """Give `model` the response that contained it. Returns the model."""
    if response is not None:
        _RESPONSE.__set__(model, response)
    return model


def attach_all(models: list[M], response: ApiResponse) -> None:
    """Give each of a page's items the response that contained the page."""
    set_response = _RESPONSE.__set__
    for model in models:
        set_response(model, response)


def fitting(model: M) -> M:
    """`model` with None for what is not of its documented type: nothing in this package reads anything else."""
    values = {**model.__dict__, **(model.__pydantic_extra__ or {})}
    valid_model = type(model).__pydantic_validator__.validate_python(values, context=_FITTING)
    return attach(cast("M", valid_model), getattr(model, "response", None))


class Params(BaseModel):
    """The arguments of one method, checked before anything is sent.

    Closed and strict: no unknown names, no `"5"` for 5, no `True` for 1. Each field's description says what
    is allowed; it is the text of the error.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(
        extra="forbid", strict=True, frozen=True, hide_input_in_errors=True
    )


def _as_utc(value: datetime) -> datetime:
    return value if value.tzinfo is not None else value.replace(tzinfo=UTC)


class _Utc:
    # The schema is made here, not from the class: tools that stop time put a class of their own in its place.
    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> CoreSchema:
        aware = core_schema.datetime_schema(strict=False, tz_constraint="aware")
        # Only what names no offset, which is rare, costs a call of Python.
        naive = core_schema.no_info_after_validator_function(
            _as_utc, core_schema.datetime_schema(strict=False)
        )
        return _choices(aware, naive)


# Any datetime pydantic reads; one without an offset is UTC, as everything the service sends is.
UtcDatetime = Annotated[datetime, _Utc()]


_T = TypeVar("_T")


class _FirstMisfit:
    # pydantic's own FailFast cannot be hashed, which `Items[…] | None` asks of it.
    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> CoreSchema:
        return cast("CoreSchema", {**handler(source), "fail_fast": True})


# A list in a response: its first misfit is enough. A body of millions would cost gigabytes of errors.
Items = Annotated[list[_T], _FirstMisfit()]


class Tolerant:
    """Tries `typed`; what does not fit becomes `plain`: one odd field must not cost the whole response."""

    def __init__(self, typed: Any, plain: Any) -> None:
        self.typed = typed
        self.plain = plain

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> CoreSchema:
        return _choices(
            (handler.generate_schema(self.typed), TYPED_BRANCH),
            (handler.generate_schema(self.plain), PLAIN_BRANCH),
        )


_TIME = (
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})"
    r"(?:T([0-9]{2}:[0-9]{2})(?::([0-9]{2})(?:[.,][0-9]+)?)?(Z|[+-][0-9]{2}:?[0-9]{2}))?"
)


def _wire_time(value: Any) -> str:
    """A date or time argument, checked, as text to send. The clock is not read: it jumps, and the service decides."""
    if isinstance(value, datetime):
        if value.utcoffset() is None:
            raise ValueError("has no time zone: use datetime.now(timezone.utc) or .astimezone()")
        try:
            return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
        except OverflowError:
            raise ValueError("is outside the years 1 to 9999 in UTC") from None
    if isinstance(value, date):
        return value.isoformat()
    if not isinstance(value, str):
        raise ValueError("is neither")  # noqa: TRY004 - pydantic reads no other
    match = re.fullmatch(_TIME, value)
    if match is None:
        raise ValueError(
            "is neither a time with an offset, such as 2026-03-27T10:00:00Z, nor a date, such as 2026-03-27"
        )
    day, minute, second, offset = match.groups()
    try:
        # Without what only the standard reads: a fraction of any length, an offset without a colon.
        sign = "+00:00" if offset in (None, "Z") else f"{offset[:3]}:{offset[-2:]}"
        moment = datetime.fromisoformat(f"{day}T{minute or '00:00'}:{second or '00'}{sign}")
        moment.astimezone(UTC)  # nor is a date that UTC cannot express one to the service
    except (ValueError, OverflowError):
        raise ValueError("is not a date and time that exists") from None
    return value


# A date or time as argument: once checked, the string to send.
WireTime = Annotated[date | str, PlainValidator(_wire_time)]


def _whole(value: Any) -> Any:
    if type(value) is not int:
        raise ValueError("is not an int")
    return value


# A Literal of ints also accepts 1000.0, which is equal; this accepts ints only.
Whole = Annotated[_T, BeforeValidator(_whole)]

# A process's first validation holds a lock of pydantic's, which a child forked by another thread would never get. So it
# comes with the import, for which a fork waits.
Params.model_validate({})
