# Made from _async/consents.py by `make generate`. Do not edit.
"""What the workers of a folder agreed to, which servers of one's own with a study know."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from firsthandapi._base.watching import DOWNLOADS, logger
from firsthandapi._core.calls.decode import decode
from firsthandapi._core.calls.request import build_request
from firsthandapi._core.rows.consents import line_of
from firsthandapi._sync.bridge import run_blocking
from firsthandapi.errors import FirstHandError, NotFoundError
from firsthandapi.types._base import fitting
from firsthandapi.types.consent import Consent

if TYPE_CHECKING:
    from firsthandapi._sync.transport import Transport
    from firsthandapi._sync.waiting import Waiting
    from firsthandapi.datasets._folder import Folder

# After so many that it does not know, a service that knew none is asked for no more.
_MOST_UNKNOWN = 3


def note_consents(transport: Transport, waiting: Waiting, folder: Folder) -> None:
    """Write consents.jsonl: a line for each consent that rows name. If the service fails, the next run tries again."""
    ids = run_blocking(folder.unknown_consents)
    run_blocking(folder.note_consents, read_consents(transport, ids, waiting))


def read_consents(
    transport: Transport, ids: Iterable[str], waiting: Waiting | None = None
) -> dict[str, Mapping[str, Any]]:
    """The lines of these consents, with a request each. A failure of the service ends no call: the others are
    missing."""
    lines: dict[str, Mapping[str, Any]] = {}
    unknown = 0
    for consent_id in ids:
        time_limit = None if waiting is None else waiting.time_limit()
        # The caller's query is for the files.
        headers = None if waiting is None else waiting.options.get("extra_headers")
        request = build_request(
            "GET", f"/v1/consents/{consent_id}", time_limit=time_limit, extra_headers=headers
        )
        try:
            response, content = transport.send(request)
            lines[consent_id] = line_of(fitting(decode(Consent, content, response)))
        except NotFoundError:  # its worker's data was erased, or the server has no study
            unknown += 1
            if unknown == _MOST_UNKNOWN and not lines:
                break
        except FirstHandError as error:
            logger(DOWNLOADS).warning(
                "%s", f"some consents of the rows are unknown so far: {error}; run the same call again"
            )
            break
    return lines
