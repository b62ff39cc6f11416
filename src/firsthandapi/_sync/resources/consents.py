# Made from _async/resources/consents.py by `make generate`. Do not edit.
"""Consents (contract §2)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Unpack

from firsthandapi._base.forks import importing
from firsthandapi._core.calls.request import check_id
from firsthandapi._sync.calls import Resource
from firsthandapi.types.consent import Consent
from firsthandapi.types.options import RequestOptions


class Consents(Resource):
    """What workers agreed to, on a server of one's own; the API key needs the scope `jobs:read`."""

    def get(self, consent_id: Consent | str, **options: Unpack[RequestOptions]) -> Consent:
        """Read a consent.

        Args:
            consent_id: the consent, or the `consent_id` of a file.
            **options: `timeout` (seconds for one attempt, above 0), `extra_headers`, `extra_query`; see `jobs.create`.

        Returns:
            The consent.

        Raises:
            NotFoundError: there is none with that id, the worker's data was erased, or the server has no study.
            FirstHandError: any other failure; its subclass names it.

        Contract: §2 "Consents".
        """
        path = f"/v1/consents/{check_id(consent_id, 'consent_id')}"
        return self._get(Consent, path, **options)

    def _lines(self, ids: Iterable[str]) -> Mapping[str, Mapping[str, Any]]:
        """The lines of these consents as they are now, for `Dataset.reconcile`."""
        with importing():
            from firsthandapi._sync.consents import read_consents
        return read_consents(self._transport, ids)
