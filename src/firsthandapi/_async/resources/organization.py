"""The organization (contract §2)."""

from __future__ import annotations

from typing import Unpack

from firsthandapi._async.calls import Resource
from firsthandapi._core.calls.arguments import check
from firsthandapi.types.enums import JobType, PurchaseTier
from firsthandapi.types.options import BodyOptions, RequestOptions
from firsthandapi.types.organization import OrganizationSettings, OrganizationUpdateParams


class Organization(Resource):
    """Settings of this organization; changing them needs the scope `billing:write`."""

    async def settings(self, **options: Unpack[RequestOptions]) -> OrganizationSettings:
        """Read the settings.

        Args:
            **options: `timeout` (seconds for one attempt, above 0), `extra_headers`, `extra_query`; see `jobs.create`.

        Returns:
            The settings.

        Raises:
            FirstHandError: any other failure; its subclass names it.

        Contract: §2 "Organization and audit".
        """
        return await self._get(OrganizationSettings, "/v1/organization/settings", **options)

    async def update_settings(
        self,
        *,
        auto_top_up_enabled: bool | None = None,
        auto_top_up_threshold_cents: int | None = None,
        auto_top_up_amount_cents: PurchaseTier | None = None,
        default_type: JobType | None = None,
        default_price_per_file_cents: int | None = None,
        **options: Unpack[BodyOptions],
    ) -> OrganizationSettings:
        """Change settings; those left out stay unchanged.

        Args:
            auto_top_up_enabled: whether the service buys credits when the balance is low.
            auto_top_up_threshold_cents: balance below which it buys, in US cents.
            auto_top_up_amount_cents: amount to buy, in US cents: 1000, 2500, 5000, 10000, or 25000.
            default_type: type of a job that names none: `data_collection` or `feedback`.
            default_price_per_file_cents: price per file of a job that names none, in US cents, 10 to 50,000.
            **options: `timeout` (seconds for one attempt, above 0), `extra_headers`, `extra_query`,
                `extra_body`; see `jobs.create`.

        Returns:
            The settings after the change.

        Raises:
            FirstHandError: any other failure; its subclass names it.

        Contract: §2 "Organization and audit".
        """
        params = check(
            OrganizationUpdateParams,
            {
                "auto_top_up_enabled": auto_top_up_enabled,
                "auto_top_up_threshold_cents": auto_top_up_threshold_cents,
                "auto_top_up_amount_cents": auto_top_up_amount_cents,
                "default_type": default_type,
                "default_price_per_file_cents": default_price_per_file_cents,
            },
        )
        path = "/v1/organization/settings"
        return await self._write(OrganizationSettings, "PATCH", path, params, idempotency_key=None, **options)
