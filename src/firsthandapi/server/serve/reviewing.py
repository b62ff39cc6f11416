"""The reviewers' page: the submissions that wait, one after the other, with stars and a reason."""

from __future__ import annotations

from collections.abc import Iterable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from firsthandapi.server.browsers import MEDIA_HEADERS
from firsthandapi.server.downloads import file_response

from .reception import Reception, no_page


class Reviewing:
    """The pages under `/review`."""

    def __init__(self, reception: Reception) -> None:
        self._reception = reception

    def routes(self) -> Iterable[Route]:
        """Where the pages are."""
        yield Route("/review", self._queue, methods=["GET"])
        yield Route("/review/media/{submission}/{file}", self._media, methods=["GET"])

    async def _queue(self, request: Request) -> Response:
        self._reception.need(request, "reviewer")
        return self._reception.page(request, "review.html")

    async def _media(self, request: Request) -> Response:
        self._reception.need(request, "reviewer")
        world = self._reception.world
        with world.lock:
            submission = world.state.submissions.get(request.path_params["submission"])
            files = () if submission is None else submission.files
            file = next((file for file in files if file.id == request.path_params["file"]), None)
        if file is None:
            raise no_page()
        response = file_response(request, file)
        response.headers.update(MEDIA_HEADERS)
        return response
