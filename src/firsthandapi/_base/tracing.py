"""OpenTelemetry spans and durations, for programs that have loaded it; to all others they cost nothing."""

from __future__ import annotations

import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from functools import lru_cache, partial
from typing import Any

from firsthandapi._base.masking import mask_secrets
from firsthandapi._base.origins import Origin
from firsthandapi._base.version import __version__

# The span around a call of many requests. Those of a wait are events of it, so that it does not grow with time.
_call: ContextVar[Any] = ContextVar("firsthandapi_call", default=None)
# Of the conventions, up to a poll that the service holds.
_BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 30, 60)


def tracer(tracing: bool) -> Any:
    """The tracer of this package, or None if the program has not loaded `opentelemetry.trace`, or `tracing` is off."""
    trace = sys.modules.get("opentelemetry.trace") if tracing else None
    # While it is being imported, its names do not exist yet.
    get_tracer = getattr(trace, "get_tracer", None)
    return None if get_tracer is None else get_tracer("firsthandapi", __version__)


@contextmanager
def span(
    tracer: Any,
    name: str,
    attributes: Mapping[str, Any] | None = None,
    *,
    client: bool = False,
    context: Any = None,
    current: bool = True,
) -> Generator[Any, None, None]:
    """A span around the block; an exception that leaves it becomes its status and `error.type`."""
    from opentelemetry.trace import SpanKind, Status, StatusCode, use_span

    kind = SpanKind.CLIENT if client else SpanKind.INTERNAL
    new = tracer.start_span(name, kind=kind, context=context, attributes=attributes)
    try:
        entry = partial(use_span, new, record_exception=False, set_status_on_exception=False)
        with entry() if current else nullcontext():
            yield new
    except GeneratorExit:
        raise  # the caller has stopped an iteration
    except BaseException as error:
        # Not the exception itself: its traceback has the lines of the program that was called.
        new.set_attribute("error.type", type(error).__name__)
        new.set_status(Status(StatusCode.ERROR, mask_secrets(str(error)[:500]) or None))
        raise
    finally:
        new.end()


@contextmanager
def call_span(tracing: bool, name: str, job_id: str | None = None) -> Generator[None, None, None]:
    """A span around a call that makes several requests, if the program has loaded `opentelemetry.trace`."""
    maker = tracer(tracing)
    if maker is None:
        yield
        return
    with span(maker, f"firsthandapi {name}", job_attribute(job_id)) as call:
        token = _call.set(call)
        try:
            yield
        finally:
            _call.reset(token)


def around_call() -> Any:
    """The span of `call_span` around the caller, or None."""
    return _call.get()


def name_job(job_id: str) -> None:
    """Note the job of the call around the caller, which did not know it when it began."""
    if (call := around_call()) is not None:
        call.set_attributes(job_attribute(job_id))


def job_attribute(job_id: str | None) -> dict[str, Any]:
    return {} if job_id is None else {"firsthandapi.job.id": job_id}


def add_event(call: Any, name: str, attributes: Mapping[str, Any]) -> None:
    """Note in a span, if there is one, what a wait has met. None is left out."""
    if call is not None:
        call.add_event(name, {key: value for key, value in attributes.items() if value is not None})


def http_attributes(method: str, path: str, template: str, origin: Origin, resends: int) -> dict[str, Any]:
    """What the HTTP conventions ask of a client's span. The query is left out: it may hold anything."""
    attributes: dict[str, Any] = {
        "http.request.method": method,
        "url.full": mask_secrets(f"{origin.url}{origin.prefix}{path}"),
        "url.template": template,
        "server.address": origin.host,
        "server.port": origin.port,
    }
    if resends:
        attributes["http.request.resend_count"] = resends
    return attributes


def measure(config: Any, endpoint: str, outcome: int | str, seconds: float) -> None:
    """Record how long an attempt took, until its status or the name of its exception came, by the HTTP conventions, if
    the program has loaded `opentelemetry.metrics`. `config`: the options of the client."""
    provider_of = getattr(sys.modules.get("opentelemetry.metrics"), "get_meter_provider", None)
    if provider_of is None or not config.tracing:
        return
    method, _, template = endpoint.partition(" ")
    attributes: dict[str, Any] = {
        "http.request.method": method,
        "url.template": template.replace(":id", "{id}"),
        "server.address": config.origin.host,
        "server.port": config.origin.port,
    }
    if isinstance(outcome, int):
        attributes["http.response.status_code"] = outcome
    if isinstance(outcome, str) or outcome >= 400:
        attributes["error.type"] = str(outcome)
    _durations(provider_of()).record(seconds, attributes)


@lru_cache(maxsize=4)
def _durations(provider: Any) -> Any:
    create = partial(
        provider.get_meter("firsthandapi", __version__).create_histogram,
        "http.client.request.duration",
        unit="s",
    )
    try:
        return create(explicit_bucket_boundaries_advisory=_BOUNDS)
    except TypeError:  # pragma: no cover # before OpenTelemetry 1.30
        return create()


def ended(current: Any, status: int, request_id: str | None) -> None:
    """Note the status of a response, and what the service calls it; 4xx and 5xx are errors."""
    from opentelemetry.trace import Status, StatusCode

    current.set_attribute("http.response.status_code", status)
    if request_id is not None:
        current.set_attribute("firsthandapi.request.id", request_id)
    if status >= 400:
        current.set_attribute("error.type", str(status))
        current.set_status(Status(StatusCode.ERROR))


def propagated() -> Mapping[str, str]:
    """The headers that carry the current span to the service, such as `traceparent`."""
    from opentelemetry import propagate

    carrier: dict[str, str] = {}
    propagate.inject(carrier)
    return carrier


def current_context() -> Any:
    """The context of the caller, for spans in other threads."""
    from opentelemetry import context

    return context.get_current()
