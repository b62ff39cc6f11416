"""Thirty ways in which tools show an error with its frames and their locals: none of them shows a secret."""

from __future__ import annotations

import copy
import io
import json
import logging
import pickle
import pprint
import sys
import threading
import traceback
import unittest
from collections.abc import Callable
from contextlib import redirect_stderr
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Any

import loguru
import pytest
import rich
import rich.console
import rich.pretty
import rich.traceback
import sentry_sdk
from IPython.core.ultratb import FormattedTB, VerboseTB
from opentelemetry.sdk.trace import TracerProvider

from firsthandapi import FirstHandClient
from firsthandapi._base.masking import Secret
from firsthandapi.errors import FirstHandError
from firsthandapi.testing import MockServer

from .support import JOB

Failing = Callable[[], object]


def failed(call: Failing) -> Exception:
    try:
        call()
    except FirstHandError as error:
        return error
    pytest.fail("it did not fail")


def inner_frames(error: BaseException) -> list[Any]:
    """The frames that the error has left, but for those of the tests, which hold what the caller holds."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    return [frame for frame in frames if "tests" not in Path(frame.f_code.co_filename).parts]


def printed(show: Callable[[], object]) -> str:
    with redirect_stderr(io.StringIO()) as output:
        show()
    return output.getvalue()


def logged(error: Exception, **options: Any) -> str:
    output = io.StringIO()
    logger = logging.Logger("program")
    logger.addHandler(logging.StreamHandler(output))
    try:
        raise error
    except FirstHandError:
        logger.exception("failed", **options)
    return output.getvalue()


def by_loguru(error: Exception) -> str:
    output = io.StringIO()
    handler = loguru.logger.add(output, diagnose=True, backtrace=True)
    loguru.logger.opt(exception=error).error("failed")
    loguru.logger.remove(handler)
    return output.getvalue()


def by_rich(error: Exception) -> str:
    output = io.StringIO()
    panel = rich.traceback.Traceback.from_exception(
        type(error),
        error,
        error.__traceback__,
        show_locals=True,
        locals_max_string=None,
        locals_max_length=None,
    )
    rich.console.Console(file=output, width=300).print(panel)
    return output.getvalue()


def inspected_by_rich(error: Exception) -> str:
    output = io.StringIO()
    rich.inspect(error, console=rich.console.Console(file=output, width=300), all=True, private=True)
    return output.getvalue()


def by_sentry(error: Exception) -> str:
    event, _ = sentry_sdk.utils.event_from_exception(error)
    return repr(event)


def by_ipython(kind: type[Any], **options: Any) -> Callable[[Exception], str]:
    def show(error: Exception) -> str:
        lines: list[str] = kind(theme_name="nocolor", **options).structured_traceback(
            type(error), error, error.__traceback__
        )
        return "\n".join(lines)

    return show


def by_pytest(error: Exception) -> str:
    caught = pytest.ExceptionInfo.from_exception(error)
    return str(caught.getrepr(showlocals=True, style="long", truncate_locals=False, chain=True))


def by_unittest(error: Exception) -> str:
    class Case(unittest.TestCase):
        def runTest(self) -> None:
            raise error

    result = unittest.TestResult()
    result.tb_locals = True
    Case().run(result)
    return result.errors[0][1]


def by_opentelemetry(error: Exception) -> str:
    span: Any = TracerProvider().get_tracer("test").start_span("call")
    span.record_exception(error)
    span.end()
    return str(span.to_json())


def by_a_thread(error: Exception) -> str:
    arguments = threading.ExceptHookArgs(
        (type(error), error, error.__traceback__, threading.current_thread())
    )
    return printed(lambda: threading.__excepthook__(arguments))  # pytest has one of its own


WAYS: dict[str, Callable[[Exception], str]] = {
    "str": str,
    "repr": repr,
    "args": lambda error: repr(error.args),
    "vars": lambda error: repr(vars(error)),
    "every attribute": lambda error: repr([getattr(error, name) for name in dir(error) if name[0] != "_"]),
    "notes": lambda error: repr(getattr(error, "__notes__", ())) + str(error),
    "pickle": lambda error: repr(pickle.dumps(error)),
    "another process": lambda error: repr(bytes(ForkingPickler.dumps(error))),
    "a copy": lambda error: repr(vars(copy.copy(error))),
    "JSON": lambda error: json.dumps(vars(error), default=str),
    "pprint": lambda error: pprint.pformat(vars(error)),
    "a traceback": lambda error: "".join(traceback.format_exception(error)),
    "a traceback with locals": lambda error: "".join(
        traceback.TracebackException.from_exception(error, capture_locals=True).format()
    ),
    "a stack with locals": lambda error: "".join(
        traceback.StackSummary.extract(traceback.walk_tb(error.__traceback__), capture_locals=True).format()
    ),
    "the frames": lambda error: repr([frame.f_locals for frame in inner_frames(error)]),
    "sys.excepthook": lambda error: printed(
        lambda: sys.__excepthook__(type(error), error, error.__traceback__)
    ),
    "threading.excepthook": by_a_thread,
    "logging": logged,
    "logging with the stack": lambda error: logged(error, stack_info=True),
    "loguru": by_loguru,
    "rich": by_rich,
    "rich.inspect": inspected_by_rich,
    "rich.pretty": lambda error: rich.pretty.pretty_repr([frame.f_locals for frame in inner_frames(error)]),
    "sentry": by_sentry,
    "IPython": by_ipython(FormattedTB, mode="Context"),
    "IPython, %xmode Verbose": by_ipython(VerboseTB, include_vars=True),
    "a notebook": lambda error: "\n".join(error._render_traceback_()),  # type: ignore[attr-defined] # one of ours
    "pytest": by_pytest,
    "unittest": by_unittest,
    "OpenTelemetry": by_opentelemetry,
    "a group": lambda error: "".join(traceback.format_exception(ExceptionGroup("both", [error, error]))),
}


@pytest.fixture(scope="module")
def failures() -> tuple[list[Exception], list[str]]:
    """Errors of calls that a key, a webhook's secret, and signed URLs go through, and these secrets."""
    with MockServer(speed=0, workers=False) as server:
        key = server.api_key
        with server.client(max_retries=0) as client:
            secrets = [key]
            del key
            return [*fail(client, server, secrets)], secrets


def fail(client: FirstHandClient, server: MockServer, secrets: list[str]) -> list[Exception]:
    job = client.jobs.create(**{**JOB, "files_needed": 1})
    server.submit(job.id)
    server.clock.advance(minutes=1)
    (file,) = client.files.list(job.id)
    secrets.append((file.download_url or "").partition("X-Amz-Signature=")[2].partition("&")[0])
    errors = [failed(lambda: client.jobs.get("job_0"))]
    for fault in ({"drop": "after"}, {"cut": 200}, {"garbage": True}, {"status": 503}, {"delay": 5}):
        server.faults.add(**fault)  # type: ignore[arg-type] # each is one
        errors.append(failed(lambda: client.webhooks.create(url="https://example.com/hook", timeout=0.3)))
        server.faults.clear()  # on busy cores a client may be gone before its request strikes
    server.faults.add(path="/files/*", status=500, times=9)
    errors.append(failed(lambda: client.files.download(file, Path("never.jpg"))))
    return errors


@pytest.mark.parametrize("way", WAYS)
def test_no_way_shows_a_secret(way: str, failures: tuple[list[Exception], list[str]]) -> None:
    """Neither the API key, nor the signature of a URL, nor the secret of a webhook."""
    errors, secrets = failures
    # It colors each file of a traceback, which takes a second: an API error, a response of garbage, a download.
    sample = errors[::3] if way == "rich" else errors
    for error in sample:
        text = WAYS[way](error)
        assert text
        for secret in secrets:
            assert secret not in text, [line[:300] for line in text.splitlines() if secret in line]


def test_a_planted_secret_is_found(
    monkeypatch: pytest.MonkeyPatch, failures: tuple[list[Exception], list[str]]
) -> None:
    """What shows locals would show a secret that does not mask itself."""
    errors, secrets = failures
    monkeypatch.setattr(Secret, "__repr__", lambda self: str(self._value))
    for way in ("a traceback with locals", "rich", "sentry", "pytest", "IPython, %xmode Verbose", "unittest"):
        assert any(secrets[0] in WAYS[way](error) for error in errors), way
