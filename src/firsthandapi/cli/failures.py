"""What a failed command prints, and its exit code."""

from __future__ import annotations

import contextlib
import os
import shlex
import sys
from typing import Any, NoReturn, cast, get_args
from urllib.parse import urlsplit

import typer

from firsthandapi._base.counts import dollars
from firsthandapi._base.host.loopback import is_loopback
from firsthandapi._core.calls.config import BASE_URL_VARIABLE
from firsthandapi._core.calls.lost_answers import with_other_advice
from firsthandapi.errors import (
    ConfigurationError,
    DeadlineExceededError,
    FirstHandConnectionError,
    FirstHandError,
    FirstHandTimeoutError,
    InsufficientCreditsError,
    InvalidArgumentError,
    WaitTimeoutError,
)
from firsthandapi.types.enums import PurchaseTier

from . import is_for_an_agent
from .output import AFTER_THE_ORDER, json_text, nowhere, printable
from .progress import continues

_USAGE = (ConfigurationError, InvalidArgumentError)
_TIMED_OUT = (WaitTimeoutError, DeadlineExceededError, FirstHandTimeoutError)
# Arguments of the client in messages, and what takes their place here.
_VARIABLES = (
    ("pass api_key=… in code, or set", "set"),
    ("the network, base_url and the proxy", "the network, FIRSTHAND_BASE_URL, and the proxy"),
    ("http:// in base_url or", "http:// in FIRSTHAND_BASE_URL or"),
)
# What Typer raises for an invalid command line; its module is private.
_UsageError = cast("type[Exception]", typer.BadParameter.__mro__[1])


def exit_code(error: FirstHandError) -> int:
    """Which code an error exits with."""
    if isinstance(error, _TIMED_OUT):
        return 3
    if isinstance(error, InsufficientCreditsError):
        return 4
    if error.job is not None:
        return AFTER_THE_ORDER
    return 2 if isinstance(error, _USAGE) else 1


def fail(error: Exception) -> NoReturn:
    """End with one line and an exit code, or raise what is nothing that we know."""
    if isinstance(error, FirstHandError):
        _end(_in_the_shell(error), exit_code(error), continues(error.job) if error.job else _advice(error))
    if isinstance(error, typer.Abort):
        _end("stopped", 1)
    if isinstance(error, _UsageError):
        _end(_misuse(error), 2)
    if isinstance(error, OSError):
        # The client maps its own: the others come from the output, such as a full disk.
        if error.filename is None:
            sys.stdout = nowhere()
        _end(f"could not write {error.filename or 'standard output'}: {error.strerror or error}", 1)
    raise error


def _in_the_shell(error: FirstHandError) -> str:
    """The message, with the option of the command in place of the argument of the method, and amounts in dollars."""
    if isinstance(error, InsufficientCreditsError) and error.required_cents is not None:
        balance = error.current_balance_cents or 0
        missing, tiers = error.required_cents - balance, get_args(PurchaseTier)
        amount = next((tier for tier in tiers if tier >= missing), tiers[-1])
        return (
            f"the job costs {dollars(error.required_cents)}, and the balance is {dollars(balance)}: purchase credits "
            f"with `firsthandapi purchase {amount}`, or request fewer files (HTTP 402, {error.request_id})"
        )
    message = str(error)
    for argument, variable in _VARIABLES:
        message = message.replace(argument, variable)
    key = error.idempotency_key
    if key is None:
        return message
    takes_key = sys.argv[1:3] == ["jobs", "create"]
    repeat = (
        f"repeat it with --idempotency-key {shlex.quote(key)}" if takes_key else "look before you repeat it"
    )
    return with_other_advice(message, key, lost=repeat, refused=repeat if takes_key else "")


def _advice(error: FirstHandError) -> str | None:
    host = urlsplit(os.environ.get(BASE_URL_VARIABLE, "")).hostname or ""
    lost = isinstance(error, FirstHandConnectionError) and error.request_sent is False and not error.no_tls
    if lost and is_loopback(host):
        return "Is the server running? To start one: firsthandapi mock-server"
    return None


def _misuse(error: Any) -> str:
    # Typer would draw a box of six lines.
    message: str = error.format_message().replace("Value error, ", "").rstrip(".")
    message = message.replace("Input should be", "it must be").replace("a valid integer", "a whole number")
    message = message.replace("a valid ", "a ").partition(", unable to parse")[0]
    where = error.ctx.command_path if error.ctx else "firsthandapi"
    return f"{message}; run {where} --help for usage"


def _end(message: str, code: int, advice: str | None = None) -> NoReturn:
    with contextlib.suppress(OSError):
        if is_for_an_agent() and "--json" in sys.argv:
            error = {"message": message, "exit_code": code} | ({"advice": advice} if advice else {})
            typer.echo(json_text({"error": error}, indent=None), err=True)
        else:
            typer.echo(f"firsthandapi: {printable(message)}", err=True)
            if advice:
                typer.echo(printable(advice), err=True)
    sys.exit(code)
