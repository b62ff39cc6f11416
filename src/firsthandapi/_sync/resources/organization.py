# Made from _async/resources/organization.py by `make generate`. Do not edit.
"""The organization (contract §2)."""

from __future__ import annotations

from firsthandapi._core.arguments import check
from firsthandapi._sync.calls import Body, Headers, Query, Resource
from firsthandapi.types.enums import JobType, PurchaseTier
from firsthandapi.types.organization import OrganizationSettings, OrganizationUpdate


class Organization(Resource):
    """Settings of this organization; changing them needs the scope `billing:write`."""

    def settings(
        self,
        *,
        timeout: float | None = None,
        extra_headers: Headers | None = None,
        extra_query: Query | None = None,
    ) -> OrganizationSettings:
        """Read the settings.

        Args:
            timeout, extra_headers, extra_query: see `FirstHandClient`, "Every method".

        Returns:
            The settings.

        Raises:
            InvalidArgumentError: an argument is not what the contract allows. Nothing was sent.
            FirstHandApiError: the service answered with an error.
            FirstHandConnectionError: the service could not be reached.

        Contract: §2 "Organization and audit".
        """
        return self._get(
            OrganizationSettings,
            "/v1/organization/settings",
            timeout=timeout,
            extra_headers=extra_headers,
            extra_query=extra_query,
        )

    def update_settings(
        self,
        *,
        auto_top_up_enabled: bool | None = None,
        auto_top_up_threshold_cents: int | None = None,
        auto_top_up_amount_cents: PurchaseTier | None = None,
        default_type: JobType | None = None,
        default_price_per_file_cents: int | None = None,
        timeout: float | None = None,
        extra_headers: Headers | None = None,
        extra_query: Query | None = None,
        extra_body: Body | None = None,
    ) -> OrganizationSettings:
        """Change settings; what is left out stays as it is.

        Args:
            auto_top_up_enabled: whether credits are bought when few are left.
            auto_top_up_threshold_cents: buy below this balance, in US cents.
            auto_top_up_amount_cents: how much to buy, in US cents: 1000, 2500, 5000, 10000 or 25000.
            default_type: the type of a job that names none: `data_collection` or `feedback`.
            default_price_per_file_cents: the price of a file where a job names none, in US cents, 10 to
                50,000.
            timeout, extra_headers, extra_query, extra_body: see `FirstHandClient`, "Every method".

        Returns:
            The settings as they are now.

        Raises:
            InvalidArgumentError: an argument is not what the contract allows. Nothing was sent.
            FirstHandApiError: the service answered with an error.
            FirstHandConnectionError: the service could not be reached.

        Contract: §2 "Organization and audit".
        """
        params = check(
            OrganizationUpdate,
            {
                "auto_top_up_enabled": auto_top_up_enabled,
                "auto_top_up_threshold_cents": auto_top_up_threshold_cents,
                "auto_top_up_amount_cents": auto_top_up_amount_cents,
                "default_type": default_type,
                "default_price_per_file_cents": default_price_per_file_cents,
            },
        )
        return self._write(
            OrganizationSettings,
            "PATCH",
            "/v1/organization/settings",
            params,
            timeout=timeout,
            extra_headers=extra_headers,
            extra_query=extra_query,
            extra_body=extra_body,
        )
