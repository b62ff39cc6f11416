"""What the workers of a folder agreed to, which servers of one's own with a study know."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from firsthandapi._async.bridge import run_blocking
from firsthandapi._base.watching import DOWNLOADS, logger
from firsthandapi._core.calls.decode import decode
from firsthandapi._core.calls.request import build_request
from firsthandapi._core.rows.consents import line_of
from firsthandapi.errors import FirstHandError, NotFoundError
from firsthandapi.types._base import fitting
from firsthandapi.types.consent import Consent

if TYPE_CHECKING:
    from firsthandapi._async.transport import Transport
    from firsthandapi._async.waiting import Waiting
    from firsthandapi.datasets._folder import Folder

# After so many that it does not know, a service that knew none is asked for no more.
_MOST_UNKNOWN = 3


async def note_consents(transport: Transport, waiting: Waiting, folder: Folder) -> None:
    """Write consents.jsonl: a line for each consent that rows name, with a request each. A failure of the service does
    not end the run; the next run tries again."""
    known: dict[str, Mapping[str, Any]] = {}
    unknown = 0
    for consent_id in await run_blocking(folder.unknown_consents):
        path, options = f"/v1/consents/{consent_id}", waiting.options
        headers = options.get("extra_headers")  # the caller's query is for the files
        request = build_request("GET", path, time_limit=waiting.time_limit(), extra_headers=headers)
        try:
            response, content = await transport.send(request)
            known[consent_id] = line_of(fitting(decode(Consent, content, response)))
        except NotFoundError:  # its worker's data was erased, or the server has no study
            unknown += 1
            if unknown == _MOST_UNKNOWN and not known:
                break
        except FirstHandError as error:
            logger(DOWNLOADS).warning(
                "%s", f"some consents of the rows are unknown so far: {error}; run the same call again"
            )
            break
    await run_blocking(folder.note_consents, known)
