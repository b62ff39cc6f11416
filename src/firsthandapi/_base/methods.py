"""Public methods as callers see them: every argument in their help, misspelled ones corrected."""

from __future__ import annotations

import inspect
import sys
from functools import wraps
from typing import Any, TypeVar, cast

from firsthandapi._base.display import render_interrupt, stops, ticker
from firsthandapi._base.masking import mask_secrets
from firsthandapi.errors import InvalidArgumentError

F = TypeVar("F")


def public(method: F) -> F:
    """The function `method` as callers meet it.

    - An argument that it does not take is an InvalidArgumentError, which names the nearest that it takes. So is one
      that it needs and does not get.
    - Its signature contains every key of its `**options: Unpack[…]`.
    - A notebook shows an interrupt without the frames inside.
    """
    function: Any = method
    base = inspect.signature(function)
    keys = _keys(function, base)
    signature = base if keys is None else _with_keys(base, keys)
    rest = _rest(base)
    takes = signature.parameters.keys() - rest
    needs = [
        name
        for name, slot in base.parameters.items()
        if slot.default is slot.empty and slot.kind is slot.KEYWORD_ONLY
    ]
    needed = frozenset(needs)
    places = [slot for slot in base.parameters.values() if slot.kind is slot.POSITIONAL_OR_KEYWORD]
    most = sys.maxsize if rest else len(places)

    # `del`: while an error leaves this frame, nothing that was passed, such as a key, is in it.
    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            if len(args) > most or not takes.issuperset(kwargs) or not needed <= kwargs.keys():
                raise _refused(function, args, kwargs, signature, needs, most)
            return function(*args, **kwargs)
        except KeyboardInterrupt as error:
            render_interrupt(error)
            raise
        finally:
            del args, kwargs

    @wraps(function)
    async def call_awaited(*args: Any, **kwargs: Any) -> Any:
        awake = ticker()
        try:
            if len(args) > most or not takes.issuperset(kwargs) or not needed <= kwargs.keys():
                raise _refused(function, args, kwargs, signature, needs, most)
            return await function(*args, **kwargs)
        except stops() as error:
            render_interrupt(error)
            raise
        finally:
            if awake:
                awake.stop()
            del args, kwargs

    wrapper: Any = call_awaited if inspect.iscoroutinefunction(function) else call
    wrapper.__signature__ = signature
    return cast("F", wrapper)


def _rest(signature: inspect.Signature) -> set[str]:
    """The name of what takes any number of arguments by position, as in `*books`."""
    return {slot.name for slot in signature.parameters.values() if slot.kind is slot.VAR_POSITIONAL}


def _keys(function: Any, signature: inspect.Signature) -> Any:
    """The TypedDict whose keys a function takes, or None."""
    for parameter in signature.parameters.values():
        if parameter.kind is parameter.VAR_KEYWORD:
            name = str(parameter.annotation).removeprefix("Unpack[").removesuffix("]")
            return function.__globals__[name]
    return None


def _with_keys(signature: inspect.Signature, keys: Any) -> inspect.Signature:
    """`signature` with the keys, each None by default, which leaves the option out."""
    slots = [slot for slot in signature.parameters.values() if slot.kind is not slot.VAR_KEYWORD]
    options = [
        inspect.Parameter(
            name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation.__forward_arg__
        )
        for name, annotation in keys.__annotations__.items()
    ]
    return signature.replace(parameters=[*slots, *options])


class _CallError(InvalidArgumentError, TypeError):
    """As Python's own, for callers who expect that one. Tracebacks show it by its documented name."""

    def __reduce__(self) -> tuple[Any, ...]:
        # By that name, pickle would find the other class.
        return _call_error, (self.args[0], self.field)


_CallError.__module__ = InvalidArgumentError.__module__
_CallError.__name__ = _CallError.__qualname__ = InvalidArgumentError.__name__


def _call_error(message: str, field: str) -> _CallError:
    return _CallError(message, field=field)


def _refused(
    function: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    signature: inspect.Signature,
    needs: list[str],
    most: int,
) -> InvalidArgumentError:
    """Why a call cannot be made."""
    method = function.__name__
    names = [slot.name for slot in signature.parameters.values() if slot.kind is slot.KEYWORD_ONLY]
    field = next((name for name in needs if name not in kwargs), names[0] if names else method)
    # The body of 0.1.0, and of whoever has a dict.
    if any(isinstance(arg, dict) for arg in args) and (len(args) > most or not set(needs) <= kwargs.keys()):
        return _CallError(
            f"{method}() takes fields as keyword arguments, not a dict: call {method}(**body)", field=field
        )
    if len(args) > most:
        advice = f"pass the rest by name, such as {field}=…" if names else "pass no more"
        return _CallError(f"{method}() takes at most {most - 1} arguments by position: {advice}", field=field)
    if not signature.parameters.keys() - _rest(signature) >= kwargs.keys():
        return _unknown(function, kwargs, signature)
    return _CallError(f"{field} is required: call {method}({field}=…)", field=field)


def _unknown(function: Any, kwargs: dict[str, Any], signature: inspect.Signature) -> InvalidArgumentError:
    from firsthandapi._base.habits import habits
    from firsthandapi._base.nearest import nearest

    takes = [name for name in signature.parameters if name not in ("self", "cls")]
    rest = _rest(signature)
    name = next(name for name in kwargs if name not in takes or name in rest)
    habit = habits()["arguments"].get(name)
    meant = habit if habit in takes else nearest(name, takes)
    advice = f"it takes {', '.join(takes)}" if meant is None else f"did you mean {meant}?"
    advice = f"pass {meant} by position, without a name" if meant in rest else advice
    owner, _, method = function.__qualname__.rpartition(".")
    word = mask_secrets(name)[:60]
    return InvalidArgumentError(
        f"{owner if method == '__init__' else method}() takes no argument {word}: {advice}", field=word
    )
