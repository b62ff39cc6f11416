"""What a model is told when a call fails: what happened, and what to do next."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import anyio
import anyio.to_thread
import mcp_types
from mcp.server.mcpserver.exceptions import ToolError, UnexpectedToolError
from pydantic import ValidationError

from firsthandapi._core.calls.lost_answers import how_to_repeat
from firsthandapi._masking import mask_secrets
from firsthandapi._nearest import nearest
from firsthandapi._visible import visible
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

    Raises:
        ToolError: it failed, or took too long.
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
        for recorded in (True, False):
            text = text.replace(how_to_repeat(error.idempotency_key, recorded=recorded), "")
    return ToolError(f"{text}. {_advice(error)}".rstrip())


async def on_thread(function: Callable[..., T], *args: Any, **named: Any) -> T:
    """The result of a call that reads or writes the disk."""
    return await anyio.to_thread.run_sync(lambda: function(*args, **named))


def _advice(error: FirstHandError) -> str:
    if isinstance(error, AuthenticationError):
        return "Ask the person to set a valid FIRSTHAND_API_KEY and to restart this server."
    if isinstance(error, InsufficientCreditsError):
        return f"Ask the person to buy credits: {error.purchase_url or 'in the dashboard'}."
    if isinstance(error, PermissionDeniedError):
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


def check_names(tool: str, given: Any, taken: Any) -> None:
    """Refuse an argument that the tool does not take. Left out in silence, it would order something else.

    Raises:
        ToolError: there is one.
    """
    for name in given:
        if name not in taken:
            meant = nearest(name, taken)
            advice = f"it takes {', '.join(taken)}." if meant is None else f"did you mean {meant}?"
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
    return ToolError(text)


def nonsense(error: Exception) -> mcp_types.JSONRPCError | None:
    """The answer to a line that is no message; None to one that is empty."""
    found = error.errors(include_url=False)[0] if isinstance(error, ValidationError) else None
    if found is not None and found["type"] == "json_invalid":
        if not str(found["input"]).strip():
            return None
        code, text = mcp_types.PARSE_ERROR, "the line is not JSON"
    else:
        code, text = mcp_types.INVALID_REQUEST, "the line is not a JSON-RPC 2.0 message"
    return mcp_types.JSONRPCError(jsonrpc="2.0", id=None, error=mcp_types.ErrorData(code=code, message=text))


def _invalid(error: ValidationError) -> str:
    # Neither the values, which may be long, nor links into the manual of pydantic.
    found = error.errors(include_url=False, include_context=False, include_input=False)
    said = [f"{_shown('.'.join(map(str, one['loc'])))}: {_lowered(one['msg'])}" for one in found[:5]]
    more = f", and {len(found) - 5} more" if len(found) > 5 else ""
    return "; ".join(said) + more


def _lowered(text: str) -> str:
    return text[:1].lower() + text[1:]


def _shown(name: str) -> str:
    return visible(mask_secrets(name[:_SHOWN]))
