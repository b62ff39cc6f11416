"""OpenTelemetry spans, for programs that have loaded it; to all others they cost nothing."""

from __future__ import annotations

import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any

from firsthandapi._base.masking import mask_secrets
from firsthandapi._base.origins import Origin
from firsthandapi._base.version import __version__


def tracer() -> Any:
    """The tracer of this package, or None if the program has not loaded `opentelemetry.trace`."""
    trace = sys.modules.get("opentelemetry.trace")
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
) -> Generator[Any, None, None]:
    """A span around the block; an exception that leaves it becomes its status and `error.type`."""
    from opentelemetry.trace import SpanKind, Status, StatusCode

    kind = SpanKind.CLIENT if client else SpanKind.INTERNAL
    with tracer.start_as_current_span(
        name,
        kind=kind,
        context=context,
        attributes=attributes,
        record_exception=False,
        set_status_on_exception=False,
    ) as current:
        try:
            yield current
        except BaseException as error:
            # Not the exception itself: its traceback has the lines of the program that was called.
            current.set_attribute("error.type", type(error).__name__)
            current.set_status(Status(StatusCode.ERROR, mask_secrets(str(error)[:500]) or None))
            raise


@contextmanager
def call_span(name: str) -> Generator[None, None, None]:
    """A span around a call that makes several requests, if the program has loaded `opentelemetry.trace`."""
    found = tracer()
    if found is None:
        yield
    else:
        with span(found, f"firsthandapi {name}"):
            yield


def http_attributes(method: str, template: str, origin: Origin, resends: int) -> dict[str, Any]:
    """What the HTTP conventions ask of a client's span."""
    found: dict[str, Any] = {
        "http.request.method": method,
        "url.template": template,
        "server.address": origin.host,
        "server.port": origin.port,
    }
    if resends:
        found["http.request.resend_count"] = resends
    return found


def ended(current: Any, status: int) -> None:
    """Note the status of a response; 4xx and 5xx are errors."""
    from opentelemetry.trace import Status, StatusCode

    current.set_attribute("http.response.status_code", status)
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
