"""What a model is told when a call fails: what happened, and what to do next."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, cast

import anyio
import anyio.to_thread
import mcp_types
from mcp.server.mcpserver.exceptions import ToolError, UnexpectedToolError
from pydantic import ValidationError

from firsthandapi._base.masking import mask_secrets
from firsthandapi._base.nearest import nearest
from firsthandapi._base.visible import visible
from firsthandapi._core.calls.lost_answers import with_other_advice
from firsthandapi.errors import (
    AuthenticationError,
    FirstHandApiError,
    FirstHandConnectionError,
    FirstHandError,
    InsufficientCreditsError,
    InvalidArgumentError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    UnexpectedResponseError,
)

from ._ledger import BudgetError

T = TypeVar("T")

# Programs that run models end a call after a minute; a tool must return before that.
CALL_SECONDS = 50.0
# Of a name that a model made up, so much is repeated.
_SHOWN = 60


async def answered(work: Awaitable[T]) -> T:
    """The result of `work`, within a minute; its failure becomes text for the model.
    Raises ToolError: it failed, or took too long.
    """
    try:
        with anyio.fail_after(CALL_SECONDS):
            return await work
    except FirstHandError as error:
        raise told(error) from None
    except TimeoutError:
        raise ToolError(
            f"the service did not respond within {CALL_SECONDS:g} s. Call this tool again with the same arguments: "
            "nothing is paid twice."
        ) from None
    except OSError as error:
        raise ToolError(
            f"this computer failed: {error.strerror or type(error).__name__}. Tell the person."
        ) from None


def told(error: FirstHandError) -> ToolError:
    """An error of ours, for a model: what happened, and what to do next."""
    text = str(error)
    if error.idempotency_key is not None:  # no tool takes it: the ledger has it
        text = with_other_advice(text, error.idempotency_key)
    return ToolError(f"{text}. {_advice(error)}".rstrip())


async def on_thread(function: Callable[..., T], *args: Any, **named: Any) -> T:
    """The result of a call that reads or writes the disk."""
    return await anyio.to_thread.run_sync(lambda: function(*args, **named))


def _advice(error: FirstHandError) -> str:
    if isinstance(error, AuthenticationError):
        return "Ask the person to set a valid FIRSTHAND_API_KEY and to restart this server."
    if isinstance(error, InsufficientCreditsError):
        return f"Ask the person to buy credits: {error.purchase_url or 'in the dashboard'}."
    if isinstance(error, PermissionDeniedError) and error.type != "unknown":  # a gateway knows no scopes
        return "Ask the person for an API key with this scope."
    if isinstance(error, NotFoundError):
        return "Check the id with list_jobs."
    if isinstance(error, RateLimitError):
        return "Wait a minute, then call this tool again."
    if isinstance(error, InvalidArgumentError):
        return f"Correct `{error.field}` and call this tool again."
    if isinstance(error, FirstHandConnectionError | UnexpectedResponseError) or (
        isinstance(error, FirstHandApiError) and error.retryable
    ):
        return "Call this tool again with the same arguments: nothing is paid twice."
    if isinstance(error, BudgetError):
        return ""  # it says so itself
    return "If it happens again, tell the person."


def check_names(tool: str, arguments: Any, parameters: Any) -> None:
    """Refuse an argument that the tool does not take. Left out in silence, it would order something else.
    Raises ToolError: there is one.
    """
    for name in arguments:
        if name not in parameters:
            meant = nearest(name, parameters)
            advice = f"it takes {', '.join(parameters)}." if meant is None else f"did you mean {meant}?"
            raise ToolError(f"{tool} takes no argument {_shown(name)}: {advice} Nothing was sent.")


def for_model(tool: str, error: ToolError) -> ToolError:
    """An error of the `mcp` package, in our words."""
    text = str(error).removeprefix(f"Error executing tool {tool}").removeprefix(": ")
    if isinstance(error, UnexpectedToolError):
        return UnexpectedToolError(f"{tool} failed because of a bug in this server. Tell the person.")
    if isinstance(error.__cause__, ValidationError):
        return ToolError(
            f"{_invalid(error.__cause__)}. Nothing was sent: correct this and call {tool} again."
        )
    if text.startswith("Resolver "):  # of the function that asks the person
        return ToolError(
            "the person was asked, and this program returned no answer that could be read: nothing was done; call "
            f"{tool} again, and the person is asked again"
        )
    return ToolError(text)


class Refusal(mcp_types.JSONRPCError):
    """The answer to a line that is no message, under its id as it came: that may be one which no request may have."""

    id: Any  # pyright: ignore[reportIncompatibleVariableOverride]


def message_in(line: str) -> str | Refusal | None:
    """The message on a line, or the answer to a line that is none; None for one that is empty."""
    line = line.removeprefix("\ufeff")
    if not line.strip():
        return None
    try:
        message = mcp_types.jsonrpc_message_adapter.validate_json(line, by_name=False)
    except ValidationError:
        message = None
    if message is not None and not isinstance(message, mcp_types.JSONRPCNotification):
        return line
    try:
        content: Any = json.loads(line)
    except (ValueError, RecursionError):
        return _refusal(mcp_types.PARSE_ERROR, "the line is not JSON", None)
    fields = cast("dict[str, Any]", content) if isinstance(content, dict) else {}
    if message is not None and "id" not in fields:
        return line
    # The id of an answer is one of this server's.
    request_id = None if {"result", "error"} & fields.keys() else fields.get("id")
    if not isinstance(request_id, str | int | float) or isinstance(request_id, bool):
        request_id = None
    if isinstance(request_id, str):
        request_id = request_id.encode("utf-8", "replace").decode()  # half a character cannot be sent
    text = (
        "the line is not a JSON-RPC 2.0 message: its id must be a string or an integer, its params an object, and its "
        "text must have no half characters"
    )
    return _refusal(mcp_types.INVALID_REQUEST, text, request_id)


def _refusal(code: int, text: str, request_id: Any) -> Refusal:
    return Refusal(jsonrpc="2.0", id=request_id, error=mcp_types.ErrorData(code=code, message=text))


def _invalid(error: ValidationError) -> str:
    # Neither the values, which may be long, nor links into the manual of pydantic.
    faults = error.errors(include_url=False, include_context=False, include_input=False)
    texts = [f"{_shown('.'.join(map(str, fault['loc'])))}: {_lowered(fault['msg'])}" for fault in faults[:5]]
    more = f", and {len(faults) - 5} more" if len(faults) > 5 else ""
    return "; ".join(texts) + more


def _lowered(text: str) -> str:
    return text[:1].lower() + text[1:]


def _shown(name: str) -> str:
    return visible(mask_secrets(name[:_SHOWN]))
