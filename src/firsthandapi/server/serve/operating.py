"""The operators' page: the links of the jobs, tokens, and credits. The rest is in the console."""

from __future__ import annotations

from collections.abc import Iterable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from .reception import Reception


class Operating:
    """The pages `/` and `/operator`."""

    def __init__(self, reception: Reception) -> None:
        self._reception = reception

    def routes(self) -> Iterable[Route]:
        """Where the pages are."""
        yield Route("/", self._home, methods=["GET"])
        yield Route("/operator", self._operator, methods=["GET"])

    async def _home(self, request: Request) -> Response:
        reception = self._reception
        if reception.may(request, "operator"):
            return reception.go("/operator")
        if reception.may(request, "reviewer"):
            return reception.go("/review")
        return reception.page(request, "home.html")

    async def _operator(self, request: Request) -> Response:
        self._reception.need(request, "operator")
        with self._reception.world.lock:
            jobs = [job for job in reversed(self._reception.world.state.jobs.values()) if not job.is_terminal]
            return self._reception.page(request, "operator.html", jobs=jobs)
