"""Check a server against the contract, promise by promise."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from fnmatch import fnmatchcase

from firsthandapi._base.masking import secret_or_none
from firsthandapi._core.calls.config import (
    API_KEY_VARIABLE,
    BASE_URL_VARIABLE,
    resolve_api_key,
    resolve_base_url,
)
from firsthandapi.errors import ConfigurationError, InvalidArgumentError

from . import promises
from ._exchange import DiffersError, Exchange, NoResponseError, NotTriedError, OutOfTimeError, shortened
from ._promises import PROMISES, Promise
from ._report import Report, Result
from ._run import Run
from ._wire import wired

# A server that does not respond to so many promises in a row will not respond to the others.
_SILENT = 3


def check(
    url: str | None = None,
    *,
    api_key: str | None = None,
    only: Sequence[str] = (),
    write: bool = False,
    timeout: float = 900.0,
    on_result: Callable[[Result], None] | None = None,
) -> Report:
    """Check a server against the wire contract.

    With a sandbox key, `fh_test_…`, everything is tried. With any other key the check only reads, unless `write` is
    true. It removes what it creates, even if it fails or is stopped: it cancels jobs, revokes keys, deletes endpoints,
    and restores settings. Of a server with `/_control`, such as the bundled one, it moves the time and the limits.

    Args:
        url: the address of the server; `FIRSTHAND_BASE_URL` if left out, else the public service.
        api_key: the API key, with all scopes; `FIRSTHAND_API_KEY` if left out. It stands in no result.
        only: patterns such as `jobs.*` for the ids of promises, or for endpoints; all promises if empty.
        write: whether a live key may change anything. Its jobs hold at most $5.00 at any time, and cost
            nothing unless workers submit files before it cancels them.
        timeout: seconds for the whole check; what is not tried by then is not tried. Removing what it created may
            take 100 seconds more.
        on_result: called with each result as it comes.

    Returns:
        A report with one result for each promise.

    Raises:
        ConfigurationError: there is no key, the address is none, or the server cannot be reached or refuses the key.
        InvalidArgumentError: no promise matches `only`, or `timeout` is not above 0.
        KeyboardInterrupt: Ctrl-C stopped the check; its notes (`__notes__`) say what could not be removed.

    Contract: §1
    """
    if not timeout > 0:
        raise InvalidArgumentError("timeout must be a number of seconds above 0", field="timeout")
    chosen = _chosen(only)
    key = resolve_api_key(secret_or_none(api_key), secret_or_none(os.environ.get(API_KEY_VARIABLE)))
    base = resolve_base_url(secret_or_none(url), secret_or_none(os.environ.get(BASE_URL_VARIABLE)))
    started = time.monotonic()
    with ExitStack() as stack:
        wire = stack.enter_context(wired(base))
        run = Run(wire, base, key, write=write, timeout=timeout, stack=stack)
        identity = _reach(run)
        results: list[Result] = []
        try:
            try:
                for result in _tried(run, chosen, identity):
                    results.append(result)
                    if on_result is not None:
                        on_result(result)
            finally:
                run.clean()
        except BaseException as error:
            for words in run.left:
                error.add_note(f"could not be removed: {words}")
            raise
        environment = {"fh_test_": "test", "fh_live_": "live"}.get(key.reveal()[:8])
        seconds = time.monotonic() - started
        return Report(base, environment, run.writes, tuple(results), run.left, wire.sent, seconds)


def _chosen(only: Sequence[str]) -> list[Promise]:
    _ = promises  # importing it fills the list
    found = [
        each
        for each in PROMISES.values()
        if not only
        or any(
            fnmatchcase(name, pattern) for pattern in only for name in (each.result.id, each.result.endpoint)
        )
    ]
    if not found:
        raise InvalidArgumentError(
            f"no promise matches {' '.join(only)}; try jobs.*, or 'GET /v1/jobs'", field="only"
        )
    return found


def _reach(run: Run) -> Exchange:
    """Make one request, so that a wrong address or key is one clear error instead of a hundred differences."""
    try:
        it = run("GET", "/v1/me")
    except NoResponseError as error:
        raise ConfigurationError(
            f"could not reach {run.base}: {error.came}; check the address, and that the server runs"
        ) from None
    except OutOfTimeError:
        raise ConfigurationError(
            f"{run.base} had no request left for this key; try again later, or increase timeout"
        ) from None
    if it.status == 401:
        raise ConfigurationError(
            f"{run.base} refuses the API key (401); set {API_KEY_VARIABLE} to an active key of this server"
        )
    return it


def _tried(run: Run, chosen: list[Promise], identity: Exchange) -> Iterator[Result]:
    silent, stopped = 0, None
    if identity.ok and identity.object:
        with suppress(DiffersError, NotTriedError, OutOfTimeError):  # then promises wait for the rate limit
            run.lift_limits()
    else:  # nothing but the promise about the identity is worth trying
        stopped = shortened(f"GET /v1/me returned no identity: {identity.excerpt}")
    for promise in chosen:
        result = promise.result
        if stopped is not None and result.id != "me":
            yield replace(result, why=stopped)
            continue
        try:
            promise.hold(run)
            silent, result = 0, replace(result, verdict="holds")
        except NotTriedError as error:
            result = replace(result, why=shortened(str(error)))
        except OutOfTimeError:
            stopped = "the check timed out; increase timeout"
            result = replace(result, why=stopped)
        except DiffersError as error:
            silent = silent + 1 if isinstance(error, NoResponseError) else 0
            if silent == _SILENT:
                stopped = "the server stopped responding"
            asked = error.exchange.asked if isinstance(error.exchange, Exchange) else error.exchange
            curl = None if asked is None else asked.curl
            result = replace(result, verdict="differs", came=shortened(error.came), curl=curl)
        except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
            # A response that no check foresaw is no reason to fail: it is one of the things that a server can do.
            words = shortened(f"a response that could not be read: {type(error).__name__}: {error}")
            result = replace(result, verdict="differs", came=words)
        with suppress(OutOfTimeError):
            run.tidy()
        yield result
