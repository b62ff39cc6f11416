"""Decode the bytes of a response into a model in one step, without trusting them."""

from __future__ import annotations

import json
from codecs import BOM_UTF8
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar, cast

from firsthandapi._base.masking import Secret, mask_secrets
from firsthandapi._base.visible import visible
from firsthandapi._core.calls.arguments import validation_error
from firsthandapi._core.calls.request import check_id
from firsthandapi._core.calls.response import ApiResponse, not_json, without_halves
from firsthandapi.errors import FirstHandError, InvalidArgumentError, UnexpectedResponseError

if TYPE_CHECKING:
    from firsthandapi.types._base import Model

    M = TypeVar("M", bound=Model)
T = TypeVar("T")

# Python's own bound, which a program may lower to 640.
_MOST_DIGITS = 640


class DecodedPage(NamedTuple, Generic[T]):
    """One page of a list. Only `next_cursor` says whether there is another: an empty one may not be the last.

    Attributes:
        data: the items.
        has_more: what the service said, or whether there is a next cursor if it said nothing.
        next_cursor: what to pass as `cursor` for the next page; None at the end.
    """

    data: list[T]
    has_more: bool
    next_cursor: str | None


def decode(model_type: type[M], content: Secret[bytes], response: ApiResponse | None) -> M:
    """`content` as a `model_type` that knows its `response`. Without one it is a webhook delivery.
    Raises UnexpectedResponseError: it is not JSON, or not this shape.
    """
    from firsthandapi.types._base import attach

    return attach(cast("M", _validated(model_type, False, content, response)), response)


def decode_with(
    model_type: type[M], name: str, thing: str, advice: str, content: Secret[bytes], response: ApiResponse
) -> M:
    """`decode` a response that is useless without a text in the field `name`, which no other response shows. `advice`
    says what to do about the `thing` that exists without it.
    Raises UnexpectedResponseError: it has none, or cannot be read.
    """
    from firsthandapi.types._base import fitting

    model = decode(model_type, content, response)
    usable = fitting(model)
    if getattr(usable, name):
        return model
    identity = getattr(usable, "id", None) or getattr(usable, "organization_id", None)
    known_as = visible(mask_secrets(f" {identity}"))[:128] if identity else ""
    request_id = None if response.request_id is None else mask_secrets(response.request_id)
    raise UnexpectedResponseError(
        f"the HTTP {response.status_code} response has no {name}: the {thing}{known_as} exists, {advice}",
        status=response.status_code,
        content_type=mask_secrets(response.headers.get("content-type", "")) or None,
        length=len(content.reveal()),
        fields=[name],
        request_id=request_id,
    )


def decode_page(item_type: type[M], content: Secret[bytes], response: ApiResponse) -> DecodedPage[M]:
    """`content` as a page of `item_type`, all of which know their `response`.
    Raises UnexpectedResponseError: it is not JSON, or not a list.
    """
    from firsthandapi.types._base import attach_all

    page: Any = _validated(item_type, True, content, response)
    attach_all(page.data, response)
    has_more = page.has_more if isinstance(page.has_more, bool) else page.next_cursor is not None
    return DecodedPage(page.data, has_more, page.next_cursor)


def decode_items(
    item_type: type[M], content: Secret[bytes], response: ApiResponse
) -> tuple[DecodedPage[M], dict[str, FirstHandError]]:
    """`content` as a page of usable items, and the errors of the others, by id.

    If a page does not fit as a whole, it is decoded item by item, so that one bad item does not cost the others.
    Raises UnexpectedResponseError: it is not JSON, or not a list.
    """
    unusable: dict[str, FirstHandError] = {}
    try:
        page = decode_page(item_type, content, response)
    except UnexpectedResponseError as error:
        envelope = _envelope(content)
        if envelope is None:
            raise
        items: list[M] = []
        for item in envelope["data"]:
            try:
                items.append(decode(item_type, Secret(json.dumps(item).encode()), response))
            except UnexpectedResponseError as misfit:
                fields = cast("dict[str, Any]", item if isinstance(item, dict) else {})
                unusable[visible(mask_secrets(str(fields.get("id")))[:128])] = misfit
        if not items and unusable:
            raise error from None  # every item is bad, so this is not the documented list
        page = DecodedPage(items, envelope.get("next_cursor") is not None, envelope.get("next_cursor"))
    usable: list[M] = []
    for item in page.data:
        try:
            check_id(item.id, "id")  # type: ignore[attr-defined] # every item has an id
        except InvalidArgumentError as error:
            unusable[visible(mask_secrets(str(item.id))[:128])] = error  # type: ignore[attr-defined] # every item has an id
        else:
            usable.append(item)
    return DecodedPage(usable, page.has_more, page.next_cursor), unusable


def raw_items(content: Secret[bytes]) -> list[dict[str, Any]]:
    """All items of a page as received, usable or not."""
    envelope = _envelope(content)
    return [] if envelope is None else [item for item in envelope["data"] if isinstance(item, dict)]


def _envelope(content: Secret[bytes]) -> dict[str, Any] | None:
    try:
        loaded = json.loads(content.reveal(), parse_int=_number)
    except (ValueError, RecursionError):
        return None
    envelope = cast("dict[str, Any]", loaded if isinstance(loaded, dict) else {})
    cursor = envelope.get("next_cursor")
    return envelope if isinstance(envelope.get("data"), list) and isinstance(cursor, str | None) else None


def _number(digits: str) -> int | str:
    """An int, or its digits if Python refuses to parse so many: only that item is unusable."""
    return int(digits) if len(digits) <= _MOST_DIGITS else digits


@cache
def _validator(model_type: type[Model], as_page: bool) -> Any:
    """The validator of a type, made once."""
    # Its own, not one it inherits: a subclass of the union's base is just itself.
    target: Any = vars(model_type).get("__decodes_as__") or model_type
    if as_page:
        from firsthandapi.types.page import PageEnvelope

        return cast("Any", PageEnvelope[target]).__pydantic_validator__
    if target is model_type:
        return model_type.__pydantic_validator__
    from pydantic import TypeAdapter

    return TypeAdapter[Any](target).validator


def _validated(
    model_type: type[Model], as_page: bool, content: Secret[bytes], response: ApiResponse | None
) -> Any:
    try:
        return _validator(model_type, as_page).validate_json(content.reveal())
    except validation_error() as error:
        # Without input and context, which may hold secrets. There are few: only what is required can fail, and a list
        # ends with its first misfit.
        problems = error.errors(include_url=False, include_context=False, include_input=False)
    # Out here, so that the pydantic error, which quotes the input, is not chained to ours.
    if problems[0]["type"] == "json_invalid":
        repaired = Secret(without_halves(content.reveal().removeprefix(BOM_UTF8)))
        if repaired != content:
            return _validated(model_type, as_page, repaired, response)
        raise _not_json(content, response)
    raise _misfit(model_type.__name__, as_page, [problem["loc"] for problem in problems], content, response)


def _not_json(content: Secret[bytes], response: ApiResponse | None) -> UnexpectedResponseError:
    if response is not None:
        return not_json(response, content.reveal())
    return UnexpectedResponseError(
        f"the webhook delivery is signed, but its {len(content.reveal())} bytes are not JSON; "
        "pass the raw body exactly as received",
        length=len(content.reveal()),
    )


def _misfit(
    name: str,
    as_page: bool,
    locations: Sequence[tuple[int | str, ...]],
    content: Secret[bytes],
    response: ApiResponse | None,
) -> UnexpectedResponseError:
    from firsthandapi.types._base import PLAIN_BRANCH, TYPED_BRANCH

    fields = [
        ".".join(str(part) for part in location if part != PLAIN_BRANCH)
        for location in locations
        # A misfit of the typed branch does not matter: the plain branch decides.
        if TYPED_BRANCH not in location
    ]
    fields = list(dict.fromkeys(field for field in fields if field))
    shape = f"page of {name} objects" if as_page else f"{name} object"
    if fields:
        problem = f"is not the documented {shape}: missing or of a different type: {', '.join(fields)}"
    else:
        problem = f"is JSON, but not the documented {shape}"
    if response is None:
        return UnexpectedResponseError(
            f"the webhook delivery {problem}; upgrade firsthandapi, which may support it",
            content_type="application/json",
            length=len(content.reveal()),
            fields=fields,
        )
    request_id = None if response.request_id is None else mask_secrets(response.request_id)
    quote = f"quote request id {request_id}" if request_id else "quote the time of the request"
    return UnexpectedResponseError(
        f"the HTTP {response.status_code} response {problem}; upgrade firsthandapi, "
        f"and if that does not help, write to support and {quote}",
        status=response.status_code,
        content_type=mask_secrets(response.headers.get("content-type", "")) or None,
        length=len(content.reveal()),
        fields=fields,
        request_id=request_id,
    )
