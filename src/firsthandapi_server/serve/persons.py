"""The operators' page of one person: their files, their pay, and what they agreed to."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from firsthandapi_server.console.face import PREFIX, Page, no_page
from firsthandapi_server.sqlite.traces import earned, latest_of

from .erasing import SUBJECT, Eraser
from .exporting import consents_of
from .payouts import Payouts
from .prose import prose
from .reception import Reception

_SHOWN = 50


class Persons:
    """The pages under `/console/people/`."""

    def __init__(self, reception: Reception, eraser: Eraser, payouts: Payouts) -> None:
        self._reception = reception
        self._eraser = eraser
        self._payouts = payouts
        self.pages: dict[str, Page] = {"/person": self._find, "/people/{worker}": self._show}

    def _find(self, request: Request) -> Response:
        """Lead to whoever has the number that somebody wrote."""
        return self._reception.go(
            f"{PREFIX}/people/{self._known(request.query_params.get('worker', '').strip())}"
        )

    def _known(self, worker: str) -> str:
        if not (SUBJECT.fullmatch(worker) and worker.startswith("wkr_") and self._eraser.is_known(worker)):
            raise no_page()
        return worker

    def _show(self, request: Request) -> Response:
        worker = self._known(request.path_params["worker"])
        access, state = self._reception.access, self._eraser.state
        sent, older = latest_of(state, worker, request.query_params.get("before"), _SHOWN)
        receipts = self._payouts.of(worker)
        cents = sum(cents for _, _, cents in earned(state.query, worker=worker))
        ulid = worker.partition("_")[2]
        return self._reception.page(
            request,
            "person.html",
            prose=prose,
            section=f"{PREFIX}/people",
            number=worker,
            token=next((token for token in access.tokens() if token.id.partition("_")[2] == ulid), None),
            sent=[(submission, file) for submission in sent for file in submission.files],
            older=older,
            earned=cents,
            owed=max(0, cents - sum(receipt.cents for receipt in receipts)),
            receipts=receipts,
            consents=consents_of(access.look, worker),
        )
