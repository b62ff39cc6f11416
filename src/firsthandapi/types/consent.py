"""Consents (contract §3 "Consent")."""

from __future__ import annotations

from typing import Any

from ._base import Items, Model, UtcDatetime


class Consent(Model):
    """What a worker agreed to, without a name (contract §3 "Consent"). Servers of one's own with a study have them.

    Attributes:
        object: `consent`; not checked.
        id: the `consent_id` of files.
        version: the number of the notice.
        purposes: what the files may be used for.
        license: what was granted, an id of the SPDX list.
        assurances: what the worker assured, such as `adult`.
        text: the notice.
        language: that of the text.
        agreed_at: when the worker agreed.
        withdrawn_at: when the worker withdrew; None if the consent stands.
    """

    object: Any = None
    id: str
    version: int | None = None
    purposes: Items[str] | None = None
    license: str | None = None
    assurances: Items[str] | None = None
    text: str | None = None
    language: str | None = None
    agreed_at: UtcDatetime | None = None
    withdrawn_at: UtcDatetime | None = None
