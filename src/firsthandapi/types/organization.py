"""The organization's settings (contract §3 "OrganizationSettings")."""

from __future__ import annotations

from typing import Any

from pydantic import AliasChoices, Field

from ._base import Model, Params, Whole
from .enums import JobType, OpenJobType, PurchaseTier


class OrganizationSettings(Model):
    """The organization's settings (contract §3 "OrganizationSettings"). Money is integer US cents.

    Attributes:
        object: not checked.
        auto_top_up_enabled: whether the service buys credits when the balance is low.
        auto_top_up_threshold_cents: balance below which it buys, in US cents.
        auto_top_up_amount_cents: amount to buy, in US cents: 1000, 2500, 5000, 10000, or 25000.
        default_type: the type of new jobs on the dashboard.
        default_price_per_file_cents: the price of new jobs on the dashboard, in US cents.
    """

    object: Any = None
    auto_top_up_enabled: bool | None = Field(
        default=None, validation_alias=AliasChoices("auto_top_up_enabled", "auto_topup_enabled")
    )
    auto_top_up_threshold_cents: int | None = Field(
        default=None,
        validation_alias=AliasChoices("auto_top_up_threshold_cents", "auto_topup_threshold_cents"),
    )
    auto_top_up_amount_cents: int | None = Field(
        default=None,
        validation_alias=AliasChoices("auto_top_up_amount_cents", "auto_topup_amount_cents"),
    )
    default_type: OpenJobType | None = None
    default_price_per_file_cents: int | None = None


class OrganizationUpdateParams(Params):
    """The arguments of `organization.update_settings`."""

    auto_top_up_enabled: bool | None = Field(default=None, description="True or False")
    auto_top_up_threshold_cents: int | None = Field(
        default=None, ge=0, description="an int of at least 0 (US cents)"
    )
    auto_top_up_amount_cents: Whole[PurchaseTier] | None = Field(
        default=None, description="1000, 2500, 5000, 10000 or 25000 (US cents)"
    )
    default_type: JobType | None = Field(default=None, description="'data_collection' or 'feedback'")
    default_price_per_file_cents: int | None = Field(
        default=None, ge=10, le=50_000, description="an int from 10 to 50,000 (US cents)"
    )
