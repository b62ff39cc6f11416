"""How a worker gives up a second attempt, so that the slot is free for others."""

from __future__ import annotations

from collections.abc import Iterable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from firsthandapi.server.pages.console.face import PageError, no_page
from firsthandapi.server.rules.jobs import NO_RETRY

from .reception import ME, Reception
from .working import Working


class Retrying:
    """The form below a submission with two stars.

    Args:
        reception: sign-in and forms.
        working: knows which worker asks.
    """

    def __init__(self, reception: Reception, working: Working) -> None:
        self._reception = reception
        self._world = reception.world
        self._working = working

    def routes(self) -> Iterable[Route]:
        """The route of the form, not below the link of a job: uploads go there, which are large."""
        yield Route(f"{ME}/give-up", self._give_up, methods=["POST"])

    async def _give_up(self, request: Request) -> Response:
        worker = self._working.worker(request)
        fields = await self._reception.form(request)
        with self._world.lock:
            found = self._world.state.submissions.get(fields.get("submission", ""))
            if found is None or found.worker_id != worker:
                raise no_page()
            if found.status != "retry_pending":
                raise PageError(409, "This submission can no longer be tried again: reload the page.")
            self._world.jobs.give_up(found, self._world.clock.now(), NO_RETRY, worker)
            return self._reception.go(ME if "home" in fields else self._reception.links.path(found.job))
