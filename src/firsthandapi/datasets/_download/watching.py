"""Report downloads to the logger `firsthandapi.download`, to `on_attempt`, and to OpenTelemetry if it is loaded."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from firsthandapi._base.masking import mask_secrets
from firsthandapi._base.tracing import current_context, span, tracer
from firsthandapi._base.watching import DOWNLOADS, OnAttempt, is_watched, logger, report
from firsthandapi._core.calls.attempt import Attempt

if TYPE_CHECKING:
    from firsthandapi._core.files.download import Address, Wanted
    from firsthandapi.errors import DownloadError


class Watch:
    """Create it in the caller's thread: its span becomes the parent of the files' spans."""

    def __init__(self, on_attempt: OnAttempt | None = None, tracing: bool = True) -> None:
        self._on_attempt = on_attempt
        self._tracer = tracer(tracing)
        self._context: Any = None if self._tracer is None else current_context()

    @contextmanager
    def file(self, task: Wanted) -> Generator[dict[str, Any], None, None]:
        """A span around one file. What the block adds to the dict becomes its attributes."""
        results: dict[str, Any] = {}
        if self._tracer is None:
            yield results
            return
        attributes = {"http.request.method": "GET", "firsthandapi.file.id": task.file_id}
        if task.url is not None:
            attributes["url.full"] = mask_secrets(task.url)
        with span(
            self._tracer, "firsthandapi download", attributes, client=True, context=self._context
        ) as file_span:
            yield results
            file_span.set_attributes(results)

    def attempt(
        self,
        address: Address,
        number: int,
        *,
        status: int | None,
        error: DownloadError | None,
        seconds: float,
        retry_in: float | None,
    ) -> None:
        if is_watched(self._on_attempt, DOWNLOADS):
            attempt = Attempt(
                method="GET",
                path=mask_secrets(address.target.partition("?")[0]),
                endpoint=f"GET {address.origin.authority}",
                number=number,
                status=status,
                error=error,
                seconds=seconds,
                request_id=None,
                idempotency_key=None,
                retry_in=retry_in,
                kind="download",
            )
            report(attempt, self._on_attempt)
        if retry_in is not None:
            logger(DOWNLOADS).info("%s; retrying in %.2f s", error, retry_in)
